"""Carry out the commands of decisions: read positions, place, modify, cancel, settle, confirm.

Every command ends in an input to the position that wanted it, so nothing waits for ever. A command
of the same kind for the same order that is still under way is not started twice.
Invariants:
1. Nothing is sent before the first reconciliation after the start (`SendTerms.may_send`).
2. A sizing decision sees the leaves of all other exits on its key, and no reading older than the
   newest fill on it.
"""

import asyncio
from dataclasses import dataclass, replace

import structlog

from squareoff.core.exits.earlier_days import (
    first_day_sent,
    first_day_to_confirm,
    unbooked_fills,
)
from squareoff.core.exits.sending import closing_urgency
from squareoff.core.state import commands as c
from squareoff.core.state import inputs as i
from squareoff.core.state.step import Decision
from squareoff.core.state.tracker import PositionTracker, TrackedOrder
from squareoff.domain.errors import CommitLost, OwnershipLost
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import OrderReport, OrderRole, TradeReport
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason
from squareoff.domain.time import ist_date
from squareoff.ports import Checkpoints, Clock
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.orders.command_terms import key_of, send_answer, with_deadline
from squareoff.services.orders.order_router import OrderRouter, RouterOutcome, RouterResult
from squareoff.services.orders.order_update_handler import OrderUpdateHandler
from squareoff.services.orders.permit_watch import PermitWatch
from squareoff.services.orders.rate_budget import WriteKind
from squareoff.services.orders.send_terms import SendTerms
from squareoff.services.positions.broker_reads import BrokerReads, PositionsReading
from squareoff.services.positions.position_book import CommandKey, PositionActor
from squareoff.services.positions.sizing_readings import SizingReadings
from squareoff.services.positions.stranger_watch import StrangerWatch
from squareoff.services.prices.ltp_resolver import LtpResolver

_log = structlog.get_logger("squareoff.placer")
SIZING_READS_MAX = 5
"""Readings overtaken by our own fills before the sizing is put off."""


@dataclass(frozen=True, slots=True)
class PlacingParts:
    """The order side of one account: who writes, who reads, who is told of what was read."""

    router: OrderRouter
    permit_watch: PermitWatch
    reads: BrokerReads
    handler: OrderUpdateHandler


class Placer:
    """Does for each position what its decisions want done."""

    def __init__(
        self,
        engine: ExitEngine,
        parts: PlacingParts,
        *,
        prices: LtpResolver,
        readings: SizingReadings,
        terms: SendTerms,
        strangers: StrangerWatch,
        clock: Clock,
        checkpoints: Checkpoints,
    ) -> None:
        self._engine = engine
        self._router = parts.router
        self._permit_watch = parts.permit_watch
        self._reads = parts.reads
        self._handler = parts.handler
        self._prices = prices
        self._readings = readings
        self._terms = terms
        self._strangers = strangers
        self._clock = clock
        self._checkpoints = checkpoints
        self._tasks: asyncio.TaskGroup | None = None

    def connect(self, tasks: asyncio.TaskGroup) -> None:
        """Give the placer its task group."""
        self._tasks = tasks

    def carry_out(self, actor: PositionActor, decision: Decision) -> None:
        """Start every command of a committed decision that is not already under way."""
        assert self._tasks is not None, "connected before any decision"
        for command in decision.commands:
            key = key_of(command)
            if key in actor.in_flight or self._must_wait(actor, command):
                continue
            command = with_deadline(command, actor.decided_at_ns)
            actor.in_flight[key] = command
            version = decision.tracker.version
            self._tasks.create_task(self._run(actor, command, key, version))

    @staticmethod
    def _must_wait(actor: PositionActor, command: c.Command) -> bool:
        """An order's next price waits for the answer to its last modify, whose end asks again."""
        if not isinstance(command, c.RequestReprice):
            return False
        modify = c.TransmitModify.__name__, command.client_order_id, command.broker_order_id
        return modify in actor.in_flight

    async def _run(
        self, actor: PositionActor, command: c.Command, key: CommandKey, version: int
    ) -> None:
        """Carry out one command of the decision that made the tracker's `version`."""
        structlog.contextvars.bind_contextvars(**_ids_of(actor.tracker, command))  # of this task
        try:
            event = await self._perform(actor, command, version)
        except (OwnershipLost, CommitLost):
            raise  # the whole engine ends: the account or the database is not what it was
        except Exception as error:  # noqa: BLE001 - a defect of ours halts this position only
            await self._engine.halt(actor, error)
            _log.exception("command_failed", command=type(command).__name__)
            return
        finally:
            # Before the input is told: its decision may want the same command again.
            actor.end_command(key, command)
        if event is not None:
            await self._engine.tell_within(actor, event)

    async def _perform(
        self, actor: PositionActor, command: c.Command, version: int
    ) -> i.Input | None:
        match command:
            case c.ReadPositions():
                return await self._read_positions(actor, command)
            case c.ReadBooks():
                await self._read_books(actor, command)
                return None
            case c.LookUpOrder(client_order_id):
                return await self._look_up(actor, client_order_id)
            case c.RequestPermit():
                return await self._request_permit(actor, command)
            case c.TransmitOrder():
                return await self._transmit(actor, command, version)
            case c.RequestReprice():
                return await self._request_reprice(actor, command)
            case c.TransmitModify():
                return await self._modify(actor, command)
            case c.TransmitCancel():
                return await self._cancel(command)

    async def _read_positions(
        self, actor: PositionActor, command: c.ReadPositions
    ) -> i.Input | None:
        """Read, then decide under the key's lock, so that no two exits size on the same units."""
        if (hindrance := self._reading_hindrance(actor.tracker)) is not None:
            return hindrance  # a reading would fail, or be old when the exit can go
        for _ in range(SIZING_READS_MAX):
            reading = await self._readings.read(actor.tracker)
            if reading.positions is None:  # a token may have died while it was read
                hindrance = self._terms.reading_hindrance(actor.tracker)
                if hindrance is not None:
                    return hindrance
            async with self._engine.book.key_lock(actor.tracker.key):
                if not self._readings.is_overtaken(actor.tracker, reading):
                    actor.end_command(key_of(command), command)
                    await self._size(actor, self._readings.input_of(actor.tracker, reading))
                    return None
        return i.ExitHindered(
            BlockReason.POSITIONS_UNREADABLE, "fills keep overtaking the readings", 1.0
        )

    def _reading_hindrance(self, tracker: PositionTracker) -> i.ExitHindered | None:
        """What is to be taken back is planned once, so nothing is where nothing can go out."""
        if tracker.exited_quantity > tracker.quantity:
            return self._terms.hindrance(tracker, closing_urgency(tracker))
        return self._terms.reading_hindrance(tracker)

    async def _size(self, actor: PositionActor, event: i.PositionsRead) -> None:
        """Tell the reading, with permits and a price where both are at hand: what the plan can
        send at once then costs one commit instead of two."""
        ready = self._terms.ready(actor.tracker, closing_urgency(actor.tracker))
        decision: Decision | None = None
        try:
            decision = await self._engine.tell_within(actor, replace(event, ready=ready))
        finally:
            self._terms.return_unused(ready, decision)

    async def _read_books(self, actor: PositionActor, command: c.ReadBooks) -> None:
        """Read both books: the order book first, so that our own late orders are not strangers.

        Decided under the key's lock: a trade that one position takes for its close is no other's.
        """
        orders = await self._reads.order_book()
        trades = await self._reads.trade_book()
        await self._handler.handle_book(orders or ())
        earlier = await self._read_earlier(actor.tracker, trades or ())
        for order in actor.tracker.exit_orders:  # the order book forgot those of earlier days
            for report in unbooked_fills(order, actor.tracker.key, earlier or ()):
                await self._handler.handle(report)
        book = self._engine.book
        is_complete = orders is not None and trades is not None and earlier is not None
        found = (*(earlier or ()), *(trades or ())) if is_complete else None
        async with book.key_lock(actor.tracker.key):
            actor.end_command(key_of(command), command)
            read = i.BooksRead(found, book.own_broker_order_ids(), book.beside(actor.tracker))
            await self._engine.tell_within(actor, read)

    async def _read_earlier(
        self, tracker: PositionTracker, todays: tuple[TradeReport, ...]
    ) -> tuple[TradeReport, ...] | None:
        """Read the trades of earlier days that count; None where our own could not be read."""
        now = self._clock.now()
        confirmed_from = first_day_to_confirm(tracker, now)
        first = ist_date(tracker.created_at_ns) if tracker.open_quantity else confirmed_from
        if first is None:
            return ()
        trades = await self._reads.earlier_trades(first, now, todays)
        return () if trades is None and confirmed_from is None else trades

    async def _look_up(self, actor: PositionActor, client_order_id: ClientOrderId) -> i.Input:
        """Ask for an order by every way the broker offers; what the order book tells of it needs
        no look-up of its own."""
        tracker = actor.tracker
        order = tracker.order(client_order_id)
        known = {r.broker_order_id for r in order.broker_orders} if order else set()
        orders = await self._reads.order_book()
        in_book = [each for each in orders or () if each.client_order_id == client_order_id]
        looked_up: tuple[OrderReport, ...] | None = ()
        if all(report.broker_order_id in known for report in in_book):
            looked_up = await self._reads.orders_by_client_order_id(client_order_id)
        trades = await self._reads.trade_book()
        positions = await self._reads.positions()
        found = [
            report
            for report in (*(looked_up or ()), *(orders or ()))
            if report.client_order_id == client_order_id or report.broker_order_id in known
        ]
        earlier = await self._trades_of_its_days(order, trades or ())
        fills = () if order is None else unbooked_fills(order, tracker.key, earlier or ())
        for report in (*found, *fills):
            await self._handler.handle(report)
        # A history that cannot be read proves nothing and holds nothing up: exits must end.
        is_complete = None not in (looked_up, orders, trades, positions)
        if positions is not None:
            book = self._engine.book
            is_complete &= not book.has_filled_since(tracker.key, positions.fill_count)
        return i.SettleRead(
            client_order_id,
            complete=is_complete,
            lacking=all(report.broker_order_id in known for report in found),
            steady_net_quantity=self._steady_net(tracker, positions),
        )

    async def _trades_of_its_days(
        self, order: TrackedOrder | None, todays: tuple[TradeReport, ...]
    ) -> tuple[TradeReport, ...] | None:
        """Return the trades since an order of an earlier day was sent, which the order book forgot
        with its day; None where they could not be read."""
        now = self._clock.now()
        first = None if order is None else first_day_sent(order, now)
        return () if first is None else await self._reads.earlier_trades(first, now, todays)

    def _steady_net(
        self, tracker: PositionTracker, positions: PositionsReading | None
    ) -> int | None:
        if positions is None:
            return None
        # A sale shows here at once; whether the delivered shares fall with it is not known.
        key = tracker.key
        traded = positions.net_of(key) - positions.delivered_of(key)
        return traded - self._engine.book.signed_fills(key)

    async def _request_permit(
        self, actor: PositionActor, command: c.RequestPermit
    ) -> i.Input | None:
        await self._terms.may_send.wait()
        hindrance = self._terms.hindrance(actor.tracker, command.urgency)
        if hindrance is not None:
            return hindrance
        with self._permit_watch.waiting(actor, command.urgency):
            await self._router.permit(command.urgency, command.risk)
        decision: Decision | None = None
        try:
            price = await self._prices.resolve(actor.tracker.instrument)
            # Asked again: the switch may have been thrown while this waited.
            hindrance = self._terms.hindrance(actor.tracker, command.urgency)
            if hindrance is not None:
                return hindrance
            actor.end_command(key_of(command), command)
            quiet_since_ns = self._strangers.quiet_since_ns(actor.tracker)
            granted = i.PermitGranted(command.client_order_id, price, quiet_since_ns)
            decision = await self._engine.tell(actor, granted)
        finally:
            self._return_unused_permit(decision, c.TransmitOrder, WriteKind.PLACE)
        return None

    def _return_unused_permit(
        self, decision: Decision | None, wanted: type[c.Command], kind: WriteKind
    ) -> None:
        if decision is None or not any(isinstance(k, wanted) for k in decision.commands):
            self._router.return_permit(kind)

    async def _transmit(
        self, actor: PositionActor, command: c.TransmitOrder, version: int
    ) -> i.Input:
        order = actor.tracker.order(command.request.client_order_id)
        self._checkpoints.reach("before_first_byte")
        if order is not None and order.role is OrderRole.ENTRY:
            result = await self._router.place_market(command.request)
        else:
            urgency = closing_urgency(actor.tracker)
            risk = command.request.order_quantity * actor.tracker.entry_price
            result = await self._router.exit_market(
                command.request, urgency, decided_version=version, risk=risk
            )
        self._checkpoints.reach("after_answer")
        return i.SendAnswered(
            command.request.client_order_id, command.send_number, send_answer(result)
        )

    async def _request_reprice(
        self, actor: PositionActor, command: c.RequestReprice
    ) -> i.Input | None:
        await self._terms.may_send.wait()
        hindrance = self._terms.change_hindrance(actor.tracker)
        if hindrance is not None:
            await self._clock.sleep(hindrance.retry_after_seconds)
            return i.Woke()
        if self._terms.is_oversized(actor.tracker):
            return i.ExitOversized(command.client_order_id)
        await self._router.permit(command.urgency, kind=WriteKind.MODIFY)
        decision: Decision | None = None
        try:
            price = await self._prices.resolve(actor.tracker.instrument)
            if self._terms.change_hindrance(actor.tracker) is not None:
                return i.Woke()
            # Still under way while it is told: a second price for the order would be decided in
            # parallel otherwise. The decision restarts the order's clock, so nothing is lost.
            ready = i.RepriceReady(command.client_order_id, command.broker_order_id, price)
            decision = await self._engine.tell(actor, ready)
        finally:
            self._return_unused_permit(decision, c.TransmitModify, WriteKind.MODIFY)
        return None

    async def _modify(self, actor: PositionActor, command: c.TransmitModify) -> i.Input:
        self._checkpoints.reach("before_modify")
        result = await self._router.modify_order(
            command.modification, closing_urgency(actor.tracker)
        )
        await self._learn_after_write(result)
        if result.outcome is RouterOutcome.REFUSED:
            name = command.modification.client_order_id
            return i.ModifyRefused(name, result.code, result.text)
        return i.Woke()

    async def _cancel(self, command: c.TransmitCancel) -> i.Input:
        await self._terms.may_send.wait()
        self._checkpoints.reach("before_cancel")
        result = await self._router.cancel_order(command.broker_order_id, Urgency.STOP)
        await self._learn_after_write(result)
        return i.Woke()

    async def _learn_after_write(self, result: RouterResult) -> None:
        """A modify or cancel that was not plainly taken: the order's own record tells the truth."""
        if result.outcome is RouterOutcome.ACCEPTED:
            return
        await self._handler.handle_book(await self._reads.order_book() or ())


def _ids_of(tracker: PositionTracker, command: c.Command) -> dict[str, str]:
    """Return what every line logged while a command is carried out carries."""
    ids = {"tracker_id": str(tracker.tracker_id)}
    if tracker.intent is not None:
        ids["correlation_id"] = str(tracker.intent.intent_id)
    client_order_id = getattr(command, "client_order_id", None)
    if client_order_id is not None:
        ids["client_order_id"] = str(client_order_id)
    return ids
