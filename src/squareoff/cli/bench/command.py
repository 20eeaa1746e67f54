"""The commands `squareoff bench ...`; their work is imported when it is asked for."""

from typing import Annotated

import typer

from squareoff.cli.late import load_late

SAMPLES = 400

bench = typer.Typer(
    name="bench",
    help="Measure this machine: every figure is a ratio to a floor of the same run.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the command `bench` to the program."""
    app.add_typer(bench)


@bench.callback()
def _bench() -> None:
    """Keep `exit` a word of its own, also while it is the only one."""


@bench.command("exit")
def exit_latency(
    samples: Annotated[int, typer.Option(min=20, help="How many exits to time.")] = SAMPLES,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time the exit: from the tick that fires a stop to the order's first byte.

    The floor is what no exactly-once exit can do without: one durable commit and one POST to the
    same broker, both bare. Starts a broker simulator of its own; nothing leaves this machine.
    """
    program = load_late("bench.exit_latency")
    program.run(samples, as_json=as_json)
