"""Start everything in the right order, and keep it running.

Start and crash recovery are one path: load what is not finished, tell each position that it was
loaded, compare with the broker, and only then let orders out. A service that dies takes the engine
down, and the restart recovers.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import structlog

from squareoff import __version__
from squareoff.core.state.facts import EngineStarted, Severity
from squareoff.core.state.inputs import Recovered
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import (
    Chance,
    Checkpoints,
    Clock,
    DayRange,
    FeedConnected,
    FeedEvent,
    FeedGarbled,
    FeedLine,
    FeedLost,
    Journal,
    MarketFeed,
    Ownership,
    TrackerStore,
)
from squareoff.services.account.kill_switch import KillSwitch
from squareoff.services.desk.views import StatusView
from squareoff.services.exits.engine_tasks import EngineTasks
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.circuit_breaker import BreakerState, Endpoint
from squareoff.services.orders.order_router import OrderRouter
from squareoff.services.orders.order_update_hub import OrderUpdateHub
from squareoff.services.orders.placer import Placer
from squareoff.services.orders.rate_budget import HORIZONS
from squareoff.services.orders.send_terms import SendTerms
from squareoff.services.positions.claim_sizing import ClaimSizing
from squareoff.services.positions.late_closes import note_late_closes
from squareoff.services.positions.reconciler import Reconciler
from squareoff.services.prices.feed_lines import FeedLines
from squareoff.services.prices.risk_manager import RiskManager
from squareoff.services.session.session_watch import SessionWatch

_log = structlog.get_logger("squareoff.supervisor")


class Supervisor:
    """Owns the tasks of one engine."""

    def __init__(
        self,
        *,
        account_id: AccountId,
        mode: str,
        store: TrackerStore,
        journal: Journal,
        engine: ExitEngine,
        router: OrderRouter,
        placer: Placer,
        terms: SendTerms,
        claim_sizing: ClaimSizing,
        risk: RiskManager,
        hub: OrderUpdateHub,
        reconciler: Reconciler,
        feed: MarketFeed,
        lines: Sequence[FeedLine],
        kill_switch: KillSwitch,
        clock: Clock,
        chance: Chance,
        metrics: Metrics,
        checkpoints: Checkpoints,
        alarms: AlarmDesk,
        ownership: Ownership | None = None,
        session: SessionWatch | None = None,
        blind: Callable[[], Iterable[InstrumentId]] = tuple,
        on_tick: tuple[Callable[[Tick], None], ...] = (),
        background: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (),
    ) -> None:
        self._account_id = account_id
        self._mode = mode
        self._store = store
        self._journal = journal
        self._engine = engine
        self._router = router
        self._placer = placer
        self._terms = terms
        self._claim_sizing = claim_sizing
        self._risk = risk
        self._hub = hub
        self._reconciler = reconciler
        self._feed = feed
        self._kill_switch = kill_switch
        self._clock = clock
        self._feed_lines = FeedLines(
            feed, lines, clock=clock, chance=chance, alarms=alarms, metrics=metrics
        )
        self._metrics = metrics
        self._checkpoints = checkpoints
        self._alarms = alarms
        self._ownership = ownership
        self._session = session
        metrics.before_rendering(lambda: metrics.tasks.set(len(asyncio.all_tasks())))
        self._blind = blind
        self._on_tick = on_tick
        self._background = background
        self._started_at_ns = clock.now().wall_ns
        self.is_recovered = False
        metrics.info.labels(__version__, mode).set(1)
        metrics.before_rendering(self._set_gauges)

    def _set_gauges(self) -> None:
        self._metrics.ready.set(0 if self._not_ready_because() else 1)
        self._metrics.kill_switch.set(1 if self._kill_switch.state.active else 0)

    async def run(self) -> None:
        """Recover, then serve until cancelled.

        Raises:
            ExceptionGroup: a service died of a defect; the process must end and start anew.
        """
        async with EngineTasks() as tasks:
            if self._ownership is not None:
                tasks.create_task(self._ownership.keep())
            self._engine.connect(tasks, self._placer.carry_out, self._claim_sizing)
            self._placer.connect(tasks)
            self._claim_sizing.connect(tasks)
            self._risk.connect(tasks)
            self._engine.on_change(self._follow_feed)
            await self._kill_switch.load()
            await self._router.load_budget(self._journal)
            open_count = await self._load()
            await note_late_closes(self._engine.book, self._journal, self._clock.now())
            fact = EngineStarted(__version__, self._mode, open_count)
            await self._store.record((fact,), self._clock.now().wall_ns)
            await self._tell_takeover()
            for run in self._background:
                tasks.create_task(run())
            self._feed_lines.start(tasks, self._publish)
            tasks.create_task(self._hub.run(tasks))
            tasks.create_task(self._recover())
            tasks.create_task(self._reconciler.run())
            tasks.create_task(self._risk.run_time_rules())
            try:
                await asyncio.Event().wait()  # ended by a cancel, or by a service that died
            finally:
                self._engine.disconnect()

    async def _load(self) -> int:
        open_count = 0
        spokesmen: dict[InstrumentId, PositionTracker] = {}
        for tracker in await self._store.load_all():
            self._engine.book.add(tracker)
            self._risk.on_tracker_changed(tracker)
            is_open = not tracker.status.is_final
            if is_open or tracker.instrument.instrument_id not in spokesmen:
                spokesmen[tracker.instrument.instrument_id] = tracker
            open_count += is_open
        # Once per instrument: each asks all positions on it, however long ago they ended.
        for tracker in spokesmen.values():
            self._follow_feed(tracker)
        return open_count

    async def _recover(self) -> None:
        """Tell every position that it was loaded, compare the books, then let orders out."""
        self._checkpoints.reach("recovery_loaded")
        for actor in self._engine.book:
            await self._engine.tell(actor, Recovered())
        self._checkpoints.reach("recovery_told")
        await self._reconciler.reconcile_until_done("start")
        self._checkpoints.reach("recovery_reconciled")
        self._terms.may_send.set()
        self.is_recovered = True
        _log.info("recovered", positions=len(self._engine.book))

    async def _tell_takeover(self) -> None:
        """Let a person know that another engine of the account died or fell silent."""
        if self._ownership is not None and self._ownership.takeover_text:
            text = self._ownership.takeover_text
            await self._alarms.raise_alarm(Severity.WARNING, "account_taken_over", text)

    def _follow_feed(self, tracker: PositionTracker) -> None:
        if not tracker.status.is_final:
            self._feed.watch([tracker.instrument])
            return
        instrument_id = tracker.instrument.instrument_id
        others = self._engine.book.on_instrument(instrument_id)
        if all(actor.tracker.status.is_final for actor in others):
            self._risk.let_go(instrument_id)
            self._feed.unwatch([instrument_id])

    def _publish(self, event: FeedEvent) -> None:
        match event:
            case Tick():
                for listener in self._on_tick:
                    listener(event)
                self._risk.on_tick(event)
            case DayRange():
                self._risk.on_day_range(event.day_high, event.day_low, event.tick)
            case FeedConnected(instrument_ids):
                self._risk.on_feed_connected(instrument_ids)
            case FeedLost(instrument_ids):
                self._risk.on_feed_lost(instrument_ids)
            case FeedGarbled(text):
                self._metrics.ticks_refused.labels("garbled").inc()
                _log.warning("market_feed_garbled", text=text)

    def feed_up_since_ns(self) -> int | None:
        """Return since when (UTC) the feed is connected, None while it is not."""
        return self._feed_lines.up_since_ns

    def status(self) -> StatusView:
        """Return how the engine is doing."""
        now = self._clock.now()
        counts: dict[str, int] = {}
        for actor in self._engine.book:
            status = actor.tracker.status.value
            counts[status] = counts.get(status, 0) + 1
        tick_age = None
        last_tick_ns = self._risk.newest_tick_ns
        if last_tick_ns is not None:
            tick_age = (now.monotonic_ns - last_tick_ns) / NANOSECONDS_PER_SECOND
        waiting = self._not_ready_because()
        return StatusView(
            version=__version__,
            mode=self._mode,
            account_id=self._account_id,
            is_ready=not waiting,
            not_ready_because=waiting,
            market_feed="connected" if self._feed_lines.is_connected else "disconnected",
            order_stream="connected" if self._hub.is_connected else "disconnected",
            database=self._database_state(),
            breaker=self._router.queue.breaker_state().value,
            breakers={e.value: self._router.queue.breaker_state(e).value for e in Endpoint},
            permits_waiting=self._router.queue.waiting(),
            oldest_exit_wait_seconds=self._router.queue.oldest_exit_wait_seconds(),
            budget_used=dict(zip(HORIZONS, self._router.queue.budget_used(), strict=True)),
            positions=counts,
            reconciled_age_seconds=self._reconciler.age_seconds(),
            last_tick_age_seconds=tick_age,
            blind_instruments=tuple(sorted(str(name) for name in self._blind())),
            token_expires_ns=None if self._session is None else self._session.expires_ns,
            kill_switch_active=self._kill_switch.state.active,
            started_at_ns=self._started_at_ns,
            account=self._risk.account_view(),
        )

    def _database_state(self) -> str:
        failure = self._kill_switch.store_failure
        return "open" if failure is None else f"away: {failure}"

    def _not_ready_because(self) -> tuple[str, ...]:
        causes = []
        if self._kill_switch.blocks_exits:
            causes.append("the kill switch stands at level all")
        if self._kill_switch.store_failure is not None:
            causes.append("the database cannot be read")
        if self._router.queue.breaker_state() is BreakerState.OPEN:
            causes.append("the circuit breaker holds orders back: the broker does not answer them")
        if not self.is_recovered:
            causes.append("the first comparison with the broker's books is not done")
        if self._session is not None and self._session.is_refused:
            causes.append("the broker refuses the access token")
        if not self._feed_lines.is_connected:
            causes.append("the market feed is not connected")
        if not self._hub.is_connected:
            causes.append("the order stream is not connected")
        return tuple(causes)
