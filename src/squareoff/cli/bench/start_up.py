"""`squareoff bench start`: how long an engine takes to watch what its database holds open.

The database file holds so many open positions with stop, target and trailing stop. Watching is
the instant at which every level is armed and the feed knows every instrument; the broker is not
asked before that, and here there is none. Ready, which needs its books, is not timed.
"""

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from time import process_time
from typing import Any

from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.schema import prepare
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.system import SystemClock
from squareoff.bootstrap import open_engine
from squareoff.cli.bench.stage import CLIENT, write_settings
from squareoff.cli.bench.tick_stage import new_positions
from squareoff.cli.demo.processes import free_ports, program
from squareoff.cli.loops import run_until_told
from squareoff.cli.output import Column, print_json, print_table, table_of
from squareoff.config import load_settings
from squareoff.core.entries.opening import open_position
from squareoff.core.state.change import Change
from squareoff.domain.ids import AccountId
from squareoff.simulator.catalogue import default_listings, master_csv

CONFIGURATIONS = ((1, 1), (1_000, 100), (10_000, 500), (10_000, 10_000))
"""(positions, instruments)."""

BATCH = 250
POLL_SECONDS = 0.002
START_SECONDS_MAX = 60.0
_COLUMNS: tuple[Column, ...] = (
    ("positions", lambda row: f"{row['positions']:,}"),
    ("instruments", lambda row: f"{row['instruments']:,}"),
    ("read, s", lambda row: f"{row['load_seconds']:.3f}"),
    ("watching, s", lambda row: f"{row['watching_seconds']:.3f}"),
    ("longest", lambda row: f"{row['watching_seconds_max']:.3f}"),
    ("processor, s", lambda row: f"{row['watching_processor_seconds']:.3f}"),
    ("from the process's start, s", lambda row: f"{row['process_seconds']:.3f}"),
)
_API_TOKEN = "token-of-the-engine-that-is-timed"
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of some runs, seconds.

    `load_seconds` is the database's part of `watching_seconds`, which begins with the opening of
    the engine; its processor seconds leave out what other programs took. `process_seconds` begins
    with the start of a `squareoff run` and ends with the first answer of its API that counts every
    position.
    """

    positions: int
    instruments: int
    load_seconds: float
    watching_seconds: float
    watching_seconds_min: float
    watching_seconds_max: float
    watching_processor_seconds: float
    process_seconds: float


def run(runs: int, *, as_json: bool) -> None:
    """Measure and print."""
    rows: list[dict[str, Any]] = []

    async def measure() -> None:
        for positions, instruments in CONFIGURATIONS:
            rows.append(asdict(await _row(positions, instruments, runs)))

    run_until_told(measure())
    if as_json:
        print_json(rows)
    else:
        print_table(table_of("From the start of an engine to watching", _COLUMNS, rows))


async def _row(positions: int, instruments: int, runs: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="squareoff-bench-") as name:
        folder = Path(name)
        config = write_settings(folder, free_ports(0)[0])
        master = master_csv(default_listings(), freeze_is_first_refused=True)
        (folder / "instruments.csv").write_text(master)
        await _fill(folder, positions, instruments)
        loads, watching, processor, processes = [], [], [], []
        for _ in range(runs):
            loads.append(await _load_seconds(folder))
            begun = process_time()
            watching.append(await _watching_seconds(config, positions))
            processor.append(process_time() - begun)
            processes.append(await asyncio.to_thread(_process_seconds, folder, positions))
    return Row(
        positions,
        instruments,
        statistics.median(loads),
        statistics.median(watching),
        min(watching),
        max(watching),
        statistics.median(processor),
        statistics.median(processes),
    )


async def _fill(folder: Path, positions: int, instruments: int) -> None:
    """Write the open positions as the engine would have."""
    database = open_database(f"sqlite:///{folder}/squareoff.db")
    try:
        await prepare(database)
        store = SqlStore(database.runner, AccountId(CLIENT["DHAN_CLIENT_ID"]))
        at_ns = _CLOCK.now().wall_ns
        changes = [
            Change(None, *open_position(position, at_ns))
            for position in new_positions(positions, instruments, Decimal(100))
        ]
        for start in range(0, positions, BATCH):
            batch = changes[start : start + BATCH]
            await asyncio.gather(*(store.commit(change, at_ns) for change in batch))
    finally:
        await database.close()


async def _load_seconds(folder: Path) -> float:
    database = open_database(f"sqlite:///{folder}/squareoff.db")
    try:
        store = SqlStore(database.runner, AccountId(CLIENT["DHAN_CLIENT_ID"]))
        begun_ns = _CLOCK.now().monotonic_ns
        await store.load_all()
        return _since(begun_ns)
    finally:
        await database.close()


async def _watching_seconds(config: Path, positions: int) -> float:
    settings = load_settings(config, dict(os.environ) | CLIENT)
    begun_ns = _CLOCK.now().monotonic_ns
    async with open_engine(settings) as engine, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(engine.supervisor.run())
        # The book is filled, armed and made known to the feed in one go, without a pause.
        while len(engine.exit_engine.book) < positions:  # noqa: ASYNC110 - polled by intent
            await asyncio.sleep(POLL_SECONDS)
        seconds = _since(begun_ns)
        running.cancel()
    return seconds


def _process_seconds(folder: Path, positions: int) -> float:
    begun_ns = _CLOCK.now().monotonic_ns
    command = [*program(), "run", "--json", "--config", "squareoff.toml"]
    environment = dict(os.environ) | CLIENT | {"SQUAREOFF_API_TOKEN": _API_TOKEN}
    with (
        (folder / "engine.log").open("ab") as log,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log
        ) as engine,
    ):
        try:
            assert engine.stdout is not None, "opened with a pipe"
            url = json.loads(engine.stdout.readline())["api"]
            while _watched(url) < positions:
                if _since(begun_ns) > START_SECONDS_MAX or engine.poll() is not None:
                    raise RuntimeError("the engine did not come to watch its positions")
            return _since(begun_ns)
        finally:
            engine.kill()


def _watched(url: str) -> int:
    request = urllib.request.Request(
        f"{url}/api/v1/status", headers={"Authorization": f"Bearer {_API_TOKEN}"}
    )
    with suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
        counts: Mapping[str, int] = json.load(answer)["positions"]
        return sum(counts.values())
    return 0


def _since(begun_ns: int) -> float:
    return (_CLOCK.now().monotonic_ns - begun_ns) / 1e9
