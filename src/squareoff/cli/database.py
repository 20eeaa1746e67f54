"""`squareoff db`: the database itself. The engine need not run, and must not while restoring."""

from pathlib import Path
from typing import Annotated

import typer

from squareoff.cli.api_client import CommandRefused
from squareoff.cli.late import load_late
from squareoff.cli.options import ConfigOption, JsonOption, YesOption, confirm, settings_of
from squareoff.cli.output import print_json
from squareoff.cli.progress import working

group = typer.Typer(help="The database.", no_args_is_help=True)
BackupArgument = Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")]
CopyArgument = Annotated[Path, typer.Argument(help="A file that `db backup` wrote.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="db")


@group.command("upgrade")
def db_upgrade(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the database to this program's version, or make it; refused while an engine runs."""
    settings = settings_of(config)
    with working("upgrading the database"):
        found = load_late("database_program").upgrade_database(settings)
    if as_json:
        print_json(found)
    else:
        print(f"{found['database']}: revision {found['revision']} (was {found['was'] or 'empty'})")


@group.command("backup")
def db_backup(
    file: BackupArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Copy the database to a new file, checked, while the engine may go on."""
    settings = settings_of(config)
    with working("copying the database"):
        found = load_late("database_program").back_up_database(settings, file)
    if as_json:
        print_json(found)
    else:
        told = f"{found['bytes']} bytes, {found['entries']} journal entries, checked"
        print(f"{found['file']}: {told}; it holds your whole journal")


@group.command("restore")
def db_restore(
    file: CopyArgument,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a copy in place of the database, which is kept aside; refused while an engine runs."""
    settings = settings_of(config)
    confirm(f"Replace the database by {file}?", is_confirmed=yes or as_json)
    with working("restoring the database"):
        found = load_late("database_program").restore_database(settings, file)
    if as_json:
        print_json(found)
        return
    print(f"{found['database']}: restored, {found['entries']} journal entries, all intact")
    if found["kept_aside"] is not None:
        print(f"{found['kept_aside']}: what was there before")
    for line in found["carried_over"]:
        print(line)
    if found["needs_upgrade"]:
        print("the copy is of an older version: run `squareoff db upgrade` before the engine")
    print("what happened since the copy is learned from the broker: watch `squareoff alarms`")


@group.command("verify")
def db_verify(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check the hash chain of every account's journal: nothing changed, removed or cut off."""
    found = load_late("database_program").verify_journal(settings_of(config))
    if as_json:
        print_json(found)
    else:
        print(f"{found['database']}: {found['entries']} journal entries")
        for each in found["accounts"]:
            verdict = each["fault"] or "every one as written"
            print(f"account {each['account']}: {each['entries']} journal entries, {verdict}")
    if not found["intact"]:
        raise CommandRefused(f"the journal does not hold: {found['fault']}")
