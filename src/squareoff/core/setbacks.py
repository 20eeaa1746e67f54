"""What the protocol does when an exit cannot go on: block, try again later, or call a person."""

from squareoff.core.facts import (
    ExitAttemptFailed,
    ExitBlocked,
    ExitEscalated,
    OrderDropped,
    Severity,
)
from squareoff.core.rejections import RejectionClass, classify_rejection
from squareoff.core.step import Step, retry_delay_seconds
from squareoff.core.tracker import TrackedOrder
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import BlockReason, IntentStatus, OrderState

PERMANENT_RETRY_SECONDS = 30.0
"""A permanent rejection is tried again this slowly: a person may have cured the cause meanwhile."""

CLOSED_RETRY_SECONDS = 30.0
"""How often an exit that the exchange refused as closed asks again."""


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
    drop_planned_exits(step, text)
    intent = step.intent
    tracker_id = step.tracker.tracker_id
    count = intent.failures if failures is None else failures
    step.record(ExitBlocked(tracker_id, reason, text, count, retry_after_seconds))
    step.pace(retry_at_ns=step.after(retry_after_seconds))
    step.wake_at(step.pacing.retry_at_ns)
    if reason not in step.pacing.alarmed_reasons:
        step.pace(alarmed_reasons=step.pacing.alarmed_reasons | {reason})
        step.alarm(
            Severity.WARNING,
            f"exit_blocked_{reason.value}",
            f"Exit of {step.tracker.instrument.trading_symbol} ({tracker_id}) waits: {text}. "
            f"Next try in {retry_after_seconds:g} s; the position is still open.",
        )


def escalate_exit(step: Step, code: str, text: str) -> None:
    """Hand the exit to a person; the position stays open and visible."""
    if step.intent.status is IntentStatus.NEEDS_HUMAN:
        return
    drop_planned_exits(step, text)
    step.record(ExitEscalated(step.tracker.tracker_id, text))
    step.alarm(
        Severity.CRITICAL,
        code,
        f"{step.tracker.instrument.trading_symbol} ({step.tracker.tracker_id}) needs a person: "
        f"{text}. {step.tracker.open_quantity} of {step.tracker.quantity} still open.",
    )


def note_ended_exit(step: Step, before: TrackedOrder, code: str = "") -> None:
    """Class the end of an exit order that ended short, and schedule what follows.

    Args:
        before: the order before the input; only a change into an ended-short state counts.
    """
    after = step.tracker.order(before.client_order_id)
    assert after is not None, before.client_order_id
    intent = step.tracker.intent
    if (
        after.role is not OrderRole.EXIT
        or before.state is after.state
        or not _ended_short(after)
        or intent is None
        or intent.status not in (IntentStatus.OPEN, IntentStatus.BLOCKED)
        or step.tracker.open_quantity == 0
    ):
        return
    _schedule_after_failure(step, after, code)


def _ended_short(order: TrackedOrder) -> bool:
    return order.state.is_terminal and order.state not in (OrderState.FILLED, OrderState.ABSENT)


def _failures_with(step: Step, order: TrackedOrder) -> int:
    """Count attempts that failed in a row, not slices: the slices of one attempt fail together."""
    if order.cumulative_quantity:
        return 1
    counted = any(
        _ended_short(other)
        for other in step.tracker.exit_orders
        if other.attempt == order.attempt and other.client_order_id != order.client_order_id
    )
    return max(1, step.intent.failures if counted else step.intent.failures + 1)


def _schedule_after_failure(step: Step, order: TrackedOrder, code: str) -> None:
    failures = _failures_with(step, order)
    text = f"order {order.client_order_id} ended {order.state.value}: {order.failure_text}"
    rejection = classify_rejection(code, order.failure_text)
    if rejection is RejectionClass.MARKET_CLOSED:  # lifts by itself, so it uses up no attempt
        block_exit(step, BlockReason.MARKET_CLOSED, text, CLOSED_RETRY_SECONDS)
        return
    if failures >= step.policy.attempts_max:
        escalate_exit(step, "exit_attempts_exhausted", f"{failures} attempts failed; last: {text}")
        return
    match rejection:
        case RejectionClass.STOP:
            reason = BlockReason.REJECTED_PERMANENT
            block_exit(step, reason, text, PERMANENT_RETRY_SECONDS, failures)
        case RejectionClass.WAIT:
            pause = retry_delay_seconds(failures)
            step.record(
                ExitAttemptFailed(
                    step.tracker.tracker_id, order.client_order_id, text, failures, pause
                )
            )
            step.pace(retry_at_ns=max(step.pacing.retry_at_ns, step.after(pause)))
