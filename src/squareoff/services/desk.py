"""The desk: everything that people and programs can ask of the running engine.

The API and the command line speak to this and to nothing below it. Checks inputs, answers with
values, never with live objects.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from squareoff.core.facts import JournalEntry
from squareoff.core.inputs import RulesSet
from squareoff.core.opening import NewPosition, opening_faults
from squareoff.core.rule_checks import rule_faults
from squareoff.core.tracker import PositionTracker
from squareoff.domain.errors import DomainError, FieldFault
from squareoff.domain.ids import AccountId, BrokerOrderId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
from squareoff.domain.orders import BrokerPosition, OrderType, PositionSide
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.domain.rules import NO_RULES, RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.ports import (
    Alarm,
    Clock,
    IdSource,
    InstrumentSource,
    Journal,
    KillSwitchState,
    RememberedAnswer,
    TrackerStore,
)
from squareoff.services.alarm_desk import AlarmDesk
from squareoff.services.exit_engine import ExitEngine
from squareoff.services.exit_results import Wait
from squareoff.services.kill_switch import KillSwitch
from squareoff.services.metrics import Metrics
from squareoff.services.tick_cache import TickCache
from squareoff.services.views import OrderView, StatusView, TrackerView, order_views, tracker_view

DeclarePosition = Callable[[Instrument, BrokerPosition], Awaitable[None]]
"""Tells the paper broker to hold what a new tracker says is held."""


@dataclass(frozen=True, slots=True)
class PositionRequest:
    """A position to take under watch, as asked for from outside.

    Instrument terms are needed only where the instrument master does not hold the instrument;
    where both speak, the master's word counts. Prices in rupees, quantity in units.
    """

    exchange_segment: ExchangeSegment
    security_id: str
    product_type: ProductType
    side: PositionSide
    quantity: int
    entry_price: Decimal
    rules: RuleSet = NO_RULES
    trading_symbol: str | None = None
    lot_size: int | None = None
    tick_size: Decimal | None = None
    freeze_quantity: int | None = None
    entry_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class EntryRequest:
    """An entry order to place together with its tracker. `limit_price` is None for MARKET."""

    exchange_segment: ExchangeSegment
    security_id: str
    product_type: ProductType
    side: PositionSide
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None = None
    rules: RuleSet = NO_RULES


class InvalidRequest(DomainError):
    """The request has faults; each names its field. Nothing was changed."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        text = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        super().__init__("invalid_request", text, faults[0].field)
        self.faults = tuple(faults)


class UnknownTracker(DomainError):
    """There is no tracker with this id."""

    def __init__(self, tracker_id: str) -> None:
        super().__init__("tracker_not_found", f"there is no tracker {tracker_id}", "tracker_id")


class Desk:
    """What can be asked of one running engine."""

    def __init__(
        self,
        *,
        account_id: AccountId,
        engine: ExitEngine,
        store: TrackerStore,
        journal: Journal,
        instruments: InstrumentSource,
        ticks: TickCache,
        clock: Clock,
        ids: IdSource,
        alarms: AlarmDesk,
        kill_switch: KillSwitch,
        metrics: Metrics,
        reconcile: Callable[[str], Awaitable[tuple[str, ...]]],
        status: Callable[[], StatusView],
        declare_position: DeclarePosition | None,
    ) -> None:
        self._account_id = account_id
        self._engine = engine
        self._store = store
        self._journal = journal
        self._instruments = instruments
        self._ticks = ticks
        self._clock = clock
        self._ids = ids
        self._alarms = alarms
        self._kill_switch = kill_switch
        self._metrics = metrics
        self._reconcile = reconcile
        self._status = status
        self._declare_position = declare_position

    async def recall_answer(self, idempotency_key: str) -> RememberedAnswer | None:
        """Return the answer stored under an idempotency key of the API, if any."""
        return await self._store.recall_answer(idempotency_key)

    async def remember_answer(self, idempotency_key: str, answer: RememberedAnswer) -> None:
        """Store the first answer under a key."""
        await self._store.remember_answer(idempotency_key, answer, self._clock.now().wall_ns)

    async def track(
        self, request: PositionRequest, tracker_id: TrackerId | None = None
    ) -> TrackerView:
        """Take a position under watch, durably.

        Args:
            tracker_id: an id that the caller derived, so that a repeat cannot make a second
                tracker (the store refuses a known id by LostUpdate); None takes a new one.

        Raises:
            InvalidRequest: every fault by field; nothing was changed.
            StoreUnavailable: nothing was written.
        """
        position = NewPosition(
            tracker_id=tracker_id or TrackerId(self._ids.new_id("trk")),
            account_id=self._account_id,
            instrument=self._instrument(request),
            product_type=request.product_type,
            side=request.side,
            quantity=request.quantity,
            entry_price=request.entry_price,
            rules=request.rules,
            entry_order_id=(
                None if request.entry_order_id is None else BrokerOrderId(request.entry_order_id)
            ),
        )
        self._check(position)
        if self._declare_position is not None and position.entry_order_id is None:
            await self._declare_position(position.instrument, _as_broker_position(position))
        return self._view(await self._engine.open(position))

    async def enter(
        self, request: EntryRequest, tracker_id: TrackerId | None = None
    ) -> TrackerView:
        """Place an entry order with its tracker; the order is sent after the durable commit.

        `tracker_id` is as in `track`.

        Raises:
            InvalidRequest, StoreUnavailable: nothing was changed, nothing left.
            DomainError("halted"): the kill switch is active.
        """
        if self._kill_switch.blocks_entries:
            raise DomainError("halted", "the kill switch is active: only exits go through")
        if (request.order_type is OrderType.LIMIT) == (request.limit_price is None):
            raise InvalidRequest(
                [FieldFault("limit_price", "is needed for LIMIT and only for LIMIT")]
            )
        terms = PositionRequest(
            exchange_segment=request.exchange_segment,
            security_id=request.security_id,
            product_type=request.product_type,
            side=request.side,
            quantity=request.quantity,
            entry_price=request.limit_price or Decimal(0),
        )
        position = NewPosition(
            tracker_id=tracker_id or TrackerId(self._ids.new_id("trk")),
            account_id=self._account_id,
            instrument=self._instrument(terms),
            product_type=request.product_type,
            side=request.side,
            quantity=request.quantity,
            entry_price=terms.entry_price,
            rules=request.rules,
            entry_order_type=request.order_type,
        )
        self._check(position)
        return self._view(await self._engine.open(position))

    def _check(self, position: NewPosition) -> None:
        reference = self._last_price(position.instrument.instrument_id)
        faults = opening_faults(position, reference)
        if faults:
            raise InvalidRequest(faults)

    def _instrument(self, request: PositionRequest) -> Instrument:
        instrument_id = InstrumentId(request.exchange_segment, request.security_id.strip())
        known = self._instruments.get(instrument_id)
        if known is not None:
            return known
        faults = [
            FieldFault(name, "is needed: the instrument master does not hold this security_id")
            for name in ("lot_size", "tick_size")
            if getattr(request, name) is None
        ]
        if not request.security_id.strip().isdigit():
            faults.insert(0, FieldFault("security_id", "must be the exchange's number"))
        elif faults:
            faults.insert(0, FieldFault("security_id", f"{instrument_id} is not known"))
        if request.lot_size is not None and request.lot_size <= 0:
            faults.append(FieldFault("lot_size", f"must be above zero, was {request.lot_size}"))
        if request.tick_size is not None and not _is_whole_units(request.tick_size):
            faults.append(
                FieldFault("tick_size", f"must be a multiple of 0.0001, was {request.tick_size}")
            )
        if faults:
            raise InvalidRequest(faults)
        assert request.lot_size is not None, "checked above"
        assert request.tick_size is not None, "checked above"
        return Instrument(
            instrument_id=instrument_id,
            trading_symbol=request.trading_symbol or str(instrument_id),
            lot_size=request.lot_size,
            tick_size=request.tick_size,
            freeze_quantity=request.freeze_quantity,
        )

    async def set_rules(self, tracker_id: TrackerId, rules: RuleSet) -> TrackerView:
        """Replace a position's rules.

        Raises:
            UnknownTracker, InvalidRequest: nothing was changed.
            DomainError("not_active"), DomainError("halted"): nothing was changed.
        """
        actor = self._engine.book.get(tracker_id)
        if actor is None:
            raise UnknownTracker(tracker_id)
        tracker = actor.tracker
        reference = self._last_price(tracker.instrument.instrument_id)
        faults = rule_faults(
            rules,
            instrument=tracker.instrument,
            side=tracker.side,
            entry_price=tracker.entry_price,
            reference_price=reference if reference is not None else tracker.entry_price,
        )
        if faults:
            raise InvalidRequest(faults)
        if tracker.status not in (PositionStatus.ACTIVE, PositionStatus.PENDING):
            raise DomainError(
                "not_active", f"tracker {tracker_id} is {tracker.status.value}: rules are settled"
            )
        if await self._engine.tell(actor, RulesSet(rules)) is None:
            raise DomainError("halted", f"tracker {tracker_id} is halted after a defect")
        return self._view(actor.tracker)

    async def exit(
        self, tracker_id: TrackerId, reason: str, wait: Wait, wait_seconds: float
    ) -> ExitResult:
        """Exit one position; the result says what became of it, on every path."""
        if self._kill_switch.blocks_exits:
            text = "the kill switch stands at level all: nothing goes through"
            return ExitResult(False, ExitCode.HALTED, tracker_id, error=text)
        return await self._engine.execute_exit(
            tracker_id, reason, wait=wait, wait_seconds=wait_seconds
        )

    async def exit_all(self, reason: str) -> tuple[ExitResult, ...]:
        """Exit every held position, shorts first (buying back frees margin), and report each."""
        held = [
            actor.tracker
            for actor in self._engine.book
            if actor.tracker.status in (PositionStatus.ACTIVE, PositionStatus.EXITING)
        ]
        held.sort(key=lambda tracker: tracker.side is PositionSide.LONG)
        return tuple(
            [await self.exit(tracker.tracker_id, reason, Wait.CLAIMED, 0.0) for tracker in held]
        )

    def trackers(self, statuses: Sequence[PositionStatus] | None = None) -> tuple[TrackerView, ...]:
        """Return views of the trackers, oldest first."""
        return tuple(
            self._view(actor.tracker)
            for actor in self._engine.book
            if statuses is None or actor.tracker.status in statuses
        )

    def tracker(self, tracker_id: TrackerId) -> TrackerView:
        """Return one tracker's view; raises UnknownTracker."""
        actor = self._engine.book.get(tracker_id)
        if actor is None:
            raise UnknownTracker(tracker_id)
        return self._view(actor.tracker)

    def orders(self) -> tuple[OrderView, ...]:
        """Return every order of ours, oldest tracker first."""
        return tuple(view for actor in self._engine.book for view in order_views(actor.tracker))

    async def journal(
        self, *, after_seq: int = 0, tracker_id: TrackerId | None = None, limit: int = 1000
    ) -> tuple[JournalEntry, ...]:
        """Return journal entries; raises UnknownTracker for an id that never was."""
        if tracker_id is not None and self._engine.book.get(tracker_id) is None:
            raise UnknownTracker(tracker_id)
        return await self._journal.entries(after_seq=after_seq, tracker_id=tracker_id, limit=limit)

    async def journal_head(self) -> int:
        """Return the newest sequence number."""
        return await self._journal.head()

    async def alarms(self) -> tuple[Alarm, ...]:
        """Return all alarms, oldest first."""
        return await self._store.alarms()

    async def acknowledge_alarm(self, alarm_seq: int) -> Alarm:
        """Mark an alarm as seen; raises DomainError("alarm_not_found")."""
        known = {alarm.seq: alarm for alarm in await self._store.alarms()}
        if alarm_seq not in known:
            raise DomainError("alarm_not_found", f"there is no alarm {alarm_seq}", "id")
        if known[alarm_seq].acknowledged_at_ns is None:
            await self._alarms.acknowledge(alarm_seq)
        return replace(
            known[alarm_seq],
            acknowledged_at_ns=known[alarm_seq].acknowledged_at_ns or self._clock.now().wall_ns,
        )

    async def kill_switch(self) -> KillSwitchState:
        """Return the kill switch."""
        return self._kill_switch.state

    async def set_kill_switch(self, *, active: bool, level: str, reason: str) -> KillSwitchState:
        """Set the kill switch durably; `level` is `new` (only exits go) or `all` (nothing goes)."""
        if level not in ("new", "all"):
            raise InvalidRequest([FieldFault("level", f"must be new or all, was {level!r}")])
        if not reason.strip():
            raise InvalidRequest([FieldFault("reason", "must not be blank")])
        return await self._kill_switch.set(active=active, level=level, reason=reason.strip())

    async def reconcile(self) -> tuple[str, ...]:
        """Compare with the broker's books now; return the differences found, in words."""
        return await self._reconcile("asked")

    def status(self) -> StatusView:
        """Return how the engine is doing."""
        return self._status()

    def metrics_text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return self._metrics.render()

    def _last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        tick = self._ticks.fresh(instrument_id, self._clock.now().monotonic_ns)
        return None if tick is None else decimal_from_units(tick.last_traded_price)

    def _view(self, tracker: PositionTracker) -> TrackerView:
        return tracker_view(tracker, self._ticks.newest(tracker.instrument.instrument_id))


def _is_whole_units(tick_size: Decimal) -> bool:
    return tick_size > 0 and tick_size % Decimal("0.0001") == 0


def _as_broker_position(position: NewPosition) -> BrokerPosition:
    long = position.side is PositionSide.LONG
    return BrokerPosition(
        instrument_id=position.instrument.instrument_id,
        product_type=position.product_type,
        net_quantity=position.side.sign * position.quantity,
        buy_quantity=position.quantity if long else 0,
        sell_quantity=0 if long else position.quantity,
        buy_average=position.entry_price if long else Decimal(0),
        sell_average=Decimal(0) if long else position.entry_price,
        trading_symbol=position.instrument.trading_symbol,
    )
