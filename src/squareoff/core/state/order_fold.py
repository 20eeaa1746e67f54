"""Fold the facts of one order: its sends, and what the broker's records say of it.

One client order id may stand for several orders at the broker; the state of ours follows from the
merged records of all of them, and from the sends whose outcome is still unknown.

Invariants:
1. Cumulative quantity of a broker order never falls, whatever a report says (I12).
2. A broker order that reached a terminal status never leaves it.
3. A broker record resolves an unknown send only where no other send could be its origin.
"""

from collections.abc import Callable
from typing import Any

from squareoff.core.state import facts as f
from squareoff.core.state.machines import OrderTrigger, next_order_state
from squareoff.core.state.tracker import BrokerOrder, Send, SendOutcome, TrackedOrder
from squareoff.domain.copies import replace
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import OrderState

OrderFact = (
    f.OrderDropped
    | f.OrderReplanned
    | f.OrderSent
    | f.OrderAccepted
    | f.OrderRefused
    | f.OrderNotSent
    | f.OrderOutcomeLost
    | f.OrderReported
    | f.OrderSettled
    | f.OrderVanished
    | f.OrderModifySent
    | f.OrderCancelSent
    | f.FillsConfirmed
)
"""The facts that change one order which is already planned."""


def fold_order(order: TrackedOrder, fact: OrderFact, at_ns: int) -> TrackedOrder:
    """Return the order after `fact`, which happened at `at_ns` (UTC nanoseconds).

    Raises:
        InvalidTransition, InvariantBroken: the fact does not fit; nothing was changed.
    """
    return _STEPS[type(fact)](order, fact, at_ns)


def _dropped(order: TrackedOrder, fact: f.OrderDropped, _at_ns: int) -> TrackedOrder:
    state = next_order_state(order.state, OrderTrigger.DROPPED, order.client_order_id)
    return replace(order, state=state, failure_text=fact.reason)


def _replanned(order: TrackedOrder, fact: f.OrderReplanned, _at: int) -> TrackedOrder:
    state = next_order_state(order.state, OrderTrigger.REPLANNED, order.client_order_id)
    return replace(order, state=state)


def _sent(order: TrackedOrder, fact: f.OrderSent, at_ns: int) -> TrackedOrder:
    if fact.send_number != len(order.sends) + 1:
        raise InvariantBroken(f"send {fact.send_number} of {order.client_order_id} out of order")
    return replace(
        order,
        state=next_order_state(order.state, OrderTrigger.SEND, order.client_order_id),
        order_type=fact.order_type,
        limit_price=fact.limit_price,
        sends=(*order.sends, Send(fact.send_number, SendOutcome.IN_FLIGHT, at_ns)),
    )


def _accepted(order: TrackedOrder, fact: f.OrderAccepted, _at_ns: int) -> TrackedOrder:
    order = _resolve_send(order, fact.send_number, SendOutcome.ACCEPTED, fact.broker_order_id)
    if fact.broker_order_id is not None:
        known = {record.broker_order_id: record for record in order.broker_orders}
        fresh = BrokerOrder(fact.broker_order_id, BrokerOrderStatus.TRANSIT, 0, None)
        record = known.setdefault(fact.broker_order_id, fresh)
        if record.status is BrokerOrderStatus.MISSING:  # the broker names it again: it is there
            known[fact.broker_order_id] = replace(record, status=BrokerOrderStatus.TRANSIT)
        order = replace(order, broker_orders=tuple(known.values()))
    return _after_record(order, OrderTrigger.ACCEPTED)


def _refused(order: TrackedOrder, fact: f.OrderRefused, _at_ns: int) -> TrackedOrder:
    order = _resolve_send(order, fact.send_number, SendOutcome.REFUSED)
    order = replace(order, failure_text=f"{fact.code} {fact.text}".strip())
    return _after_send_ended(order, OrderTrigger.REFUSED)


def _not_sent(order: TrackedOrder, fact: f.OrderNotSent, _at_ns: int) -> TrackedOrder:
    order = _resolve_send(order, fact.send_number, SendOutcome.NOT_SENT)
    order = replace(order, failure_text=fact.text)
    return _after_send_ended(order, OrderTrigger.NOT_SENT)


def _after_send_ended(order: TrackedOrder, trigger: OrderTrigger) -> TrackedOrder:
    """A send did not reach the broker; the order ends only if nothing else of it may be there.

    An order of an earlier send that vanished is not there: how this send ended decides.
    """
    if _record_trigger(order) not in (None, OrderTrigger.DECLARED_ABSENT):
        return _after_record(order, OrderTrigger.ACCEPTED)
    if order.has_unresolved_send:
        return order
    return replace(order, state=next_order_state(order.state, trigger, order.client_order_id))


def _outcome_lost(order: TrackedOrder, fact: f.OrderOutcomeLost, _at_ns: int) -> TrackedOrder:
    order = _resolve_send(order, fact.send_number, SendOutcome.UNKNOWN)
    if order.state is OrderState.SENT:
        state = next_order_state(order.state, OrderTrigger.OUTCOME_LOST, order.client_order_id)
        order = replace(order, state=state, failure_text=fact.text)
    for record in order.broker_orders:  # an update may have come before the answer was lost
        order = _attribute_only_send(order, record.broker_order_id)
    return _after_record(order, OrderTrigger.ACCEPTED) if order.broker_orders else order


def _settled(order: TrackedOrder, fact: f.OrderSettled, _at_ns: int) -> TrackedOrder:
    sends = tuple(
        send if _is_accounted_for(send) else replace(send, outcome=SendOutcome.ABSENT)
        for send in order.sends
    )
    order = replace(order, sends=sends)
    if order.broker_orders:
        return _after_record(order, OrderTrigger.ACCEPTED)
    state = next_order_state(order.state, OrderTrigger.DECLARED_ABSENT, order.client_order_id)
    return replace(order, state=state)


def _is_accounted_for(send: Send) -> bool:
    return send.outcome.is_resolved and not send.is_accepted_unnamed


def _vanished(order: TrackedOrder, fact: f.OrderVanished, _at_ns: int) -> TrackedOrder:
    records = tuple(
        replace(record, status=fact.status)
        if record.broker_order_id == fact.broker_order_id
        else record
        for record in order.broker_orders
    )
    sends = tuple(
        replace(send, outcome=SendOutcome.ABSENT)
        if send.broker_order_id == fact.broker_order_id
        else send
        for send in order.sends
    )
    order = replace(order, broker_orders=records, sends=sends)
    return _after_record(order, OrderTrigger.ACCEPTED)


def _modify_sent(order: TrackedOrder, fact: f.OrderModifySent, _at_ns: int) -> TrackedOrder:
    return replace(
        order,
        modifications=fact.modification,
        order_type=fact.order_type,
        limit_price=fact.limit_price,
    )


def _reported(order: TrackedOrder, fact: f.OrderReported, at_ns: int) -> TrackedOrder:
    fresh = BrokerOrder(fact.broker_order_id, BrokerOrderStatus.TRANSIT, 0, None)
    known = {record.broker_order_id: record for record in order.broker_orders}
    known[fact.broker_order_id] = merge_record(known.get(fact.broker_order_id, fresh), fact)
    order = replace(order, broker_orders=tuple(known.values()))
    order = _attribute_only_send(order, fact.broker_order_id)
    return _after_record(order, OrderTrigger.ACCEPTED)


def _fills_confirmed(order: TrackedOrder, fact: f.FillsConfirmed, at_ns: int) -> TrackedOrder:
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
    return _after_record(replace(order, broker_orders=records), OrderTrigger.ACCEPTED)


_PROGRESS = (
    BrokerOrderStatus.MISSING,
    BrokerOrderStatus.UNKNOWN,  # decides nothing
    BrokerOrderStatus.TRANSIT,
    BrokerOrderStatus.PENDING,
    BrokerOrderStatus.PART_TRADED,
    BrokerOrderStatus.EXPIRED,
    BrokerOrderStatus.REJECTED,
    BrokerOrderStatus.CANCELLED,
    BrokerOrderStatus.TRADED,
)
"""How far an order has come, by the word for it; a later word never gives way to an earlier one."""


def merge_record(known: BrokerOrder, fact: f.OrderReported) -> BrokerOrder:
    """Merge a report into one broker order: largest cumulative quantity, furthest status word.

    The order in which reports come makes no difference, and a repeat makes none either.
    """
    grew = fact.cumulative_quantity > known.cumulative_quantity
    same = fact.cumulative_quantity == known.cumulative_quantity
    average = known.average_price
    if fact.average_price is not None and (grew or (same and average is None)):
        average = fact.average_price
    elif grew:
        average = None  # the new average is not told yet; the trade book will
    return BrokerOrder(
        broker_order_id=known.broker_order_id,
        status=max(known.status, fact.status, key=_PROGRESS.index),
        cumulative_quantity=max(known.cumulative_quantity, fact.cumulative_quantity),
        average_price=average,
        reason=fact.reason if fact.status.is_terminal and fact.reason else known.reason,
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
    BrokerOrderStatus.MISSING: OrderTrigger.EXPIRED,
}


def _after_record(order: TrackedOrder, without_record: OrderTrigger) -> TrackedOrder:
    """Set the order's state from the merged records of everything at the broker under its id."""
    trigger = _record_trigger(order) or without_record
    terminal = trigger in (
        OrderTrigger.DECLARED_ABSENT,
        OrderTrigger.REJECTED,
        OrderTrigger.CANCELLED,
        OrderTrigger.EXPIRED,
    )
    if terminal and (order.has_unresolved_send or order.has_unseen_send):
        # One order at the broker ended, but another send of ours may still be alive there.
        in_flight = all(send.outcome is not SendOutcome.UNKNOWN for send in order.sends)
        waits = in_flight and not order.has_unseen_send
        state = OrderState.SENT if waits else OrderState.OUTCOME_UNKNOWN
        return replace(order, state=state)
    state = next_order_state(order.state, trigger, order.client_order_id)
    text = order.failure_text
    if terminal:
        text = next((r.reason for r in reversed(order.broker_orders) if r.reason), "")
    elif trigger is OrderTrigger.FILLED:  # whatever ended it on the way, nothing of it failed
        text = ""
    return replace(order, state=state, failure_text=text)


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
    if all(record.status is BrokerOrderStatus.MISSING for record in order.broker_orders):
        return OrderTrigger.EXPIRED if order.cumulative_quantity else OrderTrigger.DECLARED_ABSENT
    # All ended short: the record with a TRADED word and too few fills cannot be told from a
    # cancel of the rest, so it counts as cancelled.
    last = _STATUS_TRIGGERS[order.broker_orders[-1].status]
    return OrderTrigger.CANCELLED if last is OrderTrigger.FILLED else last


def _unchanged(order: TrackedOrder, _fact: f.OrderCancelSent, _at_ns: int) -> TrackedOrder:
    return order


_STEPS: dict[type[OrderFact], Callable[[TrackedOrder, Any, int], TrackedOrder]] = {
    f.OrderDropped: _dropped,
    f.OrderReplanned: _replanned,
    f.OrderSent: _sent,
    f.OrderAccepted: _accepted,
    f.OrderRefused: _refused,
    f.OrderNotSent: _not_sent,
    f.OrderOutcomeLost: _outcome_lost,
    f.OrderReported: _reported,
    f.OrderSettled: _settled,
    f.OrderVanished: _vanished,
    f.OrderModifySent: _modify_sent,
    f.OrderCancelSent: _unchanged,
    f.FillsConfirmed: _fills_confirmed,
}
