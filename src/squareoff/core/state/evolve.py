"""Fold facts into a tracker: `evolve(tracker, fact, at_ns) -> tracker`.

This is the only place where a tracker changes, for the running engine and for a replay alike.
What a fact does to one order is `core.state.order_fold`.
Invariant: folding the journal of a tracker gives the tracker.
"""

from collections.abc import Callable, Iterable
from typing import Any

from squareoff.core.state import facts as f
from squareoff.core.state.machines import (
    IntentTrigger,
    PositionTrigger,
    next_intent_status,
    next_position_status,
)
from squareoff.core.state.order_fold import OrderFact, fold_order
from squareoff.core.state.tracker import (
    BrokerOrder,
    ExitIntent,
    PositionTracker,
    Send,
    SendOutcome,
    TrackedOrder,
    notional_of,
)
from squareoff.domain.copies import replace
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderOrigin, OrderRole
from squareoff.domain.prices import round_average_half_even
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus


def evolve(tracker: PositionTracker | None, fact: f.TrackerFact, at_ns: int) -> PositionTracker:
    """Return the tracker after `fact`, which happened at `at_ns` (UTC nanoseconds).

    Raises:
        InvalidTransition: the fact does not fit the state; nothing was changed.
        InvariantBroken: a fact about a tracker or order that does not exist.
    """
    if isinstance(fact, f.TrackerOpened):
        if tracker is not None:
            raise InvariantBroken(f"tracker {fact.tracker_id} was opened twice")
        return _opened(fact, at_ns)
    if tracker is None:
        raise InvariantBroken(f"{type(fact).__name__} for unknown tracker {fact.tracker_id}")
    if isinstance(fact, OrderFact):
        order = fold_order(_order(tracker, fact.client_order_id), fact, at_ns)
        after = _follow_entry_fills(_with_order(tracker, order), at_ns)
    else:
        after = _STEPS[type(fact)](tracker, fact, at_ns)
    return replace(after, version=tracker.version + 1)


def fold(entries: Iterable[tuple[int, f.TrackerFact]]) -> PositionTracker | None:
    """Return the tracker that these (time, fact) pairs of one tracker make, None for no facts."""
    tracker: PositionTracker | None = None
    for at_ns, fact in entries:
        tracker = evolve(tracker, fact, at_ns)
    return tracker


def _opened(fact: f.TrackerOpened, at_ns: int) -> PositionTracker:
    return PositionTracker(
        tracker_id=fact.tracker_id,
        account_id=fact.account_id,
        instrument=fact.instrument,
        product_type=fact.product_type,
        side=fact.side,
        status=PositionStatus.PENDING if fact.awaits_entry else PositionStatus.ACTIVE,
        quantity=fact.quantity,
        entry_price=fact.entry_price,
        rules=fact.rules,
        created_at_ns=at_ns,
        held_since_ns=at_ns if fact.quantity else None,
    )


def _rules_changed(t: PositionTracker, fact: f.RulesChanged, _at_ns: int) -> PositionTracker:
    return replace(t, rules=fact.rules)


def _stop_moved(t: PositionTracker, fact: f.StopMoved, _at_ns: int) -> PositionTracker:
    return replace(
        t, peak_price=fact.peak_price, stop_level=fact.stop_level, stop_rule=fact.stop_rule
    )


def _best_price_noted(t: PositionTracker, fact: f.BestPriceNoted, _at_ns: int) -> PositionTracker:
    return replace(t, peak_price=fact.peak_price)


def _exit_claimed(t: PositionTracker, fact: f.ExitClaimed, at_ns: int) -> PositionTracker:
    return replace(
        t,
        status=next_position_status(t.status, PositionTrigger.EXIT_CLAIMED, t.tracker_id),
        intent=ExitIntent(
            fact.intent_id,
            IntentStatus.OPEN,
            fact.reason,
            fact.trigger,
            claimed_at_ns=at_ns,
            # Order ids come from the attempt, so a second intent counts on from the first.
            attempt=max((order.attempt for order in t.exit_orders), default=0),
        ),
    )


def _intent(t: PositionTracker) -> ExitIntent:
    if t.intent is None:
        raise InvariantBroken(f"tracker {t.tracker_id} has no exit intent")
    return t.intent


def _move_intent(t: PositionTracker, trigger: IntentTrigger, **changes: Any) -> PositionTracker:
    intent = _intent(t)
    status = next_intent_status(intent.status, trigger, intent.intent_id)
    return replace(t, intent=replace(intent, status=status, **changes))


def _exit_sized(t: PositionTracker, fact: f.ExitSized, _at_ns: int) -> PositionTracker:
    return replace(t, intent=replace(_intent(t), attempt=fact.attempt))


def _exit_blocked(t: PositionTracker, fact: f.ExitBlocked, _at_ns: int) -> PositionTracker:
    return _move_intent(
        t,
        IntentTrigger.BLOCK,
        block_reason=fact.reason,
        note=fact.text,
        failures=fact.failures,
    )


def _exit_resumed(t: PositionTracker, _fact: f.ExitResumed, _at_ns: int) -> PositionTracker:
    failures = 0 if _intent(t).status is IntentStatus.NEEDS_HUMAN else _intent(t).failures
    return _move_intent(t, IntentTrigger.RESUME, block_reason=None, note="", failures=failures)


def _attempt_failed(t: PositionTracker, fact: f.ExitAttemptFailed, _at: int) -> PositionTracker:
    return replace(t, intent=replace(_intent(t), failures=fact.failures, note=fact.text))


def _withdrawal_asked(
    t: PositionTracker, fact: f.ExitWithdrawalAsked, _at_ns: int
) -> PositionTracker:
    trigger, reason = IntentTrigger.ASK_WITHDRAWAL, BlockReason.WITHDRAWING
    return _move_intent(t, trigger, block_reason=reason, note=fact.reason)


def _exit_withdrawn(t: PositionTracker, fact: f.ExitWithdrawn, _at_ns: int) -> PositionTracker:
    """Take out the rule that fired: still beyond its level, it would fire again at once."""
    rule = _intent(t).trigger.rule
    moved = _move_intent(t, IntentTrigger.WITHDRAW, block_reason=None, note=fact.reason)
    if t.stop_rule == rule.value:
        moved = replace(moved, stop_level=None, stop_rule="")
    status = next_position_status(t.status, PositionTrigger.EXIT_WITHDRAWN, t.tracker_id)
    return replace(moved, status=status, rules=t.rules.without(rule))


def _exit_escalated(t: PositionTracker, fact: f.ExitEscalated, _at_ns: int) -> PositionTracker:
    return _move_intent(t, IntentTrigger.ESCALATE, note=fact.reason, block_reason=None)


def _with_order(t: PositionTracker, order: TrackedOrder) -> PositionTracker:
    orders = tuple(
        order if existing.client_order_id == order.client_order_id else existing
        for existing in t.orders
    )
    return replace(t, orders=orders)


def _order(t: PositionTracker, client_order_id: ClientOrderId) -> TrackedOrder:
    order = t.order(client_order_id)
    if order is None:
        raise InvariantBroken(f"tracker {t.tracker_id} has no order {client_order_id}")
    return order


def _order_planned(t: PositionTracker, fact: f.OrderPlanned, _at_ns: int) -> PositionTracker:
    if t.order(fact.client_order_id) is not None:
        raise InvariantBroken(f"order {fact.client_order_id} was planned twice")
    order = TrackedOrder(
        client_order_id=fact.client_order_id,
        role=fact.role,
        origin=fact.origin,
        attempt=fact.attempt,
        slice_number=fact.slice_number,
        side=fact.side,
        order_quantity=fact.order_quantity,
        state=OrderState.PLANNED,
        order_type=fact.order_type,
        limit_price=fact.limit_price,
    )
    return replace(t, orders=(*t.orders, order))


def _entry_watched(t: PositionTracker, fact: f.EntryWatched, at_ns: int) -> PositionTracker:
    order = TrackedOrder(
        client_order_id=fact.client_order_id,
        role=OrderRole.ENTRY,
        origin=OrderOrigin.PLACED,
        attempt=1,
        slice_number=1,
        side=fact.side,
        order_quantity=fact.order_quantity,
        state=OrderState.ACCEPTED,
        sends=(Send(1, SendOutcome.ACCEPTED, at_ns, fact.broker_order_id),),
        broker_orders=(BrokerOrder(fact.broker_order_id, BrokerOrderStatus.TRANSIT, 0, None),),
    )
    return replace(t, orders=(*t.orders, order))


def _closed_externally(t: PositionTracker, fact: f.ClosedExternally, _at: int) -> PositionTracker:
    return replace(
        t,
        externally_closed_quantity=t.externally_closed_quantity + fact.quantity,
        externally_closed_notional=t.externally_closed_notional + fact.quantity * fact.price,
    )


def _follow_entry_fills(t: PositionTracker, at_ns: int) -> PositionTracker:
    """Let quantity and entry price follow the fills of the entry orders."""
    entries = t.entry_orders
    filled = sum(order.cumulative_quantity for order in entries)
    if not entries or filled == 0:
        return t
    is_over = t.status in (PositionStatus.EXITED, PositionStatus.UNTRACKED)
    if filled > t.quantity and not is_over:
        # Those are final: an entry that fills after them is counted, and a person is called.
        status = next_position_status(t.status, PositionTrigger.ENTRY_FILLED, t.tracker_id)
        t = replace(t, status=status, exit_reason=None, exited_at_ns=None)
        if t.held_since_ns is None:
            # Before it was opened it cannot have been: a clock was set back in between.
            t = replace(t, held_since_ns=max(at_ns, t.created_at_ns))
    notional = notional_of(record for order in entries for record in order.broker_orders)
    if notional is None:
        return replace(t, quantity=filled)
    return replace(t, quantity=filled, entry_price=round_average_half_even(notional, filled))


def _position_exited(t: PositionTracker, fact: f.PositionExited, at_ns: int) -> PositionTracker:
    moved = t
    if t.intent is not None and t.intent.status.is_live:
        moved = _move_intent(t, IntentTrigger.CLOSE, block_reason=None, note="")
    return replace(
        moved,
        status=next_position_status(t.status, PositionTrigger.CLOSED, t.tracker_id),
        exit_price=fact.exit_price,
        realized_pnl=fact.realized_pnl,
        exit_reason=fact.exit_reason,
        exited_at_ns=at_ns,
    )


def _position_cancelled(t: PositionTracker, fact: f.PositionCancelled, at: int) -> PositionTracker:
    status = next_position_status(t.status, PositionTrigger.ENTRY_ENDED_EMPTY, t.tracker_id)
    return replace(t, status=status, exit_reason=fact.reason, exited_at_ns=at)


def _over_exit(t: PositionTracker, fact: f.OverExitDetected, _at_ns: int) -> PositionTracker:
    return replace(t, over_exited_quantity=fact.over_exited_quantity)


def _over_exit_resolved(
    t: PositionTracker, fact: f.OverExitResolved, _at_ns: int
) -> PositionTracker:
    return _move_intent(t, IntentTrigger.RESUME, note=fact.reason, failures=0)


def _position_untracked(t: PositionTracker, fact: f.PositionUntracked, at: int) -> PositionTracker:
    moved = t
    if t.intent is not None and t.intent.status.is_live:
        moved = _move_intent(t, IntentTrigger.WITHDRAW, block_reason=None, note=fact.reason)
    status = next_position_status(t.status, PositionTrigger.UNTRACKED, t.tracker_id)
    return replace(moved, status=status, exit_reason=fact.reason, exited_at_ns=at)


_STEPS: dict[type[f.TrackerFact], Callable[[PositionTracker, Any, int], PositionTracker]] = {
    f.RulesChanged: _rules_changed,
    f.StopMoved: _stop_moved,
    f.BestPriceNoted: _best_price_noted,
    f.ExitClaimed: _exit_claimed,
    f.ExitSized: _exit_sized,
    f.ExitBlocked: _exit_blocked,
    f.ExitResumed: _exit_resumed,
    f.ExitAttemptFailed: _attempt_failed,
    f.ExitWithdrawalAsked: _withdrawal_asked,
    f.ExitWithdrawn: _exit_withdrawn,
    f.ExitEscalated: _exit_escalated,
    f.OrderPlanned: _order_planned,
    f.EntryWatched: _entry_watched,
    f.ClosedExternally: _closed_externally,
    f.PositionExited: _position_exited,
    f.PositionCancelled: _position_cancelled,
    f.OverExitDetected: _over_exit,
    f.OverExitResolved: _over_exit_resolved,
    f.PositionUntracked: _position_untracked,
}
