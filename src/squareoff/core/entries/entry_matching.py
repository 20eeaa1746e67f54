"""Whether an order at the broker is the entry that a position waits for.

An order that somebody else placed is watched by the broker's id alone, and an id is soon mistyped.
What fills under it would be counted as held, and what still works under it is cancelled by an exit:
so its instrument, product and side are compared before it is watched, and again in every report.
Invariants:
1. No fill of another instrument, product or side is counted as an entry's.
2. An order that the broker's books show to be another is never cancelled as an entry.
"""

from squareoff.core.state.facts import OrderVanished, Severity
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import TrackedOrder
from squareoff.domain.instruments import InstrumentId, ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, OrderRole, ReportSource, Side

_UNREAD = 0
"""No reading lacked the order: it was found, and is another."""


def is_entry(
    report: OrderReport, instrument_id: InstrumentId, product_type: ProductType, side: Side
) -> bool:
    """Say whether a record is of an order that opens such a position."""
    return (report.instrument_id, report.product_type, report.side) == (
        instrument_id,
        product_type,
        side,
    )


def is_another_order(step: Step, order: TrackedOrder, report: OrderReport) -> bool:
    """Say whether what was found under the broker's id of an entry is no entry of the position."""
    is_tagged = report.client_order_id == order.client_order_id
    if order.role is not OrderRole.ENTRY or is_tagged:
        return False
    key = step.tracker.key
    return not is_entry(report, key.instrument_id, key.product_type, order.side)


def end_watch(step: Step, order: TrackedOrder, report: OrderReport) -> None:
    """Watch the order no more, and call a person; the stream alone is no ground for it."""
    is_live = any(o.broker_order_id == report.broker_order_id for o in order.live_broker_orders)
    if report.source is ReportSource.STREAM or not is_live:
        return
    tracker = step.tracker
    step.record(
        OrderVanished(
            tracker.tracker_id,
            order.client_order_id,
            report.broker_order_id,
            BrokerOrderStatus.MISSING,
            _UNREAD,
            0.0,
        )
    )
    step.alarm(
        Severity.CRITICAL,
        "entry_order_mismatch",
        f"{tracker.instrument.trading_symbol} ({tracker.tracker_id}) waited for order "
        f"{report.broker_order_id}, which is {report.side.value} {report.order_quantity} "
        f"{report.instrument_id} {report.product_type.value} at the broker and not its entry. It "
        "is watched no more: nothing of it is counted, and it is not cancelled.",
    )
