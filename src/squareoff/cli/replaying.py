"""`squareoff replay`."""

from pathlib import Path
from typing import Annotated

import typer

from squareoff.cli.late import load_late
from squareoff.cli.options import ConfigOption, JsonOption, settings_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Recordings of the feed (*.sqfeed), or recorded prices as `sim --ticks` takes.",
        ),
    ],
    positions: Annotated[
        Path,
        typer.Option(
            help="JSON file: the positions, each with an `id` and else as POST /trackers takes it."
        ),
    ],
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="Market seconds per second; without it, as fast as it goes."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play a recorded feed through the whole engine, on paper, and show what exits."""
    program = load_late("replay_program")
    program.run(settings_of(config), sources, positions, speed, as_json=as_json)
