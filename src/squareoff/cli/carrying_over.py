"""Read what two databases hold of their accounts, and tell the copy what it must not forget.

What is carried over is written into the copy's journal before it takes its place, so that its chain
holds and the start after it finds nothing but facts.
"""

import asyncio
from pathlib import Path

from sqlalchemy import Connection, select

from squareoff.adapters.sql.backups import is_damaged
from squareoff.adapters.sql.database import Database, open_database
from squareoff.adapters.sql.schema import SchemaAge, schema_state
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tables import journal_head
from squareoff.adapters.system import SystemClock
from squareoff.core.state.facts import AccountFact
from squareoff.domain.errors import StoreError
from squareoff.domain.ids import AccountId
from squareoff.services.positions.restored_account import AccountStanding, CarriedOver, carried_over

_COPY_NOT_TOLD = (
    "the copy is of an older version and could not be told of the kill switch, exit-all and fired "
    "account rules of the replaced database; a wish to close everything that it holds goes on"
)
_NOT_KNOWN = (
    "the replaced database cannot be read by this version: whether its kill switch was on, "
    "exit-all was asked for or a rule of the account had fired is not known"
)


async def carry_over(replaced: Path | None, copy: Path) -> CarriedOver:
    """Bring the copy of a database up to what `replaced` says beside its positions.

    Args:
        replaced: where it lies, None where there is none; it may be damaged or older.

    Raises:
        StoreError: the copy could not be told.
    """
    standings, texts = await _standings_of(replaced)
    database = open_database(f"sqlite:///{copy}")
    facts: list[AccountFact] = []
    try:
        if (await schema_state(database)).age is not SchemaAge.SAME:
            return CarriedOver((), (_COPY_NOT_TOLD,))
        known = await _standings(database)
        for account_id in sorted({*known, *standings}):
            store = SqlStore(database.runner, account_id)
            found = carried_over(await _standing(store), standings.get(account_id))
            await store.record(found.facts, SystemClock().now().wall_ns)
            facts += found.facts
            texts += found.texts
    finally:
        await database.close()
    return CarriedOver(tuple(facts), tuple(texts))


def _accounts_of(connection: Connection) -> tuple[AccountId, ...]:
    """Return every account that has a journal."""
    found = connection.execute(select(journal_head.c.account_id)).scalars().all()
    return tuple(AccountId(account) for account in found)


async def _standings_of(path: Path | None) -> tuple[dict[AccountId, AccountStanding], list[str]]:
    """Read a database that may not be fit to be read, and say so where it is not."""
    if path is None:
        return {}, []
    if await asyncio.to_thread(is_damaged, path):  # half of it would be taken for all
        return {}, [_NOT_KNOWN]
    try:
        database = open_database(f"sqlite:///{path}")
        try:
            age = (await schema_state(database)).age
            found = await _standings(database) if age is SchemaAge.SAME else {}
        finally:
            await database.close()
    except StoreError:
        return {}, [_NOT_KNOWN]
    return found, [] if age is SchemaAge.SAME else [_NOT_KNOWN]


async def _standings(database: Database) -> dict[AccountId, AccountStanding]:
    accounts = await database.runner.read(_accounts_of)
    return {each: await _standing(SqlStore(database.runner, each)) for each in accounts}


async def _standing(store: SqlStore) -> AccountStanding:
    return AccountStanding(
        await store.kill_switch(), await store.exit_all(), await store.account_day()
    )
