"""Turn what SQLAlchemy, sqlite3 and asyncpg raise into store errors.

One question is asked: may the transaction be in the database? Before COMMIT it is not; a failed
COMMIT leaves it open, except where the database said plainly that it took nothing.

Messages carry the database's own words without parameters, row values or the connection URL.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from squareoff.domain.errors import CommitOutcomeUnknown, LostUpdate, StoreError, StoreUnavailable

_SQLITE_PRIMARY_CODE_MASK = 0xFF
# A commit that ends so was rolled back as a whole: the lock was not had, or the commit record did
# not fit on the disk. Any other failure (an I/O error in fsync above all) may have left the commit
# record in the file, to be found by the next recovery.
_SQLITE_COMMIT_REFUSED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL})
# Faults of ours or of the file, which waiting does not cure.
_SQLITE_HOPELESS = frozenset(
    {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH}
)
# PostgreSQL's classes of the same: a value that does not fit, a wrong statement or missing table.
_POSTGRES_HOPELESS_CLASSES = ("22", "42")
# serialization_failure, deadlock_detected: PostgreSQL rolled back.
_POSTGRES_COMMIT_REFUSED = frozenset({"40001", "40P01"})
_MAPPED_OWN_FAULTS = (exc.ProgrammingError, exc.DataError, exc.NotSupportedError)


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return what a database may raise; asyncpg's errors only where a server made us load it."""
    return (
        exc.SQLAlchemyError,
        sqlite3.Error,
        OSError,  # TimeoutError among them
        *_of_asyncpg("PostgresError", "InterfaceError", "InternalClientError"),
    )


def _of_asyncpg(*names: str) -> tuple[type[Exception], ...]:
    # InternalClientError is met where the server ends a session in the very moment in which a
    # statement is sent.
    asyncpg = sys.modules.get("asyncpg")
    return () if asyncpg is None else tuple(getattr(asyncpg, name) for name in names)


@contextmanager
def before_commit() -> Iterator[None]:
    """Translate failures of a block whose transaction cannot have been committed.

    Raises:
        LostUpdate: a constraint refused the write: another writer was first.
        StoreUnavailable: the database is away, busy, full or read-only; nothing was committed.
        StoreError: the statement or the database is wrong; waiting will not cure it.
    """
    try:
        yield
    except foreign_errors() as error:
        raise _failure_before_commit(error) from error


@contextmanager
def in_commit() -> Iterator[None]:
    """Translate failures of COMMIT itself.

    Raises:
        StoreUnavailable: the database says that it took nothing.
        CommitOutcomeUnknown: anything else: read back before deciding anything.
    """
    try:
        yield
    except foreign_errors() as error:
        reason = describe(error)
        if _took_nothing(error):
            text = f"the database refused the commit and kept nothing: {reason}"
            raise StoreUnavailable(text) from error
        raise CommitOutcomeUnknown(
            f"the database failed in COMMIT, so the outcome is unknown: {reason}"
        ) from error


def describe(error: BaseException) -> str:
    """Return the database's own words for an error, on one line, without values of ours."""
    root = _root(error)
    words = str(root.args[0]) if root.args else type(root).__name__
    name = getattr(root, "sqlite_errorname", None) or getattr(root, "sqlstate", None)
    first_line = words.splitlines()[0] if words else type(root).__name__
    return f"{first_line} ({name or type(root).__name__})"


def _failure_before_commit(error: BaseException) -> StoreError:
    reason = describe(error)
    if isinstance(error, exc.IntegrityError):
        return LostUpdate(f"another writer was first, nothing was written: {reason}")
    if _is_hopeless(error):
        return StoreError(f"the database cannot carry this out, nothing was written: {reason}")
    return StoreUnavailable(f"the database is not available, nothing was written: {reason}")


def _is_hopeless(error: BaseException) -> bool:
    if isinstance(error, _MAPPED_OWN_FAULTS):
        return True
    if isinstance(error, exc.StatementError) and not isinstance(error, exc.DBAPIError):
        return True
    if _sqlstate(error).startswith(_POSTGRES_HOPELESS_CLASSES):
        return True
    return _sqlite_code(error) in _SQLITE_HOPELESS


def _took_nothing(error: BaseException) -> bool:
    if _sqlite_code(error) in _SQLITE_COMMIT_REFUSED:
        return True
    return _sqlstate(error) in _POSTGRES_COMMIT_REFUSED


def _sqlstate(error: BaseException) -> str:
    return getattr(_root(error), "sqlstate", None) or ""


def _sqlite_code(error: BaseException) -> int | None:
    code = getattr(_root(error), "sqlite_errorcode", None)
    return None if code is None else code & _SQLITE_PRIMARY_CODE_MASK


def _root(error: BaseException) -> BaseException:
    """Return the driver's own exception below SQLAlchemy's wrappers."""
    if isinstance(error, exc.StatementError) and error.orig is not None:
        error = error.orig
    cause = error.__cause__
    return cause if isinstance(cause, _of_asyncpg("PostgresError")) else error
