"""An event loop whose time is virtual and whose order of events comes from a seed.

Nothing waits: when nothing is ready, time jumps to the next timer. Callbacks that are ready at the
same moment run in an order drawn from the seed; what a callback causes always runs after it.

Invariants:
1. Same seed, same program: same order of callbacks, same times.
2. A callback that belongs to a dead process never runs, so no `finally` of it reaches the world.
3. Of a stopped process no callback runs until it goes on; time does not wait for it.
4. Nothing ready and no timer is a `Deadlock`; a run past its deadline is an `Overrun`.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol
from weakref import ReferenceType, ref

from squareoff.domain.errors import SquareoffError
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

    tasks: list[ReferenceType["asyncio.Task[Any]"]]
    """All its tasks so far, oldest first; those that ended may be gone."""
    held: list[Any] | None
    """While the process is stopped: the callbacks that wait for it to go on. Else None."""

    def may_step(self) -> bool:
        """Count one callback of this process; False once it is dead."""
        ...


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)
"""Whose callback is running; None is the world itself."""

STEPS_MAX = 300_000
"""Far above any run (some 5,000 callbacks, the longest 50,000): a program that spins without
letting time pass."""


class _VirtualTask(asyncio.Task[Any]):
    """A task whose hash is its number in the run, so that a set of tasks, such as a `TaskGroup`
    cancels from, has one order whatever the process ran before."""

    def __init__(self, number: int, *args: Any, **more: Any) -> None:
        self._number = number  # first: registering the task hashes it
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        return self._number


class _Turn(asyncio.TimerHandle):
    """A callback that waits for its turn; as `asyncio.TimerHandle`, without its upkeep for debug
    mode, which is most of what a callback costs."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._cancelled = False
        self._source_traceback = self._repr = None

    def cancel(self) -> None:
        """Never run it; it is dropped when its turn comes."""
        self._cancelled = True
        self._callback, self._args = _do_nothing, ()


def _do_nothing() -> None:
    """What is left of a callback that was cancelled."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs tasks in virtual time. `time()` is the monotonic clock, in seconds from 0."""

    def __init__(
        self, chance: random.Random, deadline_seconds: float, *, steps_max: int = STEPS_MAX
    ) -> None:
        super().__init__()
        self._steps_max = steps_max
        self._chance = chance
        self._deadline = deadline_seconds
        self._now = 0.0
        self._now_ns = 0
        self._round: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_count = 0
        self._task_count = 0
        self.step_count = 0
        self.set_task_factory(_make_task)  # type: ignore[arg-type]

    def next_task_number(self) -> int:
        """Return the number of the task that is being made."""
        self._task_count += 1
        return self._task_count

    def time(self) -> float:
        """Return virtual seconds since the start."""
        return self._now

    def now_ns(self) -> int:
        """Return virtual nanoseconds since the start."""
        return self._now_ns

    def launch(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> "asyncio.Task[Any]":
        """Start a coroutine of the process that owns `context`; that process buries it."""
        return _make_task(self, coroutine, context)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback in the next round."""
        handle = _Turn(self._now, callback, args, self, context)
        self._round.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a virtual time; timers of one instant become ready together."""
        timer = _Turn(when, callback, args, self, context)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, timer))
        return timer

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback some virtual seconds from now."""
        when = self._now + delay
        timer = _Turn(when, callback, args, self, context)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, timer))
        return timer

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Do the work of a thread at once: there are no threads."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except (SquareoffError, OSError) as error:
            done.set_exception(error)
        return done

    def go_on(self, held: list[Any]) -> None:
        """Run what a stopped process has held."""
        self._round.extend(held)

    def _run_once(self) -> None:
        """Run everything that is ready now, in an order drawn from the seed."""
        self._take_due_timers()
        batch, self._round = self._round, []
        if len(batch) > 1:
            self._chance.shuffle(batch)
        for handle in batch:
            if not handle._cancelled:
                self._run_handle(handle)

    def _take_due_timers(self) -> None:
        timers, pop = self._timers, heapq.heappop
        if not self._round and not self._stopping:  # type: ignore[attr-defined]
            while timers and timers[0][2]._cancelled:
                pop(timers)
            self._jump(timers)
        now = self._now
        while timers and timers[0][0] <= now:
            self._round.append(pop(timers)[2])

    def _jump(self, timers: list[tuple[float, int, asyncio.TimerHandle]]) -> None:
        """Let time jump to the next timer."""
        if not timers:
            raise Deadlock(f"nothing is ready and no timer is set at {self._now:.6f} s")
        self._now = max(self._now, timers[0][0])
        self._now_ns = round(self._now * NANOSECONDS_PER_SECOND)
        if self._now > self._deadline:
            raise Overrun(f"the run passed its deadline of {self._deadline:g} s")

    def _run_handle(self, handle: Any) -> None:
        owner = handle._context.get(OWNER)
        if owner is not None:
            if owner.held is not None:
                owner.held.append(handle)
                return
            if not owner.may_step():
                return
        self.step_count += 1
        if self.step_count > self._steps_max:
            steps, seconds = self.step_count, self._now
            raise Overrun(f"{steps} callbacks ran by {seconds:.6f} s: does something spin?")
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
    owner = OWNER.get() if context is None else context.get(OWNER)
    assert isinstance(loop, VirtualLoop), "it is this loop's factory"
    task = _VirtualTask(loop.next_task_number(), coroutine, loop=loop, context=context, **more)
    if owner is not None:
        owner.tasks.append(ref(task))
    return task
