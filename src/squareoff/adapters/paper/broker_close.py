"""The broker's own square-off on paper: what is intraday does not outlive its day.

From some minutes before the close on, as the calendar says, the broker cancels what works on an
intraday position and closes it at market, slice by slice. What an engine that was away left over
from an earlier day is closed as soon as the market has spoken.

Invariants:
1. At one time one order of the broker's own works on a position, for no more than is held.
2. Nothing is placed before the market was heard: a market order needs a price.
"""

from collections.abc import Callable

from squareoff.adapters.paper.desk import PaperDesk
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, PositionKey
from squareoff.domain.orders import OrderRequest, OrderType, Side
from squareoff.domain.sessions import TradingDay
from squareoff.domain.time import Now, ist_date
from squareoff.exchange.ledger import Position
from squareoff.ports import SessionCalendar

NO_NAME = ClientOrderId("")
"""The broker's own orders carry no id of ours."""


class BrokerClose:
    """Closes the intraday positions of one desk; `terms` knows what is traded there."""

    def __init__(
        self,
        desk: PaperDesk,
        account_id: AccountId,
        calendar: SessionCalendar,
        terms: Callable[[InstrumentId], Instrument | None],
    ) -> None:
        self._desk = desk
        self._account_id = account_id
        self._calendar = calendar
        self._terms = terms
        self._cancelled: set[BrokerOrderId] = set()

    def look(self, now: Now) -> None:
        """Do what is due now."""
        for position in self._desk.ledger.positions():
            if position.product_type.is_intraday and position.net_quantity:
                segment = position.instrument_id.exchange_segment
                if self._is_due(segment, now, is_overdue=self._desk.is_left_over(position)):
                    self._close(position, now)

    def _is_due(self, segment: ExchangeSegment, now: Now, *, is_overdue: bool) -> bool:
        day = self._calendar.trading_day(segment, ist_date(now.wall_ns))
        if day.broker_minutes is None or not day.trades_at(now.ist().time()):
            return False
        return is_overdue or _seconds_left(day, now) <= day.broker_minutes * 60

    def _close(self, position: Position, now: Now) -> None:
        live = self._desk.live_orders(position.instrument_id, position.product_type)
        for order in live:
            is_others = order.client_order_id != NO_NAME
            if is_others and order.broker_order_id not in self._cancelled:
                self._cancelled.add(order.broker_order_id)
                self._desk.request_cancel(order, now)
        instrument = self._terms(position.instrument_id)
        if live or instrument is None or self._desk.tick(position.instrument_id) is None:
            return
        self._desk.list_instrument(instrument)
        held = abs(position.net_quantity)
        largest = instrument.freeze_quantity or held
        quantity = min(held, largest - largest % instrument.lot_size)
        side = Side.SELL if position.net_quantity > 0 else Side.BUY
        key = PositionKey(self._account_id, position.instrument_id, position.product_type)
        self._desk.place(OrderRequest(NO_NAME, key, side, OrderType.MARKET, quantity), now)


def _seconds_left(day: TradingDay, now: Now) -> float:
    clock, closes = now.ist().time(), day.last_close
    assert closes is not None, "a day that trades has a close"
    left = (closes.hour - clock.hour) * 3_600 + (closes.minute - clock.minute) * 60
    return left + closes.second - clock.second
