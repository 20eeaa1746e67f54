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
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from squareoff.adapters.sql.database import Database
from squareoff.domain.errors import AccountLocked, StoreUnavailable
from squareoff.domain.ids import AccountId
from squareoff.ports import ProcessLock

_LOCK_FILE_MODE = 0o600
_HOLDER_TEXT_BYTES_MAX = 64


def account_lock(database: Database, account_id: AccountId) -> ProcessLock:
    """Return the lock that fits the database, not yet taken."""
    if database.postgres_url is not None:
        # Of the server's libraries nothing is loaded where there is none.
        server = import_module("squareoff.adapters.sql.postgres_lock")
        lock: ProcessLock = server.PostgresAccountLock(database.postgres_url, account_id)
        return lock
    if database.sqlite_path is not None:
        return FileAccountLock(lock_path(database.sqlite_path, account_id))
    return PrivateAccountLock()


def lock_path(database_path: Path, account_id: AccountId) -> Path:
    """Return the lock file of an account: beside the database, without the account's number."""
    return database_path.with_name(f"{database_path.name}.{account_hash(account_id)[:12]}.lock")


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
            raise locked_by(holder.strip() or "a process that has not said its name") from error
        except OSError as error:
            os.close(descriptor)
            raise StoreUnavailable(
                f"the lock file {self._path.name} cannot be locked: {error.strerror}"
            ) from error
        self._descriptor = descriptor
        with suppress(OSError):  # a full disk: the lock holds, only our name is not in it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)

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


def account_hash(account_id: AccountId) -> str:
    """Return what names an account's lock without showing its number."""
    return hashlib.sha256(f"squareoff account {account_id}".encode()).hexdigest()


def locked_by(holder: str) -> AccountLocked:
    """Return the refusal that names who holds the lock."""
    return AccountLocked(
        f"another engine owns this account on this database: {holder}. "
        "Stop that one first; two engines on one account would both close its positions"
    )
