"""A live engine against a broker simulator in a process of its own: what benchmarks of exits share.

Engine and simulator talk over real sockets, the database is a file, the broker's order rates are
lifted on both sides, and nothing leaves this machine.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from squareoff.adapters.broker.dhan.transport import HttpRequest
from squareoff.adapters.garbage_collection import GarbageRounds
from squareoff.adapters.system import SystemClock
from squareoff.adapters.thread_turns import short_turns
from squareoff.assembly import Engine
from squareoff.bootstrap import EngineHooks, open_engine
from squareoff.cli.demo.clients import SimulatorClient
from squareoff.cli.demo.processes import Children, free_ports
from squareoff.config import load_settings
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.services.desk.desk_requests import PositionRequest
from squareoff.services.orders.rate_budget import RateLimits
from squareoff.services.positions.warm_positions import REFRESH_SECONDS

CLIENT = {"DHAN_CLIENT_ID": "1100000001", "DHAN_ACCESS_TOKEN": "bench-token-without-any-worth"}
FIRST_SECURITY_ID = 900_001
QUANTITY = 10
ENTRY, STOP, THROUGH = "1500.00", "1490.00", "1489.00"
NEAR_SECONDS = REFRESH_SECONDS * 1.5
"""How long the price stands near the stop before it goes through, as prices do; the engine reads
the broker's positions ahead meanwhile."""

_NO_LIMIT = 1_000_000
_START_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.005
_CONFIG = """\
mode = "live"
session = "always"
database_url = "sqlite:///{folder}/squareoff.db"
instruments = "{folder}/instruments.csv"

[api]
port = 0

[dhan]
rest_url = "http://127.0.0.1:{port}/v2"
order_update_url = "ws://127.0.0.1:{port}/order-update"
market_feed_url = "ws://127.0.0.1:{port}/feed"
"""


def write_settings(folder: Path, broker_port: int) -> Path:
    """Write the settings of an engine whose broker listens at this port; return the file."""
    config = folder / "squareoff.toml"
    config.write_text(_CONFIG.format(folder=folder, port=broker_port))
    return config


def is_order(request: HttpRequest) -> bool:
    """Say whether a request places an order."""
    return request.method == "POST" and request.path == "/orders"


def instrument_ids(count: int) -> list[InstrumentId]:
    """Return so many instruments of the simulator, each for one use: none follows on another's
    fills."""
    return [
        InstrumentId(ExchangeSegment.NSE_EQ, str(FIRST_SECURITY_ID + number))
        for number in range(count)
    ]


@dataclass(frozen=True, slots=True)
class Stage:
    """An engine that is ready, and its broker. `http` is for calls past the engine."""

    engine: Engine
    simulator: SimulatorClient
    clock: SystemClock
    http: aiohttp.ClientSession
    broker_url: str
    folder: Path

    async def hold(self, instrument_id: InstrumentId, quantity: int) -> None:
        """Let the broker hold a position."""
        holding = {"product_type": "INTRADAY", "net_quantity": quantity, "price": ENTRY}
        await self.simulator.post("/admin/positions", [_name(instrument_id) | holding])

    async def watch(self, instrument_id: InstrumentId) -> TrackerId:
        """Take a part of what is held under watch, with its stop."""
        view = await self.engine.desk.track(
            PositionRequest(
                exchange_segment=instrument_id.exchange_segment,
                security_id=instrument_id.security_id,
                product_type=ProductType.INTRADAY,
                side=PositionSide.LONG,
                quantity=QUANTITY,
                entry_price=Decimal(ENTRY),
                rules=RuleSet(stop_loss=PriceRule(price=Decimal(STOP))),
            )
        )
        return TrackerId(view.id)

    async def stand_near(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Print prices near the stops, and stay there for a moment."""
        for instrument_id in instrument_ids:
            await self.print_price(instrument_id, ENTRY)
        await self.clock.sleep(NEAR_SECONDS)

    async def print_price(self, instrument_id: InstrumentId, price: str) -> None:
        """Print a price and wait until the engine has it, or has acted on it."""
        await self.simulator.post("/admin/ticks", [_name(instrument_id) | {"price": price}])
        await self.clock.sleep(_POLL_SECONDS)


@asynccontextmanager
async def open_stage(
    folder: Path, instruments: int, on_request: Callable[[HttpRequest], None]
) -> AsyncIterator[Stage]:
    """Start simulator and engine; `on_request` is told each request right before its first byte.

    Raises:
        SquareoffError, TimeoutError: a part did not start.
    """
    clock, children, port = SystemClock(), Children(), free_ports(0)[0]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(children.stop_all, clock)
        children.start("simulator", ["sim", "--port", str(port)], folder=folder, secrets={})
        address = f"http://127.0.0.1:{port}"
        simulator = await stack.enter_async_context(SimulatorClient(address))
        await _wait(clock, lambda: simulator.is_up("/admin/ready"))
        unlimited = {"second": 0, "minute": 0, "hour": 0, "day": 0}
        limits = dict.fromkeys(("order", "data", "quote", "other"), unlimited)
        await simulator.post("/admin/conduct", {"rate_limits": limits})
        listings = [_name(each) | {"previous_close": ENTRY} for each in instrument_ids(instruments)]
        await simulator.post("/admin/instruments", listings)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        async with http.get(f"{address}/instruments.csv") as master:
            (folder / "instruments.csv").write_bytes(await master.read())
        engine = await _start_engine(write_settings(folder, port), on_request, stack, clock)
        yield Stage(engine, simulator, clock, http, address, folder)


async def _start_engine(
    config: Path,
    on_request: Callable[[HttpRequest], None],
    stack: AsyncExitStack,
    clock: SystemClock,
) -> Engine:
    settings = load_settings(config, dict(os.environ) | CLIENT)
    limits = RateLimits(_NO_LIMIT, _NO_LIMIT, _NO_LIMIT, _NO_LIMIT, _NO_LIMIT)
    hooks = EngineHooks(rate_limits=limits, on_request=on_request)
    stack.enter_context(short_turns())
    engine = await stack.enter_async_context(open_engine(settings, hooks))
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    running = tasks.create_task(engine.supervisor.run())
    stack.push_async_callback(_end, running)
    collecting = tasks.create_task(GarbageRounds(engine.exit_engine.book, clock).run())
    stack.push_async_callback(_end, collecting)

    async def is_ready() -> bool:
        return engine.status.view().is_ready

    await _wait(clock, is_ready)
    return engine


async def _end(running: "asyncio.Task[None]") -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _wait(clock: SystemClock, is_up: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_START_SECONDS_MAX):
        while not await is_up():
            await clock.sleep(_POLL_SECONDS)


def _name(instrument_id: InstrumentId) -> dict[str, Any]:
    return {
        "exchange_segment": instrument_id.exchange_segment.value,
        "security_id": instrument_id.security_id,
    }
