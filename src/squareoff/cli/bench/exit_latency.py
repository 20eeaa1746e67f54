"""Time exits of a real engine against the simulator: from a tick's receipt to the first byte out.

Engine and simulator are two processes with real sockets between them; the database is a file. One
position at a time is opened, its stop is hit by a tick, and it is closed and confirmed before the
next. Before each exit one floor sample is taken, so that both see the same machine.
"""

import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console

from squareoff.cli.bench.floor import BareCommit, BarePost
from squareoff.cli.bench.one_exit import FirstByte, time_exit
from squareoff.cli.bench.percentiles import percentile
from squareoff.cli.bench.stage import CLIENT, Stage, instrument_ids, open_stage
from squareoff.cli.loops import run_until_told
from squareoff.cli.output import print_json
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.time import NANOSECONDS_PER_SECOND

FLOOR_SECURITY_ID = "2885"
WARM_UP = 10
"""Exits that are not counted: connections open, statements compile, caches fill."""


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
        timing = await stack.enter_async_context(_open(folder, WARM_UP + samples))
        for number, instrument_id in enumerate(instrument_ids(WARM_UP + samples)):
            taken = report if number >= WARM_UP else ExitReport()
            await timing.time_floor(taken)
            await timing.time_exit(instrument_id, taken)


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
class _Timing:
    stage: Stage
    first_byte: FirstByte
    bare_commit: BareCommit
    bare_post: BarePost

    async def time_floor(self, report: ExitReport) -> None:
        clock = self.stage.clock
        began = clock.now().monotonic_ns
        self.bare_commit.commit()
        committed = clock.now().monotonic_ns
        await self.bare_post.post()
        ended = clock.now().monotonic_ns
        report.commits.append((committed - began) / NANOSECONDS_PER_SECOND)
        report.posts.append((ended - committed) / NANOSECONDS_PER_SECOND)

    async def time_exit(self, instrument_id: InstrumentId, report: ExitReport) -> None:
        report.exits.append(await time_exit(self.stage, self.first_byte, instrument_id))


@asynccontextmanager
async def _open(folder: Path, instruments: int) -> AsyncIterator[_Timing]:
    first_byte, commit = FirstByte(), BareCommit(folder / "floor.db")
    try:
        async with open_stage(folder, instruments, first_byte.note) as stage:
            post = BarePost(stage.http, f"{stage.broker_url}/v2/orders", _floor_order())
            yield _Timing(stage, first_byte, commit, post)
    finally:
        commit.close()


def _floor_order() -> dict[str, Any]:
    """An order far from the market: it rests, and its way through the broker is the exit's own."""
    return {
        "dhanClientId": CLIENT["DHAN_CLIENT_ID"],
        "transactionType": "BUY",
        "exchangeSegment": "NSE_EQ",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "validity": "DAY",
        "securityId": FLOOR_SECURITY_ID,
        "quantity": 1,
        "price": 1500.00,
    }
