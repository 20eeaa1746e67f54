"""What an exit is sized on: the broker's positions, and how far they can be trusted.

Invariants:
1. A reading that failed stays one that failed; it is repeated for a while, never made up. One that
   was long in coming is asked for once more: the process may have stood still meanwhile, and then
   the answer is of before.
2. A reading that a fill of ours has overtaken is not used, and none that grew old while it waited
   for its turn on the key: somebody else may have closed meanwhile.
3. Where a reading could hide a close of somebody else behind our newest fills, the trade book is
   asked.
4. An intraday position of an earlier day is not sized on what was opened since, where the trades
   of its own days tell who closed it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from squareoff.core.state import inputs as i
from squareoff.core.state.policy import PLAN_AGE_SECONDS_MAX, READING_LAG_SECONDS
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import Side, TradeReport
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.orders.unknown_orders import UnknownOrders
from squareoff.services.positions.broker_reads import BrokerReads, PositionsReading
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.positions.stranger_watch import StrangerWatch
from squareoff.services.positions.warm_positions import WarmPositions

DEADLINE_SECONDS = 2.0
"""How long failed readings are repeated before the tracker's own word must do."""

RETRY_SECONDS = 0.25

AHEAD_SECONDS_MAX = 1.0
"""A reading that was begun with the claim is for the sizing right after it; where that is put off
(no token, the switch thrown) the positions of then are no answer."""

FOREIGN_SECONDS = 60.0
"""A fill of somebody else's this old is in every reading: far beyond what any book lags."""


@dataclass(frozen=True, slots=True)
class SizingReading:
    """One reading for one sizing. `positions` is None where it failed; `since_ns` is the monotonic
    instant of the oldest fill that it may lack, `answered_ns` that at which it was there."""

    positions: PositionsReading | None
    since_ns: int
    answered_ns: int
    only_ours_closed: bool


class SizingReadings:
    """Reads positions for the sizing of exits."""

    def __init__(
        self,
        book: PositionBook,
        reads: BrokerReads,
        clock: Clock,
        agreed_age_seconds: Callable[[PositionTracker], float | None],
        warm: WarmPositions,
        unknown_orders: UnknownOrders,
        settle_ended_days: Callable[[PositionTracker], Awaitable[None]],
        strangers: StrangerWatch,
    ) -> None:
        self._book = book
        self._reads = reads
        self._clock = clock
        self._agreed_age_seconds = agreed_age_seconds
        self._warm = warm
        self._unknown_orders = unknown_orders
        self._settle_ended_days = settle_ended_days
        self._strangers = strangers
        self._ahead: dict[TrackerId, tuple[int, asyncio.Task[PositionsReading | None]]] = {}
        self._newest_ahead: asyncio.Task[PositionsReading | None] | None = None
        self._judged: tuple[TradeReport, ...] = ()
        self._verdicts: dict[tuple[PositionKey, Side, int], bool] = {}

    def begin(self, tracker: PositionTracker, tasks: asyncio.TaskGroup) -> None:
        """Begin the reading for an exit that is being claimed, beside the commit of its claim, or
        join the one that is under way: a thousand claims of one tick need one."""
        if self._newest_ahead is None or self._newest_ahead.done():
            self._newest_ahead = tasks.create_task(self._reads.positions_ahead())
        self._ahead[tracker.tracker_id] = self._clock.now().monotonic_ns, self._newest_ahead

    async def read(self, tracker: PositionTracker) -> SizingReading:
        """Read what the sizing of this position's exit needs; never raises for the broker."""
        await self._settle_ended_days(tracker)
        reading = await self._read(tracker)
        if self._is_old(reading):  # once: a broker that is always slow must not hold an exit up
            reading = await self._read(tracker)
        return reading

    async def _read(self, tracker: PositionTracker) -> SizingReading:
        began_ns = now_ns = self._clock.now().monotonic_ns
        positions = None
        ahead_ns, ahead = self._ahead.pop(tracker.tracker_id, (0, None))
        if ahead is not None and now_ns - ahead_ns <= seconds_to_ns(AHEAD_SECONDS_MAX):
            began_ns, positions = ahead_ns, await ahead
        if _usable_net(tracker, positions) is None:
            began_ns, positions = now_ns, await self._within_deadline(tracker)
        since_ns = began_ns - seconds_to_ns(READING_LAG_SECONDS)
        only_ours = await self._have_only_we_closed(tracker, since_ns)
        return SizingReading(positions, since_ns, self._clock.now().monotonic_ns, only_ours)

    def warm_input(self, tracker: PositionTracker) -> i.PositionsRead | None:
        """Return the input that the warm reading is now, None where none may be used."""
        warm = self._warm.at_hand(tracker)
        if warm is None:
            return None
        began_ns, positions = warm
        since_ns = began_ns - seconds_to_ns(READING_LAG_SECONDS)
        reading = SizingReading(positions, since_ns, began_ns, only_ours_closed=False)
        return self.input_of(tracker, reading)

    def is_overtaken(self, tracker: PositionTracker, reading: SizingReading) -> bool:
        """Say whether a quantity on the key has changed since the reading began, or may have."""
        positions = reading.positions
        if positions is None:
            return False
        waited_ns = self._clock.now().monotonic_ns - reading.answered_ns
        is_old = waited_ns > seconds_to_ns(PLAN_AGE_SECONDS_MAX)
        return is_old or self._book.has_filled_since(tracker.key, positions.fill_count)

    def input_of(self, tracker: PositionTracker, reading: SizingReading) -> i.PositionsRead:
        """Return the input that the reading is now, under the key's lock."""
        positions = reading.positions
        return i.PositionsRead(
            net_quantity=_usable_net(tracker, positions),
            others_leaves=self._book.others_leaves(tracker),
            others_open=self._book.others_open(tracker),
            opposed_open=self._book.opposed_open(tracker),
            reconciled_age_seconds=self._undoubted_age_seconds(tracker),
            exited_quantity=tracker.exited_quantity,
            closed_lately=self._book.closed_since(tracker.key, reading.since_ns),
            others_taking_back=self._book.others_taking_back(tracker, reading.since_ns),
            only_ours_closed=reading.only_ours_closed,
            taken_ids=self._unknown_orders.ids(),
        )

    def _undoubted_age_seconds(self, tracker: PositionTracker) -> float | None:
        """Return how long ago the books agreed on a position; None where somebody else was heard to
        close since, which the comparison cannot have shown."""
        age = self._agreed_age_seconds(tracker)
        if age is None:
            return None
        shown_ns = self._clock.now().monotonic_ns - seconds_to_ns(age + READING_LAG_SECONDS)
        return None if self._strangers.has_heard_since(tracker, shown_ns) else age

    async def _within_deadline(self, tracker: PositionTracker) -> PositionsReading | None:
        """Read again where a reading failed at once: sizing without one is the last resort."""
        deadline_ns = self._clock.now().monotonic_ns + seconds_to_ns(DEADLINE_SECONDS)
        while True:
            reading = await self._reads.positions()
            is_usable = _usable_net(tracker, reading) is not None
            if is_usable or self._clock.now().monotonic_ns >= deadline_ns:
                return reading
            await self._clock.sleep(RETRY_SECONDS)

    def _is_old(self, reading: SizingReading) -> bool:
        """Say whether the positions were asked for longer ago than an exit may wait to be sent."""
        if reading.positions is None:
            return False
        age_ns = self._clock.now().monotonic_ns - reading.positions.asked_ns
        return age_ns > seconds_to_ns(PLAN_AGE_SECONDS_MAX)

    async def _have_only_we_closed(self, tracker: PositionTracker, since_ns: int) -> bool:
        """Ask the trade book, where our fills are so new that a reading may lack them.

        The broker's books are prefixes of one ledger: a trade book with all our fills also has
        every fill before them.
        """
        if self._book.closed_since(tracker.key, since_ns) == 0:
            return False  # nobody asks
        trades = await self._reads.trade_book()
        return trades is not None and self._explains(tracker, trades)

    def _explains(self, tracker: PositionTracker, trades: tuple[TradeReport, ...]) -> bool:
        """Judge a trade book once for all exits of a key that share it, until one of them fills."""
        if trades is not self._judged:
            self._judged = trades
            self._verdicts.clear()
        key, side = tracker.key, tracker.side.exit_order_side
        question = key, side, self._book.fill_count
        if question not in self._verdicts:
            oldest_ns = self._clock.now().wall_ns - seconds_to_ns(FOREIGN_SECONDS)
            self._verdicts[question] = self._book.explains(key, side, trades, oldest_ns)
        return self._verdicts[question]


def _usable_net(tracker: PositionTracker, reading: PositionsReading | None) -> int | None:
    """Return the net that an exit can be sized on. What an unsure reading shows is there; that it
    shows nothing is no reading."""
    if reading is None:
        return None
    net = reading.net_of(tracker.key)
    is_flat = tracker.side.sign * net <= 0
    return None if is_flat and tracker.key in reading.unsure else net
