"""The line that a campaign prints every few seconds."""

from squareoff.simulator.campaign.runner import Goal
from squareoff.simulator.campaign.tally import Tally

SECONDS_BETWEEN = 5.0


class ProgressLine:
    """Prints where a campaign stands, at most every few seconds."""

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._shown = 0.0

    def show(self, tally: Tally, seconds: float) -> None:
        """Print the line if it is time."""
        if seconds - self._shown < SECONDS_BETWEEN:
            return
        self._shown = seconds
        rate = tally.faulted_exits / seconds
        print(
            f"{tally.runs:,} runs, {tally.faulted_exits:,} faulted exits, {rate:.1f} exits/s, "
            f"{self._left(tally, seconds, rate)}, {tally.violated_runs} violated",
            flush=True,
        )

    def _left(self, tally: Tally, seconds: float, rate: float) -> str:
        """Return how long it will take still, by what ends the campaign first."""
        bounds = []
        if self._goal.exits and rate:
            bounds.append((self._goal.exits - tally.faulted_exits) / rate)
        if self._goal.seconds:
            bounds.append(self._goal.seconds - seconds)
        return f"{max(0.0, min(bounds)):.0f} s left" if bounds else "until Ctrl-C"
