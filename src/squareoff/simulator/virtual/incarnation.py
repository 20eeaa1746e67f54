"""One life of the engine's process: its clock and ids, its pauses, its crash, its burial.

A process that is stopped (as by SIGSTOP, or a laptop's lid) keeps its callbacks until it goes on;
the world meanwhile does not wait for it. A killed process is dead at once, as by kill -9: its
callbacks never run again, every port raises `ProcessKilled`, and only what it committed and what
already left on the wire remains.
"""

import asyncio
import inspect
import random
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from typing import Any
from weakref import ReferenceType

from squareoff.core.state.facts import Severity
from squareoff.domain.time import Now
from squareoff.simulator.virtual.knobs import CrashPlan
from squareoff.simulator.virtual.network import VirtualConnection
from squareoff.simulator.virtual.virtual_loop import OWNER, ProcessKilled

_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CLOSE_TRIES_MAX = 20
"""A suspended `TaskGroup` needs two; nested ones a few more."""


class InjectedDefect(Exception):
    """An exception that no code of ours foresaw, raised where a port was called."""


class Incarnation:
    """One process: owner of its callbacks, passer of named points."""

    def __init__(
        self, number: int, plan: CrashPlan, on_kill: Callable[["Incarnation", str], None]
    ) -> None:
        self.number = number
        self.plan = plan
        self.is_dead = False
        self.is_stopping = False
        """It was told to stop and takes no wishes any more."""
        self.tasks: list[ReferenceType[asyncio.Task[Any]]] = []
        self.points: dict[str, int] = {}
        self.point_count = 0
        self.step_count = 0
        self._on_kill = on_kill
        self.held: list[Any] | None = None
        self.defect_at = 0
        self._connections: list[VirtualConnection] = []
        self.context = copy_context()
        self.context.run(OWNER.set, self)

    def may_step(self) -> bool:
        """Count one callback; die at the planned one."""
        if self.is_dead:
            return False
        self.step_count += 1
        if self.step_count == self.plan.at_step:
            self.kill(f"callback {self.step_count}")
        return not self.is_dead

    def doom(self, *, points: int = 0, steps: int = 0) -> None:
        """Plan the death so many named points or callbacks from now; 0 leaves that plan be."""
        if points:
            self.plan = replace(self.plan, at_point=self.point_count + points)
        if steps:
            self.plan = replace(self.plan, at_step=self.step_count + steps)

    def stop(self) -> None:
        """Hold every callback from now on."""
        if self.held is None and not self.is_dead:
            self.held = []

    def resume(self) -> list[Any]:
        """Go on: return what was held, for the loop to run."""
        held, self.held = self.held or [], None
        return held

    def check(self) -> None:
        """Raise ProcessKilled once dead."""
        if self.is_dead:
            raise ProcessKilled(f"process {self.number} is dead")

    def reach(self, name: str) -> None:
        """Pass a named point, or die there: fulfils `ports.Checkpoints`."""
        self.check()
        self.point_count += 1
        self.points[name] = self.points.get(name, 0) + 1
        if self.point_count == self.defect_at:
            raise InjectedDefect(f"a defect at {name}")
        if self.point_count == self.plan.at_point:
            self.kill(f"point {self.point_count}: {name}")
            raise ProcessKilled(f"process {self.number} was killed at {name}")

    def kill(self, where: str) -> None:
        """Die at once; the kernel closes the sockets."""
        if self.is_dead:
            return
        self._on_kill(self, where)
        self.is_dead = True
        for connection in self._connections:
            connection.drop()

    def adopt(self, connection: VirtualConnection) -> None:
        """Note an open connection."""
        self._connections.append(connection)

    @property
    def connections(self) -> list[VirtualConnection]:
        """The connections it has opened that have not ended."""
        return [connection for connection in self._connections if not connection.has_ended]

    def bury(self) -> None:
        """Close every coroutine of the dead process; nothing they try reaches the world."""
        assert self.is_dead, "only the dead are buried"
        for task in [each() for each in self.tasks]:
            if task is None:
                continue
            if task.done():
                if not task.cancelled():
                    task.exception()
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            self.context.run(_close, task.get_coro())
        self.tasks.clear()


def _close(coroutine: Any) -> None:
    # A task that never took its first step may hold coroutines that would have run in it.
    frame = getattr(coroutine, "cr_frame", None)
    held = [] if frame is None else [v for v in frame.f_locals.values() if inspect.iscoroutine(v)]
    for inner in held:
        inner.close()
    for _ in range(_CLOSE_TRIES_MAX):
        try:
            coroutine.close()
        except (RuntimeError, ProcessKilled, BaseExceptionGroup):
            continue  # it waited for something in a `finally`; it will not the next time
        return


class ProcessClock:
    """The clock of one process: monotonic time has another zero in every process.

    `true_ns` is a clock that never steps; it goes on in the night, as the monotonic clock of a real
    machine does while that is suspended.
    """

    def __init__(
        self,
        process: Incarnation,
        wall_ns: Callable[[], int],
        true_ns: Callable[[], int],
        zero_ns: int,
    ) -> None:
        self._process = process
        self._wall_ns = wall_ns
        self._true_ns = true_ns
        self._zero_ns = zero_ns

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        return Now(self._wall_ns(), self._true_ns() - self._zero_ns)

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        self._process.check()
        await asyncio.sleep(seconds)


class SeededIds:
    """Ids from the seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def new_id(self, prefix: str) -> str:
        """Return a fresh id."""
        return prefix + "-" + "".join(self._chance.choices(_ID_ALPHABET, k=12))


class AlertLog:
    """Fulfils `ports.Alerts`: keeps what a person would have been told."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self.notes: list[tuple[int, Severity, str, str]] = []

    def notify(self, severity: Severity, code: str, message: str) -> None:
        """Keep an alarm."""
        self.notes.append((self._now_ns(), severity, code, message))

    def tell(self, title: str, message: str) -> None:
        """Leave out what is no alarm: simulated days have no end."""
