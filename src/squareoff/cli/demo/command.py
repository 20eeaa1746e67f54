"""`squareoff demo`: the main job end to end against the broker simulator, in about 90 seconds."""

from pathlib import Path
from typing import Annotated

import typer

from squareoff.cli.late import load_late
from squareoff.cli.options import JsonOption

DEFAULT_FOLDER = Path("demo-run")
DEFAULT_SPEED = 4.0


def register(app: typer.Typer) -> None:
    """Add the command `demo` to the program."""
    app.command("demo")(demo)


def demo(
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave everything up until Ctrl-C.")
    ] = False,
    folder: Annotated[
        Path, typer.Option(help="Where database, logs and settings go; made anew each time.")
    ] = DEFAULT_FOLDER,
    speed: Annotated[
        float, typer.Option(min=1.0, max=20.0, help="Market seconds per second.")
    ] = DEFAULT_SPEED,
    picture: Annotated[
        Path | None, typer.Option(help="Also save the closing report as an SVG picture.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Rehearse the main job: simulator, live engine, recorded prices, faults, a kill -9.

    Exit status 0: every position is EXITED at the price in the broker's books. 1: something
    differs, and the last lines say what.
    """
    performance = load_late("demo.performance")
    options = performance.DemoOptions(folder.resolve(), speed, keep_running, picture, as_json)
    performance.perform(options)
