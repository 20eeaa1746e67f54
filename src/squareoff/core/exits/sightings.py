"""What a broker report of one of our orders adds to what we know (I12).

Reports come from the order stream, the order book and look-ups, in any order, repeated or late. A
report that adds nothing leaves no fact, and one of an order that is not ours is not counted.
"""

from squareoff.core.entries.entry_matching import end_watch, is_another_order
from squareoff.core.exits.ended_exits import note_end
from squareoff.core.exits.flattening import note_ended_flattening
from squareoff.core.exits.setbacks import note_ended_exit, note_exit_at_exchange
from squareoff.core.exits.settling import note_sighting
from squareoff.core.state.facts import OrderReported, Severity
from squareoff.core.state.inputs import OrderSeen
from squareoff.core.state.order_fold import fold_order
from squareoff.core.state.step import Step
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import ClientOrderId, TrackerId
from squareoff.domain.orders import BrokerOrderStatus, OrderReport
from squareoff.domain.states import PositionStatus


def on_order_seen(step: Step, event: OrderSeen) -> None:
    """Merge the report; record a fact only if it changes something."""
    before = step.tracker.order(event.client_order_id)
    if before is None:
        return
    report = event.report
    if is_another_order(step, before, report):
        end_watch(step, before, report)
        return
    note_sighting(step, before, report)
    note_end(step, before, report)
    fact = reported(step.tracker.tracker_id, event.client_order_id, report)
    if fold_order(before, fact, step.now.wall_ns) == before:
        return
    known = step.tracker
    step.record(fact)
    note_exit_at_exchange(step)
    note_ended_exit(step, before)
    note_ended_flattening(step, before)
    _tell_fills_after_the_end(step, known)


def _tell_fills_after_the_end(step: Step, before: PositionTracker) -> None:
    """Nobody watches what fills once the position is over: call a person."""
    tracker = step.tracker
    name = f"{tracker.instrument.trading_symbol} ({tracker.tracker_id})"
    is_let_go = tracker.status is PositionStatus.UNTRACKED
    if (
        is_let_go or tracker.status is PositionStatus.EXITED
    ) and tracker.quantity > before.quantity:
        # Of one that was let go a person holds the rest on purpose.
        filled = tracker.quantity - before.quantity if is_let_go else tracker.open_quantity
        step.alarm(
            Severity.CRITICAL,
            "entry_filled_after_exit",
            f"The entry order of {name} filled {filled} units after the position had ended; they "
            "are held and no rule watches them. Close them by hand.",
        )
    if before.status is PositionStatus.CANCELLED and tracker.quantity > before.quantity:
        step.alarm(
            Severity.CRITICAL,
            "entry_filled_late",
            f"The entry order of {name}, given up for lost or ended, filled "
            f"{tracker.quantity - before.quantity} units after all. They are under watch with the "
            "rules that the entry was given; exit them if they are not wanted any more.",
        )
    closed = tracker.exited_quantity - before.exited_quantity
    if is_let_go and closed > 0:
        step.alarm(
            Severity.CRITICAL,
            "over_exit",
            f"{name}: {closed} units were closed by an exit order of the engine that was given up "
            "for lost, after the position had been let go. Look at the net position now.",
        )


def reported(
    tracker_id: TrackerId, client_order_id: ClientOrderId, report: OrderReport
) -> OrderReported:
    """Return the fact that a report amounts to."""
    return OrderReported(
        tracker_id=tracker_id,
        client_order_id=client_order_id,
        broker_order_id=report.broker_order_id,
        status=_trusted_status(report),
        cumulative_quantity=report.cumulative_quantity,
        average_price=report.average_price,
        reason=report.reason,
        source=report.source,
        last_trade_ns=report.last_trade_ns,
    )


def _trusted_status(report: OrderReport) -> BrokerOrderStatus:
    """Return the status as far as the quantities bear it out.

    TRADED with fewer fills than ordered is not believed: taken for final, the rest would be closed
    a second time. The order stays live until a record tells both alike.
    """
    if report.status is BrokerOrderStatus.MISSING:  # our own word, which no broker may use
        return BrokerOrderStatus.UNKNOWN
    if report.status is not BrokerOrderStatus.TRADED:
        return report.status
    if report.cumulative_quantity >= report.order_quantity:
        return report.status
    return BrokerOrderStatus.PART_TRADED
