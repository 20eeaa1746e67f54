"""`squareoff run`."""

from typing import Annotated

import typer

from squareoff.cli.halt_signal import hold_halt_signal
from squareoff.cli.late import load_late
from squareoff.cli.options import ConfigOption, JsonOption, engine_settings_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


StandbyOption = Annotated[
    bool,
    typer.Option(
        "--standby",
        help="Wait beside the account's engine and take over when it is dead or silent.",
    ),
]


def run(
    config: ConfigOption = None, as_json: JsonOption = False, standby: StandbyOption = False
) -> None:
    """Run the engine with its API, until interrupted."""
    hold_halt_signal()
    settings = engine_settings_of(config)
    load_late("engine_program").run_engine(settings, as_json=as_json, standby=standby)
