"""From a planned order to its answer: permits, `OrderSent`, and what an answer proves."""

from decimal import Decimal

from squareoff.core.exits.flattening import note_ended_flattening
from squareoff.core.exits.pricing import protected_limit
from squareoff.core.exits.rejections import RejectionClass, was_rejected_for
from squareoff.core.exits.setbacks import (
    block_exit,
    note_ended_exit,
    note_exit_at_exchange,
    price_rejections,
    tick_rejections,
)
from squareoff.core.state.commands import RequestPermit, TransmitOrder
from squareoff.core.state.facts import (
    ExitResumed,
    OrderAccepted,
    OrderDropped,
    OrderNotSent,
    OrderOutcomeLost,
    OrderRefused,
    OrderSent,
)
from squareoff.core.state.inputs import (
    PermitGranted,
    PriceView,
    SendAccepted,
    SendAnswer,
    SendAnswered,
    SendLost,
    SendNotMade,
    SendRefused,
)
from squareoff.core.state.policy import (
    ENTRY_AGE_SECONDS_MAX,
    LOOK_UP_DELAYS_SECONDS,
    PLAN_AGE_SECONDS_MAX,
    QUIET_PLAN_AGE_SECONDS_MAX,
    READING_LAG_SECONDS,
    TOLD_COUNTS_SECONDS,
)
from squareoff.core.state.step import Step, retry_delay_seconds
from squareoff.core.state.tracker import PositionTracker, Send, SendOutcome, TrackedOrder
from squareoff.domain.orders import OrderRequest, OrderRole, OrderType
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus
from squareoff.domain.time import seconds_to_ns

_UNREACHABLE_RETRY_SECONDS_MAX = 5.0
"""A broker that cannot be reached is tried at least this often while an exit waits."""


def urgency_of(tracker: PositionTracker, order: TrackedOrder) -> Urgency:
    """Return how urgent this order is."""
    return Urgency.ENTRY if order.role is OrderRole.ENTRY else closing_urgency(tracker)


def closing_urgency(tracker: PositionTracker) -> Urgency:
    """Return how urgent it is to close this position, or to take back what was closed too much.

    Without an exit of ours it is as urgent as a stop: what reduces a position never waits behind
    entries, nor is it held by a switch that holds these.
    """
    intent = tracker.intent
    return Urgency.STOP if intent is None else Urgency.of_rule(intent.trigger.rule)


def request_permits(step: Step) -> None:
    """Queue a request for a permit for every planned order."""
    for order in step.tracker.orders:
        if order.state is OrderState.PLANNED:
            if step.pacing.of(order.client_order_id).planned_at_ns == 0:  # an entry was just opened
                step.pace_order(order.client_order_id, planned_at_ns=step.now.monotonic_ns)
            risk = Decimal(order.order_quantity) * step.tracker.entry_price
            step.command(
                RequestPermit(order.client_order_id, urgency_of(step.tracker, order), risk)
            )


def on_permit_granted(step: Step, event: PermitGranted) -> None:
    """Record the send and queue the order; a permit that came too late does nothing."""
    _end_breaker_block(step)
    order = step.tracker.order(event.client_order_id)
    if order is None or order.state is not OrderState.PLANNED or not _is_wanted(step, order):
        return
    text = _why_outdated(step, order, event.quiet_since_ns)
    if text:
        step.record(OrderDropped(step.tracker.tracker_id, order.client_order_id, text))
        return
    order_type, limit_price, source = _price(step, order, event.price)
    number = len(order.sends) + 1
    step.record(
        OrderSent(
            step.tracker.tracker_id, order.client_order_id, number, order_type, limit_price, source
        )
    )
    step.pace_order(order.client_order_id, priced_at_ns=step.now.monotonic_ns)
    step.command(
        TransmitOrder(
            number,
            OrderRequest(
                client_order_id=order.client_order_id,
                key=step.tracker.key,
                side=order.side,
                order_type=order_type,
                order_quantity=order.order_quantity,
                limit_price=limit_price,
            ),
        )
    )


def _end_breaker_block(step: Step) -> None:
    """A permit is the end of waiting for the breaker."""
    intent = step.tracker.intent
    if (
        intent is not None
        and intent.status is IntentStatus.BLOCKED
        and intent.block_reason is BlockReason.BREAKER_OPEN
    ):
        step.record(ExitResumed(step.tracker.tracker_id))


def _is_wanted(step: Step, order: TrackedOrder) -> bool:
    if order.role is OrderRole.ENTRY:
        return step.tracker.status is PositionStatus.PENDING
    if order.role is OrderRole.FLATTEN:
        return step.policy.flatten_over_exit
    intent = step.tracker.intent
    fits = step.tracker.exit_leaves_quantity <= step.tracker.open_quantity
    return intent is not None and intent.status is IntentStatus.OPEN and fits


def _why_outdated(step: Step, order: TrackedOrder, quiet_since_ns: int | None) -> str:
    """Say why a plan is not carried out any more, an empty text where it is: somebody else may have
    closed what it would close, or an entry was asked for too long ago to be still wanted."""
    planned_at_ns = step.pacing.of(order.client_order_id).planned_at_ns
    age_ns = step.now.monotonic_ns - planned_at_ns
    if order.role is OrderRole.ENTRY:
        is_old = planned_at_ns != 0 and age_ns > seconds_to_ns(ENTRY_AGE_SECONDS_MAX)
        return "it waited too long for its turn and is not sent any more" if is_old else ""
    if _was_told_since(step, planned_at_ns, quiet_since_ns):
        return "somebody else was heard to trade since it was planned, so it is sized anew"
    quiet_from_ns = planned_at_ns - seconds_to_ns(READING_LAG_SECONDS)
    is_quiet = quiet_since_ns is not None and quiet_since_ns <= quiet_from_ns
    longest = QUIET_PLAN_AGE_SECONDS_MAX if is_quiet else PLAN_AGE_SECONDS_MAX
    is_old = age_ns > seconds_to_ns(longest)
    return "it waited too long for its turn and is sized anew" if is_old else ""


def _was_told_since(step: Step, planned_at_ns: int, quiet_since_ns: int | None) -> bool:
    """Say whether somebody else was heard since the plan was made. Where somebody trades without a
    pause that counts for a while only: an exit that is planned anew for ever never leaves."""
    if quiet_since_ns is None or quiet_since_ns <= planned_at_ns or step.tracker.intent is None:
        return False
    waited_ns = step.now.wall_ns - step.tracker.intent.claimed_at_ns
    return waited_ns <= seconds_to_ns(TOLD_COUNTS_SECONDS)


def _price(
    step: Step, order: TrackedOrder, view: PriceView | None
) -> tuple[OrderType, Decimal | None, str]:
    """Return type, limit price and the price's source.

    With no usable price from anywhere the order goes as MARKET, which the broker itself turns into
    a protected limit (dhanhq-v2.md 2.4): an exit not sent is the greater harm. For the same reason
    one that is to be MARKET goes as a limit where the broker has said that it takes no such orders.
    """
    if order.role is OrderRole.ENTRY and order.limit_price is not None:
        return order.order_type, order.limit_price, "owner"
    is_market = order.order_type is OrderType.MARKET and not takes_no_market_orders(step.tracker)
    if is_market or view is None:
        return OrderType.MARKET, None, "none" if view is None else view.source
    limit = protected_limit(
        step.tracker.instrument,
        order.side,
        view,
        step=0,
        max_slippage_percent=step.policy.max_slippage_percent,
        price_rejections=price_rejections(step.tracker),
        tick_rejections=tick_rejections(step.tracker),
    )
    return OrderType.LIMIT, limit, view.source


def takes_no_market_orders(tracker: PositionTracker) -> bool:
    """Say whether a market order of this position was turned away for being one, or for the price
    that the broker made of it: only a limit of ours can come nearer to the market."""
    return any(
        order.order_type is OrderType.MARKET and was_rejected_for(order, rejection)
        for order in tracker.orders
        for rejection in (RejectionClass.ADAPT_TYPE, RejectionClass.ADAPT_PRICE)
    )


def on_send_answered(step: Step, event: SendAnswered) -> None:
    """Record what the answer to one send proves."""
    before = step.tracker.order(event.client_order_id)
    if before is None:
        return
    send = next((s for s in before.sends if s.number == event.send_number), None)
    if send is None or not _is_news(send, event.answer):
        return
    tracker_id, order_id, number = step.tracker.tracker_id, event.client_order_id, send.number
    match event.answer:
        case SendAccepted(broker_order_id):
            step.record(OrderAccepted(tracker_id, order_id, number, broker_order_id))
            note_exit_at_exchange(step)
            note_ended_exit(step, before)  # its end may have been reported before this answer
            note_ended_flattening(step, before)
        case SendRefused(code, text):
            step.record(OrderRefused(tracker_id, order_id, number, code, text))
            note_ended_exit(step, before, code)
            note_ended_flattening(step, before)
        case SendNotMade(reason, text):
            step.record(OrderNotSent(tracker_id, order_id, number, text))
            note_ended_exit(step, before)  # a person may have been told that it may fill
            _note_unreachable(step, before, reason, text)
        case SendLost(text):
            step.record(OrderOutcomeLost(tracker_id, order_id, number, text))
            step.pace_order(
                order_id,
                unknown_since_ns=step.now.monotonic_ns,
                next_look_up_ns=step.after(LOOK_UP_DELAYS_SECONDS[0]),
                look_ups=0,
                lacking_readings=0,
            )
            note_ended_exit(step, before)  # as above: the record tells more than the lost answer
            note_ended_flattening(step, before)


def _is_news(send: Send, answer: SendAnswer) -> bool:
    """A send that was declared absent may still be answered: that answer names a real order."""
    if send.outcome is SendOutcome.ABSENT:
        return isinstance(answer, SendAccepted)
    if send.outcome is SendOutcome.UNKNOWN:
        return not isinstance(answer, SendLost)
    return not send.outcome.is_resolved


def _note_unreachable(step: Step, before: TrackedOrder, reason: BlockReason, text: str) -> None:
    intent = step.tracker.intent
    if before.role is OrderRole.EXIT and intent is not None and intent.status is IntentStatus.OPEN:
        pause = min(retry_delay_seconds(len(before.sends)), _UNREACHABLE_RETRY_SECONDS_MAX)
        block_exit(step, reason, text, pause)
