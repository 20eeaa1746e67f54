"""Tell of orders of somebody else that rest at the broker and would close what is under watch.

A stop or a target that a person left in the broker's app knows nothing of ours: where both fill,
the account stands on the other side. Such an order is no fault and nothing is done about it, but
whoever placed it must know before the market decides. What would close only units beyond ours
(the broker shows more than our trackers hold) is nobody's rival. Never sends anything.
"""

from collections.abc import Sequence

from squareoff.core.exits.client_order_ids import is_ours
from squareoff.core.exits.foreign_closes import holders_of
from squareoff.core.state.facts import Severity
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import InstrumentId, ProductType
from squareoff.domain.orders import OrderReport
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.positions.broker_reads import PositionsReading
from squareoff.services.positions.position_book import PositionBook

_CODE = "rival_order_resting"


class RivalOrders:
    """Goes through the order book at each comparison; tells of each order once while it rests."""

    def __init__(self, book: PositionBook, alarms: AlarmDesk) -> None:
        self._book = book
        self._alarms = alarms
        self._told: set[BrokerOrderId] = set()
        self._may_others_stand = True  # alarms of the last process

    async def review(self, orders: Sequence[OrderReport], reading: PositionsReading) -> None:
        """Tell of those that came to rest, and of those that do no more."""
        rivals = self._rivals(orders, reading)
        for order_id in sorted(self._told - rivals.keys()):
            text = "the order has ended, or would close nothing more of what is under watch"
            await self._alarms.clear(_CODE, text, about=_beginning(order_id))
        if self._may_others_stand and not rivals:
            self._may_others_stand = False
            await self._alarms.clear(_CODE, "no such order rests at the broker")
        for order_id in sorted(rivals.keys() - self._told):
            await self._alarms.raise_alarm(Severity.WARNING, _CODE, rivals[order_id])
        self._told = set(rivals)

    def _rivals(
        self, orders: Sequence[OrderReport], reading: PositionsReading
    ) -> dict[BrokerOrderId, str]:
        resting: dict[tuple[InstrumentId, ProductType], list[OrderReport]] = {}
        for report in orders:
            if not report.status.is_terminal and self._is_of_somebody_else(report):
                about = report.instrument_id, report.product_type
                resting.setdefault(about, []).append(report)
        return {
            report.broker_order_id: _text(report, holders[0])
            for key in (self._book.position_keys() if resting else ())
            if (reports := resting.get((key.instrument_id, key.product_type)))
            if (holders := holders_of(self._book.on_key(key)))
            for report in _closing_ours(reports, holders, reading.net_of(key))
        }

    def _is_of_somebody_else(self, report: OrderReport) -> bool:
        """Of an order under an id of our shape `unknown_own_order` tells."""
        is_named_ours = is_ours(report.client_order_id)
        owner = self._book.owner_of(report.client_order_id, report.broker_order_id)
        return owner is None and not is_named_ours


def _closing_ours(
    reports: Sequence[OrderReport], holders: Sequence[PositionTracker], net: int
) -> list[OrderReport]:
    """Return the closing orders of a key where they would close more than what is not ours."""
    side = holders[0].side
    closing = [report for report in reports if report.side is side.exit_order_side]
    leaves = sum(report.order_quantity - report.cumulative_quantity for report in closing)
    beside_ours = side.sign * net - sum(tracker.open_quantity for tracker in holders)
    return closing if leaves > max(0, beside_ours) else []


def _beginning(order_id: BrokerOrderId) -> str:
    return f"Order {order_id} of somebody else "


def _text(report: OrderReport, holder: PositionTracker) -> str:
    price = "" if report.limit_price is None else f" at {report.limit_price}"
    symbol = holder.instrument.trading_symbol or holder.instrument.instrument_id
    return (
        f"{_beginning(report.broker_order_id)}({report.side.value} {report.order_quantity} {symbol}"
        f" {report.product_type.value}{price}) rests at the broker and would close what "
        f"{holder.tracker_id} watches. If it fills beside an exit of ours, the account stands on "
        "the other side: cancel it in the broker's app, or let the position go: squareoff untrack "
        f"{holder.tracker_id} --reason own_order."
    )
