"""Run one seed: chaos, then heal everything, then demand that every exit has ended.

`run_seed(seed)` is the whole rehearsal of one seed in one call; the same seed gives the same trace.
"""

import asyncio
import random
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from squareoff.adapters.broker.dhan.credentials import FixedToken
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.core.policy import ExitPolicy
from squareoff.domain.errors import StoreError
from squareoff.domain.orders import OrderType
from squareoff.services.gateway import GatewayLive
from squareoff.simulator.virtual.final_audit import audit_end, audit_replay, is_at_rest, is_overdue
from squareoff.simulator.virtual.incarnation import (
    Incarnation,
    ProcessClock,
    SeededIds,
    StoreAtRisk,
)
from squareoff.simulator.virtual.knobs import NO_CRASH, Knobs, draw_knobs
from squareoff.simulator.virtual.network import (
    FEED_URL,
    ORDER_UPDATE_URL,
    VirtualHttp,
    VirtualSockets,
)
from squareoff.simulator.virtual.trace import Trace
from squareoff.simulator.virtual.virtual_loop import (
    Deadlock,
    Overrun,
    ProcessKilled,
    VirtualLoop,
)
from squareoff.simulator.virtual.workload import Wish, Workload
from squareoff.simulator.virtual.world import ACCOUNT, TOKEN, World

QUARANTINE_SECONDS = 10.0
HEAL_SECONDS_MAX = QUARANTINE_SECONDS + 30.0 + 15.0
"""The promise is quarantine + 30 s; 15 s more are the broker's: a request 4 s late on the wire, a
pause of 30 s that began just before the healing, and the order that follows it."""

REST_SECONDS = 12.0
"""No shorter than any request can still be on the wire after the healing."""

OUTLAW_REST_SECONDS = 50.0
FEED_SECONDS_MAX = 80.0
"""A feed that went dark is given up after 35 s of silence, then come the pauses of reconnecting."""

RETRY_SECONDS = 1.0
_VIRTUAL_SECONDS_MAX = 600.0


@dataclass(slots=True)
class RunReport:
    """What one run showed. `violations` is empty for a good run."""

    seed: int
    knobs: Knobs
    violations: list[str] = field(default_factory=list)
    trace_hash: str = ""
    trace: Trace = field(default_factory=Trace)
    exits: int = 0
    cancelled: int = 0
    claims: int = 0
    crashes: list[str] = field(default_factory=list)
    restarts_after_store_failure: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    point_count: int = 0
    orders: int = 0
    virtual_seconds: float = 0.0
    callbacks: int = 0

    @property
    def is_good(self) -> bool:
        """Say whether nothing was violated."""
        return not self.violations

    def summary(self) -> str:
        """Return one line, and one more per violation."""
        hits = " ".join(f"{name}:{count}" for name, count in sorted(self.faults.items()))
        head = (
            f"seed {self.seed}: {'ok' if self.is_good else 'VIOLATED'}, {self.claims} claims, "
            f"{self.exits} exits, {self.orders} orders, {len(self.crashes)} crashes, "
            f"{self.virtual_seconds:.1f} virtual s, {self.callbacks} callbacks, "
            f"trace {self.trace_hash[:16]}, faults [{hits}]"
        )
        return "\n".join([head, *(f"  {line}" for line in self.violations)])


def run_seed(seed: int, *, knobs: Knobs | None = None) -> RunReport:
    """Run one seed to its end and return what it showed; never raises for what the engine does."""
    chosen = draw_knobs(seed) if knobs is None else knobs
    report = RunReport(seed, chosen)
    loop = VirtualLoop(random.Random(f"schedule {seed}"), _VIRTUAL_SECONDS_MAX)
    with _captured_logs() as logs:
        run = _Run(seed, chosen, loop, report)
        try:
            loop.run_until_complete(run.main())
        except (Deadlock, Overrun) as error:
            run.world.auditor.violate("I20", f"{type(error).__name__}: {error}")
        finally:
            run.close()
            loop.close()
        run.finish(logs)
    return report


@contextmanager
def _captured_logs() -> Iterator[list[str]]:
    """Keep every log line of the run instead of printing it, to search it for secrets."""
    lines: list[str] = []

    def keep(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        lines.append(str(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    try:
        yield lines
    finally:
        structlog.configure(**before)


class _Run:
    """One run in progress: the world, and whatever process is alive in it."""

    def __init__(self, seed: int, knobs: Knobs, loop: VirtualLoop, report: RunReport) -> None:
        self.knobs = knobs
        self.loop = loop
        self.report = report
        self.world = World(seed, knobs, loop, report.trace)
        self.world.auditor.is_outlaw = bool(knobs.outlaws)
        self.workload = Workload(self.world, self._run_wish)
        self.process: Incarnation | None = None
        self.engine: Engine | None = None
        self._boots = 0
        self._waiting: list[Wish] = []
        loop.set_exception_handler(self._on_loop_exception)
        self.world.note("knobs", knobs.describe())

    async def main(self) -> None:
        """Chaos, heal, wait for rest, reconcile, audit."""
        self.workload.start()
        self._boot()
        await asyncio.sleep(self.knobs.chaos_seconds)
        self.world.heal()
        rest = OUTLAW_REST_SECONDS if self.knobs.outlaws else REST_SECONDS
        bound = HEAL_SECONDS_MAX + (OUTLAW_REST_SECONDS if self.knobs.outlaws else 0.0)
        await self._rest(rest, bound)
        await self._reconcile()
        await self._rest(0.0, bound)
        self._note_unwatched()
        audit_end(self.world.auditor, self.world.broker)
        await audit_replay(self.world.auditor, self.world.store)

    def _note_unwatched(self) -> None:
        """What a person bought and could not bring under watch is theirs to close."""
        tracked = {
            one.rules.get("max_holding_minutes") for one in self.world.auditor.trackers.values()
        }
        for plan in self.workload.plans:
            if plan.is_held and plan.rules.max_holding_minutes not in tracked:
                self.world.auditor.unwatched[plan.key] = True

    async def _rest(self, seconds: float, bound: float) -> None:
        """Wait until nothing is under way, at most `bound` after the newest claim."""
        begun = self.loop.time()
        while True:
            age = self.world.auditor.newest_claim_age_ns(self.world.wall_ns()) / 1e9
            elapsed = self.loop.time() - begun
            is_old = elapsed >= seconds
            if is_overdue(self.world.auditor) and elapsed < FEED_SECONDS_MAX:
                is_old, age = False, 0.0
            if is_old and not self._waiting and is_at_rest(self.world.auditor):
                return
            if min(age, elapsed) >= bound:
                return
            self.world.free_late_orders()
            await asyncio.sleep(1.0)

    async def _reconcile(self) -> None:
        """Let the engine compare once more, then give what follows from it two seconds."""
        for _ in range(2):
            self.world.later(0.0, lambda: self._run_wish(Wish("reconcile", 0.0, _compare)))
            await asyncio.sleep(2.0)

    def _boot(self) -> None:
        """Start the next process on what is durable."""
        crashes = self.knobs.crashes
        plan = crashes[self._boots] if self._boots < len(crashes) else NO_CRASH
        if self.world.is_healed:
            plan = NO_CRASH
        self._boots += 1
        process = Incarnation(self._boots, plan, self._on_kill)
        self.process = process
        self.world.note("boot", f"process {process.number}")
        self.engine = process.context.run(self._assemble, process)
        task = self.loop.launch(self.engine.supervisor.run(), process.context)
        task.add_done_callback(lambda done: self._on_end(process, done), context=self.world.context)
        for wish in self._waiting:
            self._start_wish(wish)
        self._waiting = []

    def _assemble(self, process: Incarnation) -> Engine:
        world = self.world
        chance = world.chance(f"process {process.number}")
        clock = ProcessClock(process, world.wall_ns, chance.randint(1, 10**15))
        http, sockets = VirtualHttp(world, process), VirtualSockets(world, process)
        tokens = FixedToken(TOKEN)
        client = DhanRestClient(RestSettings(ACCOUNT), http, tokens)
        store = StoreAtRisk(world.store, process, world.store_faults, chance)
        settings = EngineSettings(
            ACCOUNT,
            "live",
            policy=ExitPolicy(
                quarantine_seconds=QUARANTINE_SECONDS,
                order_type=OrderType[self.knobs.order_type.upper()],
            ),
        )
        ports = Ports(
            store=store,
            journal=store,
            gateway=GatewayLive(client, gateway_seconds=8.0),
            order_updates=DhanOrderUpdates(
                SocketSettings(ORDER_UPDATE_URL, ACCOUNT), sockets, tokens, clock
            ),
            market_feed=DhanMarketFeed(SocketSettings(FEED_URL, ACCOUNT), sockets, tokens, clock),
            instruments=world,
            calendar=world,
            clock=clock,
            ids=SeededIds(chance),
            chance=chance,
            checkpoints=process,
            alerts=(world.alerts,),
        )
        return assemble(settings, ports)

    def _on_kill(self, process: Incarnation, where: str) -> None:
        self.world.note("killed", f"process {process.number} at {where}")
        self.report.crashes.append(where)
        self._keep_points(process)
        self.world.later(0.0, process.bury)
        self.world.later(process.plan.restart_seconds, self._boot)

    def _keep_points(self, process: Incarnation) -> None:
        for name, count in process.points.items():
            self.report.points[name] = self.report.points.get(name, 0) + count
        self.report.point_count += process.point_count

    def _on_end(self, process: Incarnation, task: "asyncio.Task[None]") -> None:
        """The engine ended by itself: only a store that was away may do that."""
        if process.is_dead or task.cancelled():
            return
        error = task.exception()
        if error is not None and _is_all(error, (StoreError,)):
            self.report.restarts_after_store_failure += 1
            process.kill(f"store failure: {error!r}")
            return
        self.world.auditor.violate("I20", f"the engine ended: {_leaves(error)}")
        process.kill("defect")

    def _run_wish(self, wish: Wish) -> None:
        """Hand a wish to the engine, or keep it until there is one."""
        if wish.is_done:
            return
        if self.process is None or self.process.is_dead:
            self._waiting.append(wish)
        else:
            self._start_wish(wish)

    def _start_wish(self, wish: Wish) -> None:
        process, engine = self.process, self.engine
        assert process is not None and engine is not None, "started with a process alive"
        if not engine.supervisor.is_recovered and wish.name != "reconcile":
            self.world.later(RETRY_SECONDS, lambda: self._run_wish(wish))
            return

        async def attempt() -> None:
            wish.is_done = await wish.attempt(engine.desk)

        task = self.loop.launch(attempt(), process.context)
        self._watch(wish, process, task)

    def _watch(self, wish: Wish, process: Incarnation, task: "asyncio.Task[None]") -> None:
        """Ask again after a refusal, and in the next process after a death."""
        if process.is_dead:
            self._waiting.append(wish)
        elif not task.done():
            self.world.later(0.25, lambda: self._watch(wish, process, task))
        elif task.exception() is not None:
            text = f"{wish.name} raised {task.exception()!r}"
            self.world.auditor.violate("I20", text)
        elif not wish.is_done:
            self.world.later(RETRY_SECONDS, lambda: self._run_wish(wish))

    def _on_loop_exception(self, _loop: Any, context: dict[str, Any]) -> None:
        """A future that nobody reads is a defect, unless those who would have read it are dead."""
        error = context.get("exception")
        is_deathbed = bool(self.report.crashes) or self.process is None or self.process.is_dead
        if isinstance(error, ProcessKilled) or ("never retrieved" in str(context) and is_deathbed):
            return
        self.world.auditor.violate("I20", f"{context.get('message')}: {error!r}")

    def close(self) -> None:
        """End the last process without a trace."""
        if self.process is not None and not self.process.is_dead:
            self._keep_points(self.process)
            self.process.is_dead = True
            self.process.bury()

    def finish(self, logs: list[str]) -> None:
        """Fill in the report."""
        auditor, report = self.world.auditor, self.report
        if any(TOKEN in line for line in logs):
            auditor.violate("I11", "a log line holds the access token")
        if any(TOKEN in message for _, _, _, message in self.world.alerts.notes):
            auditor.violate("I11", "an alert holds the access token")
        if any(row["code"] == "position_halted" for _, row in auditor.alarms):
            told = [r["message"] for _, r in auditor.alarms if r["code"] == "position_halted"]
            auditor.violate("I20", f"a position was halted by a defect: {told[0]}")
        report.violations = auditor.violations
        report.claims = sum(tracker.claims for tracker in auditor.trackers.values())
        statuses = auditor.database.execute("SELECT status FROM trackers").fetchall()
        report.exits = sum(1 for (status,) in statuses if status == "EXITED")
        report.cancelled = sum(1 for (status,) in statuses if status == "CANCELLED")
        report.orders = len(auditor.heard)
        report.faults = self.world.fault_counts or self.world.count_faults()
        report.virtual_seconds = self.loop.time()
        report.callbacks = self.loop.step_count
        for line in auditor.violations:
            self.world.note("VIOLATION", line)
        self.world.note("journal", auditor.journal_hashes[-1] if auditor.journal_hashes else "")
        report.trace_hash = report.trace.digest()


async def _compare(desk: Any) -> bool:
    return not await desk.reconcile() or True


def _is_all(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_all(one, kinds) for one in error.exceptions)
    return isinstance(error, kinds)


def _leaves(error: BaseException | None) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_leaves(one) for one in error.exceptions)
    return repr(error)
