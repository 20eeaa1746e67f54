"""An exit order that ended short is believed by the broker's records, not by the stream alone.

What the order stream calls the traded quantity may be that of the last fill (dhanhq-v2.md, order
updates), and its last message may be lost. The rest of an order that filled more than we know of
would be closed a second time wherever the broker's position holds other units that hide it. So the
order book is read while the pause before the next try runs, and the next try waits for it.

Invariants:
1. No exit is sized while the newest attempt has an end that only the stream has told, until the
   order book has shown that end or was asked often enough.
"""

from squareoff.core.state.commands import ReadBooks
from squareoff.core.state.policy import END_READINGS_MAX
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import TrackedOrder
from squareoff.domain.orders import OrderReport, ReportSource
from squareoff.domain.states import OrderState

_ENDED_SHORT = (OrderState.REJECTED, OrderState.CANCELLED, OrderState.EXPIRED)
_READING_SPACING_SECONDS = 1.0


def has_unread_ends(step: Step) -> bool:
    """Say whether an exit order of the newest attempt ended by the stream's word alone."""
    return any(_is_unread(step, order) for order in step.tracker.exit_orders)


def read_ends(step: Step) -> None:
    """Queue a read of the order book while an end stands on the stream's word alone."""
    if has_unread_ends(step) and step.is_due(step.pacing.next_ends_ns):
        step.command(ReadBooks())


def note_end(step: Step, order: TrackedOrder, report: OrderReport) -> None:
    """A record of the broker's own books that shows the end tells the whole quantity."""
    if report.source is not ReportSource.STREAM and report.status.is_terminal:
        ends_read = step.pacing.of(order.client_order_id).ends_read | {report.broker_order_id}
        step.pace_order(order.client_order_id, ends_read=ends_read)


def note_ends_asked(step: Step) -> None:
    """The books were read, or could not be; what they did not show is asked for again."""
    for order in step.tracker.exit_orders:
        if _is_unread(step, order):
            readings = step.pacing.of(order.client_order_id).end_readings + 1
            step.pace_order(order.client_order_id, end_readings=readings)
            step.pace(next_ends_ns=step.after(_READING_SPACING_SECONDS))


def _is_unread(step: Step, order: TrackedOrder) -> bool:
    intent = step.tracker.intent
    if intent is None or order.attempt != intent.attempt or order.state not in _ENDED_SHORT:
        return False
    pacing = step.pacing.of(order.client_order_id)
    return pacing.end_readings < END_READINGS_MAX and any(
        record.broker_order_id not in pacing.ends_read for record in order.broker_orders
    )
