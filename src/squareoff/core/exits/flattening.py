"""Buy back what was closed too much, where the owner's settings ask for it.

Only what the tracker itself over-closed, only as far as the broker's net stands on the wrong side
of zero, and only once: an order that left is never followed by another, whatever became of it.

Invariants:
1. Nothing is planned while any order of the tracker, or any exit on its key, may still fill.
2. Enough spaced readings must agree on the broker's net, none of them near a fill of ours.
3. An order of the role FLATTEN never makes the net larger than zero on the other side.
"""

from squareoff.core.exits.planning import plan_slices, slices_of
from squareoff.core.state.commands import ReadPositions
from squareoff.core.state.facts import OrderDropped, Severity
from squareoff.core.state.inputs import PositionsRead
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import PositionTracker, SendOutcome, TrackedOrder
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import OrderState

_READING_SPACING_SECONDS = 1.0


def may_flatten(step: Step) -> bool:
    """Say whether the settings ask for the one order that takes back, and it has not left yet."""
    orders = _flatten_orders(step.tracker)
    return step.policy.flatten_over_exit and not any(_is_used_up(order) for order in orders)


def wants_flattening(step: Step) -> bool:
    """Say whether something over-closed is to be bought back and nothing of it has left yet."""
    tracker = step.tracker
    return (
        may_flatten(step)
        and tracker.over_exited_quantity > 0
        and tracker.exited_quantity > tracker.quantity  # an entry may have filled on since
        and not any(o.state.is_live or o.state is OrderState.PLANNED for o in tracker.orders)
    )


def has_planned_flattening(tracker: PositionTracker) -> bool:
    """Say whether an order that buys back waits to be sent."""
    return any(order.state is OrderState.PLANNED for order in _flatten_orders(tracker))


def read_positions_to_flatten(step: Step) -> None:
    """Queue the readings that must agree before anything is bought back."""
    if wants_flattening(step) and step.is_due(step.pacing.next_flatten_ns):
        step.command(ReadPositions())


def put_flattening_off(step: Step, reason: str, retry_after_seconds: float) -> None:
    """Give a planned order up: what the readings showed is old by the time it could go. Nor are the
    positions read before: what hinders an order answers a reading at once, for as long."""
    for order in _flatten_orders(step.tracker):
        if order.state is OrderState.PLANNED:
            step.record(OrderDropped(step.tracker.tracker_id, order.client_order_id, reason))
    if wants_flattening(step):
        step.pace(next_flatten_ns=step.after(retry_after_seconds), flatten_readings=0)


def on_flatten_reading(step: Step, event: PositionsRead) -> None:
    """Count a reading; with enough that agree, plan the order."""
    step.pace(next_flatten_ns=step.after(_READING_SPACING_SECONDS))
    is_settled = event.others_leaves == 0 and event.closed_lately == 0
    is_current = event.exited_quantity in (None, step.tracker.exited_quantity)
    net = event.net_quantity
    if net is None or not (is_settled and is_current):
        return
    is_same = step.pacing.flatten_net_quantity == net
    readings = step.pacing.flatten_readings + 1 if is_same else 1
    step.pace(flatten_readings=readings, flatten_net_quantity=net)
    beyond_zero = max(0, -step.tracker.side.sign * net - event.opposed_open)
    quantity = min(step.tracker.over_exited_quantity, beyond_zero)
    if readings >= step.policy.readings and quantity > 0:
        _plan(step, quantity, net)


def _flatten_orders(tracker: PositionTracker) -> tuple[TrackedOrder, ...]:
    return tuple(order for order in tracker.orders if order.role is OrderRole.FLATTEN)


def _is_used_up(order: TrackedOrder) -> bool:
    """Say whether the one order has left, or may have."""
    return any(send.outcome is not SendOutcome.NOT_SENT for send in order.sends)


def _plan(step: Step, quantity: int, net: int) -> None:
    tracker = step.tracker
    attempt = 1 + max((order.attempt for order in _flatten_orders(tracker)), default=0)
    plan_slices(
        step,
        slices_of(tracker, quantity),
        role=OrderRole.FLATTEN,
        side=tracker.side.entry_order_side,
        attempt=attempt,
    )
    step.alarm(
        Severity.CRITICAL,
        "over_exit_flatten",
        f"{tracker.instrument.trading_symbol} ({tracker.tracker_id}): the broker shows {net}, "
        f"{tracker.over_exited_quantity} were closed too much; {quantity} are taken back, once.",
    )


def note_ended_flattening(step: Step, before: TrackedOrder) -> None:
    """Tell a person how the one order ended, for nothing follows it."""
    after = step.tracker.order(before.client_order_id)
    assert after is not None, before.client_order_id
    if after.role is not OrderRole.FLATTEN or before.state is after.state:
        return
    name = f"{step.tracker.instrument.trading_symbol} ({step.tracker.tracker_id})"
    if after.state is OrderState.FILLED:
        text = f"{name}: {after.cumulative_quantity} units closed too much were taken back."
        step.alarm(Severity.WARNING, "over_exit_flattened", text)
    elif after.state.is_terminal and _is_used_up(after):
        text = (
            f"{name}: taking back {after.order_quantity} units ended {after.state.value} with "
            f"{after.cumulative_quantity}: {after.failure_text}. Nothing more is sent; look now."
        )
        step.alarm(Severity.CRITICAL, "over_exit_not_flattened", text)
