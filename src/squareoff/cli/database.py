"""`squareoff db`: the database itself. The engine need not run, and should not while upgrading."""

import asyncio

import typer

from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.schema import schema_state, upgrade
from squareoff.cli.options import ConfigOption, JsonOption, settings_of
from squareoff.cli.output import print_json
from squareoff.config import Settings

group = typer.Typer(help="The database.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="db")


@group.callback()
def _db() -> None:
    """Keep `db` a group, though it has one command so far."""


@group.command("upgrade")
def db_upgrade(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the database to the version of this program; make it where there is none."""
    found = asyncio.run(_upgrade(settings_of(config)))
    if as_json:
        print_json(found)
    else:
        print(f"{found['database']}: revision {found['revision']} (was {found['was'] or 'empty'})")


async def _upgrade(settings: Settings) -> dict[str, str | None]:
    database = open_database(settings.database_url.get_secret_value())
    try:
        before = await schema_state(database)
        await upgrade(database)
        after = await schema_state(database)
    finally:
        await database.close()
    return {"database": database.display_url, "was": before.found, "revision": after.found}
