"""How much an exit may close: never more than we hold, never more than the broker holds.

Invariants:
1. A reading that failed is not a reading of zero (three-valued reads).
2. What other live exits on the same key may still close is not ours to close.
3. Where the broker holds less than we do, our newest fills are taken off what a reading shows.
4. One flat reading proves nothing; only spaced ones, and then the trades must explain them.
"""

from squareoff.core.client_order_ids import client_order_id
from squareoff.core.commands import ReadBooks, ReadPositions
from squareoff.core.facts import ExitSized, OrderPlanned, OrderReplanned
from squareoff.core.inputs import PositionsRead
from squareoff.core.policy import (
    MISSING_READINGS_BEFORE_BLOCK,
    SLICES_MAX,
    ZERO_READINGS_NEEDED,
)
from squareoff.core.setbacks import block_exit
from squareoff.core.slicing import slice_quantity
from squareoff.core.step import Step
from squareoff.core.tracker import PositionTracker, TrackedOrder
from squareoff.domain.orders import BrokerPosition, OrderOrigin, OrderRole
from squareoff.domain.states import BlockReason, IntentStatus, OrderState

_ZERO_READING_SPACING_SECONDS = 1.0
_UNREADABLE_RETRY_SECONDS = 1.0
_RESERVED_RETRY_SECONDS = 1.0
_MISSING_RETRY_SECONDS = 5.0


def uncovered_quantity(tracker: PositionTracker) -> int:
    """Return what is held and not yet covered by a planned or live exit."""
    return max(0, tracker.open_quantity - tracker.exit_leaves_quantity)


def read_positions_for_uncovered(step: Step) -> None:
    """Want a reading of the broker's positions if something held is not covered by an exit."""
    if uncovered_quantity(step.tracker) == 0 or step.intent.status is not IntentStatus.OPEN:
        return
    if step.is_due(max(step.pacing.retry_at_ns, step.pacing.next_positions_ns)):
        step.command(ReadPositions())


def on_positions_read(step: Step, event: PositionsRead) -> None:
    """Size what is uncovered against the reading, and plan orders for it."""
    intent = step.tracker.intent
    uncovered = uncovered_quantity(step.tracker)
    if intent is None or intent.status is not IntentStatus.OPEN or uncovered == 0:
        return
    if event.exited_quantity not in (None, step.tracker.exited_quantity):
        return  # a fill overtook the reading on its way here; `advance` wants another
    if event.positions is None:
        _size_without_reading(step, event, uncovered)
        return
    net = net_quantity(step.tracker, event.positions)
    held = max(0, step.tracker.side.sign * net)
    free = held - event.others_leaves - step.tracker.exit_leaves_quantity
    if free < uncovered and event.closed_lately > 0:
        # Somebody else has closed too, and the reading may lack our newest fills: what it shows
        # beyond them is surely there, the rest is looked at again.
        free -= event.closed_lately
        if free <= 0:
            step.pace(next_positions_ns=step.after(_ZERO_READING_SPACING_SECONDS))
            return
    quantity = min(uncovered, free)
    if held > 0:
        step.pace(zero_readings=0)
    if quantity > 0:
        _plan(step, quantity, net, event.others_leaves)
    elif step.tracker.exit_leaves_quantity > 0:
        step.pace(next_positions_ns=step.after(_ZERO_READING_SPACING_SECONDS))
    elif held > 0:
        text = f"{event.others_leaves} units are already being closed by other exits"
        block_exit(step, BlockReason.RESERVED, text, _RESERVED_RETRY_SECONDS)
    else:
        _note_flat_reading(step)


def net_quantity(tracker: PositionTracker, positions: tuple[BrokerPosition, ...]) -> int:
    """Return the signed net of this tracker's key in a reading; a missing row is 0."""
    return sum(
        row.net_quantity
        for row in positions
        if row.instrument_id == tracker.instrument.instrument_id
        and row.product_type is tracker.product_type
    )


def _size_without_reading(step: Step, event: PositionsRead, uncovered: int) -> None:
    age = event.reconciled_age_seconds
    if age is not None and age <= step.policy.reconciled_age_seconds_max:
        _plan(step, uncovered, None, event.others_leaves)
        return
    block_exit(
        step,
        BlockReason.POSITIONS_UNREADABLE,
        "the broker's positions cannot be read and our book was not compared recently",
        _UNREADABLE_RETRY_SECONDS,
    )


def _note_flat_reading(step: Step) -> None:
    if step.pacing.zero_readings and not step.is_due(step.pacing.next_positions_ns):
        return  # too close to the last one: two readings of one lagging replica are one
    readings = step.pacing.zero_readings + 1
    step.pace(zero_readings=readings, next_positions_ns=step.after(_ZERO_READING_SPACING_SECONDS))
    if readings >= ZERO_READINGS_NEEDED:
        step.command(ReadBooks())
    if readings >= MISSING_READINGS_BEFORE_BLOCK:
        block_exit(
            step,
            BlockReason.POSITION_MISSING,
            "the broker shows no such position and no trade explains who closed it",
            _MISSING_RETRY_SECONDS,
        )


def _plan(step: Step, quantity: int, net: int | None, reserved: int) -> None:
    """Plan orders for `quantity`: the absent ones again if they fit exactly, else a new attempt."""
    tracker = step.tracker
    absent = _resendable(tracker)
    again = sum(order.order_quantity for order in absent) == quantity
    attempt = step.intent.attempt if again else step.intent.attempt + 1
    instrument = tracker.instrument
    slices = slice_quantity(quantity, instrument.lot_size, instrument.freeze_quantity)[:SLICES_MAX]
    planned = quantity if again else sum(slices)
    step.record(ExitSized(tracker.tracker_id, attempt, planned, net, reserved))
    if again:
        for order in absent:
            step.record(OrderReplanned(tracker.tracker_id, order.client_order_id))
            step.pace_order(order.client_order_id, planned_at_ns=step.now.monotonic_ns)
        return
    for number, size in enumerate(slices, start=1):
        order_id = client_order_id(
            tracker.account_id,
            tracker.tracker_id,
            OrderRole.EXIT,
            attempt=attempt,
            slice_number=number,
        )
        step.record(
            OrderPlanned(
                tracker_id=tracker.tracker_id,
                client_order_id=order_id,
                role=OrderRole.EXIT,
                origin=OrderOrigin.PLACED,
                attempt=attempt,
                slice_number=number,
                side=tracker.side.exit_order_side,
                order_quantity=size,
                order_type=step.policy.order_type,
                limit_price=None,
            )
        )
        step.pace_order(order_id, planned_at_ns=step.now.monotonic_ns)


def _resendable(tracker: PositionTracker) -> tuple[TrackedOrder, ...]:
    assert tracker.intent is not None, tracker.tracker_id
    return tuple(
        order
        for order in tracker.exit_orders
        if order.attempt == tracker.intent.attempt and order.state is OrderState.ABSENT
    )
