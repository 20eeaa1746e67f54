"""What the protocol does when an exit cannot go on: block, try again later, or call a person."""

from collections.abc import Sequence
from itertools import takewhile

from squareoff.core.exits.rejections import (
    RejectionClass,
    classify_rejection,
    was_rejected_for,
    was_too_large,
)
from squareoff.core.state.facts import (
    ExitAttemptFailed,
    ExitBlocked,
    ExitEscalated,
    OrderDropped,
    Severity,
)
from squareoff.core.state.step import Step, retry_delay_seconds
from squareoff.core.state.tracker import PositionTracker, SendOutcome, TrackedOrder
from squareoff.domain.errors import STATIC_IP_CODE
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import BlockReason, IntentStatus, OrderState

PERMANENT_RETRY_SECONDS = 30.0
"""A permanent rejection is tried again this slowly: a person may have cured the cause meanwhile."""

CLOSED_RETRY_SECONDS = 30.0
"""How often an exit that the exchange refused as closed asks again."""

_CRITICAL_REASONS = (BlockReason.REJECTED_PERMANENT,)

STATIC_IP_RETRY_SECONDS = 60.0
"""How often an exit that was refused for this machine's address asks again: an address is set by a
person, in the broker's web page."""

NAMED_MAX = 5
"""So many further trackers of one position are named in a message."""

ACCOUNT_WIDE_REASONS = frozenset(
    {BlockReason.TOKEN_DEAD, BlockReason.STATIC_IP, BlockReason.BREAKER_OPEN}
)
"""Reasons that hold up every exit alike: one alarm about the account tells them, not one each."""


def drop_planned_exits(step: Step, reason: str) -> None:
    """Give up exit orders of which no byte has left; what they covered is sized anew."""
    for order in step.tracker.exit_orders:
        if order.state is OrderState.PLANNED:
            step.record(OrderDropped(step.tracker.tracker_id, order.client_order_id, reason))


def block_exit(
    step: Step,
    reason: BlockReason,
    text: str,
    retry_after_seconds: float,
    failures: int | None = None,
) -> None:
    """Block the live exit for a named reason; alarm once per reason, retry by itself."""
    if reason is not BlockReason.BREAKER_OPEN:  # then its orders keep their places in the queue
        drop_planned_exits(step, text)
    intent = step.intent
    tracker_id = step.tracker.tracker_id
    count = intent.failures if failures is None else failures
    step.record(ExitBlocked(tracker_id, reason, text, count, retry_after_seconds))
    step.pace(retry_at_ns=step.after(retry_after_seconds))
    step.wake_at(step.pacing.retry_at_ns)
    if reason not in step.pacing.alarmed_reasons | ACCOUNT_WIDE_REASONS:
        step.pace(alarmed_reasons=step.pacing.alarmed_reasons | {reason})
        step.alarm(
            Severity.CRITICAL if reason in _CRITICAL_REASONS else Severity.WARNING,
            f"exit_blocked_{reason.value}",
            f"Exit of {step.tracker.instrument.trading_symbol} ({tracker_id}) waits: {text}. "
            f"Next try in {retry_after_seconds:g} s; {_what_stands(step.tracker, reason)}",
        )


def _what_stands(tracker: PositionTracker, reason: BlockReason) -> str:
    if reason is BlockReason.POSITION_MISSING:
        return f"until then it stays under watch. {how_to_let_go(tracker)}"
    return "the position is still open."


def how_to_let_go(*trackers: PositionTracker, still_shown: int = 0) -> str:
    """Say what to do about positions that are gone without a trade: nothing else ends them.

    Args:
        still_shown: units of theirs that the broker shows all the same.
    """
    first, *others = trackers
    symbol = first.instrument.trading_symbol or str(first.instrument.instrument_id)
    told = ", ".join(str(each.tracker_id) for each in others[:NAMED_MAX])
    more = f", and so {told}{', ...' if len(others) > NAMED_MAX else ''}" if others else ""
    return (
        f"Look in the broker's app: if {symbol} expired, or was converted to another product or by "
        f"a split, let it go: squareoff untrack {first.tracker_id} --reason gone{more}."
        f"{_and_take_the_rest(still_shown)}"
    )


def _and_take_the_rest(still_shown: int) -> str:
    if still_shown <= 0:
        return ""
    return (
        f" The {still_shown} that the broker still shows are under no watch and have no stop then: "
        "take them under watch at once with `squareoff track`."
    )


def note_exit_at_exchange(step: Step) -> None:
    """An order at the exchange ends what was told; the next hindrance is told anew."""
    if step.pacing.alarmed_reasons and step.tracker.is_exit_at_exchange:
        step.pace(alarmed_reasons=frozenset())


def escalate_exit(step: Step, code: str, text: str) -> None:
    """Hand the exit to a person; the position stays open and visible, and what rests may fill."""
    if step.intent.status is IntentStatus.NEEDS_HUMAN:
        return
    drop_planned_exits(step, text)
    step.record(ExitEscalated(step.tracker.tracker_id, text))
    step.alarm(
        Severity.CRITICAL,
        code,
        f"{step.tracker.instrument.trading_symbol} ({step.tracker.tracker_id}) needs a person: "
        f"{text}. {step.tracker.open_quantity} of {step.tracker.quantity} still open."
        f"{_what_may_still_fill(step.tracker)}",
    )


def _what_may_still_fill(tracker: PositionTracker) -> str:
    """Name the orders that live on: who closes their share by hand as well closes it twice."""
    live = [order for order in tracker.exit_orders if order.leaves_quantity]
    if not live or tracker.open_quantity == 0:
        return ""
    told = ", ".join(f"{order.leaves_quantity} by {names_of(order)}" for order in live)
    rest = max(0, tracker.open_quantity - tracker.exit_leaves_quantity)
    return (
        f" Of these may still fill: {told}. Close only the other {rest} by hand, or first cancel "
        "those orders in the broker's app."
    )


def names_of(order: TrackedOrder) -> str:
    """Return the names of a live order, the broker's and ours, as a person is told them."""
    at_broker = " and ".join(record.broker_order_id for record in order.live_broker_orders)
    return f"order {at_broker or 'without a broker id yet'} ({order.client_order_id})"


def _note_end_with_a_person(step: Step, before: TrackedOrder, after: TrackedOrder) -> None:
    """Who was told that an order may still fill leaves its share to it: say that it will not."""
    if not before.state.is_live or not (_ended_short(after) or after.state is OrderState.ABSENT):
        return
    tracker = step.tracker
    names = " and ".join(record.broker_order_id for record in after.broker_orders)
    step.alarm(
        Severity.CRITICAL,
        "exit_order_ended",
        f"{tracker.instrument.trading_symbol} ({tracker.tracker_id}) is in a person's hands, and "
        f"its order {names or 'without a broker id'} ({after.client_order_id}) ended "
        f"{after.state.value} with {after.cumulative_quantity} of {after.order_quantity} filled: "
        f"{after.failure_text or 'no reason was told'}. Nothing is sent for the rest: close it by "
        f"hand, or exit the position again. {tracker.open_quantity} of {tracker.quantity} still "
        f"open.{_what_may_still_fill(tracker)}",
    )


def note_ended_exit(
    step: Step, before: TrackedOrder, code: str = "", *, uncounted: Sequence[TrackedOrder] = ()
) -> None:
    """Class the end of an exit order that ended short, and schedule what follows.

    Args:
        before: the order before the input; only a change into an ended-short state counts.
        uncounted: orders that ended by the same input and have not been noted yet.
    """
    after = step.tracker.order(before.client_order_id)
    assert after is not None, before.client_order_id
    intent = step.tracker.intent
    if (
        after.role is not OrderRole.EXIT
        or before.state is after.state
        or intent is None
        or step.tracker.is_withdrawing
        or step.tracker.open_quantity == 0
    ):
        return
    if intent.status is IntentStatus.NEEDS_HUMAN:
        _note_end_with_a_person(step, before, after)
    elif intent.status.is_live and _ended_short(after):
        _schedule_after_failure(step, after, code, uncounted)


def _ended_short(order: TrackedOrder) -> bool:
    return order.state.is_terminal and order.state not in (OrderState.FILLED, OrderState.ABSENT)


def _failures_with(step: Step, order: TrackedOrder, uncounted: Sequence[TrackedOrder]) -> int:
    """Count attempts that failed in a row, not slices: the slices of one attempt fail together."""
    if order.cumulative_quantity:
        return 1
    not_asked = {order.client_order_id, *(each.client_order_id for each in uncounted)}
    counted = any(
        _ended_short(other)
        for other in step.tracker.exit_orders
        if other.attempt == order.attempt and other.client_order_id not in not_asked
    )
    return max(1, step.intent.failures if counted else step.intent.failures + 1)


def _schedule_after_failure(
    step: Step, order: TrackedOrder, code: str, uncounted: Sequence[TrackedOrder]
) -> None:
    failures = _failures_with(step, order, uncounted)
    text = f"order {order.client_order_id} ended {order.state.value}: {order.failure_text}"
    rejection = classify_rejection(code, order.failure_text)
    if rejection is RejectionClass.MARKET_CLOSED:  # lifts by itself, so it uses up no attempt
        pause = max(CLOSED_RETRY_SECONDS, _pause_after_resend(step, order))
        block_exit(step, BlockReason.MARKET_CLOSED, text, pause)
        return
    if code == STATIC_IP_CODE:  # every other attempt would be refused too, so none is used up
        pause = max(STATIC_IP_RETRY_SECONDS, _pause_after_resend(step, order))
        block_exit(step, BlockReason.STATIC_IP, text, pause)
        return
    if failures >= step.policy.attempts_max:
        escalate_exit(step, "exit_attempts_exhausted", f"{failures} attempts failed; last: {text}")
        return
    if rejection is RejectionClass.STOP:
        pause = max(PERMANENT_RETRY_SECONDS, _pause_after_resend(step, order))
        block_exit(step, BlockReason.REJECTED_PERMANENT, text, pause, failures)
        return
    # Smaller slices are another order: nothing is to be waited for.
    is_cured = was_too_large(order) and order.order_quantity > step.tracker.instrument.lot_size
    pause = retry_delay_seconds(1 if is_cured else failures + 1)
    pause = max(pause, _pause_after_resend(step, order))
    if failures > 1 and not is_cured:  # the first may be chance; a person is told of the second
        block_exit(step, BlockReason.REJECTED_TRANSIENT, text, pause, failures)
        return
    tracker_id, order_id = step.tracker.tracker_id, order.client_order_id
    step.record(ExitAttemptFailed(tracker_id, order_id, text, failures, pause))
    step.pace(retry_at_ns=max(step.pacing.retry_at_ns, step.after(pause)))


def _pause_after_resend(step: Step, order: TrackedOrder) -> float:
    """A rejected resend proves nothing about a send that was lost before it: watch on for it."""
    was_lost = any(send.outcome is SendOutcome.ABSENT for send in order.sends)
    return step.policy.quarantine_seconds if was_lost else 0.0


def tick_rejections(tracker: PositionTracker) -> int:
    """Count the attempts whose price lay off the exchange's grid."""
    off_grid = {
        order.attempt
        for order in tracker.exit_orders
        if was_rejected_for(order, RejectionClass.ADAPT_TICK)
    }
    return len(off_grid)


def price_rejections(tracker: PositionTracker) -> int:
    """Count the newest attempts in a row whose price the exchange turned away."""
    newest: dict[int, bool] = {}
    for order in reversed(tracker.exit_orders):
        turned_away = was_rejected_for(order, RejectionClass.ADAPT_PRICE)
        if order.state.is_terminal:
            newest[order.attempt] = newest.get(order.attempt, False) or turned_away
    return len(list(takewhile(bool, newest.values())))
