"""Time one tick that fires many positions: to every durable claim, first and last byte, all fills.

The positions are of one instrument, each with a stop at one price, and the broker holds their sum.
One more position, of another instrument, is fired right after them: what it waits is what the many
cost the next exit.
"""

import asyncio
import json
import logging
import statistics
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from squareoff.adapters.broker.dhan.transport import HttpRequest
from squareoff.adapters.system import SystemClock
from squareoff.cli.bench.stage import (
    QUANTITY,
    THROUGH,
    Stage,
    instrument_ids,
    is_order,
    open_stage,
)
from squareoff.cli.loops import run_until_told
from squareoff.cli.output import Column, print_json, print_table, table_of
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND

FIRED = (1, 1_000, 3_000)
"""Positions that one tick fires."""

OPENED_AT_ONCE = 100
EXIT_SECONDS_MAX = 300.0
_COLUMNS: tuple[Column, ...] = (
    ("positions", lambda row: f"{row['positions']:,}"),
    ("all claims durable, s", lambda row: f"{row['claims_seconds']:.3f}"),
    ("first byte, s", lambda row: f"{row['first_byte_seconds']:.4f}"),
    ("last order's first byte, s", lambda row: f"{row['last_byte_seconds']:.3f}"),
    ("all fills booked, s", lambda row: f"{row['booked_seconds']:.3f}"),
    ("next exit, s", lambda row: f"{row['next_exit_seconds']:.4f}"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of some runs, seconds from the receipt of the tick that fired; `next_exit_seconds`
    is from the receipt of the other position's own tick to its order's first byte."""

    positions: int
    claims_seconds: float
    first_byte_seconds: float
    last_byte_seconds: float
    booked_seconds: float
    next_exit_seconds: float


@dataclass(slots=True)
class _Ear:
    """Notes when orders leave and when positions change, wall time, UTC ns."""

    clock: SystemClock = field(default_factory=SystemClock)
    sent: dict[str, list[int]] = field(default_factory=dict)
    claimed: dict[TrackerId, int] = field(default_factory=dict)
    exited: dict[TrackerId, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note_request(self, request: HttpRequest) -> None:
        if is_order(request):
            security_id = json.loads(request.body or b"{}")["securityId"]
            self.sent.setdefault(security_id, []).append(self.clock.now().wall_ns)

    def note_change(self, tracker: PositionTracker) -> None:
        now_ns = self.clock.now().wall_ns
        if tracker.intent is not None:
            self.claimed.setdefault(tracker.tracker_id, now_ns)
        if tracker.status is PositionStatus.EXITED:
            self.exited.setdefault(tracker.tracker_id, now_ns)
            self.changed.set()

    async def until_exited(self, tracker_ids: list[TrackerId]) -> None:
        async with asyncio.timeout(EXIT_SECONDS_MAX):
            while not self.exited.keys() >= set(tracker_ids):
                self.changed.clear()
                await self.changed.wait()


def run(runs: int, *, as_json: bool) -> None:
    """Run the benchmark on the engine's own event loop and print its figures.

    Raises:
        SquareoffError, TimeoutError: a part did not start, or not every exit ended.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rows: list[dict[str, Any]] = []
    run_until_told(_measure(runs, rows))
    if as_json:
        print_json(rows)
    else:
        print_table(table_of("From one tick to many exits", _COLUMNS, rows))


async def _measure(runs: int, rows: list[dict[str, Any]]) -> None:
    for positions in FIRED:
        found: list[Row] = []
        for _ in range(runs):  # each with an engine of its own: a day's books grow
            async with AsyncExitStack() as stack:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="squareoff-bench-"))
                ear = _Ear()
                stage = await stack.enter_async_context(
                    open_stage(Path(folder), 3, ear.note_request)
                )
                stage.engine.exit_engine.on_change(ear.note_change)
                many, other, warm_up = instrument_ids(3)
                await _fire(stage, ear, warm_up, 1, None)
                found.append(await _fire(stage, ear, many, positions, other))
        rows.append(_medians(found))


async def _fire(
    stage: Stage, ear: _Ear, many: InstrumentId, count: int, other: InstrumentId | None
) -> Row:
    """Open the positions, print the price that fires them, and wait for the last fill."""
    await stage.hold(many, QUANTITY * count)
    tracker_ids: list[TrackerId] = []
    while len(tracker_ids) < count:
        size = min(OPENED_AT_ONCE, count - len(tracker_ids))
        tracker_ids += await asyncio.gather(*(stage.watch(many) for _ in range(size)))
    others: list[TrackerId] = []
    if other is not None:
        await stage.hold(other, QUANTITY)
        others.append(await stage.watch(other))
    await stage.stand_near([many] if other is None else [many, other])
    await stage.print_price(many, THROUGH)
    if other is not None:
        await stage.print_price(other, THROUGH)
    await ear.until_exited([*tracker_ids, *others])
    fired_ns = _received_ns(stage, tracker_ids[0])
    sent = ear.sent[many.security_id]
    next_ns = 0
    if other is not None:
        next_ns = ear.sent[other.security_id][0] - _received_ns(stage, others[0])
    return Row(
        positions=count,
        claims_seconds=_seconds(max(ear.claimed[each] for each in tracker_ids) - fired_ns),
        first_byte_seconds=_seconds(min(sent) - fired_ns),
        last_byte_seconds=_seconds(max(sent) - fired_ns),
        booked_seconds=_seconds(max(ear.exited[each] for each in tracker_ids) - fired_ns),
        next_exit_seconds=_seconds(next_ns),
    )


def _received_ns(stage: Stage, tracker_id: TrackerId) -> int:
    """Return when the tick that fired a position was received."""
    actor = stage.engine.exit_engine.book.get(tracker_id)
    assert actor is not None and actor.tracker.intent is not None, "it was just fired"
    received_ns = actor.tracker.intent.trigger.received_time_ns
    assert received_ns is not None, "fired by a tick"
    return received_ns


def _seconds(ns: int) -> float:
    return ns / NANOSECONDS_PER_SECOND


def _medians(rows: list[Row]) -> dict[str, Any]:
    figures = [asdict(row) for row in rows]
    medians = {name: statistics.median(each[name] for each in figures) for name in figures[0]}
    return medians | {"positions": rows[0].positions}
