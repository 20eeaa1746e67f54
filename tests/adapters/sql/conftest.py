"""The databases that the same tests run on: SQLite in a file and in memory, PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from squareoff.adapters.sql.database import Database, open_database, open_inline_database
from squareoff.adapters.sql.schema import prepare

Opener = Callable[[], Database]
Opened = Callable[[], AbstractAsyncContextManager[Database]]

_ON_POSTGRES = pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres_url"))


def _opener(kind: str, request: pytest.FixtureRequest) -> Opener:
    if kind == "memory":
        return open_inline_database
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_database")
        return lambda: open_database(url)
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda: open_database(f"sqlite:///{folder / 'store.db'}")


def _opened(opener: Opener) -> Opened:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Database]:
        database = opener()
        try:
            await prepare(database)
            yield database
        finally:
            await database.close()

    return opened


@pytest.fixture(params=["file", "memory", _ON_POSTGRES])
def opener(request: pytest.FixtureRequest) -> Opener:
    """Give a function that opens an empty database; in memory each opening is another one."""
    return _opener(request.param, request)


@pytest.fixture
def opened(opener: Opener) -> Opened:
    """Give an async context that opens the database with our tables and closes it."""
    return _opened(opener)


@pytest.fixture(params=["file", _ON_POSTGRES])
def shared_opener(request: pytest.FixtureRequest) -> Opener:
    """Give a function that opens the same database each time, with connections of its own."""
    return _opener(request.param, request)


@pytest.fixture
def shared_opened(shared_opener: Opener) -> Opened:
    """Give an async context on the same database each time, with connections of its own."""
    return _opened(shared_opener)


@pytest.fixture
def file_opened(request: pytest.FixtureRequest) -> Opened:
    """Give an async context on an SQLite file, the same each time."""
    return _opened(_opener("file", request))
