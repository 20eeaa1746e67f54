"""One life of the engine's process: its ports, its crash, its burial.

A killed process is dead at once, as by kill -9: its callbacks never run again, every port raises
`ProcessKilled`, and only what it committed and what already left on the wire remains.
"""

import asyncio
import inspect
import random
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any
from weakref import WeakSet

from squareoff.core.change import Change
from squareoff.core.facts import AccountFact, JournalEntry, Severity
from squareoff.core.tracker import PositionTracker
from squareoff.domain.errors import CommitOutcomeUnknown, StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import Now
from squareoff.ports import Alarm, Journal, KillSwitchState, RememberedAnswer, TrackerStore
from squareoff.simulator.virtual.knobs import CrashPlan
from squareoff.simulator.virtual.network import VirtualConnection
from squareoff.simulator.virtual.virtual_loop import OWNER, ProcessKilled

_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CLOSE_TRIES_MAX = 20
"""A suspended `TaskGroup` needs two; nested ones a few more."""


class Incarnation:
    """One process: owner of its callbacks, passer of named points."""

    def __init__(
        self, number: int, plan: CrashPlan, on_kill: Callable[["Incarnation", str], None]
    ) -> None:
        self.number = number
        self.plan = plan
        self.is_dead = False
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.points: dict[str, int] = {}
        self.point_count = 0
        self.step_count = 0
        self._on_kill = on_kill
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

    def check(self) -> None:
        """Raise ProcessKilled once dead."""
        if self.is_dead:
            raise ProcessKilled(f"process {self.number} is dead")

    def reach(self, name: str) -> None:
        """Pass a named point, or die there: fulfils `ports.Checkpoints`."""
        self.check()
        self.point_count += 1
        self.points[name] = self.points.get(name, 0) + 1
        if self.point_count == self.plan.at_point:
            self.kill(f"point {self.point_count}: {name}")
            raise ProcessKilled(f"process {self.number} was killed at {name}")

    def kill(self, where: str) -> None:
        """Die at once; the kernel closes the sockets."""
        if self.is_dead:
            return
        self.is_dead = True
        for connection in self._connections:
            connection.drop()
        self._on_kill(self, where)

    def adopt(self, connection: VirtualConnection) -> None:
        """Note an open connection."""
        self._connections.append(connection)

    def bury(self) -> None:
        """Close every coroutine of the dead process; nothing they try reaches the world."""
        assert self.is_dead, "only the dead are buried"
        for task in list(self.tasks):
            if task.done():
                if not task.cancelled():
                    task.exception()
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            self.context.run(_close, task.get_coro())
        self.tasks.clear()


def _close(coroutine: Any) -> None:
    # A task that never took its first step may hold coroutines that would have run in it.
    frame = coroutine.cr_frame
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
    """The clock of one process: monotonic time has another zero in every process."""

    def __init__(self, process: Incarnation, wall_ns: Callable[[], int], zero_ns: int) -> None:
        self._process = process
        self._wall_ns = wall_ns
        self._zero_ns = zero_ns

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        virtual_ns = round(asyncio.get_running_loop().time() * 1e9)
        return Now(self._wall_ns(), virtual_ns + self._zero_ns)

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


class StoreFaults:
    """How often the database refuses, or breaks in COMMIT; zero once the world is healed."""

    def __init__(self, unavailable: float, commit_unknown: float) -> None:
        self.unavailable = unavailable
        self.commit_unknown = commit_unknown
        self.count = 0


class StoreAtRisk:
    """The real store as one process sees it: slow, at times away, gone when the process dies.

    Fulfils `TrackerStore` and `Journal`. The transaction itself is one instant; the process may
    die right before it and right after it, and others run while it is asked and answered.
    """

    def __init__(
        self, inner: Any, process: Incarnation, faults: StoreFaults, chance: random.Random
    ) -> None:
        self._store: TrackerStore = inner
        self._journal: Journal = inner
        self._process = process
        self._faults = faults
        self._chance = chance

    async def commit(self, change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
        """Commit, or fail as the seed says."""
        await self._begin("commit")
        if self._breaks(self._faults.commit_unknown):
            if self._chance.random() < 0.5:
                await self._store.commit(change, at_ns)
            raise CommitOutcomeUnknown("the connection broke in COMMIT")
        entries = await self._store.commit(change, at_ns)
        await self._end("commit")
        return entries

    async def record(self, facts: Sequence[AccountFact], at_ns: int) -> tuple[JournalEntry, ...]:
        """Record, or fail as the seed says."""
        await self._begin("record")
        entries = await self._store.record(facts, at_ns)
        await self._end("record")
        return entries

    async def load(self, tracker_id: TrackerId) -> PositionTracker | None:
        """Load one tracker."""
        await self._begin("load")
        return await self._store.load(tracker_id)

    async def load_all(
        self, statuses: Sequence[PositionStatus] | None = None
    ) -> tuple[PositionTracker, ...]:
        """Load all trackers."""
        await self._begin("load")
        return await self._store.load_all(statuses)

    async def alarms(self, *, unacknowledged_only: bool = False) -> tuple[Alarm, ...]:
        """Read the alarms."""
        await self._begin("alarms")
        return await self._store.alarms(unacknowledged_only=unacknowledged_only)

    async def kill_switch(self) -> KillSwitchState:
        """Read the kill switch."""
        await self._begin("kill_switch")
        return await self._store.kill_switch()

    async def recall_answer(self, idempotency_key: str) -> RememberedAnswer | None:
        """Read a remembered answer."""
        await self._begin("recall")
        return await self._store.recall_answer(idempotency_key)

    async def remember_answer(
        self, idempotency_key: str, answer: RememberedAnswer, at_ns: int
    ) -> None:
        """Remember an answer."""
        await self._begin("remember")
        await self._store.remember_answer(idempotency_key, answer, at_ns)

    async def entries(
        self, *, after_seq: int = 0, tracker_id: TrackerId | None = None, limit: int = 1000
    ) -> tuple[JournalEntry, ...]:
        """Read the journal."""
        await self._begin("entries")
        return await self._journal.entries(after_seq=after_seq, tracker_id=tracker_id, limit=limit)

    async def head(self) -> int:
        """Read the journal's newest number."""
        await self._begin("head")
        return await self._journal.head()

    async def _begin(self, name: str) -> None:
        self._process.reach(f"{name}_begins")
        await asyncio.sleep(self._chance.uniform(0.0001, 0.002))
        self._process.check()
        if self._breaks(self._faults.unavailable):
            raise StoreUnavailable("the database is busy")

    async def _end(self, name: str) -> None:
        self._process.reach(f"{name}_durable")
        await asyncio.sleep(self._chance.uniform(0.0001, 0.001))

    def _breaks(self, rate: float) -> bool:
        if rate <= 0 or self._chance.random() >= rate:
            return False
        self._faults.count += 1
        return True
