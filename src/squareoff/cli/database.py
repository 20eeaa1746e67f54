"""`squareoff db`: the database itself. The engine need not run, and should not while upgrading."""

import typer

from squareoff.cli.late import load_late
from squareoff.cli.options import ConfigOption, JsonOption, settings_of
from squareoff.cli.output import print_json

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
    found = load_late("database_program").upgrade_database(settings_of(config))
    if as_json:
        print_json(found)
    else:
        print(f"{found['database']}: revision {found['revision']} (was {found['was'] or 'empty'})")
