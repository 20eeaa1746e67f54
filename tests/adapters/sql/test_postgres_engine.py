"""How PostgreSQL is set up: durable commits, one snapshot per read, limits on every wait."""

import pytest
from sqlalchemy import text

from async_body import run_async
from squareoff.adapters.sql.postgres_engine import application_name
from squareoff.domain.errors import StoreError

pytestmark = pytest.mark.parametrize("shared_opener", ["postgresql"], indirect=True)


def _shown(setting: str):
    return lambda connection: connection.execute(text(f"SHOW {setting}")).scalar_one()


def test_commits_are_durable_and_waits_are_limited(shared_opened) -> None:
    """Our sessions run with synchronous_commit on, limits set, and our process id as name."""

    async def body() -> None:
        async with shared_opened() as database:
            write = database.runner.write
            assert await write(_shown("synchronous_commit")) == "on"
            assert await write(_shown("lock_timeout")) == "3s"
            assert await write(_shown("statement_timeout")) == "5s"
            assert await write(_shown("idle_in_transaction_session_timeout")) == "10s"
            assert await write(_shown("application_name")) == application_name()

    run_async(body())


def test_reads_are_one_snapshot_and_cannot_write(shared_opened) -> None:
    """A read transaction is REPEATABLE READ and READ ONLY, each time anew; a write is neither."""

    async def body() -> None:
        async with shared_opened() as database:
            for _ in range(2):
                read = database.runner.read
                assert await read(_shown("transaction_isolation")) == "repeatable read"
                assert await read(_shown("transaction_read_only")) == "on"
            write = database.runner.write
            assert await write(_shown("transaction_isolation")) == "read committed"
            assert await write(_shown("transaction_read_only")) == "off"
            with pytest.raises(StoreError):
                await database.runner.read(lambda c: c.execute(text("DELETE FROM journal")))

    run_async(body())
