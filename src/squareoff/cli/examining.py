"""`squareoff doctor`."""

import typer

from squareoff.cli.api_client import CommandRefused
from squareoff.cli.late import load_late
from squareoff.cli.options import ConfigOption, JsonOption, settings_of
from squareoff.cli.output import print_json

_MARKS = {True: "ok   ", False: "FAULT"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Examine settings, credentials, clock, database, sockets and instruments, one line each."""
    settings = settings_of(config)
    findings = load_late("examination").examine(settings)
    if as_json:
        print_json({"items": findings, "next": None})
    else:
        for found in findings:
            print(f"{_MARKS[found['ok']]}  {found['name']:<12}  {found['text']}")
    faults = [found["name"] for found in findings if not found["ok"]]
    if faults:
        raise CommandRefused(f"not fit to run: {', '.join(faults)}")
