"""`squareoff run`."""

import typer

from squareoff.cli.late import load_late
from squareoff.cli.options import ConfigOption, JsonOption, settings_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run the engine with its API, until interrupted."""
    settings = settings_of(config)
    load_late("engine_program").run_engine(settings, as_json=as_json)
