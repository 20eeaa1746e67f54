"""What a broker report of one of our orders adds to what we know (I12).

Reports come from the order stream, the order book and look-ups, in any order, repeated or late. A
report that adds nothing leaves no fact.
"""

from squareoff.core.evolve import evolve
from squareoff.core.facts import OrderReported
from squareoff.core.inputs import OrderSeen
from squareoff.core.setbacks import note_ended_exit
from squareoff.core.step import Step
from squareoff.domain.orders import BrokerOrderStatus, OrderReport


def on_order_seen(step: Step, event: OrderSeen) -> None:
    """Merge the report; record a fact only if it changes something."""
    before = step.tracker.order(event.client_order_id)
    if before is None:
        return
    report = event.report
    fact = OrderReported(
        tracker_id=step.tracker.tracker_id,
        client_order_id=event.client_order_id,
        broker_order_id=report.broker_order_id,
        status=_trusted_status(report),
        cumulative_quantity=report.cumulative_quantity,
        average_price=report.average_price,
        reason=report.reason,
        source=report.source,
    )
    after = evolve(step.tracker, fact, step.now.wall_ns)
    if after.order(event.client_order_id) == before:
        return
    step.record(fact)
    note_ended_exit(step, before)


def _trusted_status(report: OrderReport) -> BrokerOrderStatus:
    """Return the status as far as the quantities bear it out.

    TRADED with fewer fills than ordered is not believed: taken for final, the rest would be closed
    a second time. The order stays live until a record tells both alike.
    """
    if report.status is not BrokerOrderStatus.TRADED:
        return report.status
    if report.cumulative_quantity >= report.order_quantity:
        return report.status
    return BrokerOrderStatus.PART_TRADED
