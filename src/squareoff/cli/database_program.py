"""The work behind `squareoff db`."""

import asyncio

from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.schema import schema_state, upgrade
from squareoff.config import Settings


def upgrade_database(settings: Settings) -> dict[str, str | None]:
    """Upgrade; return where it is, the revision it `was` of ("" for empty), and its `revision`.

    Raises:
        StoreError: the database cannot be reached, or is of a newer version.
    """
    return asyncio.run(_upgrade(settings))


async def _upgrade(settings: Settings) -> dict[str, str | None]:
    database = open_database(settings.database_url.get_secret_value())
    try:
        before = await schema_state(database)
        await upgrade(database)
        after = await schema_state(database)
    finally:
        await database.close()
    return {"database": database.display_url, "was": before.found, "revision": after.found}
