"""Databases in memory that are ready for an engine: migrated once, then copied."""

from typing import Any

from sqlalchemy import Connection

from squareoff.adapters.sql.database import Database, open_inline_database
from squareoff.adapters.sql.schema import prepare

_statements: list[str] = []
"""What makes the tables and rows of a database that was just migrated."""


async def ready_in_memory() -> Database:
    """Return a fresh database in memory with our tables, as `prepare` leaves it."""
    database = open_inline_database()
    if _statements:
        await database.runner.write(_copy)
    else:
        await prepare(database)
        _statements.extend(await database.runner.read(_dump))
    return database


def _dump(connection: Connection) -> list[str]:
    # Begin and commit, its first and last words, are the runner's.
    return list(_driver(connection).iterdump())[1:-1]


def _copy(connection: Connection) -> None:
    for statement in _statements:
        _driver(connection).execute(statement)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
