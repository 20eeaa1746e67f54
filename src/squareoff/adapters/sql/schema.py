"""Which revision a database is of, and how it gets to ours.

Invariants:
1. An upgrade is one transaction: a database is of the old revision or of the new one.
2. Nothing is written to a database of another revision; a newer one is never touched at all.
"""

from dataclasses import dataclass
from enum import Enum

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from squareoff.adapters.sql.database import Database
from squareoff.adapters.sql.tables import metadata
from squareoff.domain.errors import SchemaMismatch

VERSION_TABLE = "schema_revision"
"""Where the revision is kept: not alembic's default table, which another program may use."""

_SCRIPTS = "squareoff.adapters.sql:migrations"
# Any fixed number: it keeps two processes from creating the same tables at once on PostgreSQL.
_UPGRADE_LOCK = 7_411_853_120


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
    config = _config()
    config.attributes |= {"connection": connection, "version_table": VERSION_TABLE}
    command.upgrade(config, "head")


def _state(connection: Connection) -> SchemaState:
    scripts = ScriptDirectory.from_config(_config())
    expected = scripts.get_current_head() or ""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    found = context.get_current_revision() or ""
    return SchemaState(_age(connection, scripts, found, expected), found, expected)


def _age(connection: Connection, scripts: ScriptDirectory, found: str, expected: str) -> SchemaAge:
    if not found:
        ours = set(metadata.tables) & set(inspect(connection).get_table_names())
        return SchemaAge.FOREIGN if ours else SchemaAge.EMPTY
    if found == expected:
        return SchemaAge.SAME
    try:
        scripts.get_revision(found)
    except CommandError:
        return SchemaAge.NEWER
    return SchemaAge.OLDER


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    return config
