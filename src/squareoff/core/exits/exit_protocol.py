"""The exit protocol: `decide(tracker, pacing, input, now, policy) -> Decision`.

Answers for the whole life of one position's exit, and of its entry orders: what an input means
(`_INPUTS`), and then what the state requires next (`advance`). `advance` looks at the state only,
so normal running, a retry and recovery after a crash are one path.

Invariants:
1. An order leaves only by `TransmitOrder`, in the same decision as its `OrderSent` fact.
2. What our exits may still close plus what is closed never exceeds what was held when planned.
3. An order whose outcome is unknown is never sent again before it is proved absent.
4. Nothing is EXITED before the trade book agrees with every fill.
5. A latched exit is never unlatched by a price.
"""

from collections.abc import Callable
from typing import Any

from squareoff.core.entries.entry_cancelling import on_entry_cancel_asked
from squareoff.core.exits.chasing import (
    chase_resting_exits,
    on_exit_oversized,
    on_modify_refused,
    on_reprice_ready,
)
from squareoff.core.exits.closing import (
    cancel_live_orders,
    cancel_unwanted_flattening,
    confirm_when_closed,
    detect_over_exit,
    on_books_read,
)
from squareoff.core.exits.ended_exits import denied_quantity, read_ends
from squareoff.core.exits.flattening import (
    begin_flattening_anew,
    end_flattening_in_time,
    has_planned_flattening,
    note_ended_flattening,
    put_flattening_off,
    read_positions_to_flatten,
)
from squareoff.core.exits.foreign_closes import on_closed_by_others
from squareoff.core.exits.sending import on_permit_granted, on_send_answered, request_permits
from squareoff.core.exits.setbacks import block_exit, drop_planned_exits, note_ended_exit
from squareoff.core.exits.settling import look_up_unknown_orders, on_settle_read
from squareoff.core.exits.sightings import on_order_seen
from squareoff.core.exits.sizing import on_positions_read, read_positions_for_uncovered
from squareoff.core.exits.withdrawal import (
    go_on_withdrawing,
    on_over_exit_resolve_asked,
    on_untrack_asked,
    on_withdraw_asked,
)
from squareoff.core.rules.levels import Level, is_better, move_stop, reached_stop
from squareoff.core.state import inputs as i
from squareoff.core.state.facts import (
    BestPriceNoted,
    ExitClaimed,
    ExitResumed,
    OrderDropped,
    OrderOutcomeLost,
    PositionCancelled,
    RulesChanged,
)
from squareoff.core.state.pacing import Pacing
from squareoff.core.state.policy import ExitPolicy
from squareoff.core.state.step import Decision, Step
from squareoff.core.state.tracker import PositionTracker, SendOutcome
from squareoff.domain.errors import DomainError
from squareoff.domain.orders import OrderRole
from squareoff.domain.rules import RuleName
from squareoff.domain.states import IntentStatus, OrderState, PositionStatus
from squareoff.domain.time import Now


def decide(
    tracker: PositionTracker, pacing: Pacing, event: i.Input, now: Now, policy: ExitPolicy
) -> Decision:
    """Decide what `event` means for this tracker and what must be done next.

    Raises:
        InvalidTransition, InvariantBroken: a defect of ours; nothing may be committed.
    """
    step = Step(tracker, pacing, now, policy)
    handler: Callable[[Step, Any], None] = _INPUTS[type(event)]
    handler(step, event)
    if step.tracker.entry_price != tracker.entry_price:
        _keep_reached_stop(step)
    advance(step)
    return step.decision()


def advance(step: Step) -> None:
    """Queue the commands that the current state requires."""
    look_up_unknown_orders(step)
    detect_over_exit(step)
    _settle_entry(step)
    end_flattening_in_time(step)
    cancel_unwanted_flattening(step)
    read_positions_to_flatten(step)
    if has_planned_flattening(step.tracker):
        request_permits(step)
    intent = step.tracker.intent
    if step.tracker.status.is_final or intent is None or not intent.status.is_live:
        _advance_without_exit(step)
        return
    _end_excess_exits(step)
    if step.tracker.open_quantity == 0:
        cancel_live_orders(step, OrderRole.ENTRY)
        confirm_when_closed(step)
        return
    if intent.status is IntentStatus.NEEDS_HUMAN:
        chase_resting_exits(step)
        return
    if step.tracker.is_withdrawing:
        go_on_withdrawing(step)
        return
    read_ends(step)
    if intent.status is IntentStatus.BLOCKED:
        if not step.is_due(step.pacing.retry_at_ns):
            chase_resting_exits(step)
            return
        step.record(ExitResumed(step.tracker.tracker_id))
    cancel_live_orders(step, OrderRole.ENTRY)
    request_permits(step)
    chase_resting_exits(step)
    read_positions_for_uncovered(step)


def _advance_without_exit(step: Step) -> None:
    """No exit is under way: end what came late, send entries, see a close of others through."""
    cancel_live_orders(step, OrderRole.EXIT)
    if step.tracker.status.is_final:
        cancel_live_orders(step, OrderRole.ENTRY)
        return
    _request_entry_permits(step)
    if step.tracker.status is PositionStatus.ACTIVE and step.tracker.exited_quantity > 0:
        confirm_when_closed(step)


def _end_excess_exits(step: Step) -> None:
    """Never leave more open at the broker than is held, however the intent stands."""
    if step.tracker.exit_leaves_quantity > step.tracker.open_quantity:
        drop_planned_exits(step, "more is planned than is still held")
    may_close = step.tracker.exit_leaves_quantity + denied_quantity(step)
    if may_close > step.tracker.open_quantity:
        cancel_live_orders(step, OrderRole.EXIT)


def _settle_entry(step: Step) -> None:
    """A pending position whose entry can no longer fill is cancelled, for the entry's reason."""
    tracker = step.tracker
    if tracker.status is not PositionStatus.PENDING or not tracker.entry_orders:
        return
    if all(order.state.is_terminal for order in tracker.entry_orders):
        reason = tracker.entry_orders[-1].failure_text or tracker.entry_orders[-1].state.value
        step.record(PositionCancelled(tracker.tracker_id, f"entry ended unfilled: {reason}"))


def _request_entry_permits(step: Step) -> None:
    if step.tracker.status is PositionStatus.PENDING:
        request_permits(step)


def _on_exit_asked(step: Step, event: i.ExitAsked) -> None:
    """Claim the exit. The caller validated; a second claim of a live intent only wakes it."""
    tracker = step.tracker
    intent = tracker.intent
    if intent is not None and intent.status.is_live:
        if tracker.is_given_up or tracker.is_withdrawing:
            step.record(ExitResumed(tracker.tracker_id))
        step.pace(retry_at_ns=0)
        return
    if tracker.status is not PositionStatus.ACTIVE:
        raise DomainError("not_active", f"tracker {tracker.tracker_id} is {tracker.status.value}")
    step.record(ExitClaimed(tracker.tracker_id, event.intent_id, event.reason, event.trigger))
    until_ns = step.pacing.flatten_until_ns
    step.pacing = Pacing(orders=step.pacing.orders, flatten_until_ns=until_ns)
    if event.reading is not None:
        on_positions_read(step, event.reading)


def _on_exit_hindered(step: Step, event: i.ExitHindered) -> None:
    put_flattening_off(step, event.text, event.retry_after_seconds)
    intent = step.tracker.intent
    if intent is None or intent.status not in (IntentStatus.OPEN, IntentStatus.BLOCKED):
        return
    if step.tracker.is_withdrawing:
        return
    block_exit(step, event.reason, event.text, event.retry_after_seconds)


def _on_hindrance_lifted(step: Step, event: i.HindranceLifted) -> None:
    """Make the retry of an exit that waits for this due now; `advance` resumes it."""
    intent = step.tracker.intent
    if (
        intent is not None
        and intent.status is IntentStatus.BLOCKED
        and intent.block_reason in event.reasons
    ):
        step.pace(retry_at_ns=0)


def _on_rules_set(step: Step, event: i.RulesSet) -> None:
    _keep_reached_stop(step)
    step.record(RulesChanged(step.tracker.tracker_id, event.rules))
    _keep_reached_stop(step)


def _keep_reached_stop(step: Step) -> None:
    """Where the rules put the stop at the best price seen is reached: it outlasts them (I14)."""
    if step.tracker.status is PositionStatus.ACTIVE:
        moved = reached_stop(step.tracker)
        if moved is not None:
            step.record(moved)


def _on_peak_reached(step: Step, event: i.PeakReached) -> None:
    if step.tracker.status is PositionStatus.ACTIVE:
        reached = None
        if event.stop_level is not None:
            reached = Level(event.stop_level, RuleName(event.stop_rule))
        moved = move_stop(step.tracker, event.peak_price, reached)
        if moved is not None:
            step.record(moved)


def _on_best_price_seen(step: Step, event: i.BestPriceSeen) -> None:
    """Keep a best price that `PeakReached` does not: it counts for rules of later on."""
    _on_peak_reached(step, i.PeakReached(event.peak_price))
    tracker = step.tracker
    is_held = tracker.status in (PositionStatus.ACTIVE, PositionStatus.EXITING)
    if is_held and is_better(tracker.side, event.peak_price, tracker.peak_price):
        step.record(BestPriceNoted(tracker.tracker_id, event.peak_price))


def _on_woke(step: Step, event: i.Woke) -> None:
    """Nothing happened but time; `advance` does the rest."""


def _on_recovered(step: Step, event: i.Recovered) -> None:
    """Whatever was in flight when the last process died has an unknown outcome now."""
    tracker_id, orders = step.tracker.tracker_id, step.tracker.orders
    for order in orders:
        for send in order.sends:
            if send.outcome is SendOutcome.IN_FLIGHT:
                step.record(
                    OrderOutcomeLost(
                        tracker_id, order.client_order_id, send.number, "the engine was restarted"
                    )
                )
        if order.state is OrderState.PLANNED:
            step.record(OrderDropped(tracker_id, order.client_order_id, "planned before a restart"))
    # The end of an order may have been reported before its answer was lost.
    lost = [o for o in orders if any(send.outcome is SendOutcome.IN_FLIGHT for send in o.sends)]
    was_with_a_person = step.tracker.is_with_a_person
    for number, before in enumerate(lost, start=1):
        if was_with_a_person or not step.tracker.is_with_a_person:  # else it was told with another
            note_ended_exit(step, before, uncounted=lost[number:])
        note_ended_flattening(step, before)
    begin_flattening_anew(step)


_INPUTS: dict[type[i.Input], Callable[[Step, Any], None]] = {
    i.ExitAsked: _on_exit_asked,
    i.ExitHindered: _on_exit_hindered,
    i.HindranceLifted: _on_hindrance_lifted,
    i.PositionsRead: on_positions_read,
    i.PermitGranted: on_permit_granted,
    i.SendAnswered: on_send_answered,
    i.OrderSeen: on_order_seen,
    i.SettleRead: on_settle_read,
    i.BooksRead: on_books_read,
    i.RepriceReady: on_reprice_ready,
    i.ExitOversized: on_exit_oversized,
    i.ModifyRefused: on_modify_refused,
    i.RulesSet: _on_rules_set,
    i.PeakReached: _on_peak_reached,
    i.BestPriceSeen: _on_best_price_seen,
    i.ClosedByOthers: on_closed_by_others,
    i.WithdrawAsked: on_withdraw_asked,
    i.UntrackAsked: on_untrack_asked,
    i.OverExitResolveAsked: on_over_exit_resolve_asked,
    i.EntryCancelAsked: on_entry_cancel_asked,
    i.Woke: _on_woke,
    i.Recovered: _on_recovered,
}
