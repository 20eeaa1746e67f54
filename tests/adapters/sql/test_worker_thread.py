"""The thread behind SQLite: calls in their order, results and failures to whoever waits."""

import asyncio
import threading

import pytest

from async_body import run_async
from squareoff.adapters.sql.worker_thread import WorkerThread


def test_calls_run_in_order_on_one_other_thread() -> None:
    """One call after the other, none on the event loop's thread."""

    async def body() -> None:
        worker, seen = WorkerThread("test"), []
        calls = [
            worker.call(lambda n=n: seen.append((n, threading.get_ident()))) for n in range(50)
        ]
        await asyncio.gather(*calls)
        worker.shut_down()

        assert [n for n, _ in seen] == list(range(50))
        assert {thread for _, thread in seen} != {threading.get_ident()}
        assert len({thread for _, thread in seen}) == 1

    run_async(body())


def test_results_and_failures_go_to_their_own_callers() -> None:
    """A failed call fails its own future only."""

    async def body() -> None:
        worker = WorkerThread("test")
        good, bad, later = worker.call(lambda: 7), worker.call(lambda: 1 // 0), worker.call(int)

        assert await good == 7
        with pytest.raises(ZeroDivisionError):
            await bad
        assert await later == 0
        worker.shut_down()

    run_async(body())


def test_a_call_nobody_waits_for_is_made_all_the_same() -> None:
    """Cancelling the future ends the waiting, never the call."""

    async def body() -> None:
        worker, gate, made = WorkerThread("test"), threading.Event(), []
        first = worker.call(lambda: gate.wait(20))
        abandoned = worker.call(lambda: made.append("made"))
        abandoned.cancel()
        gate.set()
        await first
        await worker.call(int)
        worker.shut_down()

        assert made == ["made"]

    run_async(body())


def test_shutting_down_makes_what_was_handed_over() -> None:
    """Nothing that was taken over is dropped, also when the loop has gone on without it."""

    async def body(made: list[str]) -> None:
        worker = WorkerThread("test")
        worker.call(lambda: made.append("made"))
        worker.shut_down()

    made: list[str] = []
    run_async(body(made))

    assert made == ["made"]


def test_a_worker_that_was_never_used_shuts_down() -> None:
    """No thread was started, so there is none to end."""
    before = threading.active_count()
    WorkerThread("test").shut_down()

    assert threading.active_count() == before
