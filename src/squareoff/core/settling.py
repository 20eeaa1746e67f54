"""Find out what became of an order whose outcome is unknown.

It is asked for by correlation id, order book and trade book at growing pauses. It is settled only
after the quarantine, and after enough spaced, complete readings that lack it while the broker's net
position stayed the same (design.md section 4.7). A 404 alone proves nothing.
"""

from squareoff.core.commands import LookUpOrder
from squareoff.core.facts import OrderSettled, Severity
from squareoff.core.inputs import SettleRead
from squareoff.core.policy import ABSENCE_READING_SPACING_SECONDS, LOOK_UP_DELAYS_SECONDS
from squareoff.core.setbacks import note_ended_exit
from squareoff.core.step import Step
from squareoff.core.tracker import SendOutcome, TrackedOrder
from squareoff.domain.states import OrderState
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns


def _is_unknown(order: TrackedOrder) -> bool:
    """Say whether some send of the order is lost and not yet accounted for."""
    return any(send.outcome is SendOutcome.UNKNOWN for send in order.sends)


def _is_unseen(order: TrackedOrder) -> bool:
    """Say whether the gateway took the order without naming it and no record showed it yet."""
    return order.state is OrderState.ACCEPTED and not order.broker_orders


def look_up_unknown_orders(step: Step) -> None:
    """Want a look-up for every lost or unseen order, when its next one is due."""
    for order in step.tracker.orders:
        if not (_is_unknown(order) or _is_unseen(order)):
            continue
        if step.pacing.of(order.client_order_id).unknown_since_ns == 0:
            step.pace_order(
                order.client_order_id,
                unknown_since_ns=step.now.monotonic_ns,
                next_look_up_ns=step.now.monotonic_ns,
            )
        if step.is_due(step.pacing.of(order.client_order_id).next_look_up_ns):
            step.command(LookUpOrder(order.client_order_id))


def on_settle_read(step: Step, event: SettleRead) -> None:
    """Count a round of asking; settle the order once the evidence is complete."""
    order = step.tracker.order(event.client_order_id)
    if order is None or not (_is_unknown(order) or _is_unseen(order)):
        return
    pacing = step.pacing.of(event.client_order_id)
    pause = LOOK_UP_DELAYS_SECONDS[min(pacing.look_ups, len(LOOK_UP_DELAYS_SECONDS) - 1)]
    step.pace_order(
        event.client_order_id, look_ups=pacing.look_ups + 1, next_look_up_ns=step.after(pause)
    )
    proves_absence = event.complete and event.lacking and _is_unknown(order)
    if not proves_absence:
        _complain_if_long(step, order)
        return
    _count_lacking_reading(step, event)
    _settle_if_proved(step, order)


def _count_lacking_reading(step: Step, event: SettleRead) -> None:
    pacing = step.pacing.of(event.client_order_id)
    spacing = seconds_to_ns(ABSENCE_READING_SPACING_SECONDS)
    if pacing.lacking_readings and step.now.monotonic_ns - pacing.last_lacking_ns < spacing:
        return
    moved = pacing.lacking_readings > 0 and event.steady_net_quantity != pacing.lacking_net_quantity
    step.pace_order(
        event.client_order_id,
        lacking_readings=1 if moved else pacing.lacking_readings + 1,
        last_lacking_ns=step.now.monotonic_ns,
        lacking_net_quantity=event.steady_net_quantity,
    )


def _settle_if_proved(step: Step, before: TrackedOrder) -> None:
    pacing = step.pacing.of(before.client_order_id)
    waited_ns = step.now.monotonic_ns - pacing.unknown_since_ns
    quarantine_ns = seconds_to_ns(step.policy.quarantine_seconds)
    if pacing.lacking_readings < step.policy.readings or waited_ns < quarantine_ns:
        return
    step.record(
        OrderSettled(
            step.tracker.tracker_id,
            before.client_order_id,
            pacing.lacking_readings,
            round(waited_ns / NANOSECONDS_PER_SECOND, 3),
        )
    )
    step.pace_order(before.client_order_id, unknown_since_ns=0, look_ups=0, lacking_readings=0)
    note_ended_exit(step, before)


_LOOK_UPS_BEFORE_ALARM = 8
"""About half a minute of asking without a full answer; then a person should know."""


def _complain_if_long(step: Step, order: TrackedOrder) -> None:
    if step.pacing.of(order.client_order_id).look_ups == _LOOK_UPS_BEFORE_ALARM:
        step.alarm(
            Severity.WARNING,
            "order_outcome_unknown",
            f"Order {order.client_order_id} of {step.tracker.instrument.trading_symbol} was sent "
            "and the broker's books cannot tell yet whether it arrived; it is not sent again, "
            "asking goes on.",
        )
