"""What a tracker's state means to a caller who waits for its exit."""

from decimal import Decimal
from enum import Enum

from squareoff.core.exits.closing import CLOSED_EXTERNALLY
from squareoff.core.state.tracker import PositionTracker, notional_of
from squareoff.domain.ids import TrackerId
from squareoff.domain.prices import round_average_half_even
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.states import IntentStatus, OrderState, PositionStatus


class Wait(str, Enum):
    """What a caller of `execute_exit` waits for."""

    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    FILLED = "filled"


_AT_BROKER = frozenset(
    {OrderState.ACCEPTED, OrderState.WORKING, OrderState.PART_FILLED, OrderState.FILLED}
)


def is_accepted(tracker: PositionTracker) -> bool:
    """Say whether the broker has orders for everything that is still held."""
    waiting = [order for order in tracker.exit_orders if order.state not in _AT_BROKER]
    covered = sum(o.leaves_quantity for o in tracker.exit_orders if o.state in _AT_BROKER)
    unfinished = any(not order.state.is_terminal for order in waiting)
    return covered >= tracker.open_quantity and not unfinished


def has_news(tracker: PositionTracker, wait: Wait) -> bool:
    """Say whether a waiting caller can be answered."""
    if tracker.status is PositionStatus.EXITED or tracker.intent is None:
        return True
    if tracker.intent.status is not IntentStatus.OPEN:
        return True
    return wait is Wait.ACCEPTED and is_accepted(tracker)


def average_so_far(tracker: PositionTracker) -> Decimal | None:
    """Return the exit price over what is closed so far, None where nothing or not all is priced."""
    if tracker.exit_price is not None:
        return tracker.exit_price
    records = [record for order in tracker.exit_orders for record in order.broker_orders]
    notional = notional_of(records)
    quantity = sum(record.cumulative_quantity for record in records)
    quantity += tracker.externally_closed_quantity
    if notional is None or quantity == 0:
        return None
    return round_average_half_even(notional + tracker.externally_closed_notional, quantity)


def result_of(tracker: PositionTracker, wait: Wait, *, code: ExitCode | None = None) -> ExitResult:
    """Return the result that a tracker's state amounts to; `code` overrides the derived one."""
    found = code if code is not None else _code_of(tracker, wait)
    intent = tracker.intent
    return ExitResult(
        success=found.is_success,
        code=found,
        tracker_id=tracker.tracker_id,
        exit_price=average_so_far(tracker),
        exited_quantity=tracker.exited_quantity,
        reason=tracker.exit_reason or (intent.reason if intent else ""),
        orders=tuple(order.client_order_id for order in tracker.exit_orders),
        error=None if found.is_success else _error_text(tracker, found),
        intent_id=intent.intent_id if intent else None,
    )


def _code_of(tracker: PositionTracker, wait: Wait) -> ExitCode:
    if tracker.status is PositionStatus.EXITED:
        if tracker.exit_reason == CLOSED_EXTERNALLY:
            return ExitCode.CLOSED_EXTERNALLY
        return ExitCode.EXITED
    intent = tracker.intent
    if intent is not None and intent.status is IntentStatus.WITHDRAWN:
        return ExitCode.WITHDRAWN
    if intent is not None and intent.status is IntentStatus.BLOCKED:
        return ExitCode.BLOCKED
    if intent is not None and intent.status is IntentStatus.NEEDS_HUMAN:
        return ExitCode.NEEDS_HUMAN
    if wait is Wait.CLAIMED:
        return ExitCode.CLAIMED
    if wait is Wait.ACCEPTED and is_accepted(tracker):
        return ExitCode.ACCEPTED
    return ExitCode.BEING_SETTLED


def _error_text(tracker: PositionTracker, code: ExitCode) -> str:
    intent = tracker.intent
    note = intent.note if intent is not None and intent.note else ""
    held = f"{tracker.open_quantity} of {tracker.quantity} still open"
    match code:
        case ExitCode.BLOCKED if tracker.is_withdrawing:
            return f"the exit is being taken back: {note}; {held}"
        case ExitCode.BLOCKED:
            return f"the exit waits and goes on by itself: {note}; {held}"
        case ExitCode.WITHDRAWN:
            return f"the exit was taken back: {note}; {held}"
        case ExitCode.NEEDS_HUMAN:
            return f"the exit needs a person: {note}; {held}"
        case _:
            return f"the exit is latched and goes on by itself; {held}"


def answer_without_claim(tracker: PositionTracker, *, is_halted: bool) -> ExitResult | None:
    """Return the answer to a wish that claims nothing, None where the exit is to be claimed."""
    intent = tracker.intent
    match tracker.status:
        case PositionStatus.EXITED:
            return result_of(tracker, Wait.FILLED, code=ExitCode.ALREADY_EXITED)
        case _ if is_halted:
            return halted_result(tracker.tracker_id)
        case PositionStatus.EXITING if (
            intent is not None
            and intent.status is not IntentStatus.NEEDS_HUMAN
            and not tracker.is_withdrawing  # asked again, the exit goes on
        ):
            return result_of(tracker, Wait.FILLED, code=ExitCode.EXIT_IN_PROGRESS)
        case PositionStatus.PENDING | PositionStatus.CANCELLED | PositionStatus.UNTRACKED:
            text = f"tracker {tracker.tracker_id} is {tracker.status.value}: nothing is held"
            return refusal_of(tracker.tracker_id, ExitCode.NOT_ACTIVE, text)
    return None


def joined_result(tracker: PositionTracker, wait: Wait, *, is_halted: bool) -> ExitResult:
    """Return the answer to a caller who joined the exit that another one began."""
    if tracker.status is PositionStatus.EXITED:
        return result_of(tracker, wait, code=ExitCode.ALREADY_EXITED)
    if is_halted:
        return halted_result(tracker.tracker_id)
    if tracker.intent is not None and tracker.intent.status is not IntentStatus.OPEN:
        return result_of(tracker, wait)
    return result_of(tracker, wait, code=ExitCode.EXIT_IN_PROGRESS)


def refusal_of(tracker_id: TrackerId, code: ExitCode, text: str) -> ExitResult:
    """Return the result of a wish that changed nothing."""
    return ExitResult(code.is_success, code, tracker_id, error=text)


def halted_result(tracker_id: TrackerId) -> ExitResult:
    """Return the result for a position that a defect halted."""
    text = f"tracker {tracker_id} is halted after a defect; see its alarm"
    return refusal_of(tracker_id, ExitCode.HALTED, text)
