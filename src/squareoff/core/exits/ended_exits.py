"""An exit order that ended short is believed by the broker's records, not by the stream alone.

What the order stream calls the traded quantity may be that of the last fill (dhanhq-v2.md, order
updates), and its last message may be lost. The rest of an order that filled more than we know of
would be closed a second time wherever the broker's position holds other units that hide it. So the
order book is read while the pause before the next try runs, and the next try waits for it.

Nor is every end one: where the exchange refuses a modify, what the stream calls rejected may be
the order or only the modify, and then the order goes on as it was.

Invariants:
1. No exit is sized while an exit order, of whichever attempt, has an end that only the stream has
   told, until the order book has shown that end or was asked often enough.
2. However often it was asked, none is while the order book's last word was that the order is alive:
   both would close the same units. A person is told. Nor is its exit withdrawn or confirmed then;
   what is wanted no more is cancelled, whatever the stream called it.
"""

from squareoff.core.state.commands import ReadBooks
from squareoff.core.state.facts import Severity
from squareoff.core.state.policy import END_READINGS_MAX, READING_SPACING_SECONDS
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import TrackedOrder
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, ReportSource
from squareoff.domain.states import OrderState
from squareoff.domain.time import ist_day_number

_ENDED_SHORT = (OrderState.REJECTED, OrderState.CANCELLED, OrderState.EXPIRED)
_ALIVE = (BrokerOrderStatus.TRANSIT, BrokerOrderStatus.PENDING, BrokerOrderStatus.PART_TRADED)
_BOOK = ReportSource.ORDER_BOOK
READINGS_BEFORE_ALARM = 10
"""A book that lags has caught up after so many, a second apart; one that has not denies the end."""


def has_unread_ends(step: Step) -> bool:
    """Say whether an exit order ended by the stream's word alone. A slice that rested while the
    others were tried again is of an older attempt."""
    return any(_is_unread(step, order) for order in step.tracker.exit_orders)


def read_ends(step: Step) -> None:
    """Queue a read of the order book while an end stands on the stream's word alone."""
    if has_unread_ends(step) and step.is_due(step.pacing.next_ends_ns):
        step.command(ReadBooks())


def note_end(step: Step, order: TrackedOrder, report: OrderReport) -> None:
    """A record of the broker's own books that shows the end tells the whole quantity."""
    pacing = step.pacing.of(order.client_order_id)
    name = {report.broker_order_id}
    if report.source is not ReportSource.STREAM and report.status.is_terminal:
        step.pace_order(
            order.client_order_id,
            ends_read=pacing.ends_read | name,
            ends_denied=pacing.ends_denied - name,
        )
    elif report.source is _BOOK and report.status in _ALIVE and name <= order.ended_ids:
        step.pace_order(order.client_order_id, ends_denied=pacing.ends_denied | name)


def note_ends_asked(step: Step) -> None:
    """The books were read, or could not be; what they did not show is asked for again."""
    for order in step.tracker.exit_orders:
        if _is_unread(step, order):
            readings = step.pacing.of(order.client_order_id).end_readings + 1
            step.pace_order(order.client_order_id, end_readings=readings)
            step.pace(next_ends_ns=step.after(READING_SPACING_SECONDS))
            if readings == READINGS_BEFORE_ALARM:
                _complain_if_denied(step, order)


def _complain_if_denied(step: Step, order: TrackedOrder) -> None:
    denied = denied_ends(step, order)
    if denied:
        step.alarm(
            Severity.CRITICAL,
            "order_end_denied",
            f"The order stream said that exit order {', '.join(sorted(denied))} of "
            f"{step.tracker.instrument.trading_symbol} ({step.tracker.tracker_id}) ended as "
            f"{order.state.value}, and the broker's order book shows it alive. It is not moved, "
            "and nothing is sent beside it: cancel it in the broker's app, or let it fill; then "
            "the exit goes on by itself.",
        )


def _is_unread(step: Step, order: TrackedOrder) -> bool:
    if order.state not in _ENDED_SHORT:
        return False
    pacing = step.pacing.of(order.client_order_id)
    if pacing.end_readings < END_READINGS_MAX:
        return not order.ended_ids <= pacing.ends_read
    return bool(denied_ends(step, order))


def denied_ends(step: Step, order: TrackedOrder) -> frozenset[BrokerOrderId]:
    """Return what the stream says has ended short and the order book shows alive.

    Orders are for the day: what it showed on an earlier one is over by now.
    """
    pacing = step.pacing.of(order.client_order_id)
    if not pacing.ends_denied or order.state not in _ENDED_SHORT:
        return frozenset()
    today = ist_day_number(step.now.wall_ns)
    if all(ist_day_number(send.sent_at_ns) != today for send in order.sends):
        return frozenset()
    return (order.ended_ids & pacing.ends_denied) - pacing.ends_read


def denied_quantity(step: Step) -> int:
    """Return what exit orders may still close that ended by the stream's word alone and live on."""
    quantity = 0
    for order in step.tracker.exit_orders:
        denied = denied_ends(step, order)
        for record in order.broker_orders if denied else ():
            if record.broker_order_id in denied:
                quantity += order.order_quantity - record.cumulative_quantity
    return quantity
