"""A person wants no more of an entry: what is planned is dropped, what works is cancelled.

What has filled by then stays held. Asked again it cancels again, at the pauses of every cancel, so
a caller may repeat it until the entry has ended.
"""

from squareoff.core.exits.closing import cancel_live_orders
from squareoff.core.state.facts import OrderDropped
from squareoff.core.state.inputs import EntryCancelAsked
from squareoff.core.state.step import Step
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import OrderState


def on_entry_cancel_asked(step: Step, event: EntryCancelAsked) -> None:
    """End the entry orders of the position."""
    for order in step.tracker.entry_orders:
        if order.state is OrderState.PLANNED:
            dropped = OrderDropped(step.tracker.tracker_id, order.client_order_id, event.reason)
            step.record(dropped)
    cancel_live_orders(step, OrderRole.ENTRY)
