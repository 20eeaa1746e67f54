"""What becomes of foreign errors: was anything written, may it have been, and what is said."""

import sqlite3

import asyncpg
import pytest
from sqlalchemy import exc, text

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS
from squareoff.adapters.sql import sqlite_engine
from squareoff.adapters.sql.failures import before_commit, describe, in_commit
from squareoff.adapters.sql.paper_state import PaperStateStore
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.facts import AlarmRaised, Severity
from squareoff.domain.errors import CommitOutcomeUnknown, LostUpdate, StoreError, StoreUnavailable


def _sqlite_error(code: int, name: str) -> exc.OperationalError:
    error = sqlite3.OperationalError("words of sqlite")
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return exc.OperationalError("COMMIT", {}, error)


def _postgres_error(error: asyncpg.PostgresError) -> exc.DBAPIError:
    wrapper = Exception("wrapped by the dialect")
    wrapper.__cause__ = error
    return exc.DBAPIError("COMMIT", {}, wrapper)


BUSY = _sqlite_error(sqlite3.SQLITE_BUSY, "SQLITE_BUSY")
FULL = _sqlite_error(sqlite3.SQLITE_FULL, "SQLITE_FULL")
FSYNC = _sqlite_error(sqlite3.SQLITE_IOERR | (4 << 8), "SQLITE_IOERR_FSYNC")
CORRUPT = _sqlite_error(sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT")
NO_TABLE = _sqlite_error(sqlite3.SQLITE_ERROR, "SQLITE_ERROR")
DEADLOCK = _postgres_error(asyncpg.DeadlockDetectedError("deadlock detected"))
NUL_BYTE = _postgres_error(asyncpg.CharacterNotInRepertoireError("invalid byte sequence"))
SHUTDOWN = _postgres_error(asyncpg.AdminShutdownError("terminating connection"))

BEFORE_COMMIT = {
    "busy": (BUSY, StoreUnavailable),
    "full disk": (FULL, StoreUnavailable),
    "failing disk": (FSYNC, StoreUnavailable),
    "deadlock": (DEADLOCK, StoreUnavailable),
    "server going down": (SHUTDOWN, StoreUnavailable),
    "refused connection": (ConnectionRefusedError("refused"), StoreUnavailable),
    "timeout": (TimeoutError(), StoreUnavailable),
    "wrong password": (asyncpg.InvalidPasswordError("no"), StoreUnavailable),
    "constraint": (exc.IntegrityError("INSERT", {}, Exception("UNIQUE")), LostUpdate),
    "corrupt file": (CORRUPT, StoreError),
    "byte that PostgreSQL refuses": (NUL_BYTE, StoreError),
    "missing table": (NO_TABLE, StoreError),
    "wrong statement": (exc.ProgrammingError("SELEKT", {}, Exception("syntax")), StoreError),
    "value that does not fit": (exc.DataError("INSERT", {}, Exception("range")), StoreError),
    "parameter that cannot be bound": (
        exc.StatementError("bind", "INSERT", {}, TypeError("no")),
        StoreError,
    ),
}
IN_COMMIT = {
    "busy": (BUSY, StoreUnavailable),
    "full disk": (FULL, StoreUnavailable),
    "deadlock": (DEADLOCK, StoreUnavailable),
    "failing disk": (FSYNC, CommitOutcomeUnknown),
    "server going down": (SHUTDOWN, CommitOutcomeUnknown),
    "connection lost": (ConnectionResetError("reset"), CommitOutcomeUnknown),
    "timeout": (TimeoutError(), CommitOutcomeUnknown),
}


@pytest.mark.parametrize(("error", "expected"), BEFORE_COMMIT.values(), ids=BEFORE_COMMIT.keys())
def test_before_commit_nothing_was_written(error: Exception, expected: type[StoreError]) -> None:
    """Before COMMIT each foreign error becomes the store error that says nothing was written."""
    with pytest.raises(StoreError, match="nothing was written") as caught, before_commit():
        raise error

    assert type(caught.value) is expected
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(("error", "expected"), IN_COMMIT.values(), ids=IN_COMMIT.keys())
def test_in_commit_only_a_plain_refusal_is_certain(
    error: Exception, expected: type[StoreError]
) -> None:
    """In COMMIT everything is unknown but a refusal in which the database kept nothing."""
    with pytest.raises(StoreError) as caught, in_commit():
        raise error

    assert type(caught.value) is expected


def test_our_own_errors_pass_as_they_are() -> None:
    """A LostUpdate of the statements is neither wrapped nor changed."""
    ours = LostUpdate("ours")
    with pytest.raises(LostUpdate) as caught, before_commit():
        raise ours

    assert caught.value is ours


def test_messages_carry_no_parameters() -> None:
    """A message holds the driver's words on one line, never SQL parameters or detail lines."""
    detailed = asyncpg.UniqueViolationError("duplicate key\nDETAIL: Key (account_id)=(1100000001)")

    assert "1100000001" not in describe(_postgres_error(detailed))
    assert describe(BUSY) == "words of sqlite (SQLITE_BUSY)"


def test_a_busy_database_is_unavailable_and_then_usable_again(
    file_opened, tmp_path, monkeypatch
) -> None:
    """A write that cannot get the lock says so in time, and the next one goes through."""
    monkeypatch.setattr(sqlite_engine, "BUSY_TIMEOUT_MS", 20)

    async def body() -> None:
        async with file_opened() as database:
            store = PaperStateStore(database.runner, ACCOUNT)
            other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
                await store.save(b"one")
            assert await store.load() is None, "readers are never kept out"
            other.execute("COMMIT")
            other.close()

            await store.save(b"two")
            assert await store.load() == b"two"

    run_async(body())


def test_a_full_disk_is_unavailable_and_then_usable_again(file_opened) -> None:
    """A write that does not fit leaves nothing behind, and the next one goes through."""

    async def body() -> None:
        async with file_opened() as database:
            store = PaperStateStore(database.runner, ACCOUNT)
            limit = text("PRAGMA max_page_count = 1")  # the smallest is what is in use already
            await database.runner.write(lambda c: c.execute(limit).scalar_one())
            with pytest.raises(StoreUnavailable, match="SQLITE_FULL"):
                await store.save(b"x" * 1_000_000)
            assert await store.load() is None
            free = text("PRAGMA max_page_count = 100000")
            await database.runner.write(lambda c: c.execute(free).scalar_one())

            await store.save(b"x" * 1_000_000)
            assert await store.load() is not None

    run_async(body())


_DIE_IN_COMMIT = (
    "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER die_in_commit AFTER INSERT ON paper_state "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()",
)


@pytest.mark.parametrize("shared_opener", ["postgresql"], indirect=True)
def test_a_connection_lost_in_commit_leaves_the_outcome_open(shared_opened) -> None:
    """A server that goes away in COMMIT is CommitOutcomeUnknown; the next write reconnects."""

    async def body() -> None:
        async with shared_opened() as database:
            for statement in _DIE_IN_COMMIT:
                await database.runner.write(lambda c, s=statement: c.execute(text(s)))
            with pytest.raises(CommitOutcomeUnknown):
                await PaperStateStore(database.runner, ACCOUNT).save(b"one")

            store = SqlStore(database.runner, ACCOUNT)
            await store.record([AlarmRaised(Severity.WARNING, "code", "text")], START_NS)
            assert await store.head() == 1

    run_async(body())


@pytest.mark.parametrize("shared_opener", ["postgresql"], indirect=True)
def test_a_connection_lost_before_commit_wrote_nothing(shared_opened) -> None:
    """A server that goes away in a statement is StoreUnavailable; the next write reconnects."""

    async def body() -> None:
        async with shared_opened() as database:
            store = PaperStateStore(database.runner, ACCOUNT)
            die = text("SELECT pg_terminate_backend(pg_backend_pid())")
            with pytest.raises(StoreUnavailable):
                await database.runner.write(lambda c: c.execute(die))

            await store.save(b"one")
            assert await store.load() == b"one"

    run_async(body())
