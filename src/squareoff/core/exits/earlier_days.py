"""What earlier days have to do with today: the broker's trade book holds today's fills alone.

An exit that filled in the last moments of a day may have to be confirmed on the next one, one that
rested while the engine was down may have filled before the order book forgot it, and who closed a
position meanwhile is told by the trades of that day: all of it is in the trade history.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from squareoff.core.exits.foreign_closes import distinct, last_made_ns
from squareoff.core.state.tracker import PositionTracker, TrackedOrder
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderReport,
    OrderRole,
    ReportSource,
    TradeReport,
)
from squareoff.domain.prices import round_average_half_even
from squareoff.domain.time import Now, ist_date


def first_day_to_confirm(tracker: PositionTracker, now: Now) -> date | None:
    """Return the first earlier day (IST) on which an exit was sent that filled, None for none."""
    today = ist_date(now.wall_ns)
    days = {
        ist_date(send.sent_at_ns)
        for order in tracker.orders
        if order.role is OrderRole.EXIT and order.cumulative_quantity > 0
        for send in order.sends
    }
    return min((day for day in days if day < today), default=None)


def first_day_sent(order: TrackedOrder, now: Now) -> date | None:
    """Return the earlier day (IST) on which an order was first sent, None where it was today."""
    today = ist_date(now.wall_ns)
    days = (ist_date(send.sent_at_ns) for send in order.sends)
    return min((day for day in days if day < today), default=None)


def unbooked_fills(
    order: TrackedOrder, key: PositionKey, trades: Iterable[TradeReport]
) -> tuple[OrderReport, ...]:
    """Return what trades say was filled of an order of ours beyond what its records have."""
    by_order: dict[str, list[TradeReport]] = {}
    for trade in distinct(trades):
        by_order.setdefault(trade.broker_order_id, []).append(trade)
    found: list[OrderReport] = []
    for record in order.broker_orders:
        own = by_order.get(record.broker_order_id, [])
        filled = sum(trade.quantity for trade in own)
        if filled <= record.cumulative_quantity:
            continue
        is_whole = filled >= order.order_quantity
        notional = sum((trade.quantity * trade.price for trade in own), Decimal(0))
        report = OrderReport(
            broker_order_id=record.broker_order_id,
            client_order_id=order.client_order_id,
            status=BrokerOrderStatus.TRADED if is_whole else BrokerOrderStatus.PART_TRADED,
            instrument_id=key.instrument_id,
            product_type=key.product_type,
            side=order.side,
            order_quantity=order.order_quantity,
            cumulative_quantity=filled,
            average_price=round_average_half_even(notional, filled),
            limit_price=None,
            reason="",
            update_time_ns=None,
            source=ReportSource.LOOKUP,
            last_trade_ns=last_made_ns(own),
        )
        found.append(report)
    return tuple(found)
