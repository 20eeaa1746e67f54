"""When the cause of an alarm about one position is gone, told by the position's state alone.

What is not told by it (a defect, an over-exit, new units after the exit) stands until a person has
seen it.
"""

from squareoff.core.tracker import PositionTracker, SendOutcome
from squareoff.domain.states import BlockReason, IntentStatus, OrderState

BLOCKED_PREFIX = "exit_blocked_"
"""Followed by the reason why the exit waits."""

_FOR_A_PERSON = frozenset({"over_exit", "entry_filled_after_exit", "position_halted"})
_AT_BROKER = frozenset(
    {OrderState.ACCEPTED, OrderState.WORKING, OrderState.PART_FILLED, OrderState.FILLED}
)


def what_ended(code: str, tracker: PositionTracker) -> str | None:
    """Return what ended the cause of an alarm, None while it stands or cannot be told."""
    if code in _FOR_A_PERSON or tracker.over_exited_quantity > 0:
        return None
    if tracker.status.is_final:
        return f"the position is {tracker.status.value}"
    if code.startswith(BLOCKED_PREFIX):
        return _what_unblocked(code.removeprefix(BLOCKED_PREFIX), tracker)
    match code:
        case "order_outcome_unknown" if not _has_unknown_send(tracker):
            return "what became of the order is known"
        case "exit_not_claimed" if tracker.intent is not None and tracker.intent.status.is_live:
            return "the exit is latched"
        case "exit_attempts_exhausted" if not _is_with_a_person(tracker):
            return "the exit goes on"
    return None


def _what_unblocked(reason: str, tracker: PositionTracker) -> str | None:
    """A blocked exit that tries again is not over it: only an order at the broker says so."""
    intent = tracker.intent
    if intent is None or not intent.status.is_live:
        return "there is no exit that waits"
    if intent.status is IntentStatus.BLOCKED:
        has_other_reason = intent.block_reason not in (BlockReason(reason), None)
        return "the exit waits for another reason" if has_other_reason else None
    newest = [order for order in tracker.exit_orders if order.attempt == intent.attempt]
    if any(order.state in _AT_BROKER for order in newest):
        return "the broker has an order of the exit"
    return None


def _has_unknown_send(tracker: PositionTracker) -> bool:
    return any(
        send.outcome is SendOutcome.UNKNOWN for order in tracker.orders for send in order.sends
    )


def _is_with_a_person(tracker: PositionTracker) -> bool:
    intent = tracker.intent
    return intent is not None and intent.status is IntentStatus.NEEDS_HUMAN
