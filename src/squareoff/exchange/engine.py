"""The matching engine: our orders against the replayed market, by price and then time.

Pure: no clock, no randomness, no I/O; the time of each call is an argument in nanoseconds.

Invariants:
1. The sum of an order's fills equals its `filled_quantity` and never exceeds its quantity.
2. No fill is worse than the order's limit price.
3. Of two orders on one side the better price fills first, at one price the earlier.
4. Our orders trade with the replayed market only, never with each other.
5. An order that leaves the book by fill, cancel, rejection or expiry never comes back.

Price of a fill: an order that takes what the market offers gets the market's price; an order that
waited while the market came to it gets its own limit.
"""

from collections.abc import Iterable
from decimal import Decimal

from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.book import Depth, MarketBook
from squareoff.exchange.events import (
    Acknowledged,
    Cancelled,
    ExchangeEvent,
    Expired,
    Filled,
    Modified,
    Rejected,
    RequestRejected,
    Triggered,
)
from squareoff.exchange.orders import NewOrder, OrderChange, TimeInForce, WorkingOrder
from squareoff.exchange.rules import (
    STOP_TYPES,
    MarketPolicy,
    MatchingRules,
    Refusal,
    RejectCode,
    StopMarketPolicy,
    find_refusal,
    protected_limit,
)

EXCHANGE_ORDER_ID_BASE = 1_200_000_000_000_000
"""Exchange order numbers have 16 digits at NSE (dhanhq-v2.md 2.7)."""
TRADE_ID_BASE = 200_000_000


class MatchingEngine:
    """Holds working orders and the market of each listed instrument; answers with events."""

    def __init__(self, rules: MatchingRules | None = None, *, sequence: int = 0) -> None:
        self.rules = rules or MatchingRules()
        self.sequence = sequence
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._books: dict[InstrumentId, MarketBook] = {}
        self._orders: dict[str, WorkingOrder] = {}
        self._by_instrument: dict[InstrumentId, dict[str, WorkingOrder]] = {}
        self._halted: set[InstrumentId] = set()

    def list_instrument(self, instrument: Instrument) -> None:
        """Admit an instrument to trading, or replace its terms; its market stays."""
        self._instruments[instrument.instrument_id] = instrument
        self._books.setdefault(instrument.instrument_id, MarketBook())
        self._by_instrument.setdefault(instrument.instrument_id, {})

    def working_order(self, order_id: str) -> WorkingOrder | None:
        """Return the order while it can still fill, else None."""
        return self._orders.get(order_id)

    def last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the last traded price in rupees, None before the first print."""
        book = self._books.get(instrument_id)
        return None if book is None else book.last_price

    def set_halted(self, instrument_id: InstrumentId, is_halted: bool) -> None:
        """Halt or resume one instrument: while halted nothing matches and orders are refused."""
        (self._halted.add if is_halted else self._halted.discard)(instrument_id)

    def submit(self, order: NewOrder, now_ns: int) -> list[ExchangeEvent]:
        """Take a new order: acknowledged (and perhaps filled), or rejected."""
        refusal = self._submission_refusal(order)
        if refusal is not None:
            return [Rejected(order.order_id, refusal.code.value, refusal.text, now_ns)]
        working = self._admit(order)
        events: list[ExchangeEvent] = [
            Acknowledged(
                working.order_id,
                working.exchange_order_id,
                working.order_type,
                working.limit_price,
                now_ns,
            )
        ]
        return events + self._enter(working, now_ns)

    def restore(self, order: WorkingOrder) -> None:
        """Put back a working order of an earlier run, with its fills; nothing is announced."""
        self._orders[order.order_id] = order
        self._by_instrument.setdefault(order.instrument_id, {})[order.order_id] = order
        self.sequence = max(self.sequence, order.sequence)

    def modify(self, change: OrderChange, now_ns: int) -> list[ExchangeEvent]:
        """Set a working order's new absolute target; it may fill at once."""
        working = self._orders.get(change.order_id)
        if working is None:
            return [self._unknown(change.order_id, "modify", now_ns)]
        refusal = self._change_refusal(change, working)
        if refusal is not None:
            return [
                RequestRejected(change.order_id, "modify", refusal.code.value, refusal.text, now_ns)
            ]
        self._apply_change(change, working)
        events: list[ExchangeEvent] = [
            Modified(
                working.order_id,
                change.order_type,
                working.order_type,
                working.quantity,
                working.limit_price,
                working.stop_price,
                now_ns,
                working.time_in_force,
            )
        ]
        if working.leaves_quantity == 0:
            self._remove(working)
            return events
        return events + self._enter(working, now_ns)

    def cancel(self, order_id: str, now_ns: int) -> list[ExchangeEvent]:
        """Take a working order out of the book."""
        working = self._orders.get(order_id)
        if working is None:
            return [self._unknown(order_id, "cancel", now_ns)]
        self._remove(working)
        return [Cancelled(order_id, now_ns)]

    def set_fill_cap(self, order_id: str, fill_cap: int | None, now_ns: int) -> list[ExchangeEvent]:
        """Bound or free what a working order may fill in all; freed, it may fill at once."""
        working = self._orders.get(order_id)
        if working is None:
            return [self._unknown(order_id, "modify", now_ns)]
        working.fill_cap = fill_cap
        return self._match(working.instrument_id, now_ns)

    def fill(
        self, order_id: str, quantity: int, price: Decimal, now_ns: int
    ) -> list[ExchangeEvent]:
        """Execute `quantity` units of a working order at `price`, whatever the market offers.

        For rehearsals. Bounded by what is open; the limit price is not looked at.
        """
        working = self._orders.get(order_id)
        if working is None:
            return [self._unknown(order_id, "fill", now_ns)]
        return [self._fill(working, min(quantity, working.leaves_quantity), price, now_ns)]

    def on_tick(
        self,
        instrument_id: InstrumentId,
        last_price: Decimal,
        now_ns: int,
        quantity: int | None = None,
    ) -> list[ExchangeEvent]:
        """Take a price print offering `quantity` units (None: as the rules say) on each side."""
        book = self._books.setdefault(instrument_id, MarketBook())
        book.set_print(last_price, self.rules.quantity_per_print if quantity is None else quantity)
        return self._react(instrument_id, now_ns)

    def on_depth(
        self,
        instrument_id: InstrumentId,
        depth: Depth,
        now_ns: int,
        last_price: Decimal | None = None,
    ) -> list[ExchangeEvent]:
        """Take new depth levels and perhaps a new last price."""
        self._books.setdefault(instrument_id, MarketBook()).set_depth(depth, last_price)
        return self._react(instrument_id, now_ns)

    def forget_market(self, instrument_id: InstrumentId) -> None:
        """Know nothing of an instrument's market until its next update; its orders stay."""
        if instrument_id in self._books:
            self._books[instrument_id] = MarketBook()

    def expire(self, now_ns: int, order_ids: Iterable[str] | None = None) -> list[ExchangeEvent]:
        """End the validity of the named orders, or of all (end of day)."""
        names = list(self._orders if order_ids is None else order_ids)
        return [self._expire_one(self._orders[n], now_ns) for n in names if n in self._orders]

    def _react(self, instrument_id: InstrumentId, now_ns: int) -> list[ExchangeEvent]:
        orders = self._by_instrument.get(instrument_id)
        if not orders or instrument_id in self._halted:
            return []
        waiting = [order for order in orders.values() if order.is_waiting]
        return self._trigger(waiting, now_ns) + self._match(instrument_id, now_ns)

    def _submission_refusal(self, order: NewOrder) -> Refusal | None:
        instrument = self._instruments.get(order.instrument_id)
        if instrument is None:
            text = f"Security {order.instrument_id} is not listed"
            return Refusal(RejectCode.UNKNOWN_INSTRUMENT, text)
        if order.order_id in self._orders:
            return Refusal(RejectCode.DUPLICATE_ORDER, f"Order {order.order_id} is working already")
        if order.instrument_id in self._halted:
            return Refusal(RejectCode.HALTED, "Trading in this security is halted")
        return find_refusal(order, order.side, instrument, self.rules) or self._market_refusal(
            order.order_type, instrument
        )

    def _market_refusal(self, order_type: OrderType, instrument: Instrument) -> Refusal | None:
        if order_type is not OrderType.MARKET:
            return None
        if self.rules.market_policy is MarketPolicy.REJECT:
            return Refusal(RejectCode.MARKET_ORDER, "Market orders are not allowed")
        if self.rules.market_policy is MarketPolicy.PLAIN:
            return None
        if self.last_price(instrument.instrument_id) is None:
            return Refusal(RejectCode.NO_REFERENCE_PRICE, "No last price to protect the order by")
        return None

    def _change_refusal(self, change: OrderChange, working: WorkingOrder) -> Refusal | None:
        instrument = self._instruments[working.instrument_id]
        if change.quantity < working.filled_quantity:
            text = f"Quantity {change.quantity} is below the traded {working.filled_quantity}"
            return Refusal(RejectCode.QUANTITY, text)
        return find_refusal(change, working.side, instrument, self.rules) or self._market_refusal(
            change.order_type, instrument
        )

    def _admit(self, order: NewOrder) -> WorkingOrder:
        self.sequence += 1
        working = WorkingOrder(
            order_id=order.order_id,
            exchange_order_id=str(EXCHANGE_ORDER_ID_BASE + self.sequence),
            instrument_id=order.instrument_id,
            side=order.side,
            order_type=order.order_type,
            quantity=order.quantity,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            time_in_force=order.time_in_force,
            sequence=self.sequence,
            fill_cap=order.fill_cap,
        )
        self._settle_type(working)
        self._orders[order.order_id] = working
        self._by_instrument[order.instrument_id][order.order_id] = working
        return working

    def _enter(self, working: WorkingOrder, now_ns: int) -> list[ExchangeEvent]:
        """Let a new or changed order meet the market; what an IOC leaves over expires at once."""
        events = self._trigger([working], now_ns)
        events += self._match(working.instrument_id, now_ns)
        if working.time_in_force is TimeInForce.IOC and working.order_id in self._orders:
            events.append(self._expire_one(working, now_ns))
        return events

    def _settle_type(self, working: WorkingOrder) -> None:
        """Give the order its effective type: conversions, and whether it waits for a trigger."""
        working.is_waiting = working.order_type in STOP_TYPES
        if working.order_type is OrderType.STOP_LOSS_MARKET:
            working.limit_price = None
            if self.rules.stop_market_policy is StopMarketPolicy.IMMEDIATE:
                working.is_waiting = False
                working.stop_price = None
                self._convert_to_limit(working)
        elif working.order_type is OrderType.MARKET:
            working.limit_price = None
            working.stop_price = None
            self._convert_to_limit(working)
        elif working.order_type is OrderType.LIMIT:
            working.stop_price = None

    def _convert_to_limit(self, working: WorkingOrder) -> None:
        reference = self.last_price(working.instrument_id)
        if self.rules.market_policy is MarketPolicy.PLAIN or reference is None:
            return
        instrument = self._instruments[working.instrument_id]
        working.order_type = OrderType.LIMIT
        working.limit_price = protected_limit(working.side, reference, instrument, self.rules)

    def _apply_change(self, change: OrderChange, working: WorkingOrder) -> None:
        keeps_place = (
            change.order_type is working.order_type
            and change.limit_price == working.limit_price
            and change.stop_price == working.stop_price
            and change.quantity <= working.quantity
        )
        working.quantity = change.quantity
        working.time_in_force = change.time_in_force
        if keeps_place:
            return
        self.sequence += 1
        working.sequence = self.sequence
        working.order_type = change.order_type
        working.limit_price = change.limit_price
        working.stop_price = change.stop_price
        working.is_passive = False
        self._settle_type(working)

    def _trigger(self, orders: list[WorkingOrder], now_ns: int) -> list[ExchangeEvent]:
        events: list[ExchangeEvent] = []
        for order in orders:
            last_price = self.last_price(order.instrument_id)
            if not order.is_waiting or last_price is None or order.stop_price is None:
                continue
            if order.side is Side.BUY:
                is_reached = last_price >= order.stop_price
            else:
                is_reached = last_price <= order.stop_price
            if is_reached:
                order.is_waiting = False
                if order.order_type is OrderType.STOP_LOSS_MARKET:
                    self._convert_to_limit(order)
                events.append(Triggered(order.order_id, order.limit_price, now_ns))
        return events

    def _match(self, instrument_id: InstrumentId, now_ns: int) -> list[ExchangeEvent]:
        if instrument_id in self._halted:
            return []
        orders = self._by_instrument.get(instrument_id, {})
        book = self._books[instrument_id]
        events: list[ExchangeEvent] = []
        for side in (Side.BUY, Side.SELL):
            ready = [o for o in orders.values() if o.side is side and not o.is_waiting]
            for order in sorted(ready, key=_priority):
                events += self._take(order, book, now_ns)
                best = book.best_opposite_price(side)
                if best is not None:
                    order.is_passive = not order.accepts(best)
                elif book.is_known:
                    order.is_passive = True
        return events

    def _take(self, order: WorkingOrder, book: MarketBook, now_ns: int) -> list[ExchangeEvent]:
        """Let one order take what the market offers within its limit."""
        events: list[ExchangeEvent] = []
        for level in book.opposite(order.side):
            open_quantity = order.fillable_quantity
            if open_quantity == 0 or not order.accepts(level.price):
                break
            quantity = min(open_quantity, level.quantity)
            if quantity == 0:
                continue
            level.quantity -= quantity
            price = level.price
            if order.is_passive and order.limit_price is not None:
                price = order.limit_price
            events.append(self._fill(order, quantity, price, now_ns))
        return events

    def _fill(self, order: WorkingOrder, quantity: int, price: Decimal, now_ns: int) -> Filled:
        assert 0 < quantity <= order.leaves_quantity, f"{order.order_id} would be overfilled"
        self.sequence += 1
        order.filled_quantity += quantity
        if order.leaves_quantity == 0:
            self._remove(order)
        trade_id = str(TRADE_ID_BASE + self.sequence)
        return Filled(order.order_id, quantity, price, trade_id, now_ns)

    def _expire_one(self, order: WorkingOrder, now_ns: int) -> Expired:
        self._remove(order)
        return Expired(order.order_id, now_ns)

    def _remove(self, order: WorkingOrder) -> None:
        del self._orders[order.order_id]
        del self._by_instrument[order.instrument_id][order.order_id]

    def _unknown(self, order_id: str, request: str, now_ns: int) -> RequestRejected:
        text = f"Order {order_id} is not working"
        return RequestRejected(order_id, request, RejectCode.UNKNOWN_ORDER.value, text, now_ns)


def _priority(order: WorkingOrder) -> tuple[Decimal, int]:
    """Return the sort key: the keenest price first, then the earliest; any price before all."""
    if order.limit_price is None:
        return Decimal("-Infinity"), order.sequence
    return (-order.limit_price if order.side is Side.BUY else order.limit_price), order.sequence
