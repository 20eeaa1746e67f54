"""One engine per account and database.

The lock belongs to the process: operating system or server frees it when the process dies, however
it dies. Invariants:
1. At most one holder per account and database.
2. `is_held` says True only where that was checked just now.

The lock alone does not fence a process that was paused: epochs and leases do (owners.py).
"""

import fcntl
import glob
import hashlib
import os
from pathlib import Path

import asyncpg

from squareoff.adapters.sql import postgres_engine
from squareoff.adapters.sql.database import Database
from squareoff.adapters.sql.failures import FOREIGN_ERRORS, describe
from squareoff.domain.errors import AccountLocked, StoreUnavailable
from squareoff.domain.ids import AccountId
from squareoff.ports import ProcessLock

LOCK_CHECK_SECONDS = 2.0
"""A server that does not answer so simple a question within this time cannot vouch for a lock."""

_LOCK_FILE_MODE = 0o600
_HOLDER_TEXT_BYTES_MAX = 64


def account_lock(database: Database, account_id: AccountId) -> ProcessLock:
    """Return the lock that fits the database, not yet taken."""
    if database.postgres_url is not None:
        return PostgresAccountLock(database.postgres_url, account_id)
    if database.sqlite_path is not None:
        return FileAccountLock(lock_path(database.sqlite_path, account_id))
    return PrivateAccountLock()


def lock_path(database_path: Path, account_id: AccountId) -> Path:
    """Return the lock file of an account: beside the database, without the account's number."""
    return database_path.with_name(f"{database_path.name}.{_account_hash(account_id)[:12]}.lock")


def lock_paths(database_path: Path) -> tuple[Path, ...]:
    """Return the lock files of all accounts that were ever traded on a database."""
    return tuple(database_path.parent.glob(f"{glob.escape(database_path.name)}.*.lock"))


class PrivateAccountLock:
    """For a database in memory, which no other process can reach."""

    proves_death = True

    def __init__(self) -> None:
        self._is_held = False

    async def acquire(self) -> None:
        """Take the lock; nobody else can."""
        self._is_held = True

    async def is_held(self) -> bool:
        """Say whether it was taken and not released."""
        return self._is_held

    async def release(self) -> None:
        """Give the lock back."""
        self._is_held = False


class FileAccountLock:
    """An `flock` on a file. The file stays when the lock goes: removing it would let two in."""

    proves_death = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    async def acquire(self) -> None:
        """Take the lock and write our process id into the file; see `ProcessLock`."""
        assert self._descriptor is None, "the account lock was taken twice"
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, _LOCK_FILE_MODE)
        except OSError as error:
            raise StoreUnavailable(
                f"the lock file {self._path.name} cannot be opened: {error.strerror}"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, _HOLDER_TEXT_BYTES_MAX, 0).decode("ascii", "replace")
            os.close(descriptor)
            raise _locked(holder.strip() or "a process that is just starting") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    async def is_held(self) -> bool:
        """Say whether the file at the path is still the one we locked."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        except OSError:
            # The file was removed: the next engine would make and lock another one.
            return False

    async def release(self) -> None:
        """Give the lock back by closing the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class PostgresAccountLock:
    """A session advisory lock, held by a connection of its own.

    It comes free when that connection ends, which a server's restart or a cut network also does:
    alone it proves nothing about the process.
    """

    proves_death = False

    def __init__(self, url: str, account_id: AccountId) -> None:
        self._url = url
        digest = bytes.fromhex(_account_hash(account_id))
        # PostgreSQL's key is one signed 64-bit number.
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: asyncpg.Connection | None = None

    async def acquire(self) -> None:
        """Take the lock on a fresh connection; see `ProcessLock`."""
        assert self._connection is None, "the account lock was taken twice"
        try:
            connection = await postgres_engine.connect(self._url)
        except FOREIGN_ERRORS as error:
            raise _away(error) from error
        try:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._key):
                raise _locked(await self._holder(connection))
        except FOREIGN_ERRORS as error:
            connection.terminate()
            raise _away(error) from error
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    async def is_held(self) -> bool:
        """Ask the server, over the very connection that holds the lock."""
        connection = self._connection
        if connection is None or connection.is_closed():
            return False
        try:
            found = await connection.fetchval(_IS_OURS, self._key, timeout=LOCK_CHECK_SECONDS)
        except FOREIGN_ERRORS:
            return False
        return bool(found)

    async def release(self) -> None:
        """End the connection, and with it the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _holder(self, connection: asyncpg.Connection) -> str:
        row = await connection.fetchrow(_HOLDER, self._key)
        if row is None:
            return "a process that has just ended"
        return f"{row['application_name']} at {row['address'] or 'this machine'}"


# A 64-bit advisory key shows as two halves, with objsubid 1.
_KEY_MATCHES = (
    "locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND ((classid::bigint << 32) | objid::bigint) = $1"
)
_IS_OURS = f"SELECT EXISTS (SELECT 1 FROM pg_locks WHERE {_KEY_MATCHES} AND pid = pg_backend_pid())"
_HOLDER = (
    "SELECT application_name, host(client_addr) AS address FROM pg_stat_activity "
    f"WHERE pid = (SELECT pid FROM pg_locks WHERE {_KEY_MATCHES} LIMIT 1)"
)


def _account_hash(account_id: AccountId) -> str:
    return hashlib.sha256(f"squareoff account {account_id}".encode()).hexdigest()


def _locked(holder: str) -> AccountLocked:
    return AccountLocked(
        f"another engine owns this account on this database: {holder}. "
        "Stop that one first; two engines on one account would both close its positions"
    )


def _away(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"the account lock could not be taken, the database is away: {describe(error)}"
    )
