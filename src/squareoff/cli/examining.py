"""`squareoff doctor`."""

import typer

from squareoff.cli.api_client import CommandRefused
from squareoff.cli.late import load_late
from squareoff.cli.options import ConfigOption, JsonOption, engine_settings_of
from squareoff.cli.output import print_hanging, print_json
from squareoff.cli.progress import working

_MARKS = {True: "ok   ", False: "FAULT"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Examine all that a start needs, one line each; a fault says what to do."""
    settings = engine_settings_of(config)
    findings = []
    for found in load_late("examination").examine(settings, working):
        findings.append(found)
        if not as_json:
            print_hanging(f"{_MARKS[found['ok']]}  {found['name']:<12}  ", found["text"])
    if as_json:
        print_json({"items": findings, "next": None})
    faults = [found["name"] for found in findings if not found["ok"]]
    if faults:
        raise CommandRefused(f"not fit to run: {', '.join(faults)}")
