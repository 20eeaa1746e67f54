"""The commands `squareoff bench ...`; their work is imported when it is asked for."""

from typing import Annotated

import typer

from squareoff.cli.late import load_late

SAMPLES = 400
TICKS = 100_000
RUNS = 9
STARTS = 5
FIRES = 3
FLOOD_SECONDS = 60.0
FLOOD_CALLS = 1_000.0

bench = typer.Typer(
    name="bench",
    help="Measure this machine: every figure is a ratio to a floor of the same run.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the command `bench` to the program."""
    app.add_typer(bench)


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


@bench.command("ticks")
def ticks(
    packets: Annotated[int, typer.Option(min=1_000, help="Packets in each run.")] = TICKS,
    runs: Annotated[int, typer.Option(min=1, help="Runs that each median is of.")] = RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of rows.")] = False,
) -> None:
    """Time the trigger path: from the bytes of a packet to the decision what it fires.

    The floor is a bare loop that reads the packet, looks the instrument up and compares two levels.
    """
    program = load_late("bench.ticks")
    program.run(program.Size(packets, runs), as_json=as_json)


@bench.command("start")
def start(
    runs: Annotated[int, typer.Option(min=1, help="Runs that each median is of.")] = STARTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of rows.")] = False,
) -> None:
    """Time the start: from the opening of a database with open positions to all of them watched."""
    program = load_late("bench.start_up")
    program.run(runs, as_json=as_json)


@bench.command("fire")
def fire(
    runs: Annotated[int, typer.Option(min=1, help="Runs that each median is of.")] = FIRES,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of rows.")] = False,
) -> None:
    """Time one tick that fires many positions: claims, orders, fills, and the exit after them.

    Starts a broker simulator of its own, without order rates; nothing leaves this machine.
    """
    program = load_late("bench.mass_fire")
    program.run(runs, as_json=as_json)


@bench.command("flood")
def flood(
    seconds: Annotated[float, typer.Option(min=2, help="How long to flood.")] = FLOOD_SECONDS,
    calls: Annotated[float, typer.Option(min=1, help="Calls a second.")] = FLOOD_CALLS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time exits and halts while a second process floods the API, beside the calm of the same run.

    Starts a broker simulator of its own; nothing leaves this machine.
    """
    program = load_late("bench.flood")
    program.run(seconds, calls, as_json=as_json)
