"""Keep a reading of the broker's positions warm while a price is near an armed level.

An exit is sized on the broker's positions. Read after the trigger, the call stands between the tick
and the order; read just before, it costs the exit nothing. Only the plain case is sized on a warm
reading: it is young, the order stream is up and told of no stranger who closes too, nothing of
ours has filled on the key since it began, and it covers all that is to be closed. Everything else
is read anew.
"""

from collections.abc import Callable

from squareoff.core.state.policy import READING_LAG_SECONDS
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.positions.broker_reads import BrokerReads, PositionsReading
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.positions.stranger_watch import StrangerWatch

REFRESH_SECONDS = 0.2
"""Five reads a second of the twenty that the broker allows, and only while a price is near."""

WARM_SECONDS_MAX = 0.5
"""A person who closes the position in the broker's app within this time may be sold after, unless
the order stream tells of it first; a reading after the trigger leaves the time of two calls."""


class WarmPositions:
    """Holds the newest warm reading of one account."""

    def __init__(
        self,
        book: PositionBook,
        reads: BrokerReads,
        strangers: StrangerWatch,
        clock: Clock,
        *,
        can_read: Callable[[], bool],
    ) -> None:
        self._book = book
        self._reads = reads
        self._strangers = strangers
        self._clock = clock
        self._can_read = can_read
        self._is_near: Callable[[], bool] = lambda: False
        self._newest: tuple[int, PositionsReading] | None = None

    def connect(self, is_near: Callable[[], bool]) -> None:
        """Say when a price is near a level."""
        self._is_near = is_near

    def at_hand(self, tracker: PositionTracker) -> tuple[int, PositionsReading] | None:
        """Return the warm reading and the monotonic instant it began, None where it may mislead."""
        quiet_since_ns = self._strangers.quiet_since_ns(tracker)
        if self._newest is None or quiet_since_ns is None:
            return None
        began_ns, reading = self._newest
        now_ns = self._clock.now().monotonic_ns
        if now_ns - quiet_since_ns <= seconds_to_ns(READING_LAG_SECONDS):
            return None
        if now_ns - began_ns > seconds_to_ns(WARM_SECONDS_MAX):
            return None
        if self._book.has_filled_since(tracker.key, reading.fill_count):
            return None
        return began_ns, reading

    async def run(self) -> None:
        """Read again and again while a price is near; never returns."""
        while True:
            await self._clock.sleep(REFRESH_SECONDS)
            if self._can_read() and self._is_near():
                began_ns = self._clock.now().monotonic_ns
                reading = await self._reads.positions()
                if reading is not None:
                    self._newest = began_ns, reading
