"""The paper broker: the port's calls over the desk, durable before every answer and update.

Fulfils `ports.BrokerClient`, `ports.OrderUpdates` and the gateway's `PaperHoldings`. It has no task
of its own: requests ripen in `run_once`, in each call and in each tick.

Invariants:
1. What an answer or an update tells was saved before it is given; callers at the same time share
   one save.
2. `place_order` publishes nothing; updates leave from `run_once` only, in order.
3. Where a save fails, a write's outcome is unknown and a read fails: nothing unsaved is shown.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import NoReturn, TypeVar

from squareoff.adapters.paper.broker_close import BrokerClose
from squareoff.adapters.paper.desk import PaperDesk
from squareoff.adapters.paper.no_lock import NoAccountLock
from squareoff.adapters.paper.orders import PaperOrder
from squareoff.adapters.paper.refusals import (
    check_is_live,
    check_market_is_open,
    check_modification,
    check_placement,
)
from squareoff.adapters.paper.rows import is_tradable, position_row, quote_of, tick_of, trade_row
from squareoff.adapters.paper.saving import StateSaver
from squareoff.adapters.paper.settings import PaperSettings
from squareoff.adapters.paper.state import PaperLedgerStore, decode_state
from squareoff.domain.errors import (
    BrokerOutcomeUnknown,
    BrokerUnreachable,
    FeedDisconnected,
    StoreError,
)
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
from squareoff.domain.orders import (
    BrokerPosition,
    BrokerProfile,
    Holding,
    OrderModification,
    OrderReport,
    OrderRequest,
    PlacementAnswer,
    Quote,
    ReportSource,
    TradeReport,
    WalletSnapshot,
)
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now, ist_date, seconds_to_ns
from squareoff.exchange.ledger import ZERO
from squareoff.ports import (
    Clock,
    InstrumentSource,
    OrderStreamEvent,
    SessionCalendar,
    StreamConnected,
)

UPDATES_WAITING_MAX = 10_000
"""A day has 7,000 order writes at most; a stream this far behind is cut and backfilled instead."""

_Answer = TypeVar("_Answer")


class PaperBroker(NoAccountLock):
    """One account's paper broker. Call `load` first, which brings back what was saved.

    Args:
        account_id: whose account it is.
        store: where the ledger is kept.
        clock: time; monotonic for requests on their way, wall for the books.
        instruments: terms of what may be traded; `list_instrument` adds others.
        settings: how it behaves.
        calendar: refuses writes while the exchange is closed; None for always open.
    """

    def __init__(
        self,
        account_id: AccountId,
        *,
        store: PaperLedgerStore,
        clock: Clock,
        instruments: InstrumentSource,
        settings: PaperSettings | None = None,
        calendar: SessionCalendar | None = None,
    ) -> None:
        self._account_id = account_id
        self._store = store
        self._clock = clock
        self._instruments = instruments
        self._settings = settings or PaperSettings()
        self._calendar = calendar
        delay_ns = seconds_to_ns(self._settings.exchange_delay_seconds)
        self._desk = PaperDesk(self._settings.matching, delay_ns, self._announce, self._is_open)
        self._close: BrokerClose | None = None
        if self._settings.closes_intraday and calendar is not None:
            self._close = BrokerClose(self._desk, account_id, calendar, self._terms)
        self._saver = StateSaver(store)
        self._wake = asyncio.Event()
        self._waiting: deque[OrderReport] | None = None
        self._is_loaded = False
        self._is_closed = False

    async def load(self) -> None:
        """Bring back what was saved; once, before any other call.

        Raises:
            StoreError: the ledger cannot be read.
        """
        assert not self._is_loaded, "loaded once, before it is used"
        ledger = await self._store.load()
        if ledger is not None:
            self._desk.load(decode_state(ledger))
        self._is_loaded = True

    def list_instrument(self, instrument: Instrument) -> None:
        """Let an instrument be traded that the source may not hold; the source's terms go first."""
        self._desk.list_instrument(self._instruments.get(instrument.instrument_id) or instrument)

    def on_tick(self, tick: Tick) -> None:
        """Take a price; orders may fill. Never waits; the fills are saved and told later."""
        if self._desk.next_due_ns() is not None:
            self._desk.advance(self._clock.now())
        self._desk.on_tick(tick)

    def on_quote(self, quote: Quote) -> None:
        """Take a price of the real broker's quotes, where the feed tells no fresh one.

        Where it tells of an empty book and no trade of just now, nobody can trade, nor can we.
        """
        now, name = self._clock.now(), quote.instrument_id
        if quote_of(self._desk.tick(name), None, now) is None:
            if is_tradable(quote, now):
                self.on_tick(tick_of(quote, now))
            else:
                self._desk.forget_price(name)

    def forget_prices(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Fill nothing in these until the market has spoken again: their feed was lost."""
        for instrument_id in instrument_ids:
            self._desk.forget_price(instrument_id)

    def net_quantity(self, instrument_id: InstrumentId, product_type: ProductType) -> int:
        """Return what is held at this instant, below zero for a short."""
        return self._act(
            lambda _: self._desk.ledger.position(instrument_id, product_type).net_quantity
        )

    def declare_position(self, position: BrokerPosition) -> None:
        """Add a position as if it had been traded before; saved with the next call or update.

        Call `save` to have it durable.
        """
        self._act(lambda now: self._desk.declare(position, now.wall_ns))

    async def save(self) -> None:
        """Save what has changed; durable on return.

        Raises:
            StoreError: it may or may not have been kept; it is tried again with the next call.
        """
        desk = self._desk
        await self._saver.save(desk.version, lambda: (desk.version, desk.dump()))

    async def place_order(self, request: OrderRequest) -> PlacementAnswer:
        """Take an order; it reaches the exchange later.

        Raises:
            BrokerRejected: refused; it never existed.
            BrokerOutcomeUnknown: taken, but not saved: a kill now would lose it.
        """

        def place(now: Now) -> PlacementAnswer:
            instrument = check_placement(request, self._terms(request.key.instrument_id))
            self._check_open(f"place order {request.client_order_id}", instrument, now)
            self._desk.list_instrument(instrument)
            order = self._desk.place(request, now)
            return PlacementAnswer(order.broker_order_id, order.status)

        return await self._write(place)

    async def modify_order(self, modification: OrderModification) -> None:
        """Take a new absolute target for a live order; the exchange decides later.

        Raises:
            BrokerRejected: refused; the order stands as it was.
            BrokerOutcomeUnknown: taken, but not saved.
        """

        def modify(now: Now) -> None:
            order = self._desk.orders.get(modification.broker_order_id)
            terms = None if order is None else self._desk.instrument(order.instrument_id)
            order = check_modification(modification, order, terms)
            self._check_open(f"modify order {order.broker_order_id}", terms, now)
            self._desk.request_modify(order, modification, now)

        await self._write(modify)

    async def cancel_order(self, broker_order_id: BrokerOrderId) -> None:
        """Take a cancel; a fill may come first.

        Raises:
            BrokerRejected: the order is not known or has ended.
            BrokerOutcomeUnknown: taken, but not saved.
        """

        def cancel(now: Now) -> None:
            what = f"cancel order {broker_order_id}"
            order = check_is_live(what, self._desk.orders.get(broker_order_id))
            self._check_open(what, self._desk.instrument(order.instrument_id), now)
            self._desk.request_cancel(order, now)

        await self._write(cancel)

    async def orders_by_client_order_id(
        self, client_order_id: ClientOrderId
    ) -> tuple[OrderReport, ...]:
        """Return all orders with this id, oldest first."""
        return await self._read(
            lambda _: tuple(
                order.report(ReportSource.LOOKUP)
                for order in self._desk.orders.values()
                if order.client_order_id == client_order_id
            )
        )

    async def order_book(self) -> tuple[OrderReport, ...]:
        """Return today's orders, oldest first."""
        orders = self._desk.orders
        return await self._read(
            lambda _: tuple(order.report(ReportSource.ORDER_BOOK) for order in orders.values())
        )

    async def trade_book(self) -> tuple[TradeReport, ...]:
        """Return today's fills, oldest first; declared and carried positions are none."""
        return await self._read(
            lambda _: tuple(
                trade_row(trade) for trade in self._desk.ledger.trades() if not trade.is_carried
            )
        )

    async def trade_history(self, first: date, last: date) -> tuple[TradeReport, ...]:
        """Return the fills of earlier days (IST, both included), oldest first; the newest of them
        are kept."""
        return await self._read(
            lambda _: tuple(
                trade_row(trade)
                for trade in self._desk.history
                if first <= ist_date(trade.time_ns) <= last
            )
        )

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Return today's positions, flat ones included."""
        return await self._read(
            lambda _: tuple(
                position_row(row, self._terms(row.instrument_id))
                for row in self._desk.ledger.positions()
            )
        )

    async def holdings(self) -> tuple[Holding, ...]:
        """Return none: what is carried overnight stays among the positions here."""
        return await self._read(lambda _: ())

    async def funds(self) -> WalletSnapshot:
        """Return the configured balance with today's realised profit; margins are not modelled."""

        def read(_: Now) -> WalletSnapshot:
            balance = self._settings.balance
            rows = self._desk.ledger.positions()
            realized = sum((row.realized_profit for row in rows), ZERO)
            return WalletSnapshot(balance + realized, ZERO, balance)

        return await self._read(read)

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Return quotes from the newest ticks; instruments without a fresh tick are missing."""

        def read(now: Now) -> dict[InstrumentId, Quote]:
            found = {
                name: quote_of(self._desk.tick(name), self._terms(name), now)
                for name in instrument_ids
            }
            return {name: quote for name, quote in found.items() if quote is not None}

        return await self._read(read)

    async def profile(self) -> BrokerProfile:
        """Describe the account; there is no token, so none ends."""
        return BrokerProfile(self._account_id, None)

    async def close(self) -> None:
        """End the stream and save; a store that fails is heard of by who calls."""
        self._is_closed = True
        self._wake.set()
        await self.save()

    async def run_once(self, publish: Callable[[OrderStreamEvent], None]) -> None:
        """Publish changes of orders, each once it is saved, until closed.

        Raises:
            FeedDisconnected: closed, the store failed, or the stream fell too far behind; what it
                did not tell is in the order book.
        """
        assert self._is_loaded, "loaded before it is used: an empty ledger must not replace it"
        assert self._waiting is None, "the paper broker has one order stream at a time"
        self._waiting = deque()
        try:
            publish(StreamConnected())
            await self._publish_until_closed(self._waiting, publish)
        finally:
            self._waiting = None

    async def _publish_until_closed(
        self, waiting: deque[OrderReport], publish: Callable[[OrderStreamEvent], None]
    ) -> NoReturn:
        while not self._is_closed:
            self._wake.clear()
            self._advance(self._clock.now())
            if len(waiting) > UPDATES_WAITING_MAX:
                raise FeedDisconnected(f"{len(waiting)} order updates wait, too many to tell")
            saved = tuple(waiting)
            waiting.clear()
            try:
                await self.save()
            except StoreError as error:
                raise FeedDisconnected(f"the paper ledger could not be saved: {error}") from error
            for report in saved:
                publish(report)
            await self._wait_for_change()
        raise FeedDisconnected("the paper broker was closed")

    async def _wait_for_change(self) -> None:
        due_ns = self._desk.next_due_ns()
        seconds = None
        if due_ns is not None:
            wait_ns = max(0, due_ns - self._clock.now().monotonic_ns)
            seconds = wait_ns / NANOSECONDS_PER_SECOND
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _write(self, act: Callable[[Now], _Answer]) -> _Answer:
        answer = self._act(act)
        try:
            await self.save()
        except StoreError as error:
            text = f"the paper broker could not save what it took: {error}"
            raise BrokerOutcomeUnknown(text) from error
        return answer

    async def _read(self, read: Callable[[Now], _Answer]) -> _Answer:
        answer = self._act(read)
        try:
            await self.save()
        except StoreError as error:
            text = f"the paper broker cannot show what it could not save: {error}"
            raise BrokerUnreachable(text) from error
        return answer

    def _act(self, act: Callable[[Now], _Answer]) -> _Answer:
        assert self._is_loaded, "loaded before it is used: an empty ledger must not replace it"
        if self._is_closed:
            raise BrokerUnreachable("the paper broker was closed")
        now = self._clock.now()
        self._advance(now)
        answer = act(now)
        self._wake.set()
        return answer

    def _advance(self, now: Now) -> None:
        self._desk.advance(now)
        if self._close is not None:
            self._close.look(now)

    def _announce(self, order: PaperOrder) -> None:
        if self._waiting is not None:
            self._waiting.append(order.report(ReportSource.STREAM))
            self._wake.set()

    def _terms(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return today's terms from the master, else those an owner of a position gave."""
        return self._instruments.get(instrument_id) or self._desk.instrument(instrument_id)

    def _is_open(self, segment: ExchangeSegment, wall_ns: int) -> bool:
        return self._calendar is None or self._calendar.is_open(segment, wall_ns)

    def _check_open(self, what: str, instrument: Instrument | None, now: Now) -> None:
        if instrument is not None:
            segment = instrument.instrument_id.exchange_segment
            check_market_is_open(self._is_open(segment, now.wall_ns), what)
