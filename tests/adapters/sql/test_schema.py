"""Revisions: empty, ours, older, newer, foreign."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from async_body import run_async
from ready_databases import ready_in_memory
from sql_samples.histories import ACCOUNT
from squareoff.adapters.sql import schema
from squareoff.adapters.sql.revision_scripts import run_scripts, scripts_config
from squareoff.adapters.sql.schema import SchemaAge, check_revision, prepare, schema_state, upgrade
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tables import metadata
from squareoff.domain.errors import SchemaMismatch


def _differences(connection: Connection) -> list[object]:
    options = {"version_table": schema.VERSION_TABLE, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


def _make_first_revision(connection: Connection) -> None:
    """Make the tables of revision 0001, with a journal of seven entries."""
    run_scripts(connection, schema.VERSION_TABLE, "0001")
    head = text("INSERT INTO journal_head (account_id, seq, entry_hash) VALUES (:account, 7, 'x')")
    connection.execute(head, {"account": ACCOUNT})


def _set_revision(revision: str):
    statement = text(f"UPDATE {schema.VERSION_TABLE} SET version_num = :revision")
    return lambda connection: connection.execute(statement, {"revision": revision})


def test_the_revisions_are_those_of_the_scripts() -> None:
    """What is told without alembic is what alembic would tell."""
    scripts = ScriptDirectory.from_config(scripts_config())
    found = [script.revision for script in scripts.walk_revisions()]

    assert list(schema.REVISIONS) == found[::-1]


def test_migrations_make_exactly_our_tables(opened) -> None:
    """What the revisions create and what `tables.py` describes do not differ."""

    async def body() -> None:
        async with opened() as database:
            assert await database.runner.read(_differences) == []

    run_async(body())


def test_an_empty_database_is_made_ready_once(opener) -> None:
    """`prepare` creates everything in an empty database and changes nothing in a ready one."""

    async def body() -> None:
        database = opener()
        try:
            assert (await schema_state(database)).age is SchemaAge.EMPTY
            await prepare(database)
            await prepare(database)
            await check_revision(database)
            await upgrade(database)

            state = await schema_state(database)
            assert (state.age, state.found) == (SchemaAge.SAME, state.expected)
        finally:
            await database.close()

    run_async(body())


def test_an_empty_database_is_not_of_our_revision(opener) -> None:
    """`check_revision` writes nothing and tells how to create the tables."""

    async def body() -> None:
        database = opener()
        try:
            with pytest.raises(SchemaMismatch, match=r"empty.*squareoff db upgrade"):
                await check_revision(database)
            assert (await schema_state(database)).age is SchemaAge.EMPTY
        finally:
            await database.close()

    run_async(body())


def test_an_older_database_is_refused_with_the_cure(opened) -> None:
    """A database of a revision we know but have passed asks for `squareoff db upgrade`."""

    async def body() -> None:
        async with opened() as database:
            await database.runner.write(_set_revision("0001"))
            for refuse in (check_revision, prepare):
                with pytest.raises(SchemaMismatch, match=r"0001.*0004.*squareoff db upgrade"):
                    await refuse(database)

    run_async(body())


def test_an_older_journal_goes_on_after_the_upgrade(opener) -> None:
    """What revision 0001 wrote is whole after the upgrade, and its account has epoch 0."""

    async def body() -> None:
        database = opener()
        try:
            await database.runner.write(_make_first_revision)
            await upgrade(database)
            assert await database.runner.read(_differences) == []
            store = SqlStore(database.runner, ACCOUNT)
            assert await store.head() == 7
            query = text("SELECT epoch FROM journal_head")
            assert await database.runner.read(lambda c: c.execute(query).scalar_one()) == 0
        finally:
            await database.close()

    run_async(body())


def test_a_newer_database_is_refused_and_left_alone(opened) -> None:
    """A revision we do not know is newer: both are named, nothing is written, upgrade included."""

    async def body() -> None:
        async with opened() as database:
            await database.runner.write(_set_revision("9999"))

            for refuse in (check_revision, prepare, upgrade):
                with pytest.raises(SchemaMismatch, match=r"9999.*newer.*0004"):
                    await refuse(database)
            assert (await schema_state(database)).found == "9999"

    run_async(body())


def test_tables_of_somebody_else_are_left_alone(opener) -> None:
    """A table named as one of ours in a database without revision is refused."""

    async def body() -> None:
        database = opener()
        try:
            create = text("CREATE TABLE orders (id INTEGER)")
            await database.runner.write(lambda connection: connection.execute(create))

            for refuse in (check_revision, prepare, upgrade):
                with pytest.raises(SchemaMismatch, match="not made by squareoff"):
                    await refuse(database)
        finally:
            await database.close()

    run_async(body())


def test_a_failed_upgrade_leaves_the_database_empty(opener, monkeypatch) -> None:
    """An upgrade that breaks off midway leaves no table behind."""

    async def body() -> None:
        database = opener()
        try:
            names = lambda connection: inspect(connection).get_table_names()  # noqa: E731

            def broken(connection: Connection) -> None:
                schema._upgrade(connection)
                raise SchemaMismatch("the power went")

            with pytest.raises(SchemaMismatch, match="power"):
                await database.runner.write(broken)
            assert await database.runner.read(names) == []
        finally:
            await database.close()

    run_async(body())


def test_two_processes_may_prepare_the_same_empty_database(shared_opener) -> None:
    """Simultaneous first starts create the tables once and both succeed."""

    async def body() -> None:
        databases = [shared_opener() for _ in range(3)]
        try:
            await asyncio.gather(*(prepare(database) for database in databases))
            await check_revision(databases[0])
        finally:
            for database in databases:
                await database.close()

    run_async(body())


def test_a_copied_database_is_as_a_migrated_one() -> None:
    """What other tests begin with in memory is what `prepare` leaves."""

    async def body() -> None:
        for _ in range(2):
            database = await ready_in_memory()
            assert (await schema_state(database)).age is SchemaAge.SAME
            assert await database.runner.read(_differences) == []
            await database.close()

    run_async(body())
