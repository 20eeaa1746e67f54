"""The paper broker without its surroundings: orders, requests on their way, matching, the books.

Single-threaded and without waiting: time is an argument, whoever calls saves and announces.

Invariants:
1. A request reaches the exchange in a later call than the one that took it, in order of taking.
2. Every fill is one trade in the ledger and one change of its order.
3. `version` grows with every change that must outlive a kill; ticks alone change nothing.
4. A tick's liquidity is offered once: it is put into the book only if it is newer than the book.
5. Nothing fills at a price that was told while the exchange was closed, or by a feed since lost.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from squareoff.adapters.paper.orders import PaperOrder
from squareoff.adapters.paper.state import InFlight, PaperState, RequestKind
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    BrokerPosition,
    OrderModification,
    OrderRequest,
    Side,
)
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.ticks import Tick
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND, Now
from squareoff.exchange.book import UNBOUNDED_QUANTITY, Depth, DepthLevel
from squareoff.exchange.engine import MatchingEngine
from squareoff.exchange.events import ExchangeEvent, Filled
from squareoff.exchange.ledger import Ledger, Position, Trade
from squareoff.exchange.orders import OrderChange
from squareoff.exchange.rules import MatchingRules

DAY_TURN_HOUR = 3
"""The books turn over at 03:00 IST, when no exchange trades: MCX, the last, closes by 23:55."""

CARRIED_PREFIX = "carried-"

HISTORY_TRADES_MAX = 1_000
"""Every save writes all of them. The engine looks for what it has not heard of yet, and that is of
the last day that it ran."""


class PaperDesk:
    """One account at the paper exchange.

    Args:
        rules: how the exchange matches.
        delay_ns: how long a request is on its way, nanoseconds.
        announce: called with each order that changed, within the call that changed it.
        is_open: says of an instant (UTC ns) whether a segment trades.
    """

    def __init__(
        self,
        rules: MatchingRules,
        delay_ns: int,
        announce: Callable[[PaperOrder], None],
        is_open: Callable[[ExchangeSegment, int], bool] = lambda segment, wall_ns: True,
    ) -> None:
        self._engine = MatchingEngine(rules)
        self._is_open = is_open
        self._delay_ns = delay_ns
        self._announce = announce
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._ticks: dict[InstrumentId, Tick] = {}
        self._in_book: dict[InstrumentId, Tick] = {}
        self._live: dict[InstrumentId, dict[BrokerOrderId, PaperOrder]] = {}
        self._in_flight: deque[InFlight] = deque()
        self._left_over: set[tuple[InstrumentId, ProductType]] = set()
        self._day = ""
        self._order_count = 0
        self._declared_count = 0
        self.orders: dict[BrokerOrderId, PaperOrder] = {}
        self.ledger = Ledger()
        self.history: list[Trade] = []
        """Fills of earlier days, oldest first."""
        self.version = 0

    def list_instrument(self, instrument: Instrument) -> None:
        """Admit an instrument to trading, or replace its terms."""
        self._instruments[instrument.instrument_id] = instrument
        self._engine.list_instrument(instrument)

    def instrument(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return the terms of an instrument that was listed."""
        return self._instruments.get(instrument_id)

    def tick(self, instrument_id: InstrumentId) -> Tick | None:
        """Return the newest tick."""
        return self._ticks.get(instrument_id)

    def live_orders(
        self, instrument_id: InstrumentId, product_type: ProductType
    ) -> list[PaperOrder]:
        """Return what works on a position, or is on its way."""
        live = self._live.get(instrument_id, {}).values()
        return [order for order in live if order.product_type is product_type]

    def is_left_over(self, position: Position) -> bool:
        """Say whether a position, or a part of it, was carried from an earlier day."""
        return (position.instrument_id, position.product_type) in self._left_over

    def next_due_ns(self) -> int | None:
        """Return when the next request reaches the exchange (monotonic), None without any."""
        return self._in_flight[0].due_ns if self._in_flight else None

    def place(self, request: OrderRequest, now: Now) -> PaperOrder:
        """Take an order; its instrument was listed. It reaches the exchange later."""
        self._order_count += 1
        day = self._day.replace("-", "")[2:]
        name = BrokerOrderId(f"PAPER-{day}-{self._order_count:06d}")
        order = PaperOrder.accepted(name, request, now.wall_ns)
        self.orders[name] = order
        self._add_live(order)
        self._send(RequestKind.SUBMIT, name, now)
        self._note(order)
        return order

    def request_modify(self, order: PaperOrder, modification: OrderModification, now: Now) -> None:
        """Take a new absolute target; the exchange decides later."""
        order.modification_count += 1
        change = OrderChange(
            order_id=order.broker_order_id,
            order_type=modification.order_type,
            quantity=modification.order_quantity,
            limit_price=modification.limit_price,
            stop_price=modification.stop_price,
        )
        self._send(RequestKind.MODIFY, order.broker_order_id, now, change)

    def request_cancel(self, order: PaperOrder, now: Now) -> None:
        """Take a cancel; it may meet a fill on its way."""
        self._send(RequestKind.CANCEL, order.broker_order_id, now)

    def advance(self, now: Now) -> None:
        """Do what is due: the turn of the day, and requests that have arrived."""
        self._turn_day(now)
        while self._in_flight and self._in_flight[0].due_ns <= now.monotonic_ns:
            self._arrive(self._in_flight.popleft(), now.wall_ns)
            self.version += 1

    def on_tick(self, tick: Tick) -> None:
        """Take the newest tick; orders on its instrument may fill."""
        self._ticks[tick.instrument_id] = tick
        if self._live.get(tick.instrument_id):
            self._take(self._feed_book(tick.instrument_id))

    def forget_price(self, instrument_id: InstrumentId) -> None:
        """Know nothing of an instrument's market until its next tick."""
        self._ticks.pop(instrument_id, None)
        self._in_book.pop(instrument_id, None)
        self._engine.forget_market(instrument_id)

    def declare(self, position: BrokerPosition, now_ns: int) -> None:
        """Book a position as traded before today; it adds to what is held on its key."""
        sides = (
            (Side.BUY, position.buy_quantity, position.buy_average),
            (Side.SELL, position.sell_quantity, position.sell_average),
        )
        for side, quantity, price in sides:
            if quantity:
                self._declared_count += 1
                trade = Trade(
                    trade_id=f"declared-{self._declared_count}",
                    order_id="",
                    instrument_id=position.instrument_id,
                    product_type=position.product_type,
                    side=side,
                    quantity=quantity,
                    price=price,
                    time_ns=now_ns,
                    is_carried=True,
                )
                self.ledger.apply(trade)
        self.version += 1

    def dump(self) -> PaperState:
        """Return what must outlive a kill; encode it before the desk changes again."""
        live = [order for orders in self._live.values() for order in orders.values()]
        working = [self._engine.working_order(order.broker_order_id) for order in live]
        names = dict.fromkeys(order.instrument_id for order in live)
        return PaperState(
            day=self._day,
            order_count=self._order_count,
            declared_count=self._declared_count,
            sequence=self._engine.sequence,
            orders=list(self.orders.values()),
            working=[order for order in working if order is not None],
            in_flight=list(self._in_flight),
            trades=self.ledger.trades(),
            history=self.history,
            instruments=[self._instruments[name] for name in names],
        )

    def load(self, state: PaperState) -> None:
        """Bring a fresh desk to a dumped state; requests that were on their way are due at once."""
        self._day = state.day
        self._order_count, self._declared_count = state.order_count, state.declared_count
        self._engine.sequence = state.sequence
        for instrument in state.instruments:
            self.list_instrument(instrument)
        self.ledger = Ledger.of(state.trades)
        self._left_over = _left_over(state.trades)
        self.history = state.history
        self.orders = {order.broker_order_id: order for order in state.orders}
        for order in state.orders:
            if not order.is_terminal:
                self._add_live(order)
        for working in state.working:
            self._engine.restore(working)
        # Monotonic time of another process means nothing here.
        self._in_flight = deque(
            InFlight(each.kind, each.broker_order_id, 0, each.change) for each in state.in_flight
        )

    def _send(
        self,
        kind: RequestKind,
        broker_order_id: BrokerOrderId,
        now: Now,
        change: OrderChange | None = None,
    ) -> None:
        due_ns = now.monotonic_ns + self._delay_ns
        self._in_flight.append(InFlight(kind, broker_order_id, due_ns, change))
        self.version += 1

    def _arrive(self, request: InFlight, now_ns: int) -> None:
        order = self.orders.get(request.broker_order_id)
        if order is None or order.is_terminal:
            return
        self._take(self._feed_book(order.instrument_id))
        match request.kind:
            case RequestKind.SUBMIT:
                self._take(self._engine.submit(order.as_new_order(), now_ns))
            case RequestKind.MODIFY:
                assert request.change is not None, "a modify names its target"
                self._take(self._engine.modify(request.change, now_ns))
            case RequestKind.CANCEL:
                self._take(self._engine.cancel(order.broker_order_id, now_ns))

    def _feed_book(self, instrument_id: InstrumentId) -> list[ExchangeEvent]:
        """Put the newest tick into the exchange's book, once."""
        tick = self._ticks.get(instrument_id)
        if tick is None or self._in_book.get(instrument_id) is tick:
            return []
        self._in_book[instrument_id] = tick
        if not self._is_open(instrument_id.exchange_segment, tick.received_time_ns):
            return []  # of an auction: nobody can trade at it
        last_price = decimal_from_units(tick.last_traded_price)
        now_ns = tick.received_time_ns
        if tick.best_bid is None and tick.best_ask is None:
            return self._engine.on_tick(instrument_id, last_price, now_ns)
        depth = Depth(self._level(tick.best_bid), self._level(tick.best_ask))
        return self._engine.on_depth(instrument_id, depth, now_ns, last_price)

    def _level(self, price_units: int | None) -> tuple[DepthLevel, ...]:
        if price_units is None:
            return ()
        offered = self._engine.rules.quantity_per_print
        quantity = UNBOUNDED_QUANTITY if offered is None else offered
        return (DepthLevel(decimal_from_units(price_units), quantity),)

    def _take(self, events: list[ExchangeEvent]) -> None:
        for event in events:
            order = self.orders[BrokerOrderId(event.order_id)]
            was_terminal = order.is_terminal
            order.take(event)
            if isinstance(event, Filled):
                self.ledger.apply(_trade(order, event))
                key = (order.instrument_id, order.product_type)
                if self.ledger.position(*key).net_quantity == 0:
                    self._left_over.discard(key)
            if order.is_terminal and not was_terminal:
                self._drop_live(order)
            self._note(order)

    def _note(self, order: PaperOrder) -> None:
        self.version += 1
        self._announce(order)

    def _add_live(self, order: PaperOrder) -> None:
        self._live.setdefault(order.instrument_id, {})[order.broker_order_id] = order

    def _drop_live(self, order: PaperOrder) -> None:
        del self._live[order.instrument_id][order.broker_order_id]

    def _turn_day(self, now: Now) -> None:
        """On a new trading day: end what still works, forget what ended before, carry the rest."""
        day = trading_day(now.wall_ns)
        if day <= self._day:  # a clock that was set back does not bring yesterday back
            return
        if self._day:
            self._in_flight.clear()
            self._take(self._engine.expire(now.wall_ns))
            for order in list(self.orders.values()):
                self._retire(order, day, now.wall_ns)
            fills = [trade for trade in self.ledger.trades() if not trade.is_carried]
            self.history = (self.history + fills)[-HISTORY_TRADES_MAX:]
            carried = _carried(self.ledger.positions(), day, now.wall_ns)
            self.ledger, self._left_over = Ledger.of(carried), _left_over(carried)
        self._day = day
        self.version += 1

    def _retire(self, order: PaperOrder, day: str, now_ns: int) -> None:
        if not order.is_terminal:  # was still on its way
            order.status, order.update_time_ns = BrokerOrderStatus.EXPIRED, now_ns
            self._drop_live(order)
            self._note(order)
        elif trading_day(order.update_time_ns) < day:
            del self.orders[order.broker_order_id]


def trading_day(wall_ns: int) -> str:
    """Return the trading day of an instant (UTC ns) as an ISO date."""
    instant = datetime.fromtimestamp(wall_ns / NANOSECONDS_PER_SECOND, IST)
    return (instant - timedelta(hours=DAY_TURN_HOUR)).date().isoformat()


def _trade(order: PaperOrder, event: Filled) -> Trade:
    return Trade(
        trade_id=event.trade_id,
        order_id=order.broker_order_id,
        instrument_id=order.instrument_id,
        product_type=order.product_type,
        side=order.side,
        quantity=event.quantity,
        price=event.price,
        time_ns=event.time_ns,
    )


def _carried(positions: list[Position], day: str, now_ns: int) -> list[Trade]:
    """Return open positions as carried trades at their cost; flat ones are forgotten."""
    return [
        Trade(
            trade_id=f"{CARRIED_PREFIX}{day}-{number}",
            order_id="",
            instrument_id=position.instrument_id,
            product_type=position.product_type,
            side=Side.BUY if position.net_quantity > 0 else Side.SELL,
            quantity=abs(position.net_quantity),
            price=position.cost_price,
            time_ns=now_ns,
            is_carried=True,
        )
        for number, position in enumerate(positions)
        if position.net_quantity
    ]


def _left_over(trades: list[Trade]) -> set[tuple[InstrumentId, ProductType]]:
    """Return whose positions were carried from an earlier day and not flat since; a declared one
    is of today."""
    found: set[tuple[InstrumentId, ProductType]] = set()
    nets: dict[tuple[InstrumentId, ProductType], int] = {}
    for trade in trades:
        key = (trade.instrument_id, trade.product_type)
        nets[key] = nets.get(key, 0) + trade.quantity * (1 if trade.side is Side.BUY else -1)
        if trade.trade_id.startswith(CARRIED_PREFIX):
            found.add(key)
        if nets[key] == 0:
            found.discard(key)
    return found
