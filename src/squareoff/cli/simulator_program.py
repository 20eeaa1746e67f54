"""The program behind `squareoff sim`: the broker simulator in a process of its own."""

import json
from typing import Any

from squareoff.adapters.system import SystemClock
from squareoff.cli.api_client import CommandRefused
from squareoff.cli.logs import configure_logs
from squareoff.cli.loops import run_until_told
from squareoff.simulator.server import SimulatorOptions, run_simulator


def run(*, as_json: bool, seed: int, **options: Any) -> None:
    """Serve until interrupted; `options` are those of SimulatorOptions.

    Raises:
        ConfigError: a file or a tick source cannot be used.
        CommandRefused: the port cannot be listened on.
    """

    def say(port: int) -> None:
        print(_announcement(port, seed, as_json=as_json), flush=True)

    configure_logs()
    clock = SystemClock()
    run_until_told(_serve(SimulatorOptions(clock=clock, seed=seed, on_ready=say, **options)))


def _announcement(port: int, seed: int, *, as_json: bool) -> str:
    """Return what a person or script needs to point an engine here."""
    root = f"127.0.0.1:{port}"
    if as_json:
        return json.dumps({"port": port, "rest_url": f"http://{root}/v2", "seed": seed})
    return (
        f"SIMULATED broker, no real market (seed {seed})\n"
        f"DHAN_REST_URL=http://{root}/v2\n"
        f"DHAN_ORDER_UPDATE_URL=ws://{root}/order-update\n"
        f"DHAN_MARKET_FEED_URL=ws://{root}/feed\n"
        f"SQUAREOFF_INSTRUMENTS=http://{root}/instruments.csv"
    )


async def _serve(options: SimulatorOptions) -> None:
    try:
        await run_simulator(options)
    except OSError as error:
        text = f"the simulator cannot serve on port {options.port}: {error.strerror or error}"
        raise CommandRefused(text) from error
