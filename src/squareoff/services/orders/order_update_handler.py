"""Turn broker reports into tracker transitions: find the owner, tell its actor.

A report is an entry's or an exit's by our own order row, never by BUY or SELL; what it changes
(active, part filled, exited, cancelled) the core decides from the order's merged record.

The books are read every second while an exit is in flight, and most of their rows are of orders
that have ended long ago: a record of an ended order that was told before, of a position that has
not changed since, is not told again.
"""

import asyncio
from collections.abc import Sequence

import structlog
from prometheus_client import Counter

from squareoff.core.state.facts import Severity
from squareoff.core.state.inputs import OrderSeen
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import OrderReport, ReportSource
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.unknown_orders import UnknownOrders
from squareoff.services.positions.position_book import PositionActor

_log = structlog.get_logger("squareoff.order_update_handler")


class OrderUpdateHandler:
    """The one place where broker order records enter the engine, whatever their source."""

    def __init__(
        self,
        engine: ExitEngine,
        alarms: AlarmDesk,
        metrics: Metrics,
        unknown_orders: UnknownOrders,
    ) -> None:
        self._engine = engine
        self._alarms = alarms
        self._metrics = metrics
        self.unknown_orders = unknown_orders
        self._counts: dict[tuple[ReportSource, str], Counter] = {}
        self._told: dict[tuple[BrokerOrderId, ReportSource], tuple[OrderReport, int]] = {}
        self._telling_book = asyncio.Lock()
        self._told_book: Sequence[OrderReport] | None = None
        self._ours_in_book = 0

    async def handle_book(self, reports: Sequence[OrderReport]) -> int:
        """Feed one reading of the order book to its owners; return how many reports are ours.

        Whoever comes with a reading that others have told, or are telling, waits until all of it is
        told and tells nothing again.
        """
        async with self._telling_book:
            if reports is not self._told_book:
                self._ours_in_book = sum([await self.handle(report) for report in reports])
                self._told_book = reports
            return self._ours_in_book

    async def handle(self, report: OrderReport) -> bool:
        """Feed a report to its owner; return whether it is one of ours."""
        owner = self._engine.book.owner_of(report.client_order_id, report.broker_order_id)
        self._count(report.source, "foreign" if owner is None else "ours")
        if owner is None:
            await self._note_stranger(report)
            return False
        actor, client_order_id = owner
        if self._says_nothing_new(actor, client_order_id, report):
            return True
        await self._engine.tell(actor, OrderSeen(client_order_id, report))
        self._told[report.broker_order_id, report.source] = report, actor.tracker.version
        return True

    def forget(self, tracker: PositionTracker) -> None:
        """A position has left the book: what was told of its orders is told no more."""
        for order in tracker.orders:
            for record in order.broker_orders:
                for source in ReportSource:
                    self._told.pop((record.broker_order_id, source), None)

    def _count(self, source: ReportSource, owner: str) -> None:
        counter = self._counts.get((source, owner))
        if counter is None:
            counter = self._metrics.order_updates.labels(source.value.lower(), owner)
            self._counts[source, owner] = counter
        counter.inc()

    def _says_nothing_new(
        self, actor: PositionActor, client_order_id: ClientOrderId, report: OrderReport
    ) -> bool:
        order = actor.tracker.order(client_order_id)
        if order is None or not order.state.is_terminal or actor.is_in_doubt:
            return False
        told = self._told.get((report.broker_order_id, report.source))
        return told == (report, actor.tracker.version)

    async def _note_stranger(self, report: OrderReport) -> None:
        """An order with an id of our shape that our book does not hold: a person must know (I5)."""
        if not self.unknown_orders.note(report):
            return
        self._metrics.reconciliation_findings.labels("unknown_order").inc()
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "unknown_own_order",
            f"The broker has order {report.broker_order_id} ({report.side.value} "
            f"{report.order_quantity} {report.instrument_id}) under our id "
            f"{report.client_order_id}, which this database does not know. Is another engine "
            "trading this account, or was the database replaced? While it can fill, exits of the "
            "same position wait.",
        )
