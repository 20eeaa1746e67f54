"""Paces the reads of the broker's books below its rate, so that what waits can be shared.

The broker answers 20 calls a second that are neither orders nor prices (dhanhq-v2.md 9.1), and
turns the others away unread. Many exits or unknown orders that ask at once would fail together,
again and again. A book that waits for its turn is read once for all who ask meanwhile.

Invariants:
1. Never more reads begin in any second than the limit.
2. Books and look-ups each leave the other a part of it.
3. While half of the rate is in use, a book is read again only after BOOK_SPACING_SECONDS: until
   then everybody can share. With less in use nobody waits.
"""

import asyncio
from collections import deque
from enum import IntEnum

from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.ports import Clock

BOOK_SHARE = 0.75
LOOK_UP_SHARE = 0.625
"""At most so much of the rate is for books, and for look-ups; together they are held to all."""

BOOK_SPACING_SECONDS = 0.1
"""A round trip: whoever asks within it would share the answer of a broker that is slower."""


class ReadKind(IntEnum):
    """What is read, in the order in which it goes."""

    POSITIONS = 0
    ORDERS = 1
    TRADES = 2
    HOLDINGS = 3
    LOOK_UP = 4
    """One order, or the trades of earlier days."""


class ReadPace:
    """Gives turns to the reads of one account, each kind first come, first served."""

    def __init__(self, clock: Clock, reads_per_second: int) -> None:
        self._clock = clock
        self._limit = reads_per_second
        self._book_limit = max(1, round(reads_per_second * BOOK_SHARE))
        self._look_up_limit = max(1, round(reads_per_second * LOOK_UP_SHARE))
        self._begun: deque[tuple[int, ReadKind]] = deque()
        self._waiting: dict[ReadKind, deque[asyncio.Future[None]]] = {
            kind: deque() for kind in ReadKind
        }
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, kind: ReadKind) -> int:
        """Wait until such a read may begin; a turn that is not used counts all the same.

        Returns:
            The monotonic instant (ns) at which it begins.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[kind].append(turn)
        self._give_turns()
        await turn
        return self._clock.now().monotonic_ns

    def _give_turns(self) -> None:
        """Let begin whatever may, and come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits = [wait_ns for kind in ReadKind if (wait_ns := self._give(kind)) > 0]
        if waits:
            delay = min(waits) / NANOSECONDS_PER_SECOND
            self._timer = asyncio.get_running_loop().call_later(delay, self._give_turns)

    def _give(self, kind: ReadKind) -> int:
        """Let reads of a kind begin; return how long the next one waits (ns), 0 if none does."""
        waiting, now_ns = self._waiting[kind], self._clock.now().monotonic_ns
        while waiting:
            if waiting[0].done():  # its caller was cancelled
                waiting.popleft()
            elif (wait_ns := self._wait_ns(kind, now_ns)) > 0:
                return wait_ns
            else:
                self._begun.append((now_ns, kind))
                waiting.popleft().set_result(None)
        return 0

    def _wait_ns(self, kind: ReadKind, now_ns: int) -> int:
        """Return how long until such a read fits under every limit, 0 if it fits now."""
        while self._begun and self._begun[0][0] <= now_ns - NANOSECONDS_PER_SECOND:
            self._begun.popleft()
        is_look_up = kind is ReadKind.LOOK_UP
        alike = [at for at, of in self._begun if (of is ReadKind.LOOK_UP) is is_look_up]
        longest = max(
            _frees_in_ns([at for at, _ in self._begun], self._limit, now_ns),
            _frees_in_ns(alike, self._look_up_limit if is_look_up else self._book_limit, now_ns),
        )
        if not is_look_up and len(self._begun) >= self._limit / 2:
            newest_ns = max((at for at, of in self._begun if of is kind), default=None)
            if newest_ns is not None:
                longest = max(longest, newest_ns + seconds_to_ns(BOOK_SPACING_SECONDS) - now_ns)
        return longest


def _frees_in_ns(stamps: list[int], limit: int, now_ns: int) -> int:
    """Return how long until fewer than `limit` of these stamps, oldest first, are of the last
    second."""
    if len(stamps) < limit:
        return 0
    return stamps[-limit] + NANOSECONDS_PER_SECOND - now_ns
