"""Slices of one attempt as planned orders, each under an id of its own."""

from squareoff.core.exits.client_order_ids import client_order_id
from squareoff.core.exits.slicing import slice_limit, slice_quantity
from squareoff.core.state.facts import OrderPlanned
from squareoff.core.state.policy import SLICES_MAX
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import OrderOrigin, OrderRole, Side


def slices_of(tracker: PositionTracker, quantity: int) -> tuple[int, ...]:
    """Return the sizes that `quantity` is sent in, at most as many as one attempt can number."""
    limit = slice_limit(tracker.instrument, tracker.exit_orders)
    return slice_quantity(quantity, tracker.instrument.lot_size, limit)[:SLICES_MAX]


def free_attempt(
    tracker: PositionTracker, first: int, slices: int, taken: frozenset[ClientOrderId]
) -> int:
    """Return the first attempt from `first` on, none of whose exit orders has a taken id."""
    attempt = first
    while taken and not taken.isdisjoint(
        client_order_id(
            tracker.account_id,
            tracker.tracker_id,
            OrderRole.EXIT,
            attempt=attempt,
            slice_number=number,
        )
        for number in range(1, slices + 1)
    ):
        attempt += 1
    return attempt


def plan_slices(
    step: Step, sizes: tuple[int, ...], *, role: OrderRole, side: Side, attempt: int
) -> tuple[ClientOrderId, ...]:
    """Record one planned order per size; return their ids."""
    tracker = step.tracker
    planned: list[ClientOrderId] = []
    for number, size in enumerate(sizes, start=1):
        order_id = client_order_id(
            tracker.account_id, tracker.tracker_id, role, attempt=attempt, slice_number=number
        )
        step.record(
            OrderPlanned(
                tracker_id=tracker.tracker_id,
                client_order_id=order_id,
                role=role,
                origin=OrderOrigin.PLACED,
                attempt=attempt,
                slice_number=number,
                side=side,
                order_quantity=size,
                order_type=step.policy.order_type,
                limit_price=None,
            )
        )
        step.pace_order(order_id, planned_at_ns=step.now.monotonic_ns)
        planned.append(order_id)
    return tuple(planned)
