"""The broker's order desk: an order's life from the accepted request to its end.

Requests take effect at the exchange after a delay drawn from the seed, so that a cancel can meet a
fill on its way. Every change is recorded (lagging reads answer from the record) and announced on
the order socket.

Invariants:
1. A terminal status never changes; filled quantity never falls.
2. Every fill is one trade row and one posting in the account's ledger.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from squareoff.domain.orders import OrderType, Side
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.exchange.engine import MatchingEngine
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
from squareoff.exchange.ledger import Trade
from squareoff.exchange.orders import NewOrder, OrderChange, TimeInForce
from squareoff.simulator.agenda import Agenda
from squareoff.simulator.alerts import order_alert
from squareoff.simulator.conduct import BrokerConduct, DelayRange
from squareoff.simulator.faults import What
from squareoff.simulator.orders import Account, BrokerOrder, Placement
from squareoff.simulator.rows import order_row
from squareoff.simulator.updates import OrderUpdateHub
from squareoff.simulator.wire import date_text

SANDBOX_PRICE = Decimal(100)
"""At this price the sandbox of mid-2026 filled everything (dhanhq-v2.md 2.11)."""
RMS_ERROR_CODE = "16387"
# How long a fill shows without its average where `average_lags_fill` is on.
_AVERAGE_LAG_NS = NANOSECONDS_PER_SECOND


class OrderDesk:
    """Places, modifies and cancels orders of all accounts, and takes what the exchange says."""

    def __init__(
        self,
        engine: MatchingEngine,
        agenda: Agenda,
        updates: OrderUpdateHub,
        conduct: Callable[[], BrokerConduct],
        chance: random.Random,
    ) -> None:
        self._engine = engine
        self._agenda = agenda
        self._updates = updates
        self._conduct = conduct
        self._chance = chance
        self._next_alert_ns: dict[str, int] = {}
        self.accounts: dict[str, Account] = {}
        self.orders: dict[str, BrokerOrder] = {}
        self.order_count = 0

    def place(self, account: Account, placement: Placement, what: What, now_ns: int) -> BrokerOrder:
        """Accept an order; it reaches the exchange later."""
        order = self.book_order(account, placement, now_ns)
        order.fill_cap, order.reject_text = what.partial_fill, what.reject
        conduct = self._conduct()
        if conduct.fills == "never":
            order.fill_cap = 0
        self._record(order, now_ns)
        if conduct.alert_transit:
            self._announce(order, now_ns)
        delay_ns = self.draw_ns(conduct.exchange_delay_ms)
        if delay_ns == 0 and conduct.alert_timing == "before_answer":
            self.arrive(order, now_ns)
        else:
            self._agenda.add(now_ns + delay_ns, lambda due_ns: self.arrive(order, due_ns))
        return order

    def book_order(self, account: Account, placement: Placement, now_ns: int) -> BrokerOrder:
        """Write a new order into the books, not yet sent anywhere."""
        self.order_count += 1
        day = date_text(now_ns).replace("-", "")[2:]
        order = BrokerOrder(
            order_id=f"95{day}{self.order_count:05d}",
            client_id=account.client_id,
            correlation_id=placement.correlation_id,
            listing=placement.listing,
            side=placement.side,
            product_type=placement.product_type,
            order_type=placement.order_type,
            shown_type=placement.order_type,
            time_in_force=placement.time_in_force,
            quantity=placement.quantity,
            disclosed_quantity=placement.disclosed_quantity,
            price=placement.price,
            trigger_price=placement.trigger_price,
            is_after_market=placement.is_after_market,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
        account.orders[order.order_id] = order
        self.orders[order.order_id] = order
        return order

    def request_change(
        self, order: BrokerOrder, change: OrderChange, what: What, now_ns: int
    ) -> None:
        """Accept a modification; it takes effect later, or is refused there (`what.reject`)."""
        order.modification_count += 1
        if self._conduct().modify_shows_transit and order.exchange_order_id != "0":
            order.status = "TRANSIT"
            self._record(order, now_ns)
        due_ns = now_ns + self.draw_ns(self._conduct().modify_delay_ms)

        def take_effect(at_ns: int) -> None:
            if what.reject:
                event = RequestRejected(order.order_id, "modify", "fault", what.reject, at_ns)
                self.take_events([event])
            else:
                self._change(order, change, at_ns)

        self._agenda.add(due_ns, take_effect)

    def request_cancel(self, order: BrokerOrder, what: What, now_ns: int) -> None:
        """Accept a cancel; it takes effect later, or never (`what.reject`)."""
        due_ns = now_ns + self.draw_ns(self._conduct().cancel_delay_ms)
        if not what.reject:
            self._agenda.add(due_ns, lambda at_ns: self.cancel_now(order, at_ns))

    def cancel_now(self, order: BrokerOrder, now_ns: int) -> None:
        """Cancel at once, as the exchange or the broker itself does."""
        if order.is_terminal:
            return
        if self._engine.working_order(order.order_id) is None:
            self._end(order, "CANCELLED", now_ns)
        else:
            self.take_events(self._engine.cancel(order.order_id, now_ns))

    def expire_now(self, order: BrokerOrder, now_ns: int) -> None:
        """End a live order's validity, wherever it is."""
        if self._engine.working_order(order.order_id) is None:
            self._end(order, self._conduct().ioc_rest_status, now_ns)
        else:
            self.take_events(self._engine.expire(now_ns, [order.order_id]))

    def free_now(self, order: BrokerOrder, now_ns: int) -> None:
        """Lift the cap of what a live order may fill."""
        order.fill_cap = None
        if self._engine.working_order(order.order_id) is not None:
            self.take_events(self._engine.set_fill_cap(order.order_id, None, now_ns))

    def reject_now(self, order: BrokerOrder, text: str, now_ns: int) -> None:
        """Reject a live order, as the risk system or the exchange does."""
        if order.is_terminal:
            return
        self._engine.cancel(order.order_id, now_ns)
        order.error_code = RMS_ERROR_CODE
        order.reason = f"RMS:{order.order_id}:{text}"
        self._end(order, "REJECTED", now_ns)

    def fill_now(self, order: BrokerOrder, quantity: int, price: Decimal, now_ns: int) -> None:
        """Execute part of a live order whatever the market offers."""
        self.take_events(self._engine.fill(order.order_id, quantity, price, now_ns))

    def arrive(self, order: BrokerOrder, now_ns: int) -> None:
        """Let an order reach the exchange, unless it ended on the way or waits for the open."""
        conduct = self._conduct()
        if order.is_terminal or order.exchange_order_id != "0":
            return
        if order.reject_text:
            self.reject_now(order, order.reject_text, now_ns)
            return
        if order.is_after_market and conduct.market_hours == "closed":
            order.status = "PENDING"
            self._record(order, now_ns)
            self._announce(order, now_ns)
            return
        new = _new_order(order)
        if conduct.fills == "at_100":  # out of the market's reach until it is filled
            new = replace(new, fill_cap=0, time_in_force=TimeInForce.DAY)
        self.take_events(self._engine.submit(new, now_ns))
        if conduct.fills == "at_100" and not order.is_terminal:
            self.fill_now(order, order.quantity, SANDBOX_PRICE, now_ns)

    def open_market(self, now_ns: int) -> None:
        """Send the after-market orders that waited for the open."""
        for order in list(self.orders.values()):
            if order.is_after_market and not order.is_terminal:
                self.arrive(order, now_ns)

    def take_events(self, events: list[ExchangeEvent]) -> None:
        """Take what the exchange says, in order."""
        for event in events:
            order = self.orders.get(event.order_id)
            if order is not None:
                self._take(order, event)

    def draw_ns(self, span: DelayRange) -> int:
        """Return a delay drawn from a range of milliseconds, in nanoseconds."""
        low, high = span
        return seconds_to_ns((low if low == high else self._chance.uniform(low, high)) / 1_000)

    def _change(self, order: BrokerOrder, change: OrderChange, now_ns: int) -> None:
        if order.is_terminal:
            return
        if self._engine.working_order(order.order_id) is not None:
            self.take_events(self._engine.modify(change, now_ns))
            return
        order.order_type = order.shown_type = change.order_type
        order.quantity, order.time_in_force = change.quantity, change.time_in_force
        order.price = change.limit_price or Decimal(0)
        order.trigger_price = change.stop_price or Decimal(0)
        self._record(order, now_ns)

    def _take(self, order: BrokerOrder, event: ExchangeEvent) -> None:
        match event:
            case Acknowledged():
                self._take_acknowledgement(order, event)
            case Filled():
                self._take_fill(order, event)
            case Modified():
                self._take_change(order, event)
            case Triggered():
                order.price = event.limit_price or order.price
                self._record(order, event.time_ns)
                self._announce(order, event.time_ns)
            case Cancelled():
                self._end(order, "CANCELLED", event.time_ns)
            case Expired():
                self._end(order, self._conduct().ioc_rest_status, event.time_ns)
            case Rejected():
                order.error_code = RMS_ERROR_CODE
                order.reason = f"RMS:{order.order_id}:{event.text}"
                self._end(order, "REJECTED", event.time_ns)
            case RequestRejected():
                if not order.is_terminal:
                    order.status = order.open_status
                    order.reason = event.text
                    self._record(order, event.time_ns)
                    self._announce(order, event.time_ns)

    def _take_acknowledgement(self, order: BrokerOrder, event: Acknowledged) -> None:
        order.status = order.open_status
        order.exchange_order_id = event.exchange_order_id
        order.exchange_ns = event.time_ns
        self._take_type(order, event.order_type, event.limit_price)
        self._record(order, event.time_ns)
        self._announce(order, event.time_ns)

    def _take_type(
        self, order: BrokerOrder, order_type: OrderType, limit_price: Decimal | None
    ) -> None:
        """Show a converted MARKET order as the conduct says."""
        if order.order_type in (OrderType.MARKET, OrderType.STOP_LOSS_MARKET):
            if order_type is not OrderType.LIMIT:
                return
            order.price = limit_price or order.price
            if self._conduct().converted_row_shows == "LIMIT":
                order.shown_type = order_type
            return
        order.shown_type = order_type

    def _take_fill(self, order: BrokerOrder, event: Filled) -> None:
        order.filled_quantity += event.quantity
        order.notional += event.price * event.quantity
        order.last_fill_quantity, order.last_fill_price = event.quantity, event.price
        is_full = order.filled_quantity >= order.quantity
        order.status = "TRADED" if is_full else "PART_TRADED"
        trade = Trade(
            trade_id=event.trade_id,
            order_id=order.order_id,
            instrument_id=order.listing.instrument_id,
            product_type=order.product_type,
            side=order.side,
            quantity=event.quantity,
            price=event.price,
            time_ns=event.time_ns,
        )
        self.post(self.accounts[order.client_id], trade)
        self._record(order, event.time_ns)
        self._announce(order, event.time_ns)

    def bust(self, account: Account, trade: Trade, now_ns: int) -> None:
        """Take back a fill, as the exchange does with a trade that it annuls."""
        order = self.orders[trade.order_id]
        account.busted.add(trade.trade_id)
        order.filled_quantity -= trade.quantity
        order.notional -= trade.price * trade.quantity
        if order.is_terminal:
            order.status = "CANCELLED"  # what was filled in full is no more, and nothing works
        side = Side.SELL if trade.side is Side.BUY else Side.BUY
        # Posted as carried: it moves the position and shows in no trade book.
        contra = replace(trade, trade_id=f"bust-{trade.trade_id}", side=side, is_carried=True)
        self.post(account, contra)
        self._record(order, now_ns)
        self._announce(order, now_ns)

    def post(self, account: Account, trade: Trade) -> None:
        """Write a trade into the account's books."""
        account.trades.append(trade)
        account.ledger.apply(trade)

    def _take_change(self, order: BrokerOrder, event: Modified) -> None:
        order.quantity, order.time_in_force = event.quantity, event.time_in_force
        order.order_type = order.shown_type = event.requested_type
        order.price = event.limit_price or Decimal(0)
        order.trigger_price = event.stop_price or Decimal(0)
        self._take_type(order, event.order_type, event.limit_price)
        is_full = order.filled_quantity >= order.quantity
        order.status = "TRADED" if is_full else order.open_status
        self._record(order, event.time_ns)
        word = "MODIFIED" if self._conduct().alert_modified_word and not is_full else ""
        self._announce(order, event.time_ns, word)

    def _end(self, order: BrokerOrder, status: str, now_ns: int) -> None:
        assert not order.is_terminal, f"{order.order_id} ended before as {order.status}"
        order.status = status
        self._record(order, now_ns)
        self._announce(order, now_ns)

    def _record(self, order: BrokerOrder, now_ns: int) -> None:
        order.updated_ns = now_ns
        conduct = self._conduct()
        row = order_row(order, conduct)
        if conduct.average_lags_fill and order.filled_quantity:
            order.history.append((now_ns, row | {"averageTradedPrice": 0.0}))
            now_ns += _AVERAGE_LAG_NS
        order.history.append((now_ns, row))

    def _announce(self, order: BrokerOrder, now_ns: int, word: str = "") -> None:
        """Push an update: in order per account, after the answer unless told otherwise."""
        conduct = self._conduct()
        last_price = self._engine.last_price(order.listing.instrument_id)
        message = order_alert(order, conduct, last_price, word)
        fields = order_row(order, conduct)
        if conduct.alert_timing == "before_answer":
            self._updates.push(order.client_id, message, fields, now_ns)
            return
        due_ns = now_ns + max(1, self.draw_ns(conduct.update_delay_ms))
        due_ns = max(due_ns, self._next_alert_ns.get(order.client_id, 0))
        self._next_alert_ns[order.client_id] = due_ns
        self._agenda.add(
            due_ns, lambda at_ns: self._updates.push(order.client_id, message, fields, at_ns)
        )


def _new_order(order: BrokerOrder) -> NewOrder:
    is_limited = order.order_type in (OrderType.LIMIT, OrderType.STOP_LOSS)
    is_stop = order.order_type in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_MARKET)
    return NewOrder(
        order_id=order.order_id,
        instrument_id=order.listing.instrument_id,
        side=Side(order.side),
        order_type=order.order_type,
        quantity=order.quantity,
        limit_price=order.price if is_limited else None,
        stop_price=order.trigger_price if is_stop else None,
        time_in_force=order.time_in_force,
        fill_cap=order.fill_cap,
    )
