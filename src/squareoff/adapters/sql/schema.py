"""Which revision a database is of, and how it gets to ours.

Invariants:
1. An upgrade is one transaction: a database is of the old revision or of the new one.
2. Nothing is written to a database of another revision; a newer one is never touched at all.

A database of our revision is known by its number alone: alembic takes as long to import as SQLite
to open, and an engine that comes back after a crash needs nothing of it.
"""

from collections.abc import Set
from dataclasses import dataclass
from enum import Enum
from importlib import import_module

from sqlalchemy import Connection, column, inspect, select, table, text

from squareoff.adapters.sql.database import Database
from squareoff.adapters.sql.tables import metadata
from squareoff.domain.errors import SchemaMismatch

VERSION_TABLE = "schema_revision"
"""Where the revision is kept: not alembic's default table, which another program may use."""

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every revision that there is, oldest first: those of `migrations/versions`."""

# Any fixed number: it keeps two processes from creating the same tables at once on PostgreSQL.
_UPGRADE_LOCK = 7_411_853_120
_version_number = table(VERSION_TABLE, column("version_num")).c.version_num


class SchemaAge(Enum):
    """How a database's revision stands to ours."""

    EMPTY = "empty"
    SAME = "same"
    OLDER = "older"
    NEWER = "newer"
    FOREIGN = "foreign"
    """Holds tables of our names but no revision: not made by us, or damaged."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What was found: the database's revision ("" where it has none) and ours."""

    age: SchemaAge
    found: str
    expected: str


async def prepare(database: Database) -> None:
    """Make the database ready for `run`: create an empty one, accept ours, refuse all others.

    Raises:
        SchemaMismatch: the database is of another revision.
    """
    state = await schema_state(database)
    if state.age is SchemaAge.EMPTY:
        await upgrade(database)
    else:
        _refuse_mismatch(state)


async def check_revision(database: Database) -> None:
    """Accept a database of our revision only; one that is empty is refused too.

    Raises:
        SchemaMismatch: naming the revision found and the one expected, and what to do.
    """
    _refuse_mismatch(await schema_state(database))


async def upgrade(database: Database) -> None:
    """Bring an empty or older database to our revision, in one transaction.

    Raises:
        SchemaMismatch: the database is newer than we are, or not ours.
    """
    await database.runner.write(_upgrade)


async def schema_state(database: Database) -> SchemaState:
    """Return how the database's revision stands to ours."""
    return await database.runner.read(_state)


def _refuse_mismatch(state: SchemaState) -> None:
    found, expected = state.found, state.expected
    match state.age:
        case SchemaAge.SAME:
            return
        case SchemaAge.EMPTY:
            message = (
                f"the database is empty, expected revision {expected}: run `squareoff db upgrade`"
            )
        case SchemaAge.OLDER:
            message = (
                f"the database is of revision {found}, this squareoff needs {expected}: "
                "make a copy of it, then run `squareoff db upgrade`"
            )
        case SchemaAge.NEWER:
            message = (
                f"the database is of revision {found}, which is newer than the {expected} of this "
                "squareoff: run the version that wrote it; nothing was changed"
            )
        case SchemaAge.FOREIGN:
            message = (
                f"the database holds tables named as ours but no revision, expected {expected}: "
                "it was not made by squareoff; name another one in database_url"
            )
    raise SchemaMismatch(message)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _UPGRADE_LOCK})
    state = _state(connection)
    if state.age in (SchemaAge.NEWER, SchemaAge.FOREIGN):
        _refuse_mismatch(state)
    scripts = import_module("squareoff.adapters.sql.revision_scripts")
    scripts.run_scripts(connection, VERSION_TABLE, REVISIONS[-1])


def _state(connection: Connection) -> SchemaState:
    tables = set(inspect(connection).get_table_names())
    found = _revision(connection) if VERSION_TABLE in tables else ""
    return SchemaState(_age(tables, found), found, REVISIONS[-1])


def _revision(connection: Connection) -> str:
    return connection.execute(select(_version_number)).scalar_one_or_none() or ""


def _age(tables: Set[str], found: str) -> SchemaAge:
    if not found:
        return SchemaAge.FOREIGN if tables & metadata.tables.keys() else SchemaAge.EMPTY
    if found == REVISIONS[-1]:
        return SchemaAge.SAME
    return SchemaAge.OLDER if found in REVISIONS else SchemaAge.NEWER
