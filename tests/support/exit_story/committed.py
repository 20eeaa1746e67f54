"""Positions with orders that are committed for sending, as the last gate before the broker sees
them.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from exit_story.values import TRACKER, asked, held
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import (
    ExitClaimed,
    OrderAccepted,
    OrderModifySent,
    OrderPlanned,
    OrderSent,
    TrackerFact,
)
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import OrderOrigin, OrderRequest, OrderRole, OrderType

EXIT = ClientOrderId("sqx-1")
LIMIT = Decimal("151.50")


def grown(tracker: PositionTracker, *facts: TrackerFact) -> PositionTracker:
    """Return the tracker after these facts."""
    for fact in facts:
        tracker = evolve(tracker, fact, tracker.created_at_ns)
    return tracker


def claimed(**changes: Any) -> PositionTracker:
    """Return the default position, changed, with a live exit and no order yet."""
    exit_asked = asked()
    tracker = held(**changes)
    fact = ExitClaimed(
        tracker.tracker_id, exit_asked.intent_id, exit_asked.reason, exit_asked.trigger
    )
    return grown(tracker, fact)


def with_order(
    tracker: PositionTracker,
    name: ClientOrderId = EXIT,
    quantity: int = 100,
    *,
    is_sent: bool = True,
    **changes: Any,
) -> PositionTracker:
    """Return the tracker with one more exit order, by default committed for sending."""
    planned = OrderPlanned(
        tracker_id=tracker.tracker_id,
        client_order_id=name,
        role=OrderRole.EXIT,
        origin=OrderOrigin.PLACED,
        attempt=1,
        slice_number=1,
        side=tracker.side.exit_order_side,
        order_quantity=quantity,
        order_type=OrderType.LIMIT,
        limit_price=None,
    )
    tracker = grown(tracker, replace(planned, **changes))
    sent = OrderSent(tracker.tracker_id, name, 1, OrderType.LIMIT, LIMIT, "memory")
    return grown(tracker, sent) if is_sent else tracker


def with_modifies(tracker: PositionTracker, count: int) -> PositionTracker:
    """Return the tracker with its exit accepted as B1 and modified this often."""
    tracker = grown(tracker, OrderAccepted(TRACKER, EXIT, 1, BrokerOrderId("B1")))
    for number in range(1, count + 1):
        modify = OrderModifySent(TRACKER, EXIT, BrokerOrderId("B1"), number, OrderType.LIMIT, LIMIT)
        tracker = grown(tracker, modify)
    return tracker


def request_of(
    tracker: PositionTracker, name: ClientOrderId = EXIT, **changes: Any
) -> OrderRequest:
    """Return what a committed order of the tracker sends."""
    order = tracker.order(name)
    assert order is not None, name
    request = OrderRequest(
        client_order_id=name,
        key=tracker.key,
        side=order.side,
        order_type=OrderType.LIMIT,
        order_quantity=order.order_quantity,
        limit_price=LIMIT,
    )
    return replace(request, **changes)
