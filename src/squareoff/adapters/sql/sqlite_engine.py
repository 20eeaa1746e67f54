"""SQLite engines: WAL, synchronous=FULL, foreign keys, and transactions that begin as we say.

Invariants:
1. A write transaction begins with BEGIN IMMEDIATE: it has the write lock before it reads anything,
   so what it read cannot be changed by another writer until it ends.
2. Python's sqlite3 module begins no transaction of its own (`isolation_level=None`).
3. A reading connection cannot write (`query_only`) and reads one snapshot per transaction.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event

from squareoff.domain.errors import StoreError

BUSY_TIMEOUT_MS = 3_000
"""How long a transaction waits for another writer: below the gateway's 8 s for a whole call, and
hundreds of times what one commit takes."""

_BUSY_POLL_SECONDS = 0.001
"""SQLite itself asks for a busy write lock every 100 ms in the end, and would be passed over for
seconds by a writer that commits without a pause."""

_DATABASE_FILE_MODE = 0o600
_PRIMARY_CODE_MASK = 0xFF


def file_engines(path: Path) -> tuple[Engine, Engine]:
    """Return the writing and the reading engine of a database file, each of one connection.

    The file is made if it is missing, readable by its owner only.

    Raises:
        OSError: the folder is missing or closed to us.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, _DATABASE_FILE_MODE))
    writing = _engine(path)
    _begin_with(writing, begin_writing)
    event.listen(writing, "connect", _set_up_writer)
    reading = _engine(path)
    _begin_with(reading, _begin_reading)
    event.listen(reading, "connect", _set_up_reader)
    return writing, reading


def memory_engine() -> Engine:
    """Return an engine of one connection to a database in memory, for tests and simulation."""
    engine = create_engine(
        "sqlite://",
        poolclass=StaticPool,
        hide_parameters=True,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up_common)
    _begin_with(engine, begin_writing)
    return engine


def _engine(path: Path) -> Engine:
    return create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_MS / 1_000},
    )


def begin_writing(driver: sqlite3.Connection) -> None:
    """Begin with the write lock; while another writer has it, ask again every millisecond.

    Raises:
        sqlite3.OperationalError: another writer kept it for `BUSY_TIMEOUT_MS`, or worse.
    """
    for _ in range(round(BUSY_TIMEOUT_MS / 1_000 / _BUSY_POLL_SECONDS)):
        if _has_begun(driver):
            return
        sleep(_BUSY_POLL_SECONDS)
    driver.execute("BEGIN IMMEDIATE")


def _has_begun(driver: sqlite3.Connection) -> bool:
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & _PRIMARY_CODE_MASK != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin_reading(driver: sqlite3.Connection) -> None:
    driver.execute("BEGIN")


def _begin_with(engine: Engine, begin: Callable[[sqlite3.Connection], None]) -> None:
    """Let SQLAlchemy begin a transaction so, where the driver is not in one already."""

    def begin_once(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        if not driver.in_transaction:
            begin(driver)

    event.listen(engine, "begin", begin_once)


def _set_up_file(connection: sqlite3.Connection, _record: Any) -> None:
    """Whoever connects first turns a new file to WAL; for all others that changes nothing."""
    _set_up_common(connection, _record)
    mode = _pragma(connection, "journal_mode = WAL")
    if mode != "wal":
        raise StoreError(f"the database file cannot use WAL, its journal mode was {mode}")


def _set_up_writer(connection: sqlite3.Connection, _record: Any) -> None:
    _set_up_file(connection, _record)
    # All its waiting is in `begin_writing`: with the write lock in hand nothing else can be busy.
    _pragma(connection, "busy_timeout = 0")


def _set_up_reader(connection: sqlite3.Connection, _record: Any) -> None:
    _set_up_file(connection, _record)
    _pragma(connection, "query_only = ON")


def _set_up_common(connection: sqlite3.Connection, _record: Any) -> None:
    _pragma(connection, "synchronous = FULL")
    _pragma(connection, "foreign_keys = ON")
    _pragma(connection, f"busy_timeout = {BUSY_TIMEOUT_MS}")
    # Only macOS needs it: there a plain fsync does not reach the disk.
    _pragma(connection, "fullfsync = ON")


def _pragma(connection: sqlite3.Connection, setting: str) -> object:
    row = connection.execute(f"PRAGMA {setting}").fetchone()
    return None if row is None else row[0]
