"""`squareoff db upgrade` beside an engine: tables do not change under a program that uses them."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.locks import FileAccountLock, account_lock, lock_path
from squareoff.adapters.sql.store import SqlStore
from squareoff.bootstrap import PAPER_ACCOUNT
from squareoff.core.state.facts import EngineStarted
from squareoff.domain.ids import AccountId

REAL = AccountId("1100000001")
BACK_TO_0002 = (
    "ALTER TABLE trackers DROP COLUMN held_since_ns",
    "DROP TABLE account_day",
    "ALTER TABLE exit_all DROP COLUMN intraday_only",
    "UPDATE schema_revision SET version_num = '0002'",
)
"""What makes a database that of an earlier program."""


@pytest.mark.parametrize("account_id", [PAPER_ACCOUNT, REAL])
def test_no_upgrade_under_a_running_engine(run: Any, tmp_path: Path, account_id: AccountId) -> None:
    """An older engine that runs keeps its tables; where nothing is to be done that is told."""
    path = tmp_path / "squareoff.db"
    run("db", "upgrade")
    lock = FileAccountLock(lock_path(path, account_id))
    asyncio.run(lock.acquire())
    told = run("db", "upgrade")
    with closing(sqlite3.connect(path)) as database:
        for statement in BACK_TO_0002:
            database.execute(statement)
        database.commit()
    refused = run("db", "upgrade")
    asyncio.run(lock.release())

    assert (told.status, refused.status) == (0, 1)
    assert "another engine owns this account" in refused.err
    assert "was 0002" in run("db", "upgrade").out


@pytest.mark.xdist_group("postgres_url")
def test_a_server_is_upgraded_only_without_an_engine(
    run: Any, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine of any account that has a journal there holds its lock on the server."""
    monkeypatch.setenv("SQUAREOFF_DATABASE_URL", postgres_database)
    run("db", "upgrade")

    async def upgrade_beside_an_engine() -> Any:
        database = open_database(postgres_database)
        lock = account_lock(database, REAL)
        await lock.acquire()
        try:
            await SqlStore(database.runner, REAL).record((EngineStarted("1.0", "live", 0),), 1)
            for statement in map(text, BACK_TO_0002):
                await database.runner.write(lambda found, each=statement: found.execute(each))
            return await asyncio.to_thread(run, "db", "upgrade")
        finally:
            await lock.release()
            await database.close()

    refused = asyncio.run(upgrade_beside_an_engine())

    assert refused.status == 1
    assert "another engine owns this account" in refused.err
    assert "was 0002" in run("db", "upgrade").out
