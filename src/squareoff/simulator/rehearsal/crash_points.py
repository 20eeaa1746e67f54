"""Crash a story at each of its checkpoints, and at each of the recovery's, and compare the ends.

The clean run says how many checkpoints there are. A crash must change no outcome: each position
ends as in the clean run, or as it may end without a crash where an entry never left.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from squareoff.simulator.rehearsal.crash_script import CrashStory, StoryScript
from squareoff.simulator.virtual.knobs import CrashPlan, Knobs
from squareoff.simulator.virtual.plans import NAME_MINUTES
from squareoff.simulator.virtual.run_report import RunReport
from squareoff.simulator.virtual.run_seed import run_seed

SEED = 1
RESTART_SECONDS = 0.5

End = dict[int, str]
"""Number of the position -> how it ended; missing where it never came under watch."""


@dataclass(frozen=True, slots=True)
class Play:
    """One run of a story and how its positions ended."""

    report: RunReport
    ends: End

    @property
    def crash_count(self) -> int:
        """How often the engine was killed."""
        return len(self.report.crashes)


@dataclass(frozen=True, slots=True)
class Tried:
    """One crashed run, judged; `faults` is empty for a good one."""

    story: str
    points: tuple[int, ...]
    was_reached: bool
    checkpoints: tuple[str, ...]
    faults: tuple[str, ...]
    points_after: int
    """How many checkpoints came after the last crash."""


def play(story: CrashStory, *points: int) -> Play:
    """Play a story; each life but the last dies at the checkpoint of that number."""
    crashes = tuple(CrashPlan(at_point=point, restart_seconds=RESTART_SECONDS) for point in points)
    knobs = Knobs(
        chaos_seconds=story.chaos_seconds,
        position_count=len(story.positions),
        conduct=dict(story.conduct),
        thin_market=story.thin_market,
        order_type=story.order_type,
        crashes=crashes,
    )
    script = StoryScript(story)
    report = run_seed(SEED, knobs=knobs, script=script)
    return Play(report, _ends(script))


def try_crash(story: CrashStory, clean: End, *points: int) -> Tried:
    """Crash a story at these checkpoints, one per life, and judge how it ends."""
    played = play(story, *points)
    faults = [*played.report.violations, *_differences(story, clean, played.ends)]
    return Tried(
        story=story.name,
        points=points,
        was_reached=played.crash_count == len(points),
        checkpoints=tuple(played.report.crashes),
        faults=tuple(faults),
        points_after=played.report.point_count - sum(points),
    )


def _differences(story: CrashStory, clean: End, ends: End) -> Iterator[str]:
    for number, held in enumerate(story.positions):
        without, with_crash = clean.get(number, "never watched"), ends.get(number, "never watched")
        # An entry that had not left when the process died is given up: nothing was bought.
        is_given_up = held.by_entry and with_crash in ("CANCELLED", "never watched")
        if with_crash != without and not is_given_up:
            yield f"position {number} ended {with_crash}, without the crash {without}"


def _ends(script: StoryScript) -> End:
    """Return how each position ended, by SQL."""
    assert script.world is not None, "the story was played"
    rows = script.world.auditor.database.execute(
        "SELECT t.rules, t.status, i.status FROM trackers t"
        " LEFT JOIN exit_intents i ON i.intent_id = t.intent_id"
    )
    ends = {}
    for rules, status, intent in rows.fetchall():
        number = json.loads(rules)["max_holding_minutes"] - NAME_MINUTES
        is_final = status in ("EXITED", "CANCELLED")
        ends[number] = status if is_final or intent is None else f"{status}, {intent}"
    return ends
