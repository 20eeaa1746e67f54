"""The desk: everything that people and programs can ask of the running engine.

The API and the command line speak to this and to nothing below it. Checks inputs, answers with
values, never with live objects.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from squareoff.core.entries.opening import NewPosition
from squareoff.core.rules.square_off_times import SquareOffTimes
from squareoff.core.state.facts import JournalEntry
from squareoff.core.state.inputs import RulesSet
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import DomainError, FieldFault
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import BrokerPosition, OrderType
from squareoff.domain.results import ExitResult
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import (
    Alarm,
    Clock,
    IdSource,
    InstrumentSource,
    Journal,
    KillSwitchState,
    TrackerStore,
)
from squareoff.services.account.kill_switch import ENTRIES_HELD, KillSwitch, telling_what_holds
from squareoff.services.desk.command_trail import CommandTrail
from squareoff.services.desk.desk_requests import (
    EntryRequest,
    InvalidRequest,
    PositionRequest,
    UnknownTracker,
    broker_position_of,
    instrument_of,
    instrument_to_enter,
    kill_switch_of,
)
from squareoff.services.desk.engine_status import EngineStatus
from squareoff.services.desk.entry_check import EntryCheck, entry_order_id_of
from squareoff.services.desk.held_check import HeldCheck
from squareoff.services.desk.loosening import refuse_looser_rules, refuse_looser_switch
from squareoff.services.desk.rule_admission import RuleAdmission
from squareoff.services.desk.screen import Screen
from squareoff.services.desk.takebacks import Takebacks
from squareoff.services.desk.views import (
    OrderView,
    StatusView,
    TrackerView,
    order_views,
    tracker_view,
)
from squareoff.services.exits.exit_all import ExitAll
from squareoff.services.exits.exit_all_report import ExitAllReport, report_of
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.exits.exit_results import Wait
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.past_positions import PastPositions
from squareoff.services.prices.tick_cache import TickCache

EXIT_ALL_LOOK_SECONDS = 0.1
"""How often a caller who waits for everything to be closed looks again: memory only."""

DeclarePosition = Callable[[Instrument, BrokerPosition, int], Awaitable[int | None]]
"""Tells the paper broker to hold what a new tracker says is held, beyond so many units of it that
are under watch; returns its net where that is on the other side, else None."""


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
        exit_all: ExitAll,
        reads: BrokerReads,
        reconcile: Callable[[str], Awaitable[tuple[str, ...]]],
        status: EngineStatus,
        screen: Screen,
        past: PastPositions,
        declare_position: DeclarePosition | None,
        square_off: SquareOffTimes,
        admission: RuleAdmission,
    ) -> None:
        self.screen = screen
        self.past = past
        self.trail = CommandTrail(store, clock, ids)
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
        self._exit_all = exit_all
        self._reads = reads
        self._held_check = HeldCheck(engine.book, reads, alarms, clock)
        self._entry_check = EntryCheck(engine.book, reads, self._held_check, clock)
        self._takebacks = Takebacks(engine)
        self._tracking = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._ruling = asyncio.Lock()
        self._reconcile = reconcile
        self._status = status
        self._declare_position = declare_position
        self._square_off = square_off
        self._admission = admission

    async def track(
        self, request: PositionRequest, tracker_id: TrackerId | None = None
    ) -> TrackerView:
        """Take a position under watch, durably.

        Args:
            tracker_id: an id that the caller derived, so that a repeat cannot make a second
                tracker (the store refuses a known id by LostUpdate); None takes a new one.

        Raises:
            InvalidRequest: every fault by field; nothing was changed.
            NotHeld, DomainError("opposite_side"): the broker's positions or another tracker speak
                against it; nothing was changed. See `EntryCheck.check` for an entry order's.
            StoreUnavailable: nothing was written.
        """
        position = NewPosition(
            tracker_id=tracker_id or TrackerId(self._ids.new_id("trk")),
            account_id=self._account_id,
            instrument=instrument_of(request, self._instruments),
            product_type=request.product_type,
            side=request.side,
            quantity=request.quantity,
            entry_price=request.entry_price,
            rules=self._rules_of(request),
            entry_order_id=entry_order_id_of(request.entry_order_id),
        )
        await self._admission.check_position(position)
        async with self._tracking:  # two at once would both find the same units free
            self._held_check.check_side(position)
            await self._hold(position)
            return await self._open(position)

    async def _hold(self, position: NewPosition) -> None:
        """See that the broker holds it, or has its entry; a paper broker is told what it holds."""
        if position.entry_order_id is not None:
            await self._entry_check.check(position, position.entry_order_id)
        elif self._declare_position is None:
            await self._held_check.check_held(position)
        else:
            watched = self._held_check.may_be_watched(position)
            held = broker_position_of(position)
            net = await self._declare_position(position.instrument, held, watched)
            if net is not None:
                raise self._held_check.refusal(position, net)

    async def enter(
        self, request: EntryRequest, tracker_id: TrackerId | None = None
    ) -> TrackerView:
        """Place an entry order with its tracker; the order is sent after the durable commit.

        `tracker_id` is as in `track`.

        Raises:
            InvalidRequest, StoreUnavailable: nothing was changed, nothing left.
            DomainError("halted"): the kill switch is active.
            DomainError("opposite_side"): the other side is under watch.
        """
        if (request.order_type is OrderType.LIMIT) == (request.limit_price is None):
            raise InvalidRequest(
                [FieldFault("limit_price", "is needed for LIMIT and only for LIMIT")]
            )
        position = NewPosition(
            tracker_id=tracker_id or TrackerId(self._ids.new_id("trk")),
            account_id=self._account_id,
            instrument=instrument_to_enter(request, self._instruments),
            product_type=request.product_type,
            side=request.side,
            quantity=request.quantity,
            entry_price=request.limit_price or Decimal(0),
            rules=self._rules_of(request),
            entry_order_type=request.order_type,
        )
        self._admission.check_entry(position)
        if self._kill_switch.blocks_entries:
            raise DomainError("halted", "the kill switch is active: only exits go through")
        return await self._open(position)

    async def _open(self, position: NewPosition) -> TrackerView:
        async with self._opening:  # two at once, on both sides, would not see each other
            self._held_check.check_side(position)
            return self._view(await self._engine.open(position))

    def _rules_of(self, request: PositionRequest | EntryRequest) -> RuleSet:
        """Return the rules asked for, with the segment's square-off time where they have none."""
        return self._square_off.rules_for(
            request.rules, request.exchange_segment, request.product_type
        )

    async def set_rules(
        self, tracker_id: TrackerId, rules: RuleSet, *, may_loosen: bool = True
    ) -> TrackerView:
        """Replace a position's rules.

        Raises:
            UnknownTracker, InvalidRequest: nothing was changed.
            DomainError("not_active"), DomainError("halted"): nothing was changed.
            DomainError("role_too_low"): a rule would be loosened, and must not be.
        """
        async with self._ruling:  # else what is compared with may be replaced before it is written
            return await self._set_rules(tracker_id, rules, may_loosen=may_loosen)

    async def _set_rules(
        self, tracker_id: TrackerId, rules: RuleSet, *, may_loosen: bool
    ) -> TrackerView:
        actor = self._engine.book.get(tracker_id)
        if actor is None:
            raise UnknownTracker(tracker_id)
        tracker = actor.tracker
        segment = tracker.instrument.instrument_id.exchange_segment
        rules = self._square_off.rules_for(rules, segment, tracker.product_type)
        await self._admission.check_rules(tracker, rules)
        tracker = actor.tracker
        if tracker.status not in (PositionStatus.ACTIVE, PositionStatus.PENDING):
            raise DomainError(
                "not_active", f"tracker {tracker_id} is {tracker.status.value}: rules are settled"
            )
        if not may_loosen:
            refuse_looser_rules(tracker, rules)
        if await self._engine.tell(actor, RulesSet(rules)) is None:
            raise DomainError("halted", f"tracker {tracker_id} is halted after a defect")
        return self._view(actor.tracker)

    async def exit(
        self, tracker_id: TrackerId, reason: str, wait: Wait, wait_seconds: float
    ) -> ExitResult:
        """Exit one position; the result says what became of it, on every path.

        Under a kill switch at level `all` the exit is latched all the same, and goes out by itself
        once the switch is lifted.
        """
        return await self._engine.execute_exit(
            tracker_id, reason, wait=wait, wait_seconds=wait_seconds
        )

    async def exit_all(
        self, reason: str, *, lock_account: bool = False, wait_seconds: float = 0.0
    ) -> ExitAllReport:
        """Close everything, durably, and report what remains; it goes on after the wait.

        Args:
            lock_account: put on the broker's own kill switch once the account is flat.
            wait_seconds: how long to wait for nothing to remain.

        Raises:
            InvalidRequest: the reason is blank; nothing was changed.
            InForceNotStored: the wish may not be durable; new entries are held back all the same.
        """
        if not reason.strip():
            raise InvalidRequest([FieldFault("reason", "must not be blank")])
        with telling_what_holds(self._kill_switch, ENTRIES_HELD, "the wish to close everything"):
            await self._exit_all.ask(reason.strip(), lock_account=lock_account)
        return await self.exit_all_report(wait_seconds)

    async def exit_all_report(self, wait_seconds: float = 0.0) -> ExitAllReport:
        """Return how the newest wish to close everything stands."""
        deadline_ns = self._clock.now().monotonic_ns + seconds_to_ns(wait_seconds)
        while True:
            state = self._exit_all.state
            is_over = state is None or not state.is_running
            if is_over or self._clock.now().monotonic_ns >= deadline_ns:
                return await report_of(self._exit_all, self._engine.book, self._reads, self._clock)
            await self._clock.sleep(EXIT_ALL_LOOK_SECONDS)

    async def withdraw(
        self, tracker_id: TrackerId, reason: str, actor: str, wait_seconds: float
    ) -> TrackerView:
        """Take a position's exit back; see `Takebacks.withdraw`."""
        return self._view(await self._takebacks.withdraw(tracker_id, reason, actor, wait_seconds))

    async def untrack(self, tracker_id: TrackerId, reason: str, actor: str) -> TrackerView:
        """Let a position go without an order; see `Takebacks.untrack`."""
        return self._view(await self._takebacks.untrack(tracker_id, reason, actor))

    async def resolve_over_exit(
        self, tracker_id: TrackerId, reason: str, actor: str
    ) -> TrackerView:
        """End the freeze of an over-exit; see `Takebacks.resolve_over_exit`."""
        return self._view(await self._takebacks.resolve_over_exit(tracker_id, reason, actor))

    def trackers(self, statuses: Sequence[PositionStatus] | None = None) -> tuple[TrackerView, ...]:
        """Return views of the trackers that are in memory, oldest first."""
        return tuple(self.each_tracker(statuses))

    def each_tracker(
        self, statuses: Sequence[PositionStatus] | None, past: Sequence[PositionTracker] = ()
    ) -> Iterator[TrackerView]:
        """Yield views of the trackers that are in memory and of `past`, oldest first, as they are
        asked for."""
        held = (actor.tracker for actor in self._engine.book)
        wanted = [each for each in held if statuses is None or each.status in statuses]
        return map(self._view, sorted([*past, *wanted], key=lambda each: each.created_at_ns))

    def tracker(self, tracker_id: TrackerId) -> TrackerView:
        """Return one tracker's view; raises UnknownTracker."""
        actor = self._engine.book.get(tracker_id)
        if actor is None:
            raise UnknownTracker(tracker_id)
        return self._view(actor.tracker)

    def orders(self) -> Iterator[OrderView]:
        """Yield every order of ours, oldest tracker first, as they are asked for."""
        return (view for actor in self._engine.book for view in order_views(actor.tracker))

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
        alarm = known[alarm_seq]
        if alarm.acknowledged_at_ns is not None:
            return alarm
        return replace(alarm, acknowledged_at_ns=await self._alarms.acknowledge(alarm))

    async def kill_switch(self) -> KillSwitchState:
        """Return the kill switch."""
        return self._kill_switch.state

    async def set_kill_switch(
        self, *, active: bool, level: str, reason: str, may_loosen: bool = True
    ) -> KillSwitchState:
        """Set the kill switch durably; `level` is `new` (only exits go) or `all` (nothing goes).

        Raises:
            InvalidRequest: nothing was changed.
            InForceNotStored: it holds here, and may not be durable yet.
            DomainError("role_too_low"): it would hold back less, and must not.
        """
        wanted = kill_switch_of(active=active, level=level, reason=reason)
        if not may_loosen:
            refuse_looser_switch(self._kill_switch.state, wanted)
        with telling_what_holds(self._kill_switch, wanted):
            return await self._kill_switch.set(active=active, level=level, reason=wanted.reason)

    async def reconcile(self) -> tuple[str, ...]:
        """Compare with the broker's books now; return the differences found, in words."""
        return await self._reconcile("asked")

    def status(self) -> StatusView:
        """Return how the engine is doing."""
        return self._status.view()

    def not_ready_because(self) -> tuple[str, ...]:
        """Return what keeps an exit from going out now, walking over no positions."""
        return self._status.not_ready_because()

    def metrics_text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return self._metrics.render()

    def _view(self, tracker: PositionTracker) -> TrackerView:
        return tracker_view(tracker, self._ticks.newest(tracker.instrument.instrument_id))
