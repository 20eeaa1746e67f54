"""Buy back what was closed too much, where the owner's settings ask for it.

Only what the tracker itself over-closed, only as far as the broker's net stands on the wrong side
of zero, and only once: an order that left is never followed by another, whatever became of it.

Invariants:
1. Nothing is planned while any order of the tracker, any exit on its key, or what another tracker
   there takes back may still fill.
2. Enough spaced readings must agree on the broker's net, none of them near a fill of ours.
3. An order of the role FLATTEN never makes the net larger than zero on the other side.
4. Nothing is planned after `FLATTEN_SECONDS_MAX`, after a person's word, or for what an earlier
   process saw end: whoever stands on the other side then does so on purpose. What was not taken
   back in that time is told.
"""

from squareoff.core.exits.planning import plan_slices, slices_of
from squareoff.core.exits.setbacks import names_of
from squareoff.core.state.commands import ReadPositions
from squareoff.core.state.facts import OrderDropped, Severity
from squareoff.core.state.inputs import PositionsRead
from squareoff.core.state.policy import READING_SPACING_SECONDS
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import PositionTracker, SendOutcome, TrackedOrder
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import OrderState
from squareoff.domain.time import seconds_to_ns

FLATTEN_SECONDS_MAX = 60.0
"""Who was told to leave an over-exit alone is told by then what became of it."""

_LATE_SECONDS_MAX = 600.0
"""Long before a start nobody waits any more for what the last process was to take back."""


def may_flatten(step: Step) -> bool:
    """Say whether the settings ask for the one order that takes back, and it has not left yet."""
    orders = _flatten_orders(step.tracker)
    return step.policy.flatten_over_exit and not any(_is_used_up(order) for order in orders)


def wants_flattening(step: Step) -> bool:
    """Say whether something over-closed is to be bought back and nothing of it has left yet."""
    tracker = step.tracker
    return (
        may_flatten(step)
        and step.now.monotonic_ns < step.pacing.flatten_until_ns
        and tracker.over_exited_quantity > 0
        and tracker.exited_quantity > tracker.quantity  # an entry may have filled on since
        and not any(o.state.is_live or o.state is OrderState.PLANNED for o in tracker.orders)
    )


def begin_flattening(step: Step) -> None:
    """Give what was closed too much the time in which it may be taken back."""
    if may_flatten(step):
        step.pace(flatten_until_ns=step.after(FLATTEN_SECONDS_MAX))


def begin_flattening_anew(step: Step) -> None:
    """After a restart: what nobody has dealt with gets its time again. A position that had ended
    does not, for a person's word leaves no trace on it; it is told while it is news."""
    tracker = step.tracker
    if not step.policy.flatten_over_exit or _left_quantity(tracker) == 0:
        return
    if tracker.is_frozen:
        step.pace(flatten_until_ns=step.after(FLATTEN_SECONDS_MAX))
        return
    is_news = not tracker.has_ended_before(step.now.wall_ns - seconds_to_ns(_LATE_SECONDS_MAX))
    if is_news and may_flatten(step) and not tracker.has_live_intent:
        _tell_what_is_left(step, "the engine was restarted before it was taken back")


def end_flattening(step: Step, reason: str) -> None:
    """Plan nothing from here on, and give up what is planned."""
    _drop_planned(step, reason)
    step.pace(flatten_until_ns=0, flatten_readings=0)


def end_flattening_in_time(step: Step) -> None:
    """Leave it to a person once its time is over, and say what is left to him."""
    until_ns = step.pacing.flatten_until_ns
    if until_ns == 0 or not step.is_due(until_ns):
        return
    text = f"it was not taken back within {FLATTEN_SECONDS_MAX:g} s"
    end_flattening(step, text)
    if _left_quantity(step.tracker) > 0:
        _tell_what_is_left(step, text)


def taking_back(tracker: PositionTracker) -> str:
    """Name the orders that take back with what they did and may still do, "" for none."""
    return " and ".join(
        f"order {' and '.join(record.broker_order_id for record in order.broker_orders)}"
        f" ({order.client_order_id}), which took back {order.cumulative_quantity} and may take "
        f"back {order.leaves_quantity} more"
        for order in _flatten_orders(tracker)
        if order.cumulative_quantity or order.state.is_live
    )


def _left_quantity(tracker: PositionTracker) -> int:
    """Return what is closed too much and not taken back, as far as our own orders tell."""
    return max(0, -tracker.side.sign * tracker.signed_quantity)


def _tell_what_is_left(step: Step, reason: str) -> None:
    tracker = step.tracker
    live = [order for order in _flatten_orders(tracker) if order.state.is_live]
    rests = " and ".join(f"{order.leaves_quantity} by {names_of(order)}" for order in live)
    may_fill = (
        f" Of these may still fill: {rests}; it is not moved, so cancel it in the broker's app "
        "before you close them by hand."
        if live
        else ""
    )
    step.alarm(
        Severity.CRITICAL,
        "over_exit_not_flattened",
        f"{tracker.instrument.trading_symbol} ({tracker.tracker_id}): "
        f"{_left_quantity(tracker)} units are closed too much: {reason}. Nothing more is sent; "
        f"look at the net position now and close it by hand.{may_fill}",
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
    _drop_planned(step, reason)
    if wants_flattening(step):
        step.pace(next_flatten_ns=step.after(retry_after_seconds), flatten_readings=0)


def _drop_planned(step: Step, reason: str) -> None:
    for order in _flatten_orders(step.tracker):
        if order.state is OrderState.PLANNED:
            step.record(OrderDropped(step.tracker.tracker_id, order.client_order_id, reason))


def on_flatten_reading(step: Step, event: PositionsRead) -> None:
    """Count a reading; with enough that agree, plan the order."""
    step.pace(next_flatten_ns=step.after(READING_SPACING_SECONDS))
    moving = event.others_leaves + event.others_taking_back + event.closed_lately
    is_current = event.exited_quantity in (None, step.tracker.exited_quantity)
    net = event.net_quantity
    if net is None or moving or not is_current:
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
            f"{after.cumulative_quantity}: {after.failure_text}. Nothing more is sent; look now: "
            f"{_left_quantity(step.tracker)} units are closed too much."
        )
        step.alarm(Severity.CRITICAL, "over_exit_not_flattened", text)
        if not any(order.leaves_quantity for order in _flatten_orders(step.tracker)):
            end_flattening(step, text)  # that much is told
