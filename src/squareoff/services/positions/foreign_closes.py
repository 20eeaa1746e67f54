"""Notice that others close positions of ours, and book it once it is sure.

The broker must show less than our trackers hold in several spaced readings while nothing of ours
moves on the key but exits that rest, and strangers' trades must explain all of it. What they do not
explain stays with the trackers: the difference is alarmed by the comparison, and exits go by what
the broker shows.

Invariants:
1. Trades are read before orders, so that an order of ours that fills meanwhile is no stranger.
2. Nothing is booked on a reading that a fill of ours has overtaken, nor while an exit is sized,
   nor where a reading may show less than is held.
3. While it is found out who closed what a resting exit would close, that exit is not chased. Where
   nothing tells, it is sized anew by what the broker shows, as any other exit.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from squareoff.core.exits.foreign_closes import (
    holders_of,
    missing_quantity,
    of_ended_days,
    share_out,
)
from squareoff.core.state.inputs import ClosedByOthers
from squareoff.core.state.policy import READING_SPACING_SECONDS
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import TradeReport
from squareoff.domain.time import ist_date, seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.orders.order_update_handler import OrderUpdateHandler
from squareoff.services.positions.broker_reads import (
    FAST_READINGS_MAX,
    BrokerReads,
    PositionsReading,
)

READINGS_NEEDED = 3
KEYS_AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class _Shortage:
    """How much is missing on a key and how much is there, in how many agreeing readings, the last
    of them when."""

    missing: int
    there: int
    readings: int
    read_at_ns: int


class ForeignCloses:
    """Watches every key for units that others have closed."""

    def __init__(
        self, engine: ExitEngine, reads: BrokerReads, handler: OrderUpdateHandler, clock: Clock
    ) -> None:
        self._engine = engine
        self._reads = reads
        self._handler = handler
        self._clock = clock
        self._shortages: dict[PositionKey, _Shortage] = {}
        self._ended_days_read: dict[PositionKey, date] = {}

    @property
    def wants_reading(self) -> bool:
        """Say whether a further reading soon may settle something."""
        return any(each.readings < FAST_READINGS_MAX for each in self._shortages.values())

    def holds_up_chase(self, key: PositionKey) -> bool:
        """Say whether exits of ours on the key would close more than the broker shows, and who
        closed that is still being found out."""
        known = self._shortages.get(key)
        if known is None or known.readings >= FAST_READINGS_MAX:
            return False
        return known.there < self._engine.book.exit_leaves(key)

    def are_exits_oversized(self, key: PositionKey) -> bool:
        """Say whether exits of ours would close more than the broker shows, reading after reading,
        and no trade tells who closed the rest: an exit is no larger than what is shown."""
        known = self._shortages.get(key)
        if known is None or known.readings < FAST_READINGS_MAX:
            return False
        return known.there < self._engine.book.exit_leaves(key)

    async def review(self, reading: PositionsReading) -> None:
        """Look at one reading of the positions; book what has become sure."""
        book = self._engine.book
        for number, key in enumerate(book.position_keys()):
            if number % KEYS_AT_A_TIME == KEYS_AT_A_TIME - 1:
                await asyncio.sleep(0)  # prices and exits do not wait for ten thousand keys
            await self._book_ended_days(key)
            net = reading.net_of(key)
            if book.is_all_there(key, net):
                self._shortages.pop(key, None)
                continue
            trackers = book.on_key(key)
            missing = missing_quantity(trackers, net)
            is_open_question = book.is_unsettled(key) or key in reading.unsure
            if missing == 0 or is_open_question:
                self._shortages.pop(key, None)
                continue
            held = sum(tracker.open_quantity for tracker in holders_of(trackers))
            if self._count(key, missing, held - missing) >= READINGS_NEEDED:
                await self._book_explained(key, reading)

    async def settle_ended_days(self, tracker: PositionTracker) -> None:
        """Before an exit is sized: what the broker shows may have been opened since. Asks until it
        is answered on this day; the comparisons go on asking."""
        now, key = self._clock.now(), tracker.key
        is_answered = self._ended_days_read.get(key) == ist_date(now.wall_ns)
        if of_ended_days((tracker,), now) and not is_answered:
            await self._book_ended_days(key)

    async def _book_ended_days(self, key: PositionKey) -> None:
        """Book what the earlier days' own trades tell of intraday positions of those days."""
        now, book = self._clock.now(), self._engine.book
        if book.is_all_there(key, 0):
            return  # nothing is held
        trackers = of_ended_days(book.on_key(key), now)
        if not trackers or missing_quantity(trackers, 0) == 0 or book.is_unsettled(key):
            return
        todays = await self._reads.trade_book()
        if todays is None:
            return
        opened = ist_date(holders_of(trackers)[0].created_at_ns)
        trades = await self._reads.earlier_trades(opened, now, todays)
        if trades is None:
            return
        self._ended_days_read[key] = ist_date(now.wall_ns)
        async with book.key_lock(key):
            if not book.is_unsettled(key):
                await self._book(of_ended_days(book.on_key(key), now), 0, trades)

    def _count(self, key: PositionKey, missing: int, there: int) -> int:
        now_ns = self._clock.now().monotonic_ns
        known = self._shortages.get(key)
        if known is None or known.missing != missing:
            known = _Shortage(missing, there, 1, now_ns)
        elif now_ns - known.read_at_ns >= seconds_to_ns(READING_SPACING_SECONDS):
            known = _Shortage(missing, there, known.readings + 1, now_ns)
        self._shortages[key] = known
        return known.readings

    async def _book_explained(self, key: PositionKey, reading: PositionsReading) -> None:
        trades = await self._read_trades(key)
        orders = await self._reads.order_book()
        if trades is None or orders is None:
            return
        book = self._engine.book
        await self._handler.handle_book(orders)
        async with book.key_lock(key):
            if not (book.is_unsettled(key) or book.has_filled_since(key, reading.fill_count)):
                await self._book(book.on_key(key), reading.net_of(key), trades)

    async def _read_trades(self, key: PositionKey) -> tuple[TradeReport, ...] | None:
        """Read the trades since the oldest holder of a key was opened, None where today's cannot be
        read. Where earlier ones cannot be, what today's explain by themselves is explained."""
        holders = holders_of(self._engine.book.on_key(key))
        trades = await self._reads.trade_book()
        if trades is None or not holders:
            return trades
        opened, now = ist_date(holders[0].created_at_ns), self._clock.now()
        return *(await self._reads.earlier_trades(opened, now, trades) or ()), *trades

    async def _book(
        self, trackers: Sequence[PositionTracker], net: int, trades: tuple[TradeReport, ...]
    ) -> None:
        book = self._engine.book
        for close in share_out(trackers, net, trades, book.own_broker_order_ids()):
            actor = book.get(close.tracker_id)
            assert actor is not None, "it was found in the book"
            event = ClosedByOthers(close.quantity, close.price, close.last_trade_ns)
            await self._engine.tell(actor, event)
            self._shortages.pop(actor.tracker.key, None)
