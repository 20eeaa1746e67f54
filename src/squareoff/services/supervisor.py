"""Start everything in the right order, and keep it running.

Start and crash recovery are one path: load what is not finished, tell each position that it was
loaded, compare with the broker, and only then let orders out. A service that dies takes the engine
down, and the restart recovers.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from squareoff import __version__
from squareoff.core.state.facts import EngineStarted, Severity
from squareoff.core.state.inputs import Recovered
from squareoff.ports import Checkpoints, Clock, Journal, Ownership, TrackerStore
from squareoff.services.account.kill_switch import KillSwitch
from squareoff.services.exits.engine_tasks import EngineTasks
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.orders.order_router import OrderRouter
from squareoff.services.orders.order_update_hub import OrderUpdateHub
from squareoff.services.orders.placer import Placer
from squareoff.services.orders.send_terms import SendTerms
from squareoff.services.positions.claim_sizing import ClaimSizing
from squareoff.services.positions.late_closes import note_late_closes
from squareoff.services.positions.past_positions import PastPositions
from squareoff.services.positions.reconciler import Reconciler
from squareoff.services.prices.feed_intake import FeedIntake
from squareoff.services.prices.feed_lines import FeedLines
from squareoff.services.prices.risk_manager import RiskManager

_log = structlog.get_logger("squareoff.supervisor")
_TROUBLE_CODE = "database_takes_nothing"


class Supervisor:
    """Owns the tasks of one engine.

    Args:
        ownership: None where nobody else can own the account.
        background: what else runs as long as the engine does.
    """

    def __init__(
        self,
        *,
        mode: str,
        store: TrackerStore,
        journal: Journal,
        engine: ExitEngine,
        past: PastPositions,
        router: OrderRouter,
        placer: Placer,
        terms: SendTerms,
        claim_sizing: ClaimSizing,
        risk: RiskManager,
        hub: OrderUpdateHub,
        reconciler: Reconciler,
        feed_lines: FeedLines,
        intake: FeedIntake,
        kill_switch: KillSwitch,
        clock: Clock,
        checkpoints: Checkpoints,
        alarms: AlarmDesk,
        ownership: Ownership | None = None,
        background: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (),
    ) -> None:
        self._mode = mode
        self._store = store
        self._journal = journal
        self._engine = engine
        self._past = past
        self._router = router
        self._placer = placer
        self._terms = terms
        self._claim_sizing = claim_sizing
        self._risk = risk
        self._hub = hub
        self._reconciler = reconciler
        self._feed_lines = feed_lines
        self._intake = intake
        self._kill_switch = kill_switch
        self._clock = clock
        self._checkpoints = checkpoints
        self._alarms = alarms
        self._ownership = ownership
        self._background = background

    @property
    def is_recovered(self) -> bool:
        """Say whether the first comparison with the broker is done, and orders may go out."""
        return self._terms.may_send.is_set()

    async def run(self) -> None:
        """Recover, then serve until cancelled.

        Raises:
            ExceptionGroup: a service died of a defect; the process must end and start anew.
        """
        async with EngineTasks() as tasks:
            if self._ownership is not None:
                self._ownership.on_trouble(partial(self._note_trouble, tasks))
                tasks.create_task(self._ownership.keep())
            self._engine.connect(tasks, self._placer.carry_out, self._claim_sizing)
            self._placer.connect(tasks)
            self._claim_sizing.connect(tasks)
            self._risk.connect(tasks)
            self._engine.on_change(self._intake.follow)
            await self._kill_switch.load()
            await self._router.load_budget(self._journal)
            open_count = await self._load()
            await note_late_closes(self._engine.book, self._journal, self._clock.now())
            fact = EngineStarted(__version__, self._mode, open_count)
            await self._store.record((fact,), self._clock.now().wall_ns)
            await self._tell_takeover()
            if self._ownership is not None:  # an alarm of the last process may stand
                tasks.create_task(self._tell_trouble(self._ownership.trouble))
            for run in self._background:
                tasks.create_task(run())
            self._feed_lines.start(tasks, self._intake.take)
            tasks.create_task(self._hub.run(tasks))
            tasks.create_task(self._recover())
            tasks.create_task(self._reconciler.run())
            tasks.create_task(self._risk.run_time_rules())
            try:
                await asyncio.Event().wait()  # ended by a cancel, or by a service that died
            finally:
                self._engine.disconnect()

    async def _load(self) -> int:
        """Take every tracker that is not past into the book and under watch; return how many are
        open."""
        trackers = await self._past.load_others()
        for tracker in trackers:
            self._engine.book.add(tracker)
            self._risk.on_tracker_changed(tracker)
        self._intake.follow_all(trackers)
        return sum(not tracker.status.is_final for tracker in trackers)

    async def _recover(self) -> None:
        """Tell every position that it was loaded, compare the books, then let orders out."""
        self._checkpoints.reach("recovery_loaded")
        for actor in self._engine.book:
            await self._engine.tell(actor, Recovered())
        self._checkpoints.reach("recovery_told")
        await self._reconciler.reconcile_until_done("start")
        self._checkpoints.reach("recovery_reconciled")
        self._terms.may_send.set()
        _log.info("recovered", positions=len(self._engine.book))

    def _note_trouble(self, tasks: EngineTasks, text: str) -> None:
        tasks.create_task(self._tell_trouble(text))

    async def _tell_trouble(self, text: str) -> None:
        """Let a person know that no exit could leave now, before one has to."""
        if text:
            await self._alarms.raise_alarm(
                Severity.CRITICAL,
                _TROUBLE_CODE,
                f"the database takes nothing, so no order leaves, of exits neither: {text}. It is "
                "asked again and again; make room or end what holds it, and close in the broker's "
                "app what cannot wait",
            )
        else:
            await self._alarms.clear(_TROUBLE_CODE, "the database takes commits again")

    async def _tell_takeover(self) -> None:
        """Let a person know that another engine of the account died or fell silent."""
        if self._ownership is not None and self._ownership.takeover_text:
            text = self._ownership.takeover_text
            await self._alarms.raise_alarm(Severity.WARNING, "account_taken_over", text)
