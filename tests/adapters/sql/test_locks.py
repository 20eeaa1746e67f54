"""One engine per account: proved with real processes that are really killed."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from async_body import run_async
from squareoff.adapters.sql import locks
from squareoff.adapters.sql.database import Database, open_inline_database
from squareoff.adapters.sql.locks import PrivateAccountLock, account_lock, lock_path
from squareoff.domain.errors import AccountLocked, StoreUnavailable
from squareoff.domain.ids import AccountId

ACCOUNT = AccountId("1100000001")
OTHER_ACCOUNT = AccountId("1100000002")

# The URL comes through the environment, for it may hold a password.
HOLDER = """
import asyncio, os, sys
from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.locks import account_lock

async def hold():
    lock = account_lock(open_database(os.environ["URL"]), os.environ["ACCOUNT"])
    await lock.acquire()
    print("held", flush=True)
    sys.stdin.read()

asyncio.run(hold())
"""


def _url(database: Database) -> str:
    return database.postgres_url or database.display_url


@contextmanager
def _holding(url: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that holds ACCOUNT's lock; it is killed -9 at the end, if not before."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "URL": url,
        "ACCOUNT": ACCOUNT,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdin is not None and process.stdout is not None
    with process.stdin, process.stdout:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            _kill(process)


def _kill(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def _acquire_when_free(lock, tries: int = 200) -> None:
    """The server may take a moment to notice that a killed client is gone."""
    for _ in range(tries):
        try:
            await lock.acquire()
        except AccountLocked:
            continue
        return
    await lock.acquire()


def test_a_second_process_is_refused_until_the_first_is_killed(shared_opener) -> None:
    """While a process holds the account nobody else gets it; kill -9 frees it at once."""

    async def body() -> None:
        database = shared_opener()
        lock = account_lock(database, ACCOUNT)
        with _holding(_url(database)) as holder:
            with pytest.raises(AccountLocked, match=rf"another engine.*{holder.pid}") as caught:
                await lock.acquire()
            assert not await lock.is_held()
            assert ACCOUNT not in str(caught.value)
            other = account_lock(database, OTHER_ACCOUNT)
            await other.acquire()
            assert await other.is_held()
            await other.release()
            _kill(holder)
            await _acquire_when_free(lock)
            assert await lock.is_held()
        await lock.release()
        assert not await lock.is_held()
        await database.close()

    run_async(body())


def test_a_released_lock_can_be_taken_again(shared_opener) -> None:
    """Releasing gives the account to the next taker; releasing twice does no harm."""

    async def body() -> None:
        database = shared_opener()
        first, second = account_lock(database, ACCOUNT), account_lock(database, ACCOUNT)
        await first.acquire()
        with pytest.raises(AccountLocked):
            await second.acquire()
        await first.release()
        await first.release()
        await _acquire_when_free(second)

        assert await second.is_held()
        assert not await first.is_held()
        await second.release()
        await database.close()

    run_async(body())


def test_a_removed_lock_file_is_a_lost_lock(tmp_path) -> None:
    """Where somebody removes the lock file, the holder learns that it no longer holds."""

    async def body() -> None:
        database = open_inline_database(f"sqlite:///{tmp_path / 'store.db'}")
        lock = account_lock(database, ACCOUNT)
        await lock.acquire()
        path = lock_path(tmp_path / "store.db", ACCOUNT)
        assert ACCOUNT not in path.name
        path.unlink()
        assert not await lock.is_held()
        path.touch()
        assert not await lock.is_held(), "another file at the path is not ours"
        await lock.release()
        await database.close()

    run_async(body())


def test_a_lock_file_that_cannot_be_made_is_a_store_error(tmp_path) -> None:
    """A folder that went away is StoreUnavailable, not a foreign error."""

    async def body() -> None:
        database = Database(
            open_inline_database().runner, "sqlite://", tmp_path / "missing" / "store.db"
        )
        with pytest.raises(StoreUnavailable, match="lock file"):
            await account_lock(database, ACCOUNT).acquire()
        await database.close()

    run_async(body())


def test_a_lock_is_had_though_no_name_can_be_written_into_it(tmp_path, monkeypatch) -> None:
    """The database may still have room in its log where the disk has none for one more file."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def body() -> None:
        database = open_inline_database(f"sqlite:///{tmp_path / 'store.db'}")
        lock = account_lock(database, ACCOUNT)
        monkeypatch.setattr(locks.os, "pwrite", refuse)
        await lock.acquire()
        assert await lock.is_held()
        with pytest.raises(AccountLocked, match="a process that has not said its name"):
            await account_lock(database, ACCOUNT).acquire()
        await lock.release()
        await database.close()

    run_async(body())


@pytest.mark.parametrize("shared_opener", ["postgresql"], indirect=True)
def test_a_lost_session_is_a_lost_lock(shared_opener) -> None:
    """When the server ends the lock's session, the holder hears so at the next check."""

    async def body() -> None:
        database = shared_opener()
        lock = account_lock(database, ACCOUNT)
        await lock.acquire()
        assert await lock.is_held()
        end = text(
            "SELECT pg_terminate_backend(pid) FROM pg_locks "
            "WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        )
        ended = await database.runner.write(lambda c: c.execute(end).scalars().all())
        assert ended == [True]

        assert not await lock.is_held()
        await lock.release()
        await database.close()

    run_async(body())


def test_an_unreachable_server_gives_no_lock() -> None:
    """A server that does not answer is StoreUnavailable, without the password."""

    async def body() -> None:
        # Nobody listens on port 1 of this machine.
        database = Database(
            open_inline_database().runner, "", postgres_url="postgresql://me:canary@127.0.0.1:1/d"
        )
        with pytest.raises(StoreUnavailable) as caught:
            await account_lock(database, ACCOUNT).acquire()
        await database.close()

        assert "canary" not in str(caught.value)

    run_async(body())


def test_memory_needs_no_file() -> None:
    """A database in memory has a lock that nobody can contest."""

    async def body() -> None:
        database = open_inline_database()
        lock = account_lock(database, ACCOUNT)
        assert isinstance(lock, PrivateAccountLock)
        assert not await lock.is_held()
        await lock.acquire()
        assert await lock.is_held()
        await lock.release()
        assert not await lock.is_held()
        await database.close()

    run_async(body())
