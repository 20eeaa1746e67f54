"""Time the trigger path: from the bytes of a packet to the decision what it fires and moves.

Floor and engine take turns on the same packets, so that both see the same machine.
"""

import gc
import statistics
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import partial
from time import process_time

from rich.console import Console
from rich.table import Table

from squareoff.cli.bench.tick_floor import count_crossed, count_crossed_in_batches
from squareoff.cli.bench.tick_stage import (
    DURABLE_PER_SECOND,
    FIRST_SECURITY_ID,
    TICK,
    TickStage,
    opening,
    packet,
    positions,
    rally,
    walk,
    with_near_stop,
)
from squareoff.cli.output import print_json
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.account_rules import AccountRules, AccountTrailingRule

CONFIGURATIONS = ((1, 1), (100, 10), (1_000, 100), (1_000, 1), (10_000, 500), (10_000, 1))
"""(positions, instruments)."""

PACKETS_PER_FRAME = 1_000
PACKETS_AT_HAND = 2_000
"""So many are played again and again: they lie in the processor's cache, as what was just read
from a socket does."""

RALLY_POSITIONS = 1_000
RALLY_TICKS_MAX = 20_000
RALLY_SLICE = 200
"""After so many ticks of the rally some moved stops are taken as durable."""

JUDGED = ((1, 1), (1_000, 100), (10_000, 1))
_FAR = Decimal(10**9)
_ACCOUNT_RULES = AccountRules(_FAR, _FAR, AccountTrailingRule(_FAR, _FAR))

ADDED = ((10_000, 500), (10_000, 1))
FIRED = (1_000, 3_000)
_FAR_TARGET = Decimal(5_000)

Levels = dict[int, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is played: so many packets a run, so many runs."""

    packets: int
    runs: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: medians, and the lowest and highest run; None where not asked."""

    positions: int
    instruments: int
    mode: str
    ticks_per_second: int | None = None
    ticks_per_second_min: int | None = None
    ticks_per_second_max: int | None = None
    floor_ticks_per_second: int | None = None
    ratio: float | None = None
    bytes_per_position: int | None = None
    seconds: float | None = None
    seconds_min: float | None = None
    seconds_max: float | None = None


@dataclass(slots=True)
class Timings:
    """Ticks per second of floor and engine, run by run."""

    floors: list[float] = field(default_factory=list)
    engines: list[float] = field(default_factory=list)

    def take(
        self, ticks: int, *, floor: Callable[[], object], engine: Callable[[], object]
    ) -> None:
        """Time one run of each."""
        self.floors.append(ticks / _seconds(floor))
        self.engines.append(ticks / _seconds(engine))

    def row(self, count: int, instruments: int, mode: str, taken: int | None = None) -> Row:
        """Return medians, spread, and the ratio of the medians."""
        ticks, floor = statistics.median(self.engines), statistics.median(self.floors)
        return Row(
            count,
            instruments,
            mode,
            round(ticks),
            round(min(self.engines)),
            round(max(self.engines)),
            round(floor),
            ticks / floor,
            taken,
        )


def run(size: Size, *, as_json: bool) -> None:
    """Run the benchmark and print its rows."""
    rows = measure(size)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        _show(rows)


def measure(size: Size) -> list[Row]:
    """Return every row, in the order of the documentation."""
    rows = []
    for count, instruments in CONFIGURATIONS:
        rows.extend(_walk_rows(count, instruments, size))
    rows.extend(_account_row(count, instruments, size) for count, instruments in JUDGED)
    rows.append(_rally_row(size))
    rows.extend(_added_row(count, instruments, size.runs) for count, instruments in ADDED)
    rows.extend(_fired_row(count, size.runs) for count in FIRED)
    return rows


def _walk_rows(count: int, instruments: int, size: Size) -> list[Row]:
    """Play prices that reach no level: packet by packet, and in frames of many."""
    stage = TickStage(positions(count, instruments))
    stage.play(opening(instruments))
    published = stage.published_count
    levels = _levels(instruments)
    by_packet, by_batch = Timings(), Timings()
    times = -(-size.packets // PACKETS_AT_HAND)
    for second in range(0, 2 * size.runs, 2):
        packets = walk(PACKETS_AT_HAND, instruments, second) * times
        frames = _frames(walk(PACKETS_AT_HAND, instruments, second + 1)) * times
        by_packet.take(
            len(packets),
            floor=partial(count_crossed, packets, levels),
            engine=partial(stage.play, packets),
        )
        by_batch.take(
            len(packets),
            floor=partial(count_crossed_in_batches, frames, levels),
            engine=partial(stage.play, frames),
        )
    assert stage.published_count == published, "every price was quiet"
    taken = _bytes_per_position(count, instruments)
    return [
        by_packet.row(count, instruments, "packet", taken),
        by_batch.row(count, instruments, "batch", taken),
    ]


def _account_row(count: int, instruments: int, size: Size) -> Row:
    """Play the walk packet by packet where rules of the account look at every price."""
    stage = TickStage(positions(count, instruments), _ACCOUNT_RULES)
    stage.play(opening(instruments))
    timings = Timings()
    for second in range(size.runs):
        packets = walk(PACKETS_AT_HAND, instruments, second) * -(-size.packets // PACKETS_AT_HAND)
        timings.take(
            len(packets),
            floor=partial(count_crossed, packets, _levels(instruments)),
            engine=partial(stage.play, packets),
        )
    assert stage.fired_count == 0, "the walk reaches no level"
    return timings.row(count, instruments, "account")


def _rally_row(size: Size) -> Row:
    """Play a new high on every tick for many trailing stops on one instrument."""
    timings = Timings()
    trackers = positions(RALLY_POSITIONS, 1, _FAR_TARGET)
    packets = rally(min(size.packets, RALLY_TICKS_MAX))
    for _ in range(size.runs):
        stage = TickStage(trackers)
        stage.play(opening(1))
        timings.take(
            len(packets),
            floor=partial(count_crossed, packets, _levels(1)),
            engine=partial(_play_rally, stage, packets),
        )
        assert stage.fired_count == 0, "the rally reaches no target"
    return timings.row(RALLY_POSITIONS, 1, "new_high")


def _play_rally(stage: TickStage, packets: list[bytes]) -> None:
    began, durable = process_time(), 0
    for start in range(0, len(packets), RALLY_SLICE):
        stage.play(packets[start : start + RALLY_SLICE])
        due = int((process_time() - began) * DURABLE_PER_SECOND) - durable
        stage.make_durable(due)
        durable += due


def _added_row(count: int, instruments: int, runs: int) -> Row:
    """Take positions under watch."""
    trackers = positions(count, instruments)
    seconds = [_seconds(partial(TickStage, trackers)) for _ in range(runs)]
    return _seconds_row(count, instruments, "add", seconds)


def _fired_row(count: int, runs: int) -> Row:
    """Let one tick fire every position of one instrument."""
    trackers = [with_near_stop(tracker) for tracker in positions(count, 1)]
    seconds = []
    for _ in range(runs):
        stage = TickStage(trackers)
        stage.play([packet(0, 0)])
        seconds.append(_seconds(partial(stage.play, [packet(0, -1)])))
        assert stage.fired_count == count, "one tick fires them all"
    return _seconds_row(count, 1, "fire", seconds)


def _seconds_row(count: int, instruments: int, mode: str, seconds: list[float]) -> Row:
    median = statistics.median(seconds)
    return Row(
        count,
        instruments,
        mode,
        seconds=median,
        seconds_min=min(seconds),
        seconds_max=max(seconds),
    )


def _seconds(work: Callable[[], object]) -> float:
    """Return the processor time of this work: other programs on the machine count less."""
    began = process_time()
    work()
    return process_time() - began


def _bytes_per_position(count: int, instruments: int) -> int:
    """Return what one more position takes, beside its tracker: of twice as many less as many."""
    trackers = positions(2 * count, instruments)
    _bytes(trackers[:count], instruments)  # what is kept since the first time is nobody's share
    once, twice = (_bytes(trackers[:number], instruments) for number in (count, 2 * count))
    return round((twice - once) / count)


def _bytes(trackers: list[PositionTracker], instruments: int) -> int:
    gc.collect()  # nor is what the end of leftovers leaves behind
    tracemalloc.start()
    try:
        stage = TickStage(trackers)
        stage.play(opening(instruments))
        gc.collect()  # what is left over from building it is not held
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def _levels(instruments: int) -> Levels:
    """Return a level below and one above the walk for each instrument, no two the same."""
    return {
        FIRST_SECURITY_ID + number: (900.0 - number * TICK, 1_100.0 + number * TICK)
        for number in range(instruments)
    }


def _frames(packets: list[bytes]) -> list[bytes]:
    return [
        b"".join(packets[start : start + PACKETS_PER_FRAME])
        for start in range(0, len(packets), PACKETS_PER_FRAME)
    ]


def _show(rows: list[Row]) -> None:
    table = Table(title="Ticks: bytes in to decision out")
    for name in ("positions", "instruments", "mode", "ticks/s", "lowest", "floor/s", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("bytes a position", justify="right")
    table.add_column("ms", justify="right")
    for row in rows:
        table.add_row(
            _number(row.positions),
            _number(row.instruments),
            row.mode,
            _number(row.ticks_per_second),
            _number(row.ticks_per_second_min),
            _number(row.floor_ticks_per_second),
            "" if row.ratio is None else f"{row.ratio:.2f}",
            _number(row.bytes_per_position),
            "" if row.seconds is None else f"{row.seconds * 1e3:.1f}",
        )
    Console(highlight=False).print(table)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
