"""How much an exit may close: never more than we hold, never more than the broker holds.

Invariants:
1. A reading that failed is not a reading of zero (three-valued reads).
2. What other live exits on the same key may still close is not ours to close.
3. Where the broker holds less than we do, our newest fills are taken off what a reading shows.
4. What other trackers on the key hold is not ours to close, until it is known or cannot be known
   whose units are missing.
5. One flat reading proves nothing; only spaced ones, and then the trades must explain them.
"""

from squareoff.core.exits.ended_exits import has_unread_ends
from squareoff.core.exits.flattening import on_flatten_reading, wants_flattening
from squareoff.core.exits.planning import free_attempt, plan_slices, slices_of
from squareoff.core.exits.sending import on_permit_granted
from squareoff.core.exits.setbacks import block_exit
from squareoff.core.exits.slicing import slice_limit
from squareoff.core.state.commands import ReadBooks, ReadPositions
from squareoff.core.state.facts import ExitSized, OrderReplanned
from squareoff.core.state.inputs import PermitGranted, PositionsRead
from squareoff.core.state.policy import (
    MISSING_READINGS_BEFORE_BLOCK,
    READING_SPACING_SECONDS,
    SHORT_READINGS_MAX,
    SLICES_MAX,
    ZERO_READINGS_NEEDED,
)
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import PositionTracker, TrackedOrder
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import BlockReason, IntentStatus, OrderState

_UNREADABLE_RETRY_SECONDS = 1.0
_RESERVED_RETRY_SECONDS = 1.0
_MISSING_RETRY_SECONDS = 5.0


def uncovered_quantity(tracker: PositionTracker) -> int:
    """Return what is held and not yet covered by a planned or live exit."""
    return max(0, tracker.open_quantity - tracker.exit_leaves_quantity)


def read_positions_for_uncovered(step: Step) -> None:
    """Queue a read of the positions if something held is not covered by an exit."""
    if uncovered_quantity(step.tracker) == 0 or step.intent.status is not IntentStatus.OPEN:
        return
    if has_unread_ends(step):
        return
    if step.is_due(max(step.pacing.retry_at_ns, step.pacing.next_positions_ns)):
        step.command(ReadPositions())


def on_positions_read(step: Step, event: PositionsRead) -> None:
    """Size what is uncovered against the reading, and plan orders for it."""
    if wants_flattening(step):
        on_flatten_reading(step, event)
        return
    intent = step.tracker.intent
    uncovered = uncovered_quantity(step.tracker)
    if intent is None or intent.status is not IntentStatus.OPEN or uncovered == 0:
        return
    if event.exited_quantity not in (None, step.tracker.exited_quantity):
        return  # a fill overtook the reading on its way here; `advance` queues another
    if has_unread_ends(step):
        return  # as above: an order ended meanwhile, and what it filled is not sure yet
    net = event.net_quantity
    if net is None:
        _size_without_reading(step, event, uncovered)
        return
    held = max(0, step.tracker.side.sign * net)
    free = held - event.others_leaves - step.tracker.exit_leaves_quantity
    was_short = step.pacing.is_covered is False
    if event.closed_lately > 0 and (free < uncovered or was_short or not event.only_ours_closed):
        # Somebody else may have closed too, and the reading may lack our newest fills: what it
        # shows beyond them is surely there, the rest is looked at again.
        free -= event.closed_lately
    step.pace(is_covered=free >= uncovered)
    if event.closed_lately > 0 and free <= 0:
        step.pace(next_positions_ns=step.after(READING_SPACING_SECONDS))
        return
    quantity = min(uncovered, free)
    if held > 0:
        step.pace(zero_readings=0)
        quantity = _own_share(step, event, quantity, held)
    if quantity > 0:
        _send_what_may_go(step, event, _plan(step, event, quantity, net))
    elif step.tracker.exit_leaves_quantity > 0 or free > 0:
        step.pace(next_positions_ns=step.after(READING_SPACING_SECONDS))
    elif held > 0:
        text = f"{event.others_leaves} units are already being closed by other exits"
        block_exit(step, BlockReason.RESERVED, text, _RESERVED_RETRY_SECONDS)
    else:
        _note_flat_reading(step)


def _own_share(step: Step, event: PositionsRead, quantity: int, held: int) -> int:
    """Return what of `quantity` is surely not another tracker's.

    Where the broker shows less than all trackers of the key hold, somebody's units are gone. Whose
    is found out within some readings; if it cannot be, closing what is there comes first.
    """
    sure = held - max(event.others_open, event.others_leaves) - step.tracker.exit_leaves_quantity
    if quantity <= max(sure, 0):
        step.pace(short_readings=0)
        return quantity
    if step.pacing.short_readings >= SHORT_READINGS_MAX:
        return quantity
    next_ns = step.after(READING_SPACING_SECONDS)
    step.pace(short_readings=step.pacing.short_readings + 1, next_positions_ns=next_ns)
    return max(sure, 0)


def _size_without_reading(step: Step, event: PositionsRead, uncovered: int) -> None:
    """Go by our own word on a recently compared book, unless something speaks against it."""
    age = event.reconciled_age_seconds
    is_compared = age is not None and age <= step.policy.reconciled_age_seconds_max
    if is_compared and not _is_our_word_doubted(step):
        _send_what_may_go(step, event, _plan(step, event, uncovered, None))
        return
    block_exit(
        step,
        BlockReason.POSITIONS_UNREADABLE,
        "the broker's positions cannot be read, and our book was not compared recently or somebody "
        "else was heard to trade since",
        _UNREADABLE_RETRY_SECONDS,
    )


def _is_our_word_doubted(step: Step) -> bool:
    """Say whether less may be held than we know of.

    A reading that showed too little is no ground for what it did show: every tracker of the key
    saw the same units, and each would take them for its own.
    """
    if _may_have_closed_unseen(step.tracker) or step.pacing.short_readings > 0:
        return True
    if step.pacing.is_covered is None:  # what an earlier process read is not known here
        return bool(step.tracker.exit_orders)
    return not step.pacing.is_covered


def _may_have_closed_unseen(tracker: PositionTracker) -> bool:
    """Say whether an order of this exit was at the exchange: its record may be behind its fills,
    and only a reading of the positions could show that."""
    return any(
        send.outcome.may_reach_the_exchange for order in tracker.exit_orders for send in order.sends
    )


def _note_flat_reading(step: Step) -> None:
    if step.pacing.zero_readings and not step.is_due(step.pacing.next_positions_ns):
        return  # too close to the last one: two readings of one lagging replica are one
    readings = step.pacing.zero_readings + 1
    step.pace(zero_readings=readings, next_positions_ns=step.after(READING_SPACING_SECONDS))
    if readings >= ZERO_READINGS_NEEDED:
        step.command(ReadBooks())
    if readings >= MISSING_READINGS_BEFORE_BLOCK:
        block_exit(
            step,
            BlockReason.POSITION_MISSING,
            "the broker shows no such position and no trade explains who closed it",
            _MISSING_RETRY_SECONDS,
        )


def is_plainly_covered(tracker: PositionTracker, event: PositionsRead) -> bool:
    """Say whether a reading leaves no question: the broker holds all that is to be closed beside
    what every other tracker of the key holds, and nothing was closed too lately to be in it."""
    net = event.net_quantity
    if net is None or event.closed_lately > 0 or event.opposed_open > 0:
        return False
    held = tracker.side.sign * net
    taken = max(event.others_open, event.others_leaves) + tracker.exit_leaves_quantity
    return 0 < uncovered_quantity(tracker) <= held - taken


def orders_needed(tracker: PositionTracker) -> int:
    """Return about how many orders what is uncovered takes, for whoever gets permits ahead."""
    limit = slice_limit(tracker.instrument, tracker.exit_orders)
    quantity = uncovered_quantity(tracker)
    return min(SLICES_MAX, 1 if limit is None else -(-quantity // limit))


def _send_what_may_go(step: Step, event: PositionsRead, planned: tuple[ClientOrderId, ...]) -> None:
    """Plan and send are one decision, and so one commit, where permits and a price are at hand."""
    if event.ready is not None:
        for order_id in planned[: event.ready.permits]:
            on_permit_granted(step, PermitGranted(order_id, event.ready.price))


def _plan(
    step: Step, event: PositionsRead, quantity: int, net: int | None
) -> tuple[ClientOrderId, ...]:
    """Plan orders for `quantity`: the absent ones again if they fit exactly, else a new attempt."""
    tracker = step.tracker
    absent = _resendable(tracker)
    again = sum(order.order_quantity for order in absent) == quantity
    slices = slices_of(tracker, quantity)
    attempt = step.intent.attempt
    if not again:
        attempt = free_attempt(tracker, attempt + 1, len(slices), event.taken_ids)
    planned = quantity if again else sum(slices)
    step.record(ExitSized(tracker.tracker_id, attempt, planned, net, event.others_leaves))
    if again:
        for order in absent:
            step.record(OrderReplanned(tracker.tracker_id, order.client_order_id))
            step.pace_order(order.client_order_id, planned_at_ns=step.now.monotonic_ns)
        return tuple(order.client_order_id for order in absent)
    side = tracker.side.exit_order_side
    return plan_slices(step, slices, role=OrderRole.EXIT, side=side, attempt=attempt)


def _resendable(tracker: PositionTracker) -> tuple[TrackedOrder, ...]:
    assert tracker.intent is not None, tracker.tracker_id
    return tuple(
        order
        for order in tracker.exit_orders
        if order.attempt == tracker.intent.attempt and order.state is OrderState.ABSENT
    )
