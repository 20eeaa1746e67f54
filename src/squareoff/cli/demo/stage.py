"""Build the demo's stage: a fresh folder, the simulator, the engine, and the open positions."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from squareoff.adapters.system import SystemClock
from squareoff.cli.demo.clients import EngineClient, SimulatorClient
from squareoff.cli.demo.failure import DemoFailure
from squareoff.cli.demo.processes import Child, Children, free_ports
from squareoff.cli.demo.scenario import (
    BY_CLOCK,
    EQUITY_QUANTITY_PER_PRINT,
    EQUITY_RECORDING,
    FUTURE_RECORDING,
    POSITIONS,
    RECORDINGS_FOLDER,
    DemoPosition,
    faults,
)

MARKER_FILE = ".squareoff-demo"
"""Stands in every folder the demo made: only such a folder is ever emptied."""

ENGINE_CONFIG_FILE = "engine.toml"
CLIENT_CONFIG_FILE = "squareoff.toml"
"""The one that commands find by themselves: all that they need is the API's address and token."""

TOKEN_FILE = "squareoff-api-token"
START_SECONDS_MAX = 45.0
"""A cold start takes 2 to 4 s on two cores; a machine ten times slower still gets there."""

POLL_SECONDS = 0.1
_START_POLLS = round(START_SECONDS_MAX / POLL_SECONDS)
CREDENTIALS = {"DHAN_CLIENT_ID": "1100000001", "DHAN_ACCESS_TOKEN": "demo-token-without-any-worth"}
"""Made up; the simulator lets anybody in."""

_ENGINE_CONFIG = """\
# Written by `squareoff demo`; its engine runs with this.
mode = "live"
session = "always"
database_url = "sqlite:///squareoff.db"
instruments = "{simulator}/instruments.csv"

[dhan]
rest_url = "{simulator}/v2"
order_update_url = "{socket}/order-update"
market_feed_url = "{socket}/feed"

"""
_CLIENT_CONFIG = """\
# Written by `squareoff demo`; commands in this folder ask its engine.
[api]
port = {api_port}
token_path = "{token_file}"
"""


@dataclass(frozen=True, slots=True)
class StagePorts:
    """Ports to take where they are free, else any; 0 takes any."""

    simulator: int
    api: int


WELL_KNOWN_PORTS = StagePorts(simulator=8800, api=8700)
"""For a demo that people look at: the documented ports."""

ANY_PORTS = StagePorts(simulator=0, api=0)
"""For a demo that ends by itself: it is in nobody's way."""


@dataclass(slots=True)
class Stage:
    """The running parts. `engine_child` changes when the engine is started again."""

    folder: Path
    speed: float
    children: Children
    simulator: SimulatorClient
    engine: EngineClient
    simulator_child: Child
    engine_child: Child
    clock: SystemClock = field(default_factory=SystemClock)
    tracker_ids: dict[str, str] = field(default_factory=dict)

    def start_engine_again(self) -> None:
        """Start the engine anew on the same folder; it is ready once `engine_is_ready`."""
        self.engine_child = _start_engine(self.children, self.folder)

    async def engine_is_ready(self) -> bool:
        """Say whether the engine would let exits out now."""
        self.engine_child.check()
        return await self.engine.is_up("/readyz")

    async def open_positions(self) -> None:
        """Put the positions at the broker, lay the faults, and have the engine watch them."""
        await self.simulator.post("/admin/positions", [_opening(each) for each in POSITIONS])
        await self.simulator.post("/admin/faults", faults())
        for position in POSITIONS:
            body = self._tracking(position)
            self.tracker_ids[position.name] = await self.engine.track(body)

    def _tracking(self, position: DemoPosition) -> dict[str, Any]:
        rules = dict(position.rules)
        if position is BY_CLOCK:
            rules["square_off_at"] = self._wall_time_of(position.market_seconds)
        return {
            "exchange_segment": position.holding.exchange_segment,
            "security_id": position.holding.security_id,
            "product_type": position.holding.product_type,
            "side": position.side,
            "quantity": position.quantity,
            "entry_price": str(position.entry_price),
            "rules": rules,
        }

    def _wall_time_of(self, market_seconds: float) -> str:
        """Return the IST time at which the replay, started now, is there; never past midnight."""
        now = self.clock.now().ist()
        due = now + timedelta(seconds=market_seconds / self.speed)
        return due.strftime("%H:%M:%S") if due.date() == now.date() else "23:59:59"


@asynccontextmanager
async def open_stage(
    children: Children, folder: Path, speed: float, ports: StagePorts
) -> AsyncIterator[Stage]:
    """Start both processes in a fresh folder; whatever happens, both are ended."""
    make_fresh(folder)
    simulator_port, api_port = free_ports(ports.simulator, ports.api)
    simulator_url, api_url = f"http://127.0.0.1:{simulator_port}", f"http://127.0.0.1:{api_port}"
    _write_settings(folder, simulator_port, api_port)
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(SimulatorClient(simulator_url))
        engine = await stack.enter_async_context(EngineClient(api_url))
        stack.push_async_callback(children.stop_all, SystemClock())
        simulator_child = _start_simulator(children, folder, simulator_port, speed)
        await _prepare_simulator(simulator, simulator_child)
        engine_child = _start_engine(children, folder)
        stage = Stage(folder, speed, children, simulator, engine, simulator_child, engine_child)
        await _wait_for_engine(stage)
        yield stage


def _write_settings(folder: Path, simulator_port: int, api_port: int) -> None:
    engine = _ENGINE_CONFIG.format(
        simulator=f"http://127.0.0.1:{simulator_port}", socket=f"ws://127.0.0.1:{simulator_port}"
    )
    client = _CLIENT_CONFIG.format(api_port=api_port, token_file=TOKEN_FILE)
    (folder / ENGINE_CONFIG_FILE).write_text(engine + client.partition("\n")[2])
    (folder / CLIENT_CONFIG_FILE).write_text(client)


def make_fresh(folder: Path) -> None:
    """Empty the demo's folder, or make it.

    Raises:
        DemoFailure: there is a folder of this name that the demo did not make.
    """
    if folder.exists():
        if not (folder / MARKER_FILE).is_file():
            raise DemoFailure(
                f"{folder} exists and was not made by the demo; name another --folder"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER_FILE).touch()


def _opening(position: DemoPosition) -> dict[str, Any]:
    return {
        "exchange_segment": position.holding.exchange_segment,
        "security_id": position.holding.security_id,
        "product_type": position.holding.product_type,
        "net_quantity": position.sign * position.quantity,
        "price": str(position.entry_price),
    }


def _start_simulator(children: Children, folder: Path, port: int, speed: float) -> Child:
    ticks = [str(RECORDINGS_FOLDER / name) for name in (FUTURE_RECORDING, EQUITY_RECORDING)]
    arguments = ["sim", "--paused", "--port", str(port), "--speed", str(speed), "--seed", "1"]
    for path in ticks:
        arguments += ["--ticks", f"{path}#loop"]
    return children.start("simulator", arguments, folder=folder, secrets={})


def _start_engine(children: Children, folder: Path) -> Child:
    arguments = ["run", "--config", ENGINE_CONFIG_FILE]
    return children.start("engine", arguments, folder=folder, secrets=CREDENTIALS)


async def _prepare_simulator(simulator: SimulatorClient, child: Child) -> None:
    """Wait until it answers, its replay held at the first print; then set the print size."""
    for _ in range(_START_POLLS):
        child.check()
        if await simulator.is_up("/admin/ready"):
            break
        await SystemClock().sleep(POLL_SECONDS)
    else:
        raise DemoFailure(f"the simulator did not answer within {START_SECONDS_MAX:.0f} s")
    await simulator.post("/admin/conduct", {"quantity_per_print": EQUITY_QUANTITY_PER_PRINT})


async def _wait_for_engine(stage: Stage) -> None:
    for _ in range(_START_POLLS):
        if await stage.engine_is_ready():
            stage.engine.token = (stage.folder / TOKEN_FILE).read_text().strip()
            return
        await stage.clock.sleep(POLL_SECONDS)
    raise DemoFailure(f"the engine was not ready within {START_SECONDS_MAX:.0f} s; see engine.log")
