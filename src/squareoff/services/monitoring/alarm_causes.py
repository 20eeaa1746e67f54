"""When the cause of an alarm about one position is gone, told by the position's state alone.

What is not told by it (a defect, an over-exit, new units after the exit, another's order) stands
until a person has seen it.
"""

from squareoff.core.state.tracker import PositionTracker, SendOutcome
from squareoff.domain.states import IntentStatus

BLOCKED_PREFIX = "exit_blocked_"
"""Followed by the reason why the exit waits."""

_FOR_A_PERSON = frozenset(
    {"over_exit", "entry_filled_after_exit", "entry_order_mismatch", "position_halted"}
)


def what_ended(code: str, tracker: PositionTracker) -> str | None:
    """Return what ended the cause of an alarm, None while it stands or cannot be told."""
    if code in _FOR_A_PERSON or tracker.over_exited_quantity > 0:
        return None
    if tracker.status.is_final:
        return f"the position is {tracker.status.value}"
    if code.startswith(BLOCKED_PREFIX):
        return _what_unblocked(tracker)
    match code:
        case "order_outcome_unknown" if not _has_unknown_send(tracker):
            return "what became of the order is known"
        case "exit_not_claimed" if tracker.intent is not None and tracker.intent.status.is_live:
            return "the exit is latched"
        case "exit_attempts_exhausted" | "exit_order_ended" if not tracker.is_with_a_person:
            return "the exit goes on" if tracker.has_live_intent else "the exit was taken back"
    return None


def _what_unblocked(tracker: PositionTracker) -> str | None:
    """A blocked exit that tries again, or waits for another reason, is not over it: only an order
    at the exchange says so. Each reason is told once till then, so that its alarm must stand."""
    intent = tracker.intent
    if intent is None or not intent.status.is_live:
        return "there is no exit that waits"
    if intent.status is IntentStatus.BLOCKED:
        return None
    return "an order of the exit is at the exchange" if tracker.is_exit_at_exchange else None


def _has_unknown_send(tracker: PositionTracker) -> bool:
    return any(
        send.outcome is SendOutcome.UNKNOWN for order in tracker.orders for send in order.sends
    )
