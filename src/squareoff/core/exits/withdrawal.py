"""A person's word over an exit: take it back, let the position go, or end a frozen over-exit.

Each has a `..._refusal`, which says beforehand why it cannot be; asked for all the same, nothing
happens.
Invariants:
1. An exit is withdrawn only while nothing of it is planned, live or unknown at the broker.
2. The rule that fired is taken out of the position's rules with the withdrawal, for it would fire
   again at once; setting rules anew arms it again. The journal keeps the trigger.
3. A position is let go only while no order of it, exit or entry, is live or unknown.
"""

from squareoff.core.exits.closing import cancel_live_orders
from squareoff.core.exits.ended_exits import denied_quantity, read_ends
from squareoff.core.exits.flattening import end_flattening
from squareoff.core.exits.setbacks import drop_planned_exits
from squareoff.core.state.facts import (
    ExitWithdrawalAsked,
    ExitWithdrawn,
    OverExitResolved,
    PositionUntracked,
)
from squareoff.core.state.inputs import OverExitResolveAsked, UntrackAsked, WithdrawAsked
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import PositionStatus


def withdrawal_refusal(tracker: PositionTracker) -> str | None:
    """Return why the position has no exit that could be taken back, None where it has one."""
    intent = tracker.intent
    if tracker.status is not PositionStatus.EXITING or intent is None:
        return f"{tracker.tracker_id} is {tracker.status.value}: there is no exit to take back"
    if tracker.open_quantity == 0:
        return f"everything of {tracker.tracker_id} is closed: there is nothing to take back"
    return None


def untrack_refusal(tracker: PositionTracker) -> str | None:
    """Return why the position cannot be let go, None where it can."""
    if tracker.status not in (PositionStatus.ACTIVE, PositionStatus.EXITING):
        return f"{tracker.tracker_id} is {tracker.status.value}: nothing is held under watch"
    live = [order.client_order_id for order in tracker.orders if order.state.is_live]
    if live:
        return f"orders of {tracker.tracker_id} may still fill: {', '.join(live)}"
    return None


def over_exit_refusal(tracker: PositionTracker) -> str | None:
    """Return why there is no frozen over-exit to end, None where there is one."""
    if not tracker.is_frozen:
        return f"{tracker.tracker_id} is not frozen by an over-exit"
    return None


def on_withdraw_asked(step: Step, event: WithdrawAsked) -> None:
    """Latch the wish; `go_on_withdrawing` brings it about."""
    if withdrawal_refusal(step.tracker) is not None or step.tracker.is_withdrawing:
        return
    drop_planned_exits(step, f"the exit is taken back: {event.reason}")
    step.record(ExitWithdrawalAsked(step.tracker.tracker_id, event.reason, event.actor))


def go_on_withdrawing(step: Step) -> None:
    """End what lives at the broker; with nothing left that can fill, the exit is withdrawn."""
    cancel_live_orders(step, OrderRole.EXIT)
    if denied_quantity(step):
        read_ends(step)
    elif not any(order.state.is_live for order in step.tracker.exit_orders):
        step.record(ExitWithdrawn(step.tracker.tracker_id, step.intent.note))


def on_untrack_asked(step: Step, event: UntrackAsked) -> None:
    """Let the position go: no order, no exit price, no rule any more."""
    if untrack_refusal(step.tracker) is not None:
        return
    drop_planned_exits(step, f"the position is let go: {event.reason}")
    end_flattening(step, f"the position is let go: {event.reason}")
    step.record(PositionUntracked(step.tracker.tracker_id, event.reason, event.actor))


def on_over_exit_resolve_asked(step: Step, event: OverExitResolveAsked) -> None:
    """Thaw the position: with nothing left to close it is confirmed and ends. What was to be taken
    back is the person's from here on."""
    if over_exit_refusal(step.tracker) is None:
        step.record(OverExitResolved(step.tracker.tracker_id, event.reason, event.actor))
        end_flattening(step, f"the over-exit is dealt with: {event.reason}")
