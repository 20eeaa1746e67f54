"""Recorded prices played as a live market feed, for paper trading and rehearsals.

Four file shapes, told apart by their first line (they are described beside the recordings):
1. `time,type,ltp,...,bid_price_1,...`: packets with depth; rows of another type than `full` hold no
   price;
2. `time,trading_symbol,last_price,volume_delta,...`: ticks;
3. `time,price` without a header: one value a second;
4. `date,open,high,low,close,volume`: candles, each played as four prices a quarter minute apart.

Times without an offset are IST. Prices are brought back to the tick: some files keep the float32
noise of the feed. Every tick is stamped with the time of its playing, so that prices are fresh.
"""

import asyncio
import csv
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import NoReturn

from squareoff.domain.errors import ConfigError, FeedDisconnected
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.prices import PriceUnits, units_from_decimal
from squareoff.domain.ticks import Tick
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND
from squareoff.ports import Clock, FeedConnected, FeedEvent

_CANDLE_STEP_NS = 15 * NANOSECONDS_PER_SECOND
_LOOP_PAUSE_NS = NANOSECONDS_PER_SECOND
"""Market time between the last step of a recording and its first one again."""

_Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One recorded price. Price units; `time_ns` is UTC, `volume` the day's so far in units."""

    time_ns: int
    last_traded_price: PriceUnits
    best_bid: PriceUnits | None = None
    best_ask: PriceUnits | None = None
    volume: int | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """One instrument's recorded steps, oldest first, at least one."""

    instrument_id: InstrumentId
    steps: tuple[RecordedStep, ...]


def read_recording(path: Path, instrument_id: InstrumentId, tick_size: Decimal) -> Recording:
    """Read one recorded file; `tick_size` is rupees.

    Raises:
        ConfigError: the file is missing, of no known shape, unreadable in a line, or empty.
    """
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            steps = tuple(_steps(lines, tick_size))
    except (OSError, ValueError, KeyError, InvalidOperation) as error:
        raise ConfigError(f"paper.ticks: {path.name} cannot be read: {error}") from error
    if not steps:
        raise ConfigError(f"paper.ticks: {path.name} holds no price")
    return Recording(instrument_id, tuple(sorted(steps, key=lambda step: step.time_ns)))


class ReplayFeed:
    """Fulfils `ports.MarketFeed` from recordings, each from its own first step at the start.

    Only watched instruments are published, as on the live feed; time passes for the others too. At
    the end of all recordings the feed stays connected and silent, unless it loops. A connection
    that ends and comes back goes on where it stopped.

    Args:
        recordings: what to play.
        clock: paces and stamps the ticks.
        speed: market seconds per second, above zero.
        is_looping: start each recording again at its end.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        clock: Clock,
        *,
        speed: float = 1.0,
        is_looping: bool = False,
    ) -> None:
        if not speed > 0:
            raise ConfigError(f"paper.speed must be above zero, was {speed}")
        self._clock = clock
        self._speed = speed
        self._played_ns = 0
        self._watched: set[InstrumentId] = set()
        self._ended = asyncio.Event()
        self._closed = asyncio.Event()
        offsets = [_offsets(recording, is_looping) for recording in recordings]
        self._script = heapq.merge(*offsets, key=lambda entry: entry[0])
        self._next = next(self._script, None)

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Publish these instruments from now on."""
        self._watched.update(instrument.instrument_id for instrument in instruments)

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Publish these no more."""
        self._watched.difference_update(instrument_ids)

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Play from where the last connection stopped, until closed.

        Raises:
            FeedDisconnected: always, in the end: `close` was called.
        """
        publish(FeedConnected())
        started_ns = self._clock.now().monotonic_ns
        resumed_ns = self._played_ns
        while self._next is not None and not self._closed.is_set():
            offset_ns, instrument_id, step = self._next
            due_ns = started_ns + round((offset_ns - resumed_ns) / self._speed)
            # Waits even when it is late, so that others act between any two ticks.
            behind_ns = self._clock.now().monotonic_ns - due_ns
            await self._clock.sleep(max(0, -behind_ns) / NANOSECONDS_PER_SECOND)
            self._played_ns = offset_ns
            self._next = next(self._script, None)
            if instrument_id in self._watched:
                publish(self._tick(instrument_id, step))
        await self._end()

    async def wait_until_played(self) -> None:
        """Wait for the last step of the last recording; for ever where the feed loops."""
        await self._ended.wait()

    def close(self) -> None:
        """End the connection and every later one, at the latest with the step that is next due."""
        self._closed.set()

    async def _end(self) -> NoReturn:
        if self._next is None:
            self._ended.set()
        await self._closed.wait()
        raise FeedDisconnected("the replay was closed")

    def _tick(self, instrument_id: InstrumentId, step: RecordedStep) -> Tick:
        now = self._clock.now()
        return Tick(
            instrument_id=instrument_id,
            last_traded_price=step.last_traded_price,
            exchange_time_ns=now.wall_ns,
            received_time_ns=now.wall_ns,
            received_monotonic_ns=now.monotonic_ns,
            best_bid=step.best_bid,
            best_ask=step.best_ask,
            volume=step.volume,
        )


def _offsets(
    recording: Recording, is_looping: bool
) -> Iterator[tuple[int, InstrumentId, RecordedStep]]:
    """Give (market nanoseconds since the start, instrument, step), for ever where it loops."""
    first_ns, last_ns = recording.steps[0].time_ns, recording.steps[-1].time_ns
    shift_ns = 0
    while True:
        for step in recording.steps:
            yield step.time_ns - first_ns + shift_ns, recording.instrument_id, step
        if not is_looping:
            return
        shift_ns += last_ns - first_ns + _LOOP_PAUSE_NS


def _steps(lines: Iterator[str], tick_size: Decimal) -> Iterator[RecordedStep]:
    first = next(lines, "")
    names = next(csv.reader([first]), [])
    if "ltp" in names:
        yield from _packet_steps(csv.DictReader(lines, names), tick_size)
    elif "last_price" in names:
        yield from _tick_steps(csv.DictReader(lines, names), tick_size)
    elif "open" in names:
        yield from _candle_steps(csv.DictReader(lines, names), tick_size)
    elif len(names) == 2 and names[0][:1].isdigit():
        for row in csv.reader(chain([first], lines)):
            yield RecordedStep(_time_ns(row[0]), _units(row[1], tick_size))
    else:
        raise ValueError(f"no known shape has the first line {first.strip()!r:.80}")


def _packet_steps(rows: Iterable[_Row], tick_size: Decimal) -> Iterator[RecordedStep]:
    for row in rows:
        if row["type"] == "full":
            yield RecordedStep(
                time_ns=_time_ns(row["time"]),
                last_traded_price=_units(row["ltp"], tick_size),
                best_bid=_units_or_none(row["bid_price_1"], tick_size),
                best_ask=_units_or_none(row["ask_price_1"], tick_size),
                volume=int(row["volume"]),
            )


def _tick_steps(rows: Iterable[_Row], tick_size: Decimal) -> Iterator[RecordedStep]:
    volume = 0
    for row in rows:
        volume += int(row["volume_delta"])
        price = _units(row["last_price"], tick_size)
        yield RecordedStep(_time_ns(row["time"]), price, volume=volume)


def _candle_steps(rows: Iterable[_Row], tick_size: Decimal) -> Iterator[RecordedStep]:
    volume = 0
    for row in rows:
        is_rising = Decimal(row["close"]) >= Decimal(row["open"])
        # The way through a candle is not recorded; the shorter one is taken.
        order = ("open", "low", "high", "close") if is_rising else ("open", "high", "low", "close")
        start_ns, volume = _time_ns(row["date"]), volume + int(row["volume"])
        for number, name in enumerate(order):
            price = _units(row[name], tick_size)
            yield RecordedStep(start_ns + number * _CANDLE_STEP_NS, price, volume=volume)


def _units_or_none(text: str, tick_size: Decimal) -> PriceUnits | None:
    """Return a depth price, None for an empty level."""
    return _units(text, tick_size) if text and Decimal(text) > 0 else None


def _units(text: str, tick_size: Decimal) -> PriceUnits:
    ticks = (Decimal(text) / tick_size).to_integral_value(rounding=ROUND_HALF_EVEN)
    if not ticks > 0:
        raise ValueError(f"a price must be above zero, was {text!r:.40}")
    return units_from_decimal(ticks * tick_size)


def _time_ns(text: str) -> int:
    # Python reads the offset `+00` only as `+00:00`.
    instant = datetime.fromisoformat(f"{text}:00" if text[-3:-2] in ("+", "-") else text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=IST)
    seconds = int(instant.replace(microsecond=0).timestamp())
    return seconds * NANOSECONDS_PER_SECOND + instant.microsecond * 1_000
