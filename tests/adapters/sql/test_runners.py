"""Transactions and cancellation, on a thread, inline and through asyncpg."""

import asyncio
import threading

import pytest
from sqlalchemy import Connection, func, insert, select, text

from async_body import run_async
from squareoff.adapters.sql.database import Database
from squareoff.adapters.sql.runners import InlineRunner
from squareoff.adapters.sql.sqlite_engine import memory_engine
from squareoff.adapters.sql.tables import paper_state


def _add(connection: Connection, account_id: str) -> str:
    connection.execute(insert(paper_state), {"account_id": account_id, "ledger": b""})
    return account_id


async def _saved(database: Database) -> int:
    count = select(func.count()).select_from(paper_state)
    return await database.runner.read(lambda connection: connection.execute(count).scalar_one())


def test_work_is_committed_when_it_returns_and_gone_when_it_raises(opened) -> None:
    """A result means committed, an error of the work itself means rolled back and passed on."""

    async def body() -> None:
        async with opened() as database:
            assert await database.runner.write(lambda c: _add(c, "kept")) == "kept"

            def broken(connection: Connection) -> None:
                _add(connection, "lost")
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await database.runner.write(broken)
            assert await _saved(database) == 1
            await database.runner.write(lambda c: _add(c, "next"))
            assert await _saved(database) == 2

    run_async(body())


class _Gate:
    """Work that reports its start and goes on when let through, from whatever thread it is on."""

    def __init__(self, database: Database) -> None:
        self.has_started = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._may_go_on = threading.Event()
        self._is_postgres = database.postgres_url is not None

    def let_through(self) -> None:
        self._may_go_on.set()

    def work(self, connection: Connection) -> None:
        _add(connection, "gate")
        self._loop.call_soon_threadsafe(self.has_started.set)
        if self._is_postgres:
            # This work shares the event loop's thread; it gives way while the server answers.
            while not self._may_go_on.is_set():
                connection.execute(text("SELECT pg_sleep(0.01)"))
        else:
            assert self._may_go_on.wait(timeout=20)


def test_a_cancelled_caller_leaves_a_finished_transaction(shared_opened) -> None:
    """Cancelled in mid-transaction, a caller ends only after the commit, with CancelledError."""

    async def body() -> None:
        async with shared_opened() as database:
            gate = _Gate(database)
            caller = asyncio.ensure_future(database.runner.write(gate.work))
            await gate.has_started.wait()
            for _ in range(3):
                caller.cancel()
                await asyncio.sleep(0)
                assert not caller.done(), "the cancellation passed before the commit"
            gate.let_through()
            with pytest.raises(asyncio.CancelledError):
                await caller

            assert await _saved(database) == 1
            await database.runner.write(lambda c: _add(c, "next"))
            assert await _saved(database) == 2

    run_async(body())


def test_a_caller_that_is_cancelled_in_the_queue_harms_nobody(shared_opened) -> None:
    """Cancelling one of two waiting writers leaves the running one and the other unharmed."""

    async def body() -> None:
        async with shared_opened() as database:
            gate = _Gate(database)
            running = asyncio.ensure_future(database.runner.write(gate.work))
            await gate.has_started.wait()
            cancelled = asyncio.ensure_future(database.runner.write(lambda c: _add(c, "second")))
            third = asyncio.ensure_future(database.runner.write(lambda c: _add(c, "third")))
            await asyncio.sleep(0)
            cancelled.cancel()
            gate.let_through()
            await running
            await third

            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert await _saved(database) in (2, 3)

    run_async(body())


def test_a_failure_behind_a_cancellation_is_told_as_its_cause(shared_opened) -> None:
    """Where the transaction fails after the caller was cancelled, the cancellation names it."""

    async def body() -> None:
        async with shared_opened() as database:
            gate = _Gate(database)

            def broken(connection: Connection) -> None:
                gate.work(connection)
                raise ZeroDivisionError

            caller = asyncio.ensure_future(database.runner.write(broken))
            await gate.has_started.wait()
            caller.cancel()
            await asyncio.sleep(0)
            gate.let_through()
            with pytest.raises(asyncio.CancelledError) as caught:
                await caller

            assert isinstance(caught.value.__cause__, ZeroDivisionError)
            assert await _saved(database) == 0

    run_async(body())


def test_reads_do_not_wait_for_a_writer(shared_opened) -> None:
    """While a write transaction is open, a read answers with what was committed before."""

    async def body() -> None:
        async with shared_opened() as database:
            gate = _Gate(database)
            writer = asyncio.ensure_future(database.runner.write(gate.work))
            await gate.has_started.wait()
            before = await _saved(database)
            gate.let_through()
            await writer

            assert (before, await _saved(database)) == (0, 1)

    run_async(body())


def test_the_inline_runner_never_gives_way() -> None:
    """Work in memory runs to its end before any other task gets a turn."""

    async def body() -> None:
        database = Database(InlineRunner(memory_engine()), "sqlite://")
        order: list[str] = []

        async def other() -> None:
            order.append("other")

        task = asyncio.ensure_future(other())
        await database.runner.write(lambda _connection: order.append("write"))
        await database.runner.read(lambda _connection: order.append("read"))
        await task
        await database.close()

        assert order == ["write", "read", "other"]

    run_async(body())
