"""A thread that makes one call after the other and hands each result back to its event loop.

`run_in_executor` does the same in some 100 microseconds; this takes a third of that, and every step
of an exit waits for such a hand-over.
Invariants:
1. Calls run in the order in which they were handed over, one at a time.
2. Every call that was taken over is made, also when nobody waits for it any more.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class WorkerThread:
    """One thread, started with the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Hand a call over; its future belongs to the running loop."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        outcome: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put((work, outcome))
        return outcome

    def shut_down(self) -> None:
        """Make the calls that were taken over, then end the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, outcome = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for it
                _hand_back(outcome, _fail, error)
            else:
                _hand_back(outcome, _succeed, result)
            # Nothing of a finished call may live on until the next one comes.
            del job, work, outcome


def _hand_back(
    outcome: "asyncio.Future[Any]", end: Callable[["asyncio.Future[Any]", Any], None], what: Any
) -> None:
    try:
        outcome.get_loop().call_soon_threadsafe(end, outcome, what)
    except RuntimeError:
        return  # the loop was closed meanwhile: nobody waits


def _succeed(outcome: "asyncio.Future[Any]", result: Any) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _fail(outcome: "asyncio.Future[Any]", error: BaseException) -> None:
    if not outcome.done():
        outcome.set_exception(error)
