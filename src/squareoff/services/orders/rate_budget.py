"""The account's order-rate budget over all horizons, shared by every write.

It only looks at a clock that is handed in; the queue that waits for it is `permit_queue`.
The broker's limits are 10/s, 250/min, 1000/h, 7000/day; its window type is not documented, so
windows slide. What counts is when a write may have reached the broker, not when it was allowed:
a permit counts as now until its write begins, a write as now until it is answered or
`TRANSIT_SECONDS` have passed. So writes that wait on their way cannot pile up in one second there.
A write of which nothing left does not count: hours without a line or a token cost no exit its turn.
Invariants:
1. Never more writes in any window than the limits.
2. Entries leave a reserve of every horizon for exits, modifies leave half of it for placements.
3. A permit that nobody uses and nobody gives back stops counting after a bound, and is none any
   more (`holds`).
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from squareoff.core.session.lease import SEND_DEADLINE_SECONDS
from squareoff.domain.rules import Urgency
from squareoff.domain.time import Now, seconds_to_ns

HORIZONS = ("second", "minute", "hour", "day")
"""The windows that the broker counts order writes in."""

EXIT_RESERVE_SHARE = 0.25
"""This share of every horizon is kept for exits: entries can never starve them."""

TRANSIT_SECONDS = 0.25
"""A write reaches the broker within this time of its first byte: several times a slow round trip
inside India. One that takes longer falls into the two writes a second left below the limit."""

PERMIT_SECONDS_MAX = 15.0
"""A permit whose write has not begun by then is taken for used: pricing and commit take less."""

RATE_LIMITED_HOLDS_SECONDS = (1.0, 2.0, 4.0)
"""Nothing is written for so long after the broker's "too many requests", by how often in a row;
the last one repeats. It names no time, and its shortest window is a second."""

CLOCK_DOUBT_SECONDS = 2.0
"""After a restart our earlier writes are taken to be this much younger than the wall clock says,
for it may have been stepped since."""

LAST_WRITES_SECONDS = 1.0 + SEND_DEADLINE_SECONDS
"""A write that the broker refused is made again until its deadline without another journal entry:
any of the last ones may have left in the second in which the process before ours died."""

DAY_SECONDS = 86_400


class WriteKind(int, Enum):
    """What a write does, in the order in which writes of one urgency go."""

    CANCEL = 0
    """Ends an order that may fill too much: nothing is more urgent within its urgency."""
    PLACE = 1
    """Places an order."""
    MODIFY = 2
    """Moves an order that is already there."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Most order writes in any rolling window; the reads are `read_pace`'s."""

    per_second: int = 8
    per_minute: int = 240
    per_hour: int = 950
    per_day: int = 6800
    reads_per_second: int = 16
    """Of the 20 that the broker answers: the profile, the address and another program of the owner
    are asked for beside these."""

    def windows(self) -> tuple[tuple[int, int], ...]:
        """Return (window in ns, limit) pairs."""
        return (
            (seconds_to_ns(1), self.per_second),
            (seconds_to_ns(60), self.per_minute),
            (seconds_to_ns(3_600), self.per_hour),
            (seconds_to_ns(DAY_SECONDS), self.per_day),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """One write between its first byte and its answer."""

    began_ns: int


class RateBudget:
    """Counts order writes in sliding windows of monotonic time."""

    def __init__(self, limits: RateLimits) -> None:
        self._windows = [(span, limit, deque[int]()) for span, limit in limits.windows()]
        self._held: deque[int] = deque()
        self._flights: dict[Flight, None] = {}
        self._full_until_ns: int | None = None
        self._rate_limited_in_a_row = 0

    def wait_ns(self, now_ns: int, urgency: Urgency, kind: WriteKind) -> int:
        """Return how long until such a write fits, 0 if it fits now; ends in flight shorten it."""
        self._settle(now_ns)
        longest = 0 if self._full_until_ns is None else self._full_until_ns - now_ns
        for span, limit, taken in self._windows:
            excess = len(taken) + self._open_count() - _allowed(limit, urgency, kind)
            if excess >= 0:
                longest = max(longest, self._frees_at(taken, excess) + span - now_ns)
        return max(0, longest)

    def _open_count(self) -> int:
        return len(self._held) + len(self._flights)

    def _frees_at(self, taken: Sequence[int], excess: int) -> int:
        """Return the instant whose window's end makes room: the stamp of write number `excess`."""
        if excess < len(taken):
            return taken[excess]
        excess -= len(taken)
        flights = tuple(self._flights)
        if excess < len(flights):
            return flights[excess].began_ns + seconds_to_ns(TRANSIT_SECONDS)
        return self._held[excess - len(flights)] + seconds_to_ns(PERMIT_SECONDS_MAX)

    def hold(self, now_ns: int) -> None:
        """Grant a permit: it counts from now."""
        self._settle(now_ns)
        self._held.append(now_ns)

    def holds(self, now_ns: int) -> bool:
        """Say whether a permit is held that still counts: of several holders none is told apart."""
        self._settle(now_ns)
        return bool(self._held)

    def release(self, now_ns: int) -> None:
        """A permit was given back: no write was made."""
        self._settle(now_ns)
        if self._held:
            self._held.popleft()

    def begin(self, now_ns: int) -> Flight:
        """The write of a permit begins."""
        self.release(now_ns)
        flight = Flight(now_ns)
        self._flights[flight] = None
        return flight

    def end(self, flight: Flight, now_ns: int) -> None:
        """The write was answered or given up; one that took long is counted already."""
        self._settle(now_ns)
        if flight in self._flights:
            del self._flights[flight]
            self._count(now_ns)

    def withdraw(self, flight: Flight, now_ns: int) -> None:
        """It is proved that nothing of the write left: it never reached the broker."""
        self._settle(now_ns)
        if flight in self._flights:
            del self._flights[flight]
            return
        stamp = flight.began_ns + seconds_to_ns(TRANSIT_SECONDS)
        for _span, _limit, taken in self._windows:
            if stamp in taken:
                taken.remove(stamp)

    def note_rate_limited(self, flight: Flight, now_ns: int) -> None:
        """The broker says "too many": the second is full, whatever we counted, and longer each
        time. Several answers to what was sent before the last hold ended are one."""
        if self._full_until_ns is not None and flight.began_ns < self._full_until_ns:
            return
        step = min(self._rate_limited_in_a_row, len(RATE_LIMITED_HOLDS_SECONDS) - 1)
        self._rate_limited_in_a_row += 1
        self._full_until_ns = now_ns + seconds_to_ns(RATE_LIMITED_HOLDS_SECONDS[step])

    def note_in_rate(self, flight: Flight) -> None:
        """A write begun since the last hold was not refused for its rate."""
        if self._full_until_ns is None or flight.began_ns >= self._full_until_ns:
            self._rate_limited_in_a_row = 0

    def seed(self, stamps: Sequence[int]) -> None:
        """Count writes of earlier processes, oldest first, before any of this one.

        In the second that the broker counts, the last ones (`LAST_WRITES_SECONDS`) may have left as
        late as the newest; of the longer windows that is a small part.
        """
        for stamp in stamps:
            self._count(stamp)
        last_ns = seconds_to_ns(LAST_WRITES_SECONDS)
        last = [stamps[-1] for stamp in stamps if stamps[-1] - stamp < last_ns]
        for span, _limit, taken in self._windows:
            if span <= seconds_to_ns(1):
                taken.clear()
                taken.extend(last)

    def used(self, now_ns: int) -> tuple[int, ...]:
        """Return the writes counted in each window, shortest first."""
        self._settle(now_ns)
        return tuple(len(taken) + self._open_count() for _span, _limit, taken in self._windows)

    def _count(self, stamp: int) -> None:
        for _span, _limit, taken in self._windows:
            taken.append(stamp)

    def _settle(self, now_ns: int) -> None:
        """Stamp what has been on its way for too long, and forget what left its window.

        Done first in every call, so stamps are appended in their order.
        """
        late_flight = now_ns - seconds_to_ns(TRANSIT_SECONDS)
        late_permit = now_ns - seconds_to_ns(PERMIT_SECONDS_MAX)
        due = [flight for flight in self._flights if flight.began_ns <= late_flight]
        stamps = [flight.began_ns + seconds_to_ns(TRANSIT_SECONDS) for flight in due]
        for flight in due:
            del self._flights[flight]
        while self._held and self._held[0] <= late_permit:
            stamps.append(self._held.popleft() + seconds_to_ns(PERMIT_SECONDS_MAX))
        for stamp in sorted(stamps):
            self._count(stamp)
        for span, _limit, taken in self._windows:
            while taken and taken[0] <= now_ns - span:
                taken.popleft()


def _allowed(limit: int, urgency: Urgency, kind: WriteKind) -> int:
    reserve = max(1, round(limit * EXIT_RESERVE_SHARE))
    if urgency is Urgency.ENTRY and kind is not WriteKind.CANCEL:
        return max(1, limit - reserve)
    if kind is WriteKind.MODIFY:
        return max(1, limit - max(1, reserve // 2))
    return limit


def stamps_of(write_times_ns: Iterable[int], now: Now) -> list[int]:
    """Return monotonic stamps of journalled writes, oldest first, never older than they may be.

    Args:
        write_times_ns: wall clock of each write, in the order of the journal. A time before an
            earlier entry's shows a clock that was set back; a time to come, one that was ahead:
            both count as the youngest that they can be. So does the last second of them: a clock
            that was set forward since would let a second full of writes out beside it.
    """
    times = list(accumulate(write_times_ns, max))
    doubt_ns, second_ns = seconds_to_ns(CLOCK_DOUBT_SECONDS), seconds_to_ns(1)
    ages = [
        0 if times[-1] - time_ns < second_ns else now.wall_ns - time_ns - doubt_ns
        for time_ns in times
    ]
    return [now.monotonic_ns - max(0, age_ns) for age_ns in ages]
