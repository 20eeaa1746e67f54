"""Open the database that a URL of the settings names, with the right engines behind one face."""

import errno
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

from squareoff.adapters.sql import sqlite_engine
from squareoff.adapters.sql.runners import AsyncRunner, InlineRunner, Runner, ThreadRunner
from squareoff.domain.errors import ConfigError, StoreUnavailable

_SQLITE_SCHEME = "sqlite"
_SUFFIXES = ("", "-wal", "-shm")
"""The files of one SQLite database: it, its log, and the index of that."""

_POSTGRES_SCHEMES = ("postgresql", "postgres")
_IN_MEMORY = ("", ":memory:")
_PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENFILE, errno.EMFILE, errno.ENOMEM}
)
"""Faults of the machine and not of the setting: an engine that they keep from starting is started
again until they are over, where wrong settings end it for good."""


@dataclass(frozen=True, slots=True)
class Database:
    """One open database.

    `display_url` shows where it is, without password and query. `sqlite_path` is None in memory and
    on PostgreSQL, `postgres_url` (secret) None on SQLite.
    """

    runner: Runner
    display_url: str
    sqlite_path: Path | None = None
    postgres_url: str | None = field(default=None, repr=False)

    async def close(self) -> None:
        """Let running transactions finish and release all connections."""
        await self.runner.close()


def open_database(url: str) -> Database:
    """Open `sqlite:///file`, `sqlite://` (in memory) or `postgresql://user:word@host/name`.

    Nothing connects before the first use; a missing SQLite file is made at once.

    Raises:
        ConfigError: the URL is of no known kind, or the file's folder is missing or closed to us.
        StoreUnavailable: the machine cannot open a file now: its disk is full or read-only.
    """
    scheme = urlsplit(url).scheme
    if scheme in _POSTGRES_SCHEMES:
        # Its libraries take a third of a second to import: not at the start of an engine on SQLite.
        engines = import_module("squareoff.adapters.sql.postgres_engine").engines(url)
        return Database(AsyncRunner(*engines), _without_password(url), postgres_url=url)
    path = _sqlite_path(url)
    if path is None:
        return open_inline_database(url)
    return Database(ThreadRunner(*_file_engines(path)), url, sqlite_path=path)


def open_inline_database(url: str = "sqlite://") -> Database:
    """Open an SQLite database whose work runs in the calling thread, for virtual-time simulation.

    Raises:
        ConfigError: as `open_database`; also for PostgreSQL, which cannot answer at once.
    """
    path = _sqlite_path(url)
    if path is None:
        return Database(InlineRunner(sqlite_engine.memory_engine()), url)
    return Database(InlineRunner(*_file_engines(path)), url, sqlite_path=path)


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite database; None for one in memory and for a server.

    Raises:
        ConfigError: an SQLite URL that names neither a file nor the memory.
    """
    return _sqlite_path(url) if urlsplit(url).scheme == _SQLITE_SCHEME else None


def files_of(path: Path) -> list[Path]:
    """Return an SQLite database's file and those of its log, whether they are there or not."""
    return [path.with_name(path.name + suffix) for suffix in _SUFFIXES]


def _sqlite_path(url: str) -> Path | None:
    """Return the file that the URL names, None for a database in memory."""
    scheme, separator, rest = url.partition("://")
    if scheme != _SQLITE_SCHEME or not separator:
        raise ConfigError(
            "database_url must begin with sqlite:/// or postgresql://, "
            f"was {scheme if separator else 'without ://'}"
        )
    name = rest.removeprefix("/")
    if name in _IN_MEMORY:
        return None
    if not rest.startswith("/"):
        raise ConfigError("database_url: a file needs three slashes, as in sqlite:///squareoff.db")
    return Path(name)


def _file_engines(path: Path) -> tuple[Engine, Engine]:
    try:
        return sqlite_engine.file_engines(path)
    except OSError as error:
        if error.errno in _PASSING:
            raise StoreUnavailable(
                f"the database file {path} cannot be opened now: {error.strerror}"
            ) from error
        raise ConfigError(
            f"database_url: the file {path} cannot be opened: {error.strerror}"
        ) from error


def _without_password(url: str) -> str:
    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        # The parser's own message would show the whole URL.
        raise ConfigError("database_url: the PostgreSQL URL cannot be read") from None
