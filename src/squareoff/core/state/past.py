"""Which positions have ended for good: nothing that is still to come can be about them.

They rest in the database alone. Every start and every look over all positions would otherwise take
longer with each day of trading.
Invariants:
1. What may still change stays: a position not at its end, and one with an over-exit that nobody has
   dealt with.
2. What ended within `KEPT_DAYS` stays: brokers correct fills late, and a person looks back.
3. What ended since the day on which a held position of the same key was opened stays: the trades of
   those days are read for that one, and have to be known as ours.
"""

from collections.abc import Iterable, Mapping

from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import PositionKey
from squareoff.domain.time import DAY_NS, ist_midnight_ns

KEPT_DAYS = 7
"""Longer than any run of holidays: a fill is corrected on the next day of trading."""


def ended_since_ns(now_ns: int) -> int:
    """Return since when (UTC ns) what ended is kept."""
    return ist_midnight_ns(now_ns) - KEPT_DAYS * DAY_NS


def held_since(trackers: Iterable[PositionTracker]) -> dict[PositionKey, int]:
    """Return when the day began (UTC ns) on which the oldest held position of each key was
    opened."""
    oldest: dict[PositionKey, int] = {}
    for tracker in trackers:
        if not tracker.status.is_final:
            day_ns = ist_midnight_ns(tracker.created_at_ns)
            oldest[tracker.key] = min(day_ns, oldest.get(tracker.key, day_ns))
    return oldest


def is_past(tracker: PositionTracker, ended_since_ns: int, held: Mapping[PositionKey, int]) -> bool:
    """Say whether a position may rest; `held` is what `held_since` tells of all of them."""
    if not tracker.status.is_final or tracker.over_exited_quantity:
        return False
    ended_ns = tracker.exited_at_ns or tracker.created_at_ns
    return ended_ns < min(ended_since_ns, held.get(tracker.key, ended_since_ns))
