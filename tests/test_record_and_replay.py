"""A feed recorded off a real socket, replayed by the command, and served by the simulator again."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from async_body import run_async
from squareoff.adapters.feed_recording.feed_file import FeedFile
from squareoff.adapters.feed_recording.records import FeedRecord, RecordKind
from squareoff.adapters.system import SystemClock
from squareoff.bootstrap import open_engine
from squareoff.cli.main import app
from squareoff.config import Settings
from squareoff.config.settings import Credentials, Dhan, Recording
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.services.desk.desk_requests import PositionRequest
from squareoff.simulator.embedded import EmbeddedSimulator
from squareoff.simulator.server import SimulatorOptions

RECORDED = Path(__file__).parent / "data" / "recorded"
DEPTH = f"NSE_FNO:49543={RECORDED / 'nifty-fut-2025-12-29-dhan-full-depth5.csv.gz'}"
TOKEN = "canary-token-5521"
FRAMES_WANTED = 150
POSITION: dict[str, Any] = {
    "exchange_segment": "NSE_FNO",
    "security_id": "49543",
    "product_type": "INTRADAY",
    "side": "LONG",
    "quantity": 75,
    "entry_price": "25974.90",
}


def records_of(folder: Path) -> list[FeedRecord]:
    files = [FeedFile(path) for path in sorted(folder.glob("*.sqfeed"))]
    return [record for file in files for record in file.records()]


async def record(sim: EmbeddedSimulator, folder: Path) -> None:
    """Run an engine on paper with the simulator's live feed until enough came in."""
    settings = Settings(
        database_url=f"sqlite:///{folder.parent / 'squareoff.db'}",
        session="always",
        dhan=Dhan(rest_url=sim.rest_url, market_feed_url=sim.feed_url),
        credentials=Credentials(client_id="1100000001", access_token=TOKEN),
        recording=Recording(folder=folder, free_megabytes_min=0),
    )
    request = PositionRequest(
        exchange_segment=ExchangeSegment.NSE_FNO,
        security_id="49543",
        product_type=ProductType.INTRADAY,
        side=PositionSide.LONG,
        quantity=75,
        entry_price=Decimal("25974.90"),
        lot_size=75,
        tick_size=Decimal("0.10"),
    )
    async with open_engine(settings) as engine, asyncio.TaskGroup() as tasks:
        run = tasks.create_task(engine.supervisor.run())
        while not engine.status.view().is_ready:
            await SystemClock().sleep(0.01)
        await engine.desk.track(request, TrackerId("recorded"))
        while len(records_of(folder)) < FRAMES_WANTED:
            await SystemClock().sleep(0.05)
        run.cancel()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a recording of the simulator's feed."""
    folder = tmp_path_factory.mktemp("recorded") / "feed"
    options = SimulatorOptions(clock=SystemClock(), port=0, ticks=(f"{DEPTH}#loop",), speed=200.0)
    with EmbeddedSimulator(options) as sim:
        run_async(record(sim, folder))
    return folder


def test_everything_that_came_is_in_the_file(recorded: Path) -> None:
    """Terms, the connection, full packets with both clocks' receipts, its end; no token."""
    records = records_of(recorded)
    kinds = [record.kind for record in records]
    frames = [record for record in records if record.kind is RecordKind.FRAME]

    assert {RecordKind.INSTRUMENT, RecordKind.CONNECTED} <= set(kinds)
    assert kinds[-1] is RecordKind.ENDED
    assert len([each for each in frames if each.payload[0] == 8]) > FRAMES_WANTED // 3
    received = [record.received.monotonic_ns for record in frames]
    assert received == sorted(received)
    assert not any(TOKEN.encode() in path.read_bytes() for path in recorded.iterdir())


def test_the_command_replays_it(recorded: Path, tmp_path: Path) -> None:
    """`squareoff replay` finds terms and prices in the file, and says what exits; always alike."""
    positions = tmp_path / "positions.json"
    rules = {"target": {"price": "25980.00"}, "stop_loss": {"points": "500"}}
    positions.write_text(json.dumps([{**POSITION, "id": "one", "rules": rules}]))
    (tmp_path / "settings.toml").write_text('session = "always"\n')
    files = [str(path) for path in sorted(recorded.glob("*.sqfeed"))]
    words = ["replay", *files, "--positions", str(positions), "--json"]
    words += ["--config", str(tmp_path / "settings.toml")]

    answers = [CliRunner().invoke(app, words) for _ in range(2)]

    assert answers[0].exit_code == 0, answers[0].output
    assert answers[0].stdout == answers[1].stdout
    (row,) = json.loads(answers[0].stdout)["positions"]
    assert (row["rule"], row["level"], row["price"]) == ("target", "25980.00", "25980.00")


def test_the_simulator_plays_it_again(recorded: Path) -> None:
    """A recording is a source of ticks; its prices and depth are those that were recorded."""
    (first, *_) = sorted(recorded.glob("*.sqfeed"))
    options = SimulatorOptions(clock=SystemClock(), port=0, ticks=(str(first),), speed=50.0)
    with EmbeddedSimulator(options) as sim:
        sim.admin("POST", "clock", {"advance_seconds": 1})
        market = sim.state("market")["market"]

    (future,) = [each for each in market if each["securityId"] == "49543"]
    assert 25_900 < float(future["last_price"]) < 26_000
