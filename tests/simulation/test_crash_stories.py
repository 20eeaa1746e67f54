"""Fixed stories, killed at every named point, and killed again while they recover (I7)."""

from dataclasses import dataclass, field, replace

import pytest

from squareoff.simulator.virtual.knobs import CrashPlan, Knobs
from squareoff.simulator.virtual.run_seed import RunReport, run_seed


@dataclass(frozen=True)
class Story:
    """A seed whose plan is what the story is about, and the faults that belong to it."""

    seed: int
    positions: int = 1
    rates: dict[str, float] = field(default_factory=dict)

    def run(self, *crashes: CrashPlan) -> RunReport:
        """Run the story with these crashes."""
        knobs = Knobs(chaos_seconds=8.0, position_count=self.positions, rates=self.rates)
        return run_seed(self.seed, knobs=replace(knobs, crashes=crashes))


STORIES = {
    "a stop closes a short that was entered by an order": Story(0),
    "a stop closes a short of shares": Story(1),
    "a person closes more than the freeze quantity": Story(4),
    "two positions share one key": Story(4, positions=2),
    "five callers and a target close a long": Story(34),
    "a square-off time closes a long": Story(10),
    "the answer to the exit is lost": Story(16, rates={"write_reply_reset": 1.0}),
    "the exit itself is lost": Story(16, rates={"write_lost": 1.0}),
}


def _bad(story: Story, clean: RunReport, *crashes: CrashPlan) -> list[str]:
    report = story.run(*crashes)
    found = list(report.violations)
    # An entry that had not left when the process died is given up: there is nothing to exit then.
    if report.exits + report.cancelled != clean.exits:
        found.append(f"{report.exits} exits, {clean.exits} without the crash")
    return [f"seed {story.seed}, killed at {report.crashes}: {line}" for line in found]


@pytest.mark.parametrize("name", STORIES)
def test_a_crash_at_any_point_changes_no_outcome(name: str) -> None:
    """Killed at any named point, a story ends as it does without the crash."""
    story = STORIES[name]
    clean = story.run()
    assert clean.is_good and clean.exits > 0, clean.summary()

    found = [
        line
        for point in range(1, clean.point_count + 1)
        for line in _bad(story, clean, CrashPlan(at_point=point, restart_seconds=0.5))
    ]

    assert found == []


def test_a_crash_during_recovery_changes_no_outcome() -> None:
    """Killed once in the story and once more in the recovery, it still ends the same."""
    story = STORIES["the answer to the exit is lost"]
    clean = story.run()

    found = [
        line
        for first in range(5, clean.point_count + 1, 7)
        for second in range(1, 60, 7)
        for line in _bad(
            story,
            clean,
            CrashPlan(at_point=first, restart_seconds=0.5),
            CrashPlan(at_point=second, restart_seconds=0.5),
        )
    ]

    assert found == []
