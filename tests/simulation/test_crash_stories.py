"""Fixed stories, killed at named points, and killed again while they recover (I7).

A slice of the campaign `make campaign-kill ARGS=crashes`: the points here are spread so that every
story is crashed at several places, and all stories together at every kind of checkpoint.
"""

import pytest

from squareoff.simulator.rehearsal.crash_campaign import (
    Point,
    all_pairs,
    all_singles,
    checkpoint_counts,
    try_point,
)
from squareoff.simulator.rehearsal.crash_points import Tried, play
from squareoff.simulator.rehearsal.crash_stories import CRASH_STORIES

STORIES_WANTED = 50
EVERY_POINT = 23
"""Prime, so that the slices of different stories meet different places of the exit."""

PAIRS_PER_STORY = 2
CHUNKS = 8


def _points_of(names: list[str]) -> list[Point]:
    counts = checkpoint_counts(names)
    chosen = []
    for name, count in counts.items():
        first = list(CRASH_STORIES).index(name) * 7 % EVERY_POINT
        chosen += all_singles({name: count})[first::EVERY_POINT]
    return chosen


def _pairs_of(singles: list[Tried]) -> list[Point]:
    """Return some pairs of each story, spread over both lives."""
    pairs = []
    for name in dict.fromkeys(tried.story for tried in singles):
        mine = all_pairs(tried for tried in singles if tried.story == name)
        step = max(1, len(mine) // PAIRS_PER_STORY)
        pairs += mine[step // 2 :: step][:PAIRS_PER_STORY]
    return pairs


def test_there_are_fifty_stories_and_each_ends_well_without_a_crash() -> None:
    """Every position of every story is closed, or its entry never filled."""
    ends = {name: play(story).ends for name, story in CRASH_STORIES.items()}

    assert len(CRASH_STORIES) >= STORIES_WANTED
    closed = {name for name, end in ends.items() if set(end.values()) == {"EXITED"}}
    assert set(CRASH_STORIES) - closed == {"an entry is never filled"}
    assert all(len(end) == len(CRASH_STORIES[name].positions) for name, end in ends.items())


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_crash_and_a_crash_in_recovery_change_no_outcome(chunk: int) -> None:
    """Killed once, and killed again in the recovery, a story ends as it does without."""
    points = _points_of(list(CRASH_STORIES)[chunk::CHUNKS])

    singles = [try_point(point) for point in points]
    pairs = [try_point(pair) for pair in _pairs_of(singles)]

    print(f"{len(singles)} checkpoints and {len(pairs)} pairs crashed")
    assert all(tried.was_reached for tried in singles)
    assert sum(tried.was_reached for tried in pairs) > len(pairs) / 2
    assert [(t.story, t.checkpoints, t.faults) for t in (*singles, *pairs) if t.faults] == []
