"""How SQLite is set up: what survives a power cut, and who may write when."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from async_body import run_async
from sql_samples.histories import ACCOUNT
from squareoff.adapters.sql.sqlite_engine import BUSY_TIMEOUT_MS
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.evolve import fold
from squareoff.domain.errors import StoreUnavailable

SYNCHRONOUS_FULL = 2
COMMITS_BEFORE_KILL = (1, 7, 40)

COMMITTER = """
import asyncio, sys
from itertools import count
from sql_samples.histories import ACCOUNT, legal_history
from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.store import SqlStore

async def commit_for_ever():
    store = SqlStore(open_database(f"sqlite:///{sys.argv[1]}").runner, ACCOUNT)
    for seed in count():
        for at_ns, change in legal_history(seed, f"trk-{seed}", 30):
            entries = await store.commit(change, at_ns)
            print(entries[-1].seq, flush=True)

asyncio.run(commit_for_ever())
"""


def _pragma(name: str):
    return lambda connection: connection.execute(text(f"PRAGMA {name}")).scalar_one()


def test_every_connection_is_durable_and_strict(file_opened) -> None:
    """WAL, synchronous=FULL, foreign keys and the busy timeout are really in force.

    The writer waits for the write lock before its transaction begins, and for nothing in it.
    """

    async def body() -> None:
        async with file_opened() as database:
            for run, waits_ms in (
                (database.runner.write, 0),
                (database.runner.read, BUSY_TIMEOUT_MS),
            ):
                assert await run(_pragma("journal_mode")) == "wal"
                assert await run(_pragma("synchronous")) == SYNCHRONOUS_FULL
                assert await run(_pragma("foreign_keys")) == 1
                assert await run(_pragma("busy_timeout")) == waits_ms
            assert await database.runner.read(_pragma("query_only")) == 1

    run_async(body())


def test_a_write_transaction_holds_the_lock_from_its_first_moment(file_opened, tmp_path) -> None:
    """Before its work ran any statement, a write transaction keeps other writers out."""

    def try_to_write(_connection: Connection) -> str:
        other = sqlite3.connect(tmp_path / "store.db", timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            return str(error)
        finally:
            other.close()
        return "free"

    async def body() -> None:
        async with file_opened() as database:
            assert await database.runner.write(try_to_write) == "database is locked"
            assert await database.runner.read(try_to_write) == "free"

    run_async(body())


def test_a_reading_connection_cannot_write(file_opened) -> None:
    """A write that was sent to the readers by mistake is refused by SQLite itself."""

    async def body() -> None:
        async with file_opened() as database:
            with pytest.raises(StoreUnavailable, match="SQLITE_READONLY"):
                await database.runner.read(lambda c: c.execute(text("DELETE FROM journal")))

    run_async(body())


def test_the_files_are_closed_to_others(file_opened, tmp_path) -> None:
    """Database, WAL and shared memory files are readable by their owner only."""

    async def body() -> None:
        async with file_opened():
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
            assert set(modes) == {"store.db", "store.db-wal", "store.db-shm"}
            assert set(modes.values()) == {0o600}, modes

    run_async(body())


@pytest.mark.parametrize("commits", COMMITS_BEFORE_KILL)
def test_a_killed_process_leaves_every_finished_commit(
    file_opened, tmp_path: Path, commits: int
) -> None:
    """After kill -9 the file opens, holds every commit that was reported, and is consistent."""

    async def prepare_file() -> None:
        async with file_opened():
            pass

    run_async(prepare_file())
    reported = _commit_then_kill(tmp_path / "store.db", commits)

    async def body() -> None:
        async with file_opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            report = await store.verify_chain()
            assert report.is_intact
            assert report.entries >= reported
            for tracker in await store.load_all():
                entries = await store.entries(tracker_id=tracker.tracker_id)
                assert fold((entry.time_ns, entry.fact) for entry in entries) == tracker

    run_async(body())


def _commit_then_kill(path: Path, commits: int) -> int:
    """Run a process that commits, kill it after so many, and return the last seq it reported."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", COMMITTER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    with process.stdout as lines:
        reported = [int(lines.readline()) for _ in range(commits)]
        process.send_signal(signal.SIGKILL)
        reported += [int(line) for line in lines if line.endswith("\n")]
    assert process.wait() == -signal.SIGKILL
    return reported[-1]
