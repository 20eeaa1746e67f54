"""`squareoff sim`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from squareoff.cli.late import load_late
from squareoff.cli.options import JsonOption

_TICKS = "--ticks"


class _SimCommand(TyperCommand):
    """Takes several recordings after one `--ticks`, which click's options cannot."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words."""
        return super().parse_args(ctx, list(_each_with_its_option(args)))


def _each_with_its_option(words: list[str]) -> Iterator[str]:
    """Give the words with `--ticks` before every recording that follows one."""
    is_open = has_value = False
    for word in words:
        if word.startswith("-"):
            is_open, has_value = word.startswith(_TICKS), "=" in word
        elif is_open and has_value:
            yield _TICKS
        else:
            has_value = True
        yield word


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sim", cls=_SimCommand)(sim)


def sim(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free port.")] = 8800,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps orders and positions over restarts.")
    ] = None,
    ticks: Annotated[
        list[str] | None,
        typer.Option(
            help="Recorded prices: FILE.csv or SEGMENT:SECURITY_ID=FILE.csv, as many as wanted."
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.001, help="Market seconds per second of real time.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same broker.")] = 0,
    credentials: Annotated[
        Path | None, typer.Option(help="JSON file of the tokens to accept; default: any token.")
    ] = None,
    paused: Annotated[
        bool, typer.Option("--paused", help="Hold the recorded prices until told otherwise.")
    ] = False,
    port_file: Annotated[
        Path | None, typer.Option(help="File to write the port into once it listens.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the DhanHQ-compatible broker simulator, until interrupted."""

    load_late("simulator_program").run(
        as_json=as_json,
        port=port,
        state_file=state,
        ticks=tuple(ticks or ()),
        speed=speed,
        is_paused=paused,
        seed=seed,
        credentials_file=credentials,
        port_file=port_file,
    )
