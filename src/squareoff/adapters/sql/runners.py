"""Run synchronous database work in one transaction: on a thread, inline, or through asyncpg.

The statements are written once, as functions of a `sqlalchemy.Connection`. A runner decides where
they run. Invariants:
1. Work takes effect in exactly one transaction, committed when the call returns and rolled back
   when it raises. A transaction may hold the work of several callers (`group_commit`).
2. A caller that is cancelled meanwhile leaves a finished transaction, never an open one: the
   cancellation passes once commit or rollback is done.
3. Writers of one runner wait for each other here, before they hold anything in the database.
4. `read_back` may wait for rows that a write has locked: a server may be at a COMMIT still whose
   answer we have given up, and a snapshot would show the state before it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine

from squareoff.adapters.sql.failures import before_commit, in_commit
from squareoff.adapters.sql.group_commit import GroupCommit, Outcome, Work, write_each
from squareoff.adapters.sql.sqlite_engine import begin_writing
from squareoff.adapters.sql.worker_thread import WorkerThread

if TYPE_CHECKING:  # for PostgreSQL alone, which most engines do without
    from sqlalchemy.ext.asyncio import AsyncEngine

Result = TypeVar("Result")


class Runner(Protocol):
    """Runs work in a transaction; errors are those of `before_commit` and `in_commit`."""

    async def write(self, work: Work[Result]) -> Result:
        """Run `work` in a write transaction and return its result once that is durable."""
        ...

    async def read(self, work: Work[Result]) -> Result:
        """Run `work` on one consistent snapshot that is never written to."""
        ...

    async def read_back(self, work: Work[Result]) -> Result:
        """Run `work`, which only reads, where it sees the end of every earlier commit."""
        ...

    async def close(self) -> None:
        """Release all connections."""
        ...


class InlineRunner:
    """Runs work at once, in the calling thread, on an SQLite engine.

    For simulation: nothing else runs meanwhile, so the order of events depends on no thread.
    """

    def __init__(self, engine: Engine, reading_engine: Engine | None = None) -> None:
        self._writing = _HeldConnection(engine)
        self._reading = self._writing if reading_engine is None else _HeldConnection(reading_engine)

    async def write(self, work: Work[Result]) -> Result:
        """Run `work` in a write transaction; never gives way to other tasks."""
        return _write_on(self._writing, work)

    async def read(self, work: Work[Result]) -> Result:
        """Run `work` on one snapshot; never gives way to other tasks."""
        return _read_on(self._reading, work)

    async def read_back(self, work: Work[Result]) -> Result:
        """Run `work` as `read` does: a COMMIT that failed here is over."""
        return await self.read(work)

    async def close(self) -> None:
        """Release all connections."""
        self._writing.dispose()
        self._reading.dispose()


class ThreadRunner:
    """Runs work on SQLite engines in two threads: one for writes, one for reads.

    A transaction is one hop to a thread and back, whatever the number of its statements.
    """

    def __init__(self, engine: Engine, reading_engine: Engine) -> None:
        self._writing = _HeldConnection(engine)
        self._reading = _HeldConnection(reading_engine)
        self._writer = WorkerThread("sql-write")
        self._group = GroupCommit(self._write_group)
        self._reader = WorkerThread("sql-read")

    async def write(self, work: Work[Result]) -> Result:
        """Run `work` in a write transaction on the writing thread."""
        return await _finished(self._group.add(work))

    def _write_group(self, works: Sequence[Work[Any]]) -> "asyncio.Future[list[Outcome]]":
        return self._writer.call(partial(write_each, partial(_write_on, self._writing), works))

    async def read(self, work: Work[Result]) -> Result:
        """Run `work` on one snapshot on the reading thread."""
        return await _finished(self._reader.call(partial(_read_on, self._reading, work)))

    async def read_back(self, work: Work[Result]) -> Result:
        """Run `work` as `read` does: a COMMIT that failed here is over."""
        return await self.read(work)

    async def close(self) -> None:
        """Let running work finish, then release threads and connections."""
        await _finished(self._writer.call(self._writing.dispose))
        await _finished(self._reader.call(self._reading.dispose))
        self._writer.shut_down()
        self._reader.shut_down()


class AsyncRunner:
    """Runs work through an asynchronous engine, on PostgreSQL."""

    def __init__(self, engine: "AsyncEngine", reading_engine: "AsyncEngine") -> None:
        self._engine = engine
        self._reading_engine = reading_engine
        self._group = GroupCommit(self._write_group)

    async def write(self, work: Work[Result]) -> Result:
        """Run `work` in a write transaction."""
        return await _finished(self._group.add(work))

    def _write_group(self, works: Sequence[Work[Any]]) -> "asyncio.Future[list[Outcome]]":
        return asyncio.create_task(_write_through(self._engine, works))

    async def read(self, work: Work[Result]) -> Result:
        """Run `work` on one snapshot."""
        return await _finished_task(_read_through(self._reading_engine, work))

    async def read_back(self, work: Work[Result]) -> Result:
        """Run `work` in a write transaction, in which it may wait for locks."""
        return await self.write(work)

    async def close(self) -> None:
        """Release all connections."""
        await self._engine.dispose()
        await self._reading_engine.dispose()


class _HeldConnection:
    """One connection of an engine, kept from transaction to transaction while all goes well.

    Taking a connection out of the pool and giving it back costs as much as a statement. After a
    failure the next transaction begins with another one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def run(
        self, transact: Callable[[Connection, Work[Result]], Result], work: Work[Result]
    ) -> Result:
        """Let `transact` do the work in a transaction on the connection."""
        if self._connection is None:
            with before_commit():
                self._connection = self._engine.connect()
        try:
            return transact(self._connection, work)
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with before_commit():
                connection.close()

    def dispose(self) -> None:
        """Close everything."""
        self._let_go()
        self._engine.dispose()


def _write_on(held: _HeldConnection, work: Work[Result]) -> Result:
    return held.run(_write_to_sqlite, work)


def _read_on(held: _HeldConnection, work: Work[Result]) -> Result:
    return held.run(_read_transaction, work)


async def _write_through(engine: "AsyncEngine", works: Sequence[Work[Any]]) -> list[Outcome]:
    with before_commit():
        connection = await engine.connect()
    try:
        return await connection.run_sync(
            lambda held: write_each(partial(_write_to_postgres, held), works)
        )
    finally:
        await connection.close()


async def _read_through(engine: "AsyncEngine", work: Work[Result]) -> Result:
    with before_commit():
        connection = await engine.connect()
    try:
        return await connection.run_sync(_read_transaction, work)
    finally:
        await connection.close()


def _write_to_sqlite(connection: Connection, work: Work[Result]) -> Result:
    """Do the work in a transaction begun and committed by the driver itself: what SQLAlchemy does
    around the two costs an exit more than the statements between them."""
    driver: Any = connection.connection.driver_connection
    with before_commit():
        begin_writing(driver)
        try:
            result = work(connection)
        except BaseException:
            driver.rollback()
            raise
    # What fails from here on must never be reported as "nothing was written".
    with in_commit():
        driver.commit()
    if connection.in_transaction():  # SQLAlchemy's own, where a statement went through it
        connection.commit()
    return result


def _write_to_postgres(connection: Connection, work: Work[Result]) -> Result:
    with before_commit():
        transaction = connection.begin()
        try:
            result = work(connection)
        except BaseException:
            transaction.rollback()
            raise
    # What fails from here on must never be reported as "nothing was written".
    with in_commit():
        transaction.commit()
    return result


def _read_transaction(connection: Connection, work: Work[Result]) -> Result:
    with before_commit(), connection.begin() as transaction:
        result = work(connection)
        transaction.rollback()
    return result


async def _finished_task(work: Coroutine[Any, Any, Result]) -> Result:
    return await _finished(asyncio.create_task(work))


async def _finished(running: "asyncio.Future[Result]") -> Result:
    """Wait until `running` has ended, also when the waiting task is cancelled meanwhile."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError as cancelled:
        await _outlast(running)
        failure = None if running.cancelled() else running.exception()
        raise cancelled from failure


async def _outlast(running: "asyncio.Future[Any]") -> None:
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            continue  # The cancellation that began this wait is passed on by the caller.
