"""Copy a SQLite database while an engine writes to it, and put a copy back.

Invariants:
1. A copy is one instant of the database, whole: it is checked before it gets its name.
2. No file is written over. What a restore replaces is copied beside it first.
3. A restore is one transaction into the file as it lies there, so that whoever has it open (a
   standby that waits) sees the restored database, and a crash leaves the old one or the new one.
4. Only a file that is damaged is given up for another one, whole and at once: at no moment is there
   no database, for an engine that finds none begins with an empty one.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from squareoff.adapters.durable_files import sync_path
from squareoff.adapters.sql.database import files_of
from squareoff.adapters.sql.schema import VERSION_TABLE
from squareoff.adapters.sql.tables import journal
from squareoff.domain.errors import StoreError

_FILE_MODE = 0o600
_UNFINISHED = ".part"
_FRESH = ".fresh"
_PRIMARY_CODE_MASK = 0xFF
_DAMAGED_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREADABLE_CODES = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)
"""A disk that cannot give its sectors back."""

WAIT_SECONDS = 5.0
"""How long a lock is waited for; in WAL mode no writer keeps a reader out at all."""

FREE_BYTES_MIN = 256 << 20
"""What a copy leaves free where the database is: some days' journal, and what the doctor asks."""

_ASK_AGAIN_SECONDS = 0.05


def back_up(path: Path, target: Path) -> None:
    """Copy any database at `path` to a new file; writers go on meanwhile.

    Raises:
        StoreError: there is no such database, it is damaged, or the copy cannot be written.
    """
    with _copied(path, target):
        pass


def back_up_ours(path: Path, target: Path) -> tuple[int, int]:
    """Copy a database of ours, as `back_up` does.

    Returns:
        The size of the copy in bytes, and how many journal entries it holds.

    Raises:
        StoreError: as `back_up`, the database is none of ours, or the copy would leave it too
            little room on its disk; there is no copy then.
    """
    with _told(target):
        _refuse_without_room(path, target)
    with _copied(path, target) as copy:
        entries = _count_entries(copy, path)
    return target.stat().st_size, entries


@contextmanager
def _copied(path: Path, target: Path) -> Iterator[Path]:
    """Copy to another name, which is given to be looked at, and then give it its own."""
    if not path.exists():
        raise StoreError(f"there is no database at {path}")
    _refuse_taken(target)
    part = target.with_name(target.name + _UNFINISHED)
    try:
        with _told(target), _new_file(part):
            _refuse_unreadable(path)
            _copy(path, part)
            _refuse_damaged(part, path)
            yield part
            sync_path(part)
            os.link(part, target)  # unlike a rename it never replaces a file
            sync_path(target.parent)
    finally:
        remove(part)


def put_back(copy: Path, path: Path, *, wait_seconds: float = WAIT_SECONDS) -> None:
    """Replace the content of the database at `path` by that of a copy, in one transaction.

    The caller has made sure that no engine uses the database.

    Raises:
        StoreError: the copy is damaged or cannot be read; nothing was changed.
    """
    _refuse_damaged(copy, copy)
    with _told(path):
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE))
        with closing(_connect(copy)) as source, closing(_connect(path)) as target:
            source.backup(target, progress=_patience(wait_seconds), sleep=_ASK_AGAIN_SECONDS)
        sync_path(path)


def replace_damaged(path: Path, copy: Path, aside: Path) -> None:
    """Put a copy in the place of a damaged database, which keeps its content under another name.

    Raises:
        StoreError: the copy cannot be read or written; the damaged one is where it was.
    """
    _refuse_taken(aside)
    fresh = path.with_name(path.name + _FRESH)
    remove(fresh)  # left by a restore that was cut short
    try:
        back_up(copy, fresh)
        with _told(aside):
            os.link(path, aside)
            for part, part_aside in list(zip(files_of(path), files_of(aside), strict=True))[1:]:
                if part.exists():  # beside another database the log would be read as its own
                    part.rename(part_aside)
            fresh.replace(path)
            sync_path(path.parent)
    finally:
        remove(fresh)


def is_damaged(path: Path) -> bool:
    """Say whether a database is broken; one that is locked, or on a full disk, is none."""
    try:
        return _faults_of(path) != []
    except sqlite3.Error as error:
        code = error.sqlite_errorcode
        return code & _PRIMARY_CODE_MASK in _DAMAGED_CODES or code in _UNREADABLE_CODES


def remove(path: Path) -> None:
    """Remove a database that is no longer needed, with all that belongs to it."""
    for part in (*files_of(path), path.with_name(f"{path.name}-journal")):
        part.unlink(missing_ok=True)


def _copy(path: Path, target: Path) -> None:
    with closing(_connect(path)) as source, closing(_connect(target)) as copy:
        source.execute("PRAGMA query_only = ON")
        # All pages in one step: one snapshot, which in WAL mode holds no writer up.
        source.backup(copy, progress=_patience(WAIT_SECONDS), sleep=_ASK_AGAIN_SECONDS)
        # A copy is one file; the engine turns it to WAL again when it opens it.
        copy.execute("PRAGMA journal_mode = DELETE")


def _patience(seconds: float) -> Callable[[int, int, int], None]:
    """Return what ends a copy that found the file locked so often: by itself it asks for ever."""
    tries_left = round(seconds / _ASK_AGAIN_SECONDS)

    def note(status: int, _remaining: int, _total: int) -> None:
        nonlocal tries_left
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            if tries_left <= 0:
                raise sqlite3.OperationalError("another process is writing to it")
            tries_left -= 1

    return note


def _connect(path: Path) -> sqlite3.Connection:
    # Waiting is counted in `_patience`: a busy handler would wait inside of each try as well.
    return sqlite3.connect(path, timeout=0, isolation_level=None)


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _refuse_unreadable(path: Path) -> None:
    """Look at the beginning of a file, so that what is no database is not blamed on its copy."""
    try:
        with closing(_read_only(path)) as database:
            database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read as a database: {error}") from error


def _count_entries(copy: Path, path: Path) -> int:
    try:
        with closing(_read_only(copy)) as database:
            has_revision = database.execute(f"SELECT 1 FROM {VERSION_TABLE}").fetchone()
            entries: int = database.execute(f"SELECT count(*) FROM {journal.name}").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"{path} is no database of squareoff: {error}") from error
    if has_revision is None:
        raise StoreError(f"{path} is no database of squareoff: it is of no revision")
    return entries


def _refuse_damaged(path: Path, source: Path) -> None:
    """Check every page of a database; `source` is the one to name, which it may be a copy of."""
    try:
        faults = _faults_of(path)
    except sqlite3.Error as error:
        raise StoreError(f"{source} cannot be read as a database: {error}") from error
    if faults:
        raise StoreError(f"{source} is damaged: {'; '.join(faults)}")


def _faults_of(path: Path) -> list[str]:
    """Return what is wrong with the pages of a database, an empty list where nothing is."""
    with closing(_read_only(path)) as database:
        found = [str(row[0]) for row in database.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"]:
            return found
        orphan = database.execute("PRAGMA foreign_key_check").fetchone()
    return [] if orphan is None else [f"a row of {orphan[0]} belongs to none of {orphan[2]}"]


def _refuse_taken(target: Path) -> None:
    if target.exists():
        raise StoreError(f"{target} is there already and stays as it is: name another file")


def _refuse_without_room(path: Path, target: Path) -> None:
    """Keep copies, which nobody counts, from taking the room that the database grows into."""
    if not path.exists() or path.stat().st_dev != target.parent.stat().st_dev:
        return
    needed = sum(part.stat().st_size for part in files_of(path) if part.exists())
    left = shutil.disk_usage(target.parent).free - needed
    if left < FREE_BYTES_MIN:
        raise StoreError(
            f"{target} is not written: of the disk that the database is on it would leave "
            f"{max(0, left) >> 20} MB, and a full disk stops every exit: remove old copies, or "
            "name a file on another disk"
        )


@contextmanager
def _new_file(path: Path) -> Iterator[None]:
    """Make the file before anything is in it, so that its mode is right from the first byte on."""
    remove(path)  # left by a copy that was cut short
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE))
    yield


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise what the system or SQLite refuses as one error of ours that names the file."""
    try:
        yield
    except FileExistsError:
        _refuse_taken(path)
        raise
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"{path} cannot be written: {reason}") from error
