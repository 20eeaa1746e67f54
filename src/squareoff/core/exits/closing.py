"""The end of an exit: confirm by the trade book, find who else closed, detect over-exits.

Invariants:
1. EXITED needs trades that add up to every fill we booked, read from the broker's own book.
2. The exit price is the quantity-weighted average of exactly those trades (and of the foreign
   trades that closed the rest).
3. More closed than held freezes the position and calls a person. Nothing is bought back here; with
   `ExitPolicy.flatten_over_exit` `core.exits.flattening` does it, and the alarm says so.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from squareoff.core.exits.ended_exits import (
    denied_ends,
    denied_quantity,
    note_ends_asked,
    read_ends,
)
from squareoff.core.exits.flattening import (
    FLATTEN_SECONDS_MAX,
    begin_flattening,
    may_flatten,
    taking_back,
)
from squareoff.core.exits.foreign_closes import (
    average_price,
    distinct,
    has_unnamed_order,
    last_made_ns,
    last_trade_ns,
    take_pieces,
    unbooked_pieces,
    units_of,
)
from squareoff.core.exits.setbacks import escalate_exit
from squareoff.core.state.commands import ReadBooks, TransmitCancel
from squareoff.core.state.facts import (
    ClosedExternally,
    FillsConfirmed,
    OrderCancelSent,
    OverExitDetected,
    PositionExited,
    Severity,
)
from squareoff.core.state.inputs import BooksRead
from squareoff.core.state.policy import BOOKS_DISAGREED_BEFORE_ALARM, ZERO_READINGS_NEEDED
from squareoff.core.state.step import Step, retry_delay_seconds
from squareoff.core.state.tracker import (
    BrokerOrder,
    PositionTracker,
    SendOutcome,
    TrackedOrder,
    notional_of,
)
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import OrderRole, TradeReport
from squareoff.domain.prices import round_average_half_even
from squareoff.domain.states import IntentStatus, PositionStatus

_CANCEL_RETRY_SECONDS = 1.0
_BOOKS_RETRY_SECONDS = 0.5
CANCELS_BEFORE_ALARM = 4
"""A cancel may meet a lost answer or a lagging book once or twice; after that it is no chance."""

CLOSED_EXTERNALLY = "closed_externally"


def cancel_live_orders(step: Step, role: OrderRole) -> None:
    """Queue a cancel for everything of this role that can still fill at the broker."""
    orders = step.tracker.exit_orders if role is OrderRole.EXIT else step.tracker.entry_orders
    for order in orders:
        cancel_order(step, order)


def cancel_unwanted_flattening(step: Step) -> None:
    """End what takes back where a person has dealt with the over-exit, or was told that it is in
    no book: it would open a position beside what he closed."""
    tracker = step.tracker
    is_seen_to = tracker.has_live_intent and not tracker.is_with_a_person
    for order in tracker.orders:
        if order.role is not OrderRole.FLATTEN:
            continue
        if is_seen_to or any(send.outcome is SendOutcome.ABSENT for send in order.sends):
            cancel_order(step, order)


def cancel_order(step: Step, order: TrackedOrder) -> None:
    """Queue a cancel for whatever the broker still works under this id, at growing pauses."""
    live = [record.broker_order_id for record in order.live_broker_orders]
    live += sorted(denied_ends(step, order))
    pacing = step.pacing.of(order.client_order_id)
    if not live or not step.is_due(pacing.next_cancel_ns):
        return
    for broker_order_id in live:
        step.record(
            OrderCancelSent(step.tracker.tracker_id, order.client_order_id, broker_order_id)
        )
        step.command(TransmitCancel(order.client_order_id, broker_order_id))
    if pacing.cancels + 1 == CANCELS_BEFORE_ALARM:
        _tell_of_cancels(step, order, live)
    pause = max(_CANCEL_RETRY_SECONDS, retry_delay_seconds(pacing.cancels + 1))
    next_ns = step.after(pause)
    step.pace_order(order.client_order_id, next_cancel_ns=next_ns, cancels=pacing.cancels + 1)
    step.wake_at(next_ns)


def _tell_of_cancels(step: Step, order: TrackedOrder, live: Sequence[BrokerOrderId]) -> None:
    """Call a person for an order that nobody wants and that no cancel of ours ends: it may fill."""
    symbol = step.tracker.instrument.trading_symbol
    step.alarm(
        Severity.CRITICAL,
        "order_not_cancelled",
        f"{symbol} ({step.tracker.tracker_id}): order {', '.join(live)} "
        f"({order.client_order_id}) is still at the broker after {CANCELS_BEFORE_ALARM - 1} "
        f"cancels, and {order.leaves_quantity} units of it may fill though nothing of it is "
        "wanted. Cancel it in the broker's app; it is tried again meanwhile.",
    )


def detect_over_exit(step: Step) -> None:
    """Freeze the position and call a person if more was closed than was held."""
    tracker = step.tracker
    over = tracker.exited_quantity - tracker.quantity
    if over <= tracker.over_exited_quantity:
        return
    step.record(OverExitDetected(tracker.tracker_id, over))
    begin_flattening(step)
    text = f"{over} units more were closed than were held; {_what_follows(step)}"
    intent = tracker.intent
    if intent is not None and intent.status in (IntentStatus.OPEN, IntentStatus.BLOCKED):
        escalate_exit(step, "over_exit", text)
    else:  # a person may be in charge already, for another reason: this one is told too
        symbol = tracker.instrument.trading_symbol
        step.alarm(Severity.CRITICAL, "over_exit", f"{symbol} ({tracker.tracker_id}): {text}")


def _what_follows(step: Step) -> str:
    """Say whether the excess is closed by hand or by us: never let both do it."""
    if not may_flatten(step):
        sent = taking_back(step.tracker)
        return f"nothing is bought back by itself{f' but by {sent}' if sent else ''}"
    return (
        f"the excess is taken back once, when {step.policy.readings} readings agree; do not close "
        f"it by hand meanwhile: within {FLATTEN_SECONDS_MAX:g} s you are told if it was not"
    )


def confirm_when_closed(step: Step) -> None:
    """Nothing is left to close: end what can still fill, then queue a read of the books."""
    if step.tracker.open_quantity > 0:
        return
    cancel_live_orders(step, OrderRole.EXIT)
    if step.tracker.is_frozen:
        return  # only a person ends it
    if any(order.state.is_live for order in step.tracker.orders):
        return
    if denied_quantity(step):
        read_ends(step)
    elif step.is_due(step.pacing.next_books_ns):
        step.command(ReadBooks())


def on_books_read(step: Step, event: BooksRead) -> None:
    """Confirm the close, or find out who else closed the position."""
    tracker = step.tracker
    is_closed = tracker.status is PositionStatus.ACTIVE and tracker.open_quantity == 0
    if not (tracker.has_live_intent or is_closed):
        return
    note_ends_asked(step)
    is_flat = tracker.open_quantity == 0 or step.pacing.zero_readings >= ZERO_READINGS_NEEDED
    if event.trades is None:
        if is_flat:  # else the books were read for the end of an order alone
            _note_disagreement(step)
        return
    trades = distinct(event.trades)
    if step.tracker.open_quantity > 0:
        _explain_flat_position(step, event)
        if step.tracker.open_quantity > 0:
            return
    is_live = any(order.state.is_live for order in step.tracker.orders)
    if not is_live and denied_quantity(step) == 0:
        _confirm(step, trades)


def _explain_flat_position(step: Step, event: BooksRead) -> None:
    """Book a foreign close once enough flat readings stand and foreign trades account for it."""
    tracker = step.tracker
    if step.pacing.zero_readings < ZERO_READINGS_NEEDED or tracker.exit_leaves_quantity > 0:
        return
    trackers, trades = (*event.others, tracker), event.trades or ()
    if has_unnamed_order(trackers, tracker.side.exit_order_side):
        return
    pieces = unbooked_pieces(tracker, trackers, trades, event.own_broker_order_ids)
    missing = tracker.open_quantity
    if units_of(pieces) < missing:
        return
    taken = take_pieces(pieces, missing)
    price, last_ns = average_price(taken), last_trade_ns(taken)
    step.record(ClosedExternally(tracker.tracker_id, missing, price, last_ns))


def _confirm(step: Step, trades: tuple[TradeReport, ...]) -> None:
    by_order: dict[BrokerOrderId, list[TradeReport]] = {}
    for trade in trades:
        by_order.setdefault(trade.broker_order_id, []).append(trade)
    filled = [
        (order, record)
        for order in step.tracker.orders
        for record in order.broker_orders
        if order.role is OrderRole.EXIT
        and (record.cumulative_quantity > 0 or record.broker_order_id in by_order)
    ]
    if not all(_agrees(record, by_order.get(record.broker_order_id, ())) for _, record in filled):
        _note_disagreement(step)
        return
    for order, record in filled:
        _record_confirmed(step, order, record, by_order[record.broker_order_id])
    detect_over_exit(step)
    if not step.tracker.is_frozen:
        _exit(step, [t for _, r in filled for t in by_order[r.broker_order_id]])


def _agrees(record: BrokerOrder, trades: Iterable[TradeReport]) -> bool:
    """Trades may run ahead of the record, never behind it."""
    return sum(trade.quantity for trade in trades) >= record.cumulative_quantity


def _note_disagreement(step: Step) -> None:
    disagreed = step.pacing.books_disagreed + 1
    step.pace(books_disagreed=disagreed, next_books_ns=step.after(_BOOKS_RETRY_SECONDS))
    if disagreed == BOOKS_DISAGREED_BEFORE_ALARM:
        step.alarm(
            Severity.WARNING,
            "fills_unconfirmed",
            f"{step.tracker.instrument.trading_symbol} ({step.tracker.tracker_id}) is closed by "
            "the order stream, but the broker's trade book cannot be read or lacks fills; "
            "asking goes on.",
        )


def _record_confirmed(
    step: Step, order: TrackedOrder, record: BrokerOrder, trades: list[TradeReport]
) -> None:
    quantity = sum(trade.quantity for trade in trades)
    step.record(
        FillsConfirmed(
            tracker_id=step.tracker.tracker_id,
            client_order_id=order.client_order_id,
            broker_order_id=record.broker_order_id,
            cumulative_quantity=quantity,
            average_price=round_average_half_even(_notional(trades), quantity),
            last_trade_ns=last_made_ns(trades),
        )
    )


def _notional(trades: Iterable[TradeReport]) -> Decimal:
    return sum((trade.quantity * trade.price for trade in trades), Decimal(0))


def _gain_of_taking_back(tracker: PositionTracker, exit_price: Decimal) -> Decimal:
    """Return what our own orders brought that took back what was closed too much; 0 where the
    broker has not told their price."""
    orders = [order for order in tracker.orders if order.role is OrderRole.FLATTEN]
    notional = notional_of(record for order in orders for record in order.broker_orders)
    if notional is None:
        return Decimal(0)
    quantity = sum(order.cumulative_quantity for order in orders)
    return (quantity * exit_price - notional) * tracker.side.sign


def _exit(step: Step, trades: list[TradeReport]) -> None:
    tracker = step.tracker
    closed = sum(trade.quantity for trade in trades) + tracker.externally_closed_quantity
    notional = _notional(trades) + tracker.externally_closed_notional
    counted = min(closed, tracker.quantity)  # what was closed too much opened another position
    gain = (notional * counted / closed - counted * tracker.entry_price) * tracker.side.sign
    gain += _gain_of_taking_back(tracker, notional / closed)
    is_ours = trades and tracker.intent is not None
    reason = step.intent.reason if is_ours else CLOSED_EXTERNALLY
    step.record(
        PositionExited(
            tracker_id=tracker.tracker_id,
            exit_price=round_average_half_even(notional, closed),
            realized_pnl=gain.quantize(Decimal("0.01")),
            exit_reason=reason,
        )
    )
