"""How far this machine's wall clock is from the broker's, and whether it was set meanwhile.

Offsets are ours less theirs, seconds: above zero our clock is ahead. An answer's Date is cut to
whole seconds and its way takes time, so one reading only says that the offset lies in an interval
as wide as the way and that second together. The median of many such intervals' middles is taken,
and slow answers, which say little, count not at all.
A report that names the exchange's time came after it: our clock, if it reads less, is behind.

Invariants:
1. A wall clock that steps never changes a duration: steps are seen by comparing it with the
   monotonic clock, which nobody sets.
"""

from collections import deque
from dataclasses import dataclass
from statistics import median

from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now

READINGS_KEPT = 31
READINGS_MIN = 5
"""Fewer readings give no verdict: one answer that a proxy kept would be an alarm."""

WAY_SECONDS_MAX = 1.0
"""Answers slower than this are left out."""

OFFSET_SECONDS_MAX = 2.0
"""Beyond it prices would be judged stale or young wrongly and time rules fire at a wrong second."""

JUMP_SECONDS_MIN = 0.5
"""Slewing moves a clock by 0.5 ms in a second; half a second within one check is a step."""

_GRAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SkewVerdict:
    """The estimated offset, None while unknown, and whether it is beyond doubt too large."""

    offset_seconds: float | None
    is_too_large: bool


class ClockSkew:
    """Gathers readings and judges them."""

    def __init__(self) -> None:
        self._middles: deque[float] = deque(maxlen=READINGS_KEPT)
        self._latest_behind: deque[float] = deque(maxlen=READINGS_KEPT)

    def note_answer(self, *, theirs_ns: int, sent_ns: int, received_ns: int) -> None:
        """Take one answer's Date, and when it was asked for and came."""
        way = (received_ns - sent_ns) / NANOSECONDS_PER_SECOND
        if not 0 <= way <= WAY_SECONDS_MAX:
            return
        ours = (sent_ns + received_ns) / 2
        self._middles.append((ours - theirs_ns) / NANOSECONDS_PER_SECOND - _GRAIN_SECONDS / 2)

    def note_report(self, *, exchange_ns: int, received_ns: int) -> None:
        """Take one report's exchange time: it cannot lie after its receipt."""
        self._latest_behind.append((received_ns - exchange_ns) / NANOSECONDS_PER_SECOND)

    def forget(self) -> None:
        """Drop all readings: the wall clock was set."""
        self._middles.clear()
        self._latest_behind.clear()

    def verdict(self) -> SkewVerdict:
        """Return the offset as far as it is known."""
        offset = median(self._middles) if len(self._middles) >= READINGS_MIN else None
        reports = self._latest_behind
        behind = median(reports) if len(reports) >= READINGS_MIN else None
        if offset is None:
            # Reports are late by an unknown time: they can only prove that we are behind.
            offset = behind if behind is not None and behind < 0 else None
        is_too_large = offset is not None and abs(offset) > OFFSET_SECONDS_MAX
        return SkewVerdict(offset, is_too_large)


def wall_jump_seconds(before: Now, after: Now) -> float:
    """Return how far the wall clock was set between two looks, 0 for less than a step."""
    wall = after.wall_ns - before.wall_ns
    monotonic = after.monotonic_ns - before.monotonic_ns
    jump = (wall - monotonic) / NANOSECONDS_PER_SECOND
    return jump if abs(jump) >= JUMP_SECONDS_MIN else 0.0
