"""All crashes of all stories: each checkpoint once, then pairs with a second crash in the recovery.

Runs over all cores by processes. Every pair of a first crash and a checkpoint after it is one run;
where a smaller number is asked for, the pairs are drawn evenly from all of them.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context

from squareoff.simulator.rehearsal.crash_points import End, Tried, play, try_crash
from squareoff.simulator.rehearsal.crash_stories import CRASH_STORIES

Point = tuple[str, tuple[int, ...]]
"""A story and the checkpoints it is crashed at, one per life."""

_CHUNK = 20


@dataclass(slots=True)
class CrashCampaign:
    """What the crashes have shown so far."""

    stories: int = 0
    checkpoints: int = 0
    singles: int = 0
    pairs: int = 0
    pairs_in_all: int = 0
    not_reached: int = 0
    by_checkpoint: Counter[str] = field(default_factory=Counter)
    in_recovery: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, tried: Tried) -> None:
        """Count one crashed run."""
        if not tried.was_reached:
            self.not_reached += 1
        elif len(tried.points) == 1:
            self.singles += 1
        else:
            self.pairs += 1
        for life, checkpoint in enumerate(tried.checkpoints):
            name = checkpoint.partition(": ")[2]
            (self.in_recovery if life else self.by_checkpoint)[name] += 1
        points = ", then ".join(str(point) for point in tried.points)
        self.violations += [
            f"{tried.story!r} crashed at {points} ({'; '.join(tried.checkpoints)}): {text}"
            for text in tried.faults
        ]

    def progress(self) -> str:
        """Return one line."""
        return (
            f"{self.singles}/{self.checkpoints} checkpoints of {self.stories} stories crashed, "
            f"{self.pairs} pairs of {self.pairs_in_all}, {len(self.violations)} violations, "
            f"{self.seconds:.0f} s"
        )


def checkpoint_counts(names: Iterable[str] = CRASH_STORIES) -> dict[str, int]:
    """Return story -> the number of checkpoints of its clean run.

    Raises:
        AssertionError: a story is violated without any crash.
    """
    counts = {}
    for name in names:
        clean = play(CRASH_STORIES[name])
        assert clean.report.is_good, clean.report.summary()
        counts[name] = clean.report.point_count
    return counts


def all_singles(counts: dict[str, int]) -> list[Point]:
    """Return every checkpoint of every story."""
    return [(name, (point,)) for name, count in counts.items() for point in range(1, count + 1)]


def all_pairs(singles: Iterable[Tried]) -> list[Point]:
    """Return every pair of a first crash and a checkpoint of the life after it."""
    return [
        (tried.story, (*tried.points, second))
        for tried in singles
        if tried.was_reached
        for second in range(1, tried.points_after + 1)
    ]


def try_point(point: Point) -> Tried:
    """Crash one story at one point or pair."""
    name, points = point
    return try_crash(CRASH_STORIES[name], _clean_end(name), *points)


@cache
def _clean_end(name: str) -> End:
    return play(CRASH_STORIES[name]).ends


def run_crashes(
    campaign: CrashCampaign,
    pairs: int,
    workers: int,
    seed: int,
    hear: Callable[[CrashCampaign], None],
) -> None:
    """Crash everything once, then so many pairs (0: all); `campaign` fills as it goes."""
    counts = checkpoint_counts()
    campaign.stories, campaign.checkpoints = len(counts), sum(counts.values())
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:

        def run(points: Sequence[Point]) -> Iterator[Tried]:
            for tried in pool.map(try_point, points, chunksize=_CHUNK):
                campaign.take(tried)
                hear(campaign)
                yield tried

        singles = list(run(all_singles(counts)))
        chosen = all_pairs(singles)
        campaign.pairs_in_all = len(chosen)
        random.Random(f"pairs {seed}").shuffle(chosen)
        for _ in run(chosen[:pairs] if pairs else chosen):
            pass
