"""Run one seed: chaos, then heal everything, then demand that every exit has ended.

`run_seed(seed)` is the whole rehearsal of one seed in one call; the same seed gives the same trace.
"""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from squareoff.assembly import Engine
from squareoff.services.account.account_ownership import AccountOwnership
from squareoff.simulator.virtual.acts import Acts
from squareoff.simulator.virtual.aiming import Aiming
from squareoff.simulator.virtual.coverage import ENGINE_DOWN, RECOVERING
from squareoff.simulator.virtual.endings import (
    crash_class,
    describe_end,
    is_left_by_the_dead,
    is_of_closing,
    is_rightful_end,
)
from squareoff.simulator.virtual.final_audit import (
    audit_end,
    audit_replay,
    audit_secrets,
    is_at_rest,
    is_overdue,
    note_unwatched,
    settling_seconds,
)
from squareoff.simulator.virtual.incarnation import Incarnation, InjectedDefect, ProcessClock
from squareoff.simulator.virtual.knobs import NO_CRASH, CrashPlan, Knobs, draw_knobs
from squareoff.simulator.virtual.log_capture import captured_logs
from squareoff.simulator.virtual.meddling import Meddling
from squareoff.simulator.virtual.network import VirtualConnection
from squareoff.simulator.virtual.plans import draw_plans
from squareoff.simulator.virtual.process_parts import QUARANTINE_SECONDS, assemble_process
from squareoff.simulator.virtual.run_report import RunReport
from squareoff.simulator.virtual.script import Script
from squareoff.simulator.virtual.virtual_loop import (
    Deadlock,
    Overrun,
    ProcessKilled,
    VirtualLoop,
)
from squareoff.simulator.virtual.virtual_ownership import virtual_ownership
from squareoff.simulator.virtual.workload import Wish, Workload, compare
from squareoff.simulator.virtual.world import WALL_BASE_NS, World

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


def run_seed(seed: int, *, knobs: Knobs | None = None, script: Script | None = None) -> RunReport:
    """Run one seed to its end and return what it showed; never raises for what the engine does."""
    chosen = draw_knobs(seed) if knobs is None else knobs
    report = RunReport(seed, chosen)
    loop = VirtualLoop(random.Random(f"schedule {seed}"), _VIRTUAL_SECONDS_MAX)
    with captured_logs() as logs:
        run = _Run(seed, chosen, loop, report, script)
        try:
            loop.run_until_complete(run.main())
        except (Deadlock, Overrun) as error:
            run.world.auditor.violate("I20", f"{type(error).__name__}: {error}")
        finally:
            run.close()
            loop.close()
        run.finish(logs)
    return report


class _Run:
    """One run in progress: the world, and whatever process is alive in it."""

    def __init__(
        self,
        seed: int,
        knobs: Knobs,
        loop: VirtualLoop,
        report: RunReport,
        script: Script | None,
    ) -> None:
        self.knobs = knobs
        self.loop = loop
        self.report = report
        self.world = World(seed, knobs, loop, report.trace)
        self.world.auditor.is_outlaw = bool(knobs.outlaws)
        self.world.auditor.attempts_max = knobs.attempts_max
        draw = draw_plans if script is None else script.draw
        self.workload = Workload(self.world, self._run_wish, draw)
        chance = self.world.chance("meddling")
        acts = Acts(self.world, self.workload, chance, self)
        self.meddling = Meddling(self.world, acts, chance)
        self.aiming = Aiming(self.world, self.workload, acts, self)
        self.process: Incarnation | None = None
        self.engine: Engine | None = None
        self._alive: list[Incarnation] = []
        self._lives: dict[int, asyncio.Task[None]] = {}
        self._script = script
        self.world.connections = self._connections
        self.world.coverage.engine_state = self._engine_state
        self._boots = 0
        self._next_at_point = 0
        self._waiting: list[Wish] = []
        loop.set_exception_handler(self._on_loop_exception)
        self.world.note("knobs", knobs.describe())

    async def main(self) -> None:
        """Chaos, heal, wait for rest, reconcile, audit."""
        self.workload.start()
        self.meddling.start()
        self.aiming.start()
        if self._script is not None:
            self._script.begin(self.world, self.workload)
        self.workload.start_wishes()
        self._boot()
        if self.knobs.has_standby:
            self._boot()
        await asyncio.sleep(self.knobs.chaos_seconds)
        self._heal()
        outlaw = OUTLAW_REST_SECONDS if self.knobs.outlaws else 0.0
        bound = HEAL_SECONDS_MAX + outlaw + settling_seconds(self.world.auditor)
        await self._rest(outlaw or REST_SECONDS, bound)
        await self._reconcile()
        await self._rest(0.0, bound)
        note_unwatched(self.world.auditor, self.workload.plans)
        audit_end(self.world.auditor, self.world.broker)
        await audit_replay(self.world.auditor, self.world.store)

    def _engine_state(self) -> str:
        """Return where the account's engine stands, for the coverage."""
        if self.process is None or self.engine is None or self.process.is_dead:
            return ENGINE_DOWN
        return "" if self.engine.supervisor.is_recovered else RECOVERING

    def _connections(self) -> list[VirtualConnection]:
        """Return the open connections of the process that is alive."""
        return [] if self.process is None or self.process.is_dead else self.process.connections

    def _heal(self) -> None:
        """End every fault; a process that stands still goes on, one with a defect starts anew."""
        self.world.heal()
        for process in list(self._alive):
            self._resume(process)
            if process.defect_at:
                process.kill("restarted by a person after a defect")

    # --- what events do to the process: fulfils `acts.Machine` ---

    def stop_process(self, seconds: float) -> None:
        """Let the process stand still for some seconds."""
        process = self.process
        if process is None or process.is_dead or process.held is not None:
            return
        self.world.strike("pause")
        self.world.note("stopped", f"process {process.number}, {seconds:.1f} s")
        process.stop()
        # Frames wait in the socket's buffer meanwhile: their prices are as old as the pause.
        self.world.auditor.buffered_ns += round(seconds * 1e9)
        self.world.later(seconds, lambda: self._resume(process))

    def kill_process(self, *, next_at_point: int = 0) -> None:
        """Kill the process between two callbacks; its heir dies at a named point, 0 for never."""
        process = self.process
        if process is None or process.is_dead:
            return
        heirs = [one for one in self._alive if one is not process]
        for heir in heirs if next_at_point else ():
            heir.doom(points=next_at_point)
        self._next_at_point = 0 if heirs else next_at_point
        process.kill("event of the world")

    def end_process(self) -> None:
        """Tell the process to stop, as SIGTERM does; it dies when its last task has ended."""
        process = self.process
        if process is None or process.is_dead or process.held is not None or process.is_stopping:
            return
        self.world.strike("clean_stop")
        self.world.note("told to stop", f"process {process.number}")
        process.is_stopping = True
        process.context.copy().run(self._lives[process.number].cancel)

    def doom_process(self, *, points: int = 0, steps: int = 0) -> None:
        """Let the process die so many named points or callbacks from now."""
        if self.process is not None and not self.process.is_dead:
            self.process.doom(points=points, steps=steps)

    def _resume(self, process: Incarnation) -> None:
        if process.held is not None and not process.is_dead:
            self.world.note("goes on", f"process {process.number}")
            self.loop.go_on(process.resume())

    def plant_defect(self, points: int) -> None:
        """Let the process raise an unforeseen exception at a named point to come."""
        if self.process is not None and not self.process.is_dead:
            self.world.strike("defect")
            self.report.defects += 1
            self.process.defect_at = self.process.point_count + points

    async def _rest(self, seconds: float, bound: float) -> None:
        """Wait until nothing is under way, at most `bound` after the newest claim."""
        begun = self.loop.time()
        while True:
            age = self.world.auditor.newest_claim_age_ns(self.world.broker_ns()) / 1e9
            elapsed = self.loop.time() - begun
            is_old = elapsed >= seconds
            if is_overdue(self.world.auditor) and elapsed < FEED_SECONDS_MAX:
                is_old, age = False, 0.0
            if is_old and not self._waiting and is_at_rest(self.world.auditor, self.world.broker):
                return
            if min(age, elapsed) >= bound:
                return
            self.world.free_late_orders()
            await asyncio.sleep(1.0)

    async def _reconcile(self) -> None:
        """Let the engine compare once more, then give what follows from it two seconds."""
        for _ in range(2):
            self.world.later(0.0, lambda: self._run_wish(Wish("reconcile", 0.0, compare)))
            await asyncio.sleep(2.0)

    def _boot(self) -> None:
        """Start the next process on what is durable."""
        crashes = self.knobs.crashes
        plan = crashes[self._boots] if self._boots < len(crashes) else NO_CRASH
        if self._next_at_point:
            plan, self._next_at_point = CrashPlan(at_point=self._next_at_point), 0
        if self.world.is_healed:
            plan = NO_CRASH
        self._boots += 1
        process = Incarnation(self._boots, plan, self._on_kill)
        self._alive.append(process)
        self.world.note("boot", f"process {process.number}")
        chance = self.world.chance(f"process {process.number}")
        zero_ns = WALL_BASE_NS - chance.randint(1, 10**15)
        clock = ProcessClock(process, self.world.wall_ns, self.world.broker_ns, zero_ns)
        if self.knobs.has_standby:
            life = self._live_as_one_of_two(process, chance, clock)
        else:
            life = self._begin(process, chance, clock, None)
        task = self.loop.launch(life, process.context)
        self._lives[process.number] = task
        task.add_done_callback(lambda done: self._on_end(process, done), context=self.world.context)

    def _begin(
        self,
        process: Incarnation,
        chance: random.Random,
        clock: ProcessClock,
        ownership: AccountOwnership | None,
    ) -> Coroutine[Any, Any, None]:
        """Assemble the engine, which is the account's from now on; return its life."""
        self.process = process
        self.world.auditor.hear_process(self.world.wall_ns())
        self.engine = process.context.copy().run(
            assemble_process, self.world, process, chance, clock, ownership
        )
        self.world.later(0.0, self.world.coverage.look_at_engine)
        waiting, self._waiting = self._waiting, []
        for wish in waiting:
            self._start_wish(wish)
        return self.engine.supervisor.run()

    async def _live_as_one_of_two(
        self, process: Incarnation, chance: random.Random, clock: ProcessClock
    ) -> None:
        """Stand by until the account is free or its owner silent for too long; then serve."""
        world = self.world
        ownership = virtual_ownership(process, world, clock, chance)
        await ownership.stand_by(lambda _: None)
        if ownership.takeover_text:
            world.strike("takeover")
        world.note("owner", f"process {process.number}, epoch {ownership.epoch}")
        try:
            await self._begin(process, chance, clock, ownership)
        finally:
            await ownership.release()  # the dead do not: their ports raise

    def _on_kill(self, process: Incarnation, where: str) -> None:
        self.world.note("killed", f"process {process.number} at {where}")
        self.report.crashes.append(where)
        is_recovering = self._engine_state() == RECOVERING
        if process is self.process:  # else a standby, whose death befalls no exit
            self.world.strike(crash_class(where, is_recovering=is_recovering))
        self._alive.remove(process)
        self._keep_points(process)
        self.world.later(0.0, process.bury)
        self.world.later(0.0, self.world.coverage.look_at_engine)
        self.world.later(process.plan.restart_seconds, self._boot)

    def _keep_points(self, process: Incarnation) -> None:
        for name, count in process.points.items():
            self.report.points[name] = self.report.points.get(name, 0) + count
        self.report.point_count += process.point_count

    def _on_end(self, process: Incarnation, task: "asyncio.Task[None]") -> None:
        """The engine ended by itself: only a store that was away may do that."""
        if process.is_dead:
            return
        if task.cancelled():
            process.kill("its end in good order")
            return
        error = task.exception()
        if is_rightful_end(error):
            process.kill(f"store failure: {error!r}")
            return
        self.world.auditor.violate("I20", f"the engine ended: {describe_end(error)}")
        process.kill("defect")

    def _run_wish(self, wish: Wish) -> None:
        """Hand a wish to the engine, or keep it until there is one."""
        if wish.is_done:
            return
        if self.process is None or self.process.is_dead or self.process.is_stopping:
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
        if process.is_dead or task.cancelled():
            self._run_wish(wish)
        elif not task.done():
            self.world.later(0.25, lambda: self._watch(wish, process, task))
        elif isinstance(task.exception(), InjectedDefect) or is_of_closing(task.exception()):
            self.world.later(RETRY_SECONDS, lambda: self._run_wish(wish))
        elif task.exception() is not None:
            text = f"{wish.name} raised {task.exception()!r}"
            self.world.auditor.violate("I20", text)
        elif not wish.is_done:
            self.world.later(RETRY_SECONDS, lambda: self._run_wish(wish))

    def _on_loop_exception(self, _loop: Any, context: dict[str, Any]) -> None:
        """A future that nobody reads is a defect, unless those who would have read it are dead."""
        error = context.get("exception")
        is_deathbed = bool(self.report.crashes) or self.process is None or self.process.is_dead
        if (
            isinstance(error, ProcessKilled)
            or is_of_closing(error)
            or (is_deathbed and is_left_by_the_dead(str(context)))
        ):
            return
        self.world.auditor.violate("I20", f"{context.get('message')}: {error!r}")

    def close(self) -> None:
        """End the last processes without a trace."""
        for process in self._alive:
            self._keep_points(process)
            process.is_dead = True
            process.bury()

    def finish(self, logs: list[str]) -> None:
        """Fill in the report."""
        auditor, report = self.world.auditor, self.report
        alerts = [message for _, _, _, message in self.world.alerts.notes]
        audit_secrets(auditor, self.world.tokens, {"a log line": logs, "an alert": alerts})
        if not report.defects and any(r["code"] == "position_halted" for _, r in auditor.alarms):
            told = [r["message"] for _, r in auditor.alarms if r["code"] == "position_halted"]
            auditor.violate("I20", f"a position was halted by a defect: {told[0]}")
        report.violations = auditor.violations
        report.claims = sum(tracker.claims for tracker in auditor.trackers.values())
        statuses = auditor.database.execute("SELECT status FROM trackers").fetchall()
        report.exits = sum(1 for (status,) in statuses if status == "EXITED")
        report.cancelled = sum(1 for (status,) in statuses if status == "CANCELLED")
        report.orders = len(auditor.heard)
        report.faults = dict(self.world.coverage.struck)
        report.cells = self.world.coverage.cells
        auditor.finish_marks(report.cells)
        report.marks = +auditor.marks.seen
        report.virtual_seconds = self.loop.time()
        report.callbacks = self.loop.step_count
        for line in auditor.violations:
            self.world.note("VIOLATION", line)
        self.world.note("journal", auditor.journal_hashes[-1] if auditor.journal_hashes else "")
        report.trace_hash = report.trace.digest()
