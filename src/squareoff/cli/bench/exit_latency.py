"""Time exits of a real engine against the simulator: from a tick's receipt to the first byte out.

Engine and simulator are two processes with real sockets between them; the database is a file. One
position at a time is opened, its stop is hit by a tick, and it is closed and confirmed before the
next. Before each exit one floor sample is taken, so that both see the same machine.
"""

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from rich.console import Console

from squareoff.adapters.broker.dhan.transport import HttpRequest
from squareoff.adapters.system import SystemClock
from squareoff.assembly import Engine
from squareoff.bootstrap import Rehearsal, open_engine
from squareoff.cli.bench.floor import BareCommit, BarePost
from squareoff.cli.bench.percentiles import percentile
from squareoff.cli.demo.clients import SimulatorClient
from squareoff.cli.demo.processes import Children, free_port
from squareoff.cli.loops import run_until_told
from squareoff.cli.output import print_json
from squareoff.config import load_settings
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.services.desk_requests import PositionRequest
from squareoff.services.rate_budget import RateLimits
from squareoff.services.warm_positions import REFRESH_SECONDS

FIRST_SECURITY_ID = 900_001
"""Each exit has an instrument of its own, so that none follows on another's fills."""

FLOOR_SECURITY_ID = "2885"
QUANTITY = 10
ENTRY, STOP, THROUGH = "1500.00", "1490.00", "1489.00"
WARM_UP = 10
"""Exits that are not counted: connections open, statements compile, caches fill."""

NO_LIMIT = 1_000_000
START_SECONDS_MAX = 30.0
EXIT_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.005
NEAR_SECONDS = REFRESH_SECONDS * 1.5
"""How long the price stands near the stop before it goes through, as prices do; the engine reads
the broker's positions ahead meanwhile."""

_CLIENT = {"DHAN_CLIENT_ID": "1100000001", "DHAN_ACCESS_TOKEN": "bench-token-without-any-worth"}
_CONFIG = """\
mode = "live"
session = "always"
database_url = "sqlite:///{folder}/squareoff.db"
instruments = "{folder}/instruments.csv"

[dhan]
rest_url = "http://127.0.0.1:{port}/v2"
order_update_url = "ws://127.0.0.1:{port}/order-update"
market_feed_url = "ws://127.0.0.1:{port}/feed"
"""


@dataclass(slots=True)
class ExitReport:
    """What was measured, seconds."""

    exits: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, float | int]:
        """Return the figures under their documented names."""
        floors = [commit + post for commit, post in zip(self.commits, self.posts, strict=True)]
        p50, p99 = percentile(self.exits, 0.50), percentile(self.exits, 0.99)
        floor_p50, floor_p99 = percentile(floors, 0.50), percentile(floors, 0.99)
        return {
            "samples": len(self.exits),
            "p50_seconds": p50,
            "p99_seconds": p99,
            "floor_p50_seconds": floor_p50,
            "floor_p99_seconds": floor_p99,
            "p50_ratio": p50 / floor_p50,
            "p99_ratio": p99 / floor_p99,
            "floor_commit_p50_seconds": percentile(self.commits, 0.50),
            "floor_post_p50_seconds": percentile(self.posts, 0.50),
        }


class FirstByte:
    """Notes when the engine's next order begins to leave."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._sent: asyncio.Future[int] | None = None

    def note(self, request: HttpRequest) -> None:
        """Called with each request right before its first byte."""
        is_order = request.method == "POST" and request.path == "/orders"
        if is_order and self._sent is not None and not self._sent.done():
            self._sent.set_result(self._clock.now().wall_ns)

    def expect(self) -> "asyncio.Future[int]":
        """Return the wall time (UTC ns) of the next order's first byte."""
        self._sent = asyncio.get_running_loop().create_future()
        return self._sent


def run(samples: int, *, as_json: bool) -> None:
    """Run the benchmark on the engine's own event loop and print its figures.

    Raises:
        SquareoffError, TimeoutError: a part did not start, or an exit did not end.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    report = ExitReport()
    run_until_told(_measure(samples, report))
    _show(report, as_json=as_json)


async def _measure(samples: int, report: ExitReport) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="squareoff-bench-")))
        stage = await stack.enter_async_context(_open(folder, WARM_UP + samples))
        for number, instrument_id in enumerate(_instrument_ids(WARM_UP + samples)):
            taken = report if number >= WARM_UP else ExitReport()
            await stage.time_floor(taken)
            await stage.time_exit(instrument_id, taken)


def _show(report: ExitReport, *, as_json: bool) -> None:
    """Print the figures."""
    figures = report.as_json()
    if as_json:
        print_json(figures)
        return
    console = Console(highlight=False)
    for name in ("p50", "p99"):
        console.print(
            f"{name}: {figures[f'{name}_seconds'] * 1e3:.2f} ms from tick to first byte, "
            f"{figures[f'{name}_ratio']:.2f} x the floor of "
            f"{figures[f'floor_{name}_seconds'] * 1e3:.2f} ms"
        )
    console.print(f"({figures['samples']} exits; floor: a bare durable commit and a bare POST)")


@dataclass(frozen=True, slots=True)
class _Stage:
    engine: Engine
    simulator: SimulatorClient
    first_byte: FirstByte
    bare_commit: BareCommit
    bare_post: BarePost
    clock: SystemClock

    async def time_floor(self, report: ExitReport) -> None:
        began = self.clock.now().monotonic_ns
        self.bare_commit.commit()
        committed = self.clock.now().monotonic_ns
        await self.bare_post.post()
        ended = self.clock.now().monotonic_ns
        report.commits.append((committed - began) / NANOSECONDS_PER_SECOND)
        report.posts.append((ended - committed) / NANOSECONDS_PER_SECOND)

    async def time_exit(self, instrument_id: InstrumentId, report: ExitReport) -> None:
        tracker_id = await self.open_position(instrument_id)
        await self._print(instrument_id, ENTRY)
        await self.clock.sleep(NEAR_SECONDS)
        sent = self.first_byte.expect()
        await self._print(instrument_id, THROUGH)
        sent_ns = await asyncio.wait_for(sent, EXIT_SECONDS_MAX)
        actor = self.engine.exit_engine.book.get(tracker_id)
        assert actor is not None and actor.tracker.intent is not None, "it was just fired"
        received_ns = actor.tracker.intent.trigger.received_time_ns
        assert received_ns is not None, "fired by a tick"
        report.exits.append((sent_ns - received_ns) / NANOSECONDS_PER_SECOND)
        async with asyncio.timeout(EXIT_SECONDS_MAX):
            await actor.wait_until(lambda: actor.tracker.status is PositionStatus.EXITED)

    async def open_position(self, instrument_id: InstrumentId) -> TrackerId:
        holding = {"product_type": "INTRADAY", "net_quantity": QUANTITY, "price": ENTRY}
        await self.simulator.post("/admin/positions", [_name(instrument_id) | holding])
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

    async def _print(self, instrument_id: InstrumentId, price: str) -> None:
        """Print a price and wait until the engine has it, or has acted on it."""
        await self.simulator.post("/admin/ticks", [_name(instrument_id) | {"price": price}])
        await self.clock.sleep(_POLL_SECONDS)


@asynccontextmanager
async def _open(folder: Path, instruments: int) -> AsyncIterator[_Stage]:
    clock, children, port = SystemClock(), Children(), free_port(0)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(children.stop_all, clock)
        children.start("simulator", ["sim", "--port", str(port)], folder=folder, secrets={})
        address = f"http://127.0.0.1:{port}"
        simulator = await stack.enter_async_context(SimulatorClient(address))
        await _wait(clock, lambda: simulator.is_up("/admin/ready"))
        unlimited = {"second": 0, "minute": 0, "hour": 0, "day": 0}
        limits = dict.fromkeys(("order", "data", "quote", "other"), unlimited)
        await simulator.post("/admin/conduct", {"rate_limits": limits})
        listings = [
            _name(each) | {"previous_close": ENTRY} for each in _instrument_ids(instruments)
        ]
        await simulator.post("/admin/instruments", listings)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        async with session.get(f"{address}/instruments.csv") as master:
            (folder / "instruments.csv").write_bytes(await master.read())
        first_byte, commit = FirstByte(), BareCommit(folder / "floor.db")
        stack.callback(commit.close)
        engine = await _start_engine(folder, port, first_byte, stack, clock)
        post = BarePost(session, f"{address}/v2/orders", _floor_order())
        yield _Stage(engine, simulator, first_byte, commit, post, clock)


async def _start_engine(
    folder: Path, port: int, first_byte: FirstByte, stack: AsyncExitStack, clock: SystemClock
) -> Engine:
    config = folder / "squareoff.toml"
    config.write_text(_CONFIG.format(folder=folder, port=port))
    settings = load_settings(config, dict(os.environ) | _CLIENT)
    limits = RateLimits(NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT)
    rehearsal = Rehearsal(limits=limits, on_request=first_byte.note)
    engine = await stack.enter_async_context(open_engine(settings, rehearsal))
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    running = tasks.create_task(engine.supervisor.run())
    stack.push_async_callback(_end, running)

    async def is_ready() -> bool:
        return engine.supervisor.status().is_ready

    await _wait(clock, is_ready)
    return engine


async def _end(running: "asyncio.Task[None]") -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _wait(clock: SystemClock, is_up: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(START_SECONDS_MAX):
        while not await is_up():
            await clock.sleep(_POLL_SECONDS)


def _instrument_ids(count: int) -> list[InstrumentId]:
    return [
        InstrumentId(ExchangeSegment.NSE_EQ, str(FIRST_SECURITY_ID + number))
        for number in range(count)
    ]


def _name(instrument_id: InstrumentId) -> dict[str, Any]:
    return {
        "exchange_segment": instrument_id.exchange_segment.value,
        "security_id": instrument_id.security_id,
    }


def _floor_order() -> dict[str, Any]:
    """An order far from the market: it rests, and its way through the broker is the exit's own."""
    return {
        "dhanClientId": _CLIENT["DHAN_CLIENT_ID"],
        "transactionType": "BUY",
        "exchangeSegment": "NSE_EQ",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "validity": "DAY",
        "securityId": FLOOR_SECURITY_ID,
        "quantity": 1,
        "price": 1500.00,
    }
