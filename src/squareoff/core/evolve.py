"""Fold facts into a tracker: `evolve(tracker, fact, at_ns) -> tracker`.

This is the only place where a tracker changes, for the running engine and for a replay alike.
Longer than 400 lines because the fold of every fact belongs side by side with the others.

Invariants:
1. Cumulative quantity of a broker order never falls, whatever a report says (I12).
2. A broker order that reached a terminal status never leaves it.
3. Folding the journal of a tracker gives the tracker.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from squareoff.core import facts as f
from squareoff.core.machines import (
    IntentTrigger,
    OrderTrigger,
    PositionTrigger,
    next_intent_status,
    next_order_state,
    next_position_status,
)
from squareoff.core.tracker import (
    BrokerOrder,
    ExitIntent,
    PositionTracker,
    Send,
    SendOutcome,
    TrackedOrder,
)
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderOrigin, OrderRole
from squareoff.domain.prices import round_average_half_even
from squareoff.domain.states import IntentStatus, OrderState, PositionStatus


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
    step: Callable[[PositionTracker, Any, int], PositionTracker] = _STEPS[type(fact)]
    return replace(step(tracker, fact, at_ns), version=tracker.version + 1)


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
    )


def _rules_changed(t: PositionTracker, fact: f.RulesChanged, _at_ns: int) -> PositionTracker:
    return replace(t, rules=fact.rules)


def _stop_moved(t: PositionTracker, fact: f.StopMoved, _at_ns: int) -> PositionTracker:
    return replace(
        t, peak_price=fact.peak_price, stop_level=fact.stop_level, stop_rule=fact.stop_rule
    )


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


def _exit_withdrawn(t: PositionTracker, fact: f.ExitWithdrawn, _at_ns: int) -> PositionTracker:
    moved = _move_intent(t, IntentTrigger.WITHDRAW, note=fact.reason)
    status = next_position_status(t.status, PositionTrigger.EXIT_WITHDRAWN, t.tracker_id)
    return replace(moved, status=status)


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


def _order_dropped(t: PositionTracker, fact: f.OrderDropped, _at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    state = next_order_state(order.state, OrderTrigger.DROPPED, order.client_order_id)
    return _with_order(t, replace(order, state=state, failure_text=fact.reason))


def _order_replanned(t: PositionTracker, fact: f.OrderReplanned, _at: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    state = next_order_state(order.state, OrderTrigger.REPLANNED, order.client_order_id)
    return _with_order(t, replace(order, state=state))


def _order_sent(t: PositionTracker, fact: f.OrderSent, at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    if fact.send_number != len(order.sends) + 1:
        raise InvariantBroken(f"send {fact.send_number} of {order.client_order_id} out of order")
    return _with_order(
        t,
        replace(
            order,
            state=next_order_state(order.state, OrderTrigger.SEND, order.client_order_id),
            order_type=fact.order_type,
            limit_price=fact.limit_price,
            sends=(*order.sends, Send(fact.send_number, SendOutcome.IN_FLIGHT, at_ns)),
        ),
    )


def _resolve_send(
    order: TrackedOrder,
    number: int,
    outcome: SendOutcome,
    broker_order_id: BrokerOrderId | None = None,
) -> TrackedOrder:
    sends = tuple(
        replace(send, outcome=outcome, broker_order_id=broker_order_id or send.broker_order_id)
        if send.number == number
        else send
        for send in order.sends
    )
    return replace(order, sends=sends)


def _order_accepted(t: PositionTracker, fact: f.OrderAccepted, _at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    order = _resolve_send(order, fact.send_number, SendOutcome.ACCEPTED, fact.broker_order_id)
    known = {record.broker_order_id for record in order.broker_orders}
    if fact.broker_order_id is not None and fact.broker_order_id not in known:
        record = BrokerOrder(fact.broker_order_id, BrokerOrderStatus.TRANSIT, 0, None)
        order = replace(order, broker_orders=(*order.broker_orders, record))
    return _with_order(t, _after_record(order, OrderTrigger.ACCEPTED))


def _order_refused(t: PositionTracker, fact: f.OrderRefused, _at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    order = _resolve_send(order, fact.send_number, SendOutcome.REFUSED)
    order = replace(order, failure_text=f"{fact.code} {fact.text}".strip())
    return _with_order(t, _after_send_ended(order, OrderTrigger.REFUSED))


def _order_not_sent(t: PositionTracker, fact: f.OrderNotSent, _at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    order = _resolve_send(order, fact.send_number, SendOutcome.NOT_SENT)
    order = replace(order, failure_text=fact.text)
    return _with_order(t, _after_send_ended(order, OrderTrigger.NOT_SENT))


def _outcome_lost(t: PositionTracker, fact: f.OrderOutcomeLost, _at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    order = _resolve_send(order, fact.send_number, SendOutcome.UNKNOWN)
    if order.state is OrderState.SENT:
        state = next_order_state(order.state, OrderTrigger.OUTCOME_LOST, order.client_order_id)
        order = replace(order, state=state, failure_text=fact.text)
    for record in order.broker_orders:  # an update may have come before the answer was lost
        order = _attribute_only_send(order, record.broker_order_id)
    return _with_order(t, order)


def _after_send_ended(order: TrackedOrder, trigger: OrderTrigger) -> TrackedOrder:
    """A send did not reach the broker; the order ends only if nothing else of it may be there."""
    if order.broker_orders:
        return _after_record(order, OrderTrigger.ACCEPTED)
    if order.has_unresolved_send:
        return order
    return replace(order, state=next_order_state(order.state, trigger, order.client_order_id))


def merge_record(known: BrokerOrder, fact: f.OrderReported) -> BrokerOrder:
    """Merge a report into one broker order: the largest cumulative quantity, the last word."""
    grew = fact.cumulative_quantity > known.cumulative_quantity
    same = fact.cumulative_quantity == known.cumulative_quantity
    average = known.average_price
    if fact.average_price is not None and (grew or (same and average is None)):
        average = fact.average_price
    elif grew:
        average = None  # the new average is not told yet; the trade book will
    status = known.status
    if not status.is_terminal and fact.status is not BrokerOrderStatus.UNKNOWN:
        stale = fact.cumulative_quantity < known.cumulative_quantity
        back_to_transit = fact.status is BrokerOrderStatus.TRANSIT
        if fact.status.is_terminal or not (stale or back_to_transit):
            status = fact.status
    return BrokerOrder(
        broker_order_id=known.broker_order_id,
        status=status,
        cumulative_quantity=max(known.cumulative_quantity, fact.cumulative_quantity),
        average_price=average,
        reason=fact.reason if fact.status.is_terminal and fact.reason else known.reason,
    )


def _order_reported(t: PositionTracker, fact: f.OrderReported, at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    fresh = BrokerOrder(fact.broker_order_id, BrokerOrderStatus.TRANSIT, 0, None)
    known = {record.broker_order_id: record for record in order.broker_orders}
    known[fact.broker_order_id] = merge_record(known.get(fact.broker_order_id, fresh), fact)
    order = replace(order, broker_orders=tuple(known.values()))
    order = _attribute_only_send(order, fact.broker_order_id)
    return _filled_entry(_with_order(t, _after_record(order, OrderTrigger.ACCEPTED)), at_ns)


def _attribute_only_send(order: TrackedOrder, found: BrokerOrderId) -> TrackedOrder:
    """Resolve an unknown send by a broker record only where no other send could be its origin."""
    if any(send.broker_order_id == found for send in order.sends):
        return order
    origins = [
        send
        for send in order.sends
        if send.outcome.may_reach_the_exchange and send.broker_order_id is None
    ]
    if len(origins) != 1 or origins[0].outcome.is_resolved:
        return order
    if origins[0].outcome is SendOutcome.IN_FLIGHT:
        return order  # its own HTTP answer is still to come and will say so
    return _resolve_send(order, origins[0].number, SendOutcome.ACCEPTED, found)


_STATUS_TRIGGERS = {
    BrokerOrderStatus.TRANSIT: OrderTrigger.ACCEPTED,
    BrokerOrderStatus.PENDING: OrderTrigger.WORKING,
    BrokerOrderStatus.PART_TRADED: OrderTrigger.PART_FILLED,
    BrokerOrderStatus.TRADED: OrderTrigger.FILLED,
    BrokerOrderStatus.CANCELLED: OrderTrigger.CANCELLED,
    BrokerOrderStatus.REJECTED: OrderTrigger.REJECTED,
    BrokerOrderStatus.EXPIRED: OrderTrigger.EXPIRED,
}


def _after_record(order: TrackedOrder, without_record: OrderTrigger) -> TrackedOrder:
    """Set the order's state from the merged records of everything at the broker under its id."""
    trigger = _record_trigger(order) or without_record
    terminal = trigger in (
        OrderTrigger.REJECTED,
        OrderTrigger.CANCELLED,
        OrderTrigger.EXPIRED,
    )
    if terminal and order.has_unresolved_send:
        # One order at the broker ended, but another send of ours may still be alive there.
        unknown = any(send.outcome is SendOutcome.UNKNOWN for send in order.sends)
        state = OrderState.OUTCOME_UNKNOWN if unknown else OrderState.SENT
        return replace(order, state=state)
    state = next_order_state(order.state, trigger, order.client_order_id)
    reason = next((r.reason for r in reversed(order.broker_orders) if r.reason), "")
    return replace(order, state=state, failure_text=reason if terminal else order.failure_text)


def _record_trigger(order: TrackedOrder) -> OrderTrigger | None:
    if not order.broker_orders:
        return None
    live = order.live_broker_orders
    if live:
        if order.cumulative_quantity > 0:
            return OrderTrigger.PART_FILLED
        working = any(record.status is not BrokerOrderStatus.TRANSIT for record in live)
        return OrderTrigger.WORKING if working else OrderTrigger.ACCEPTED
    if order.cumulative_quantity >= order.order_quantity:
        return OrderTrigger.FILLED
    # All ended short: the record with a TRADED word and too few fills cannot be told from a
    # cancel of the rest, so it counts as cancelled.
    last = _STATUS_TRIGGERS[order.broker_orders[-1].status]
    return OrderTrigger.CANCELLED if last is OrderTrigger.FILLED else last


def _order_settled(t: PositionTracker, fact: f.OrderSettled, _at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    sends = tuple(
        send if send.outcome.is_resolved else replace(send, outcome=SendOutcome.ABSENT)
        for send in order.sends
    )
    order = replace(order, sends=sends)
    if order.broker_orders:
        return _with_order(t, _after_record(order, OrderTrigger.ACCEPTED))
    state = next_order_state(order.state, OrderTrigger.DECLARED_ABSENT, order.client_order_id)
    return _with_order(t, replace(order, state=state))


def _modify_sent(t: PositionTracker, fact: f.OrderModifySent, _at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    return _with_order(
        t,
        replace(
            order,
            modifications=fact.modification,
            order_type=fact.order_type,
            limit_price=fact.limit_price,
        ),
    )


def _unchanged(t: PositionTracker, _fact: f.TrackerFact, _at_ns: int) -> PositionTracker:
    return t


def _closed_externally(t: PositionTracker, fact: f.ClosedExternally, _at: int) -> PositionTracker:
    return replace(
        t,
        externally_closed_quantity=t.externally_closed_quantity + fact.quantity,
        externally_closed_notional=t.externally_closed_notional + fact.quantity * fact.price,
    )


def _fills_confirmed(t: PositionTracker, fact: f.FillsConfirmed, at_ns: int) -> PositionTracker:
    order = _order(t, fact.client_order_id)
    records = tuple(
        replace(
            record,
            cumulative_quantity=max(record.cumulative_quantity, fact.cumulative_quantity),
            average_price=fact.average_price,
        )
        if record.broker_order_id == fact.broker_order_id
        else record
        for record in order.broker_orders
    )
    order = _after_record(replace(order, broker_orders=records), OrderTrigger.ACCEPTED)
    return _filled_entry(_with_order(t, order), at_ns)


def _filled_entry(t: PositionTracker, _at_ns: int) -> PositionTracker:
    """Let quantity and entry price follow the fills of the entry orders."""
    entries = t.entry_orders
    filled = sum(order.cumulative_quantity for order in entries)
    if not entries or filled == 0:
        return t
    if filled > t.quantity and t.status is not PositionStatus.EXITED:
        # EXITED is final: an entry that fills after it is counted, and a person is called.
        status = next_position_status(t.status, PositionTrigger.ENTRY_FILLED, t.tracker_id)
        t = replace(t, status=status, exit_reason=None, exited_at_ns=None)
    notional = Decimal(0)
    for record in (record for order in entries for record in order.broker_orders):
        if record.cumulative_quantity and record.average_price is None:
            return replace(t, quantity=filled)
        notional += record.cumulative_quantity * (record.average_price or Decimal(0))
    return replace(t, quantity=filled, entry_price=round_average_half_even(notional, filled))


def _position_exited(t: PositionTracker, fact: f.PositionExited, at_ns: int) -> PositionTracker:
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


_STEPS: dict[type[f.TrackerFact], Callable[[PositionTracker, Any, int], PositionTracker]] = {
    f.RulesChanged: _rules_changed,
    f.StopMoved: _stop_moved,
    f.ExitClaimed: _exit_claimed,
    f.ExitSized: _exit_sized,
    f.ExitBlocked: _exit_blocked,
    f.ExitResumed: _exit_resumed,
    f.ExitAttemptFailed: _attempt_failed,
    f.ExitWithdrawn: _exit_withdrawn,
    f.ExitEscalated: _exit_escalated,
    f.OrderPlanned: _order_planned,
    f.EntryWatched: _entry_watched,
    f.OrderDropped: _order_dropped,
    f.OrderReplanned: _order_replanned,
    f.OrderSent: _order_sent,
    f.OrderAccepted: _order_accepted,
    f.OrderRefused: _order_refused,
    f.OrderNotSent: _order_not_sent,
    f.OrderOutcomeLost: _outcome_lost,
    f.OrderReported: _order_reported,
    f.OrderSettled: _order_settled,
    f.OrderModifySent: _modify_sent,
    f.OrderCancelSent: _unchanged,
    f.ClosedExternally: _closed_externally,
    f.FillsConfirmed: _fills_confirmed,
    f.PositionExited: _position_exited,
    f.PositionCancelled: _position_cancelled,
    f.OverExitDetected: _over_exit,
}
