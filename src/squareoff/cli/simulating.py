"""`squareoff sim`: the broker simulator as a program of its own."""

import json
from pathlib import Path
from typing import Annotated

import typer

from squareoff.adapters.system import SystemClock
from squareoff.cli.api_client import CommandRefused
from squareoff.cli.logs import configure_logs
from squareoff.cli.loops import run_until_told
from squareoff.cli.options import JsonOption
from squareoff.simulator.server import SimulatorOptions, run_simulator


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sim")(sim)


def sim(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free port.")] = 8800,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps orders and positions over restarts.")
    ] = None,
    ticks: Annotated[
        list[str] | None,
        typer.Option(help="Recorded prices: FILE.csv or SEGMENT:SECURITY_ID=FILE.csv; repeatable."),
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

    def say(bound_port: int) -> None:
        root = f"http://127.0.0.1:{bound_port}"
        if as_json:
            print(json.dumps({"port": bound_port, "rest_url": f"{root}/v2"}), flush=True)
            return
        socket_root = root.replace("http", "ws", 1)
        print(
            f"SIMULATED broker, no real market (seed {seed})\n"
            f"DHAN_REST_URL={root}/v2\n"
            f"DHAN_ORDER_UPDATE_URL={socket_root}/order-update\n"
            f"DHAN_MARKET_FEED_URL={socket_root}/feed\n"
            f"SQUAREOFF_INSTRUMENTS={root}/instruments.csv",
            flush=True,
        )

    configure_logs()
    options = SimulatorOptions(
        clock=SystemClock(),
        port=port,
        state_file=state,
        ticks=tuple(ticks or ()),
        speed=speed,
        is_paused=paused,
        seed=seed,
        credentials_file=credentials,
        port_file=port_file,
        on_ready=say,
    )
    run_until_told(_serve(options))


async def _serve(options: SimulatorOptions) -> None:
    try:
        await run_simulator(options)
    except OSError as error:
        text = f"the simulator cannot serve on port {options.port}: {error.strerror or error}"
        raise CommandRefused(text) from error
