"""An event loop whose time is virtual and whose order of events comes from a seed.

Nothing waits: when nothing is ready, time jumps to the next timer. Callbacks that are ready at the
same moment run in an order drawn from the seed; what a callback causes always runs after it.

Invariants:
1. Same seed, same program: same order of callbacks, same times.
2. A callback that belongs to a dead process never runs, so no `finally` of it reaches the world.
3. Nothing ready and no timer is a `Deadlock`; a run past its deadline is an `Overrun`.
"""

import asyncio
import heapq
import random
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol
from weakref import WeakSet

from squareoff.domain.time import NANOSECONDS_PER_SECOND


class Deadlock(Exception):
    """Nothing is ready and no timer is set: the program waits for ever."""


class Overrun(Exception):
    """The run passed its virtual deadline or its bound of callbacks."""


class ProcessKilled(BaseException):
    """The process was killed: whatever it still tries ends in this. Never an `Exception`, so that
    no handler of the engine can take it for a failure."""


class Owner(Protocol):
    """A simulated process: it owns the callbacks that run in its context."""

    tasks: "WeakSet[asyncio.Task[Any]]"

    def may_step(self) -> bool:
        """Count one callback of this process; False once it is dead."""
        ...


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)
"""Whose callback is running; None is the world itself."""

STEPS_MAX = 3_000_000
"""Far above any run (some 20,000 callbacks): a program that spins without letting time pass."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs tasks in virtual time. `time()` is the monotonic clock, in seconds from 0."""

    def __init__(self, chance: random.Random, deadline_seconds: float) -> None:
        super().__init__()
        self._chance = chance
        self._deadline = deadline_seconds
        self._now = 0.0
        self.step_count = 0
        self.set_task_factory(_make_task)  # type: ignore[arg-type]

    def time(self) -> float:
        """Return virtual seconds since the start."""
        return self._now

    def now_ns(self) -> int:
        """Return virtual nanoseconds since the start."""
        return round(self._now * NANOSECONDS_PER_SECOND)

    def launch(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> "asyncio.Task[Any]":
        """Start a coroutine of the process that owns `context`; that process buries it."""
        return _make_task(self, coroutine, context)

    def _run_once(self) -> None:
        """Run everything that is ready now, in an order drawn from the seed."""
        inner: Any = self
        self._take_due_timers(inner)
        batch = list(inner._ready)
        inner._ready.clear()
        if len(batch) > 1:
            self._chance.shuffle(batch)
        for handle in batch:
            self._run_handle(handle)

    def _take_due_timers(self, inner: Any) -> None:
        timers = inner._scheduled
        self._drop_cancelled(inner)
        if not inner._ready and not inner._stopping:
            if not timers:
                raise Deadlock(f"nothing is ready and no timer is set at {self._now:.6f} s")
            self._now = max(self._now, timers[0].when())
            if self._now > self._deadline:
                raise Overrun(f"the run passed its deadline of {self._deadline:g} s")
        while timers and timers[0].when() <= self._now:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if timer.cancelled():
                inner._timer_cancelled_count -= 1
            else:
                inner._ready.append(timer)

    @staticmethod
    def _drop_cancelled(inner: Any) -> None:
        timers = inner._scheduled
        while timers and timers[0].cancelled():
            inner._timer_cancelled_count -= 1
            heapq.heappop(timers)._scheduled = False

    def _run_handle(self, handle: Any) -> None:
        if handle.cancelled():
            return
        owner = handle._context.get(OWNER)
        if owner is not None and not owner.may_step():
            return
        self.step_count += 1
        if self.step_count > STEPS_MAX:
            raise Overrun(f"{STEPS_MAX} callbacks ran by {self._now:.6f} s: does something spin?")
        handle._run()

    def _process_events(self, event_list: Any) -> None:
        """There is no I/O."""

    def _write_to_self(self) -> None:
        """There are no threads to be woken by."""


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Any],
    context: Context | None = None,
    **more: Any,
) -> "asyncio.Task[Any]":
    """Make a task and tell its owner, who must be able to bury it."""
    owner = (context or copy_context()).get(OWNER)
    task = asyncio.Task(coroutine, loop=loop, context=context, **more)
    if owner is not None:
        owner.tasks.add(task)
    return task
