"""Recorded prices, read from files: four shapes become steps of one kind, in order of time.

The shapes, told apart by their first line:
1. `time,type,ltp,...,bid_price_1,...`: packets with up to five levels of depth; a row of another
   type than `full` brings open interest alone;
2. `time,trading_symbol,last_price,volume_delta,...`: ticks;
3. `time,price` without a header: an index, one value a second;
4. `date,open,high,low,close,volume`: candles, each played as four prices a quarter minute apart.

A file whose name ends in `.gz` is unpacked as it is read. Times without an offset are IST. Prices
are brought back to the tick: some files keep the float32 noise of the feed.

Invariants:
1. A file that was read has at least one price, and every price is above zero.
2. A row that makes no sense, or is cut short, refuses the whole file: nothing is guessed.
"""

import csv
import gzip
import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import chain
from pathlib import Path
from typing import TextIO

from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND, ns_from_datetime
from squareoff.exchange.book import Depth, DepthLevel

_CANDLE_STEP_NS = 15 * NANOSECONDS_PER_SECOND
"""A candle's four prices lie a quarter of a minute apart."""
_LOOP_PAUSE_NS = NANOSECONDS_PER_SECOND
"""Market time between the last step of a recording and its first one again."""
_LEVELS = range(1, 6)
_UNREADABLE = (
    OSError, EOFError, zlib.error, csv.Error, ValueError, KeyError, ArithmeticError,
)  # fmt: skip

_Row = Mapping[str, str]
_Reader = Callable[[Iterable[_Row], Decimal], Iterator["RecordedStep"]]


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One moment of a recording. None: not recorded. Rupees, units; `time_ns` is UTC.

    `traded_quantity` is the size of this print, `volume` the day's so far. `last_price` is None
    where the row brings something else than a price. Depth leaves empty levels out.
    """

    time_ns: int
    last_price: Decimal | None = None
    traded_quantity: int | None = None
    volume: int | None = None
    open_interest: int | None = None
    depth: Depth | None = None
    average_price: Decimal | None = None
    total_buy_quantity: int | None = None
    total_sell_quantity: int | None = None
    day_open: Decimal | None = None
    day_high: Decimal | None = None
    day_low: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """One instrument's recorded steps, oldest first, at least one.

    Where `is_looping` holds, play starts again at the end, a second after the last step.
    `begin_ns` is when play begins, None for the first step: recordings of several instruments that
    were made together begin together.
    """

    instrument_id: InstrumentId
    steps: tuple[RecordedStep, ...]
    is_looping: bool = False
    begin_ns: int | None = None

    @property
    def offsets_ns(self) -> tuple[int, ...]:
        """Nanoseconds since the beginning of play, one for each step."""
        first_ns = self.steps[0].time_ns if self.begin_ns is None else self.begin_ns
        return tuple(step.time_ns - first_ns for step in self.steps)

    @property
    def prices(self) -> tuple[Decimal, ...]:
        """The last prices in order, rupees."""
        return tuple(step.last_price for step in self.steps if step.last_price is not None)


@dataclass(frozen=True, slots=True)
class PlayedStep:
    """One step in its place among others; `market_ns` is nanoseconds since the start of play."""

    market_ns: int
    instrument_id: InstrumentId
    step: RecordedStep


def read_recording(
    path: Path, instrument_id: InstrumentId, tick_size: Decimal, *, setting: str
) -> Recording:
    """Read one recorded file.

    Args:
        path: the file.
        instrument_id: whose prices it holds; the shapes do not say so.
        tick_size: rupees.
        setting: which setting named the file, for the refusal.

    Raises:
        ConfigError: the file is missing, of no known shape, unreadable in a line, or has no price.
    """
    try:
        with _opened(path) as lines:
            steps = sorted(_steps(lines, tick_size), key=lambda step: step.time_ns)
    except _UNREADABLE as error:
        raise ConfigError(f"{setting}: {path.name} cannot be read: {error}") from error
    recording = Recording(instrument_id, tuple(steps))
    if not recording.prices:
        raise ConfigError(f"{setting}: {path.name} holds no price")
    return recording


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8")
    return path.open(newline="", encoding="utf-8")


def play_side_by_side(recordings: Iterable[Recording]) -> Iterator[PlayedStep]:
    """Return all steps in order of market time, each recording from its own first step at zero.

    Steps of one instant come in the order of `recordings`. Without end where one of them loops.
    """
    return heapq.merge(*map(_played, recordings), key=lambda played: played.market_ns)


def _played(recording: Recording) -> Iterator[PlayedStep]:
    offsets_ns, start_ns = recording.offsets_ns, 0
    while True:
        for offset_ns, step in zip(offsets_ns, recording.steps, strict=True):
            yield PlayedStep(start_ns + offset_ns, recording.instrument_id, step)
        if not recording.is_looping:
            return
        start_ns += offsets_ns[-1] + _LOOP_PAUSE_NS


def _steps(lines: Iterator[str], tick_size: Decimal) -> Iterator[RecordedStep]:
    first = next(lines, "")
    names = next(csv.reader([first]), [])
    if len(names) == 2 and names[0][:1].isdigit():
        rows = _complete_rows(csv.DictReader(chain([first], lines), ("time", "price")))
        return _index_steps(rows, tick_size)
    return _reader_for(names)(_complete_rows(csv.DictReader(lines, names)), tick_size)


def _reader_for(names: list[str]) -> _Reader:
    for shape in _SHAPES:
        if shape.sign in names:
            if missing := [name for name in shape.columns if name not in names]:
                raise ValueError(f"{shape.plural} must have the columns {', '.join(missing)}")
            return shape.reader
    raise ValueError(f"no known shape has the first line {','.join(names)!r:.80}")


def _complete_rows(rows: Iterable[dict[str, str]]) -> Iterator[_Row]:
    for row in rows:
        if None in row.values():
            raise ValueError(f"a row is cut short: {','.join(filter(None, row.values()))!r:.80}")
        yield row


def _packet_steps(rows: Iterable[_Row], tick_size: Decimal) -> Iterator[RecordedStep]:
    for row in rows:
        time_ns, interest = _time_ns(row["time"]), _whole_or_none(row, "oi")
        if row["type"] != "full":
            yield RecordedStep(time_ns, open_interest=interest)
            continue
        average = row.get("atp")
        yield RecordedStep(
            time_ns,
            last_price=_price(row["ltp"], tick_size),
            traded_quantity=_whole_or_none(row, "ltq"),
            volume=_whole(row["volume"]),
            open_interest=interest,
            depth=Depth(_levels(row, "bid", tick_size), _levels(row, "ask", tick_size)),
            average_price=round(Decimal(average), 2) if average else None,
            total_buy_quantity=_whole_or_none(row, "total_buy_qty"),
            total_sell_quantity=_whole_or_none(row, "total_sell_qty"),
            day_open=_price_or_none(row, "open", tick_size),
            day_high=_price_or_none(row, "high", tick_size),
            day_low=_price_or_none(row, "low", tick_size),
        )


def _levels(row: _Row, side: str, tick_size: Decimal) -> tuple[DepthLevel, ...]:
    levels = []
    for number in _LEVELS:
        price = _price_or_none(row, f"{side}_price_{number}", tick_size)
        if price is not None:
            orders = _whole_or_none(row, f"{side}_orders_{number}")
            quantity = _whole(row[f"{side}_qty_{number}"])
            levels.append(DepthLevel(price, quantity, 1 if orders is None else orders))
    return tuple(levels)


def _tick_steps(rows: Iterable[_Row], tick_size: Decimal) -> Iterator[RecordedStep]:
    volume = 0
    for row in rows:
        traded = _whole(row["volume_delta"])
        volume += traded
        yield RecordedStep(
            _time_ns(row["time"]),
            last_price=_price(row["last_price"], tick_size),
            traded_quantity=traded,
            volume=volume,
            open_interest=_whole_or_none(row, "oi"),
        )


def _candle_steps(rows: Iterable[_Row], tick_size: Decimal) -> Iterator[RecordedStep]:
    volume = 0
    for row in rows:
        is_rising = Decimal(row["close"]) >= Decimal(row["open"])
        # The way through a candle is not recorded; the shorter one is taken.
        order = ("open", "low", "high", "close") if is_rising else ("open", "high", "low", "close")
        start_ns, quarter = _time_ns(row["date"]), _whole(row["volume"]) // 4
        for number, name in enumerate(order):
            volume += quarter
            yield RecordedStep(
                start_ns + number * _CANDLE_STEP_NS,
                last_price=_price(row[name], tick_size),
                traded_quantity=quarter,
                volume=volume,
            )


def _index_steps(rows: Iterable[_Row], tick_size: Decimal) -> Iterator[RecordedStep]:
    for row in rows:
        yield RecordedStep(_time_ns(row["time"]), last_price=_price(row["price"], tick_size))


@dataclass(frozen=True, slots=True)
class _Shape:
    """A kind of file with a header: the column that gives it away, and all it must have."""

    plural: str
    sign: str
    columns: tuple[str, ...]
    reader: _Reader


_SHAPES = (
    _Shape(
        "packets",
        "ltp",
        ("time", "type", "volume", "bid_price_1", "bid_qty_1", "ask_price_1", "ask_qty_1"),
        _packet_steps,
    ),
    _Shape("ticks", "last_price", ("time", "volume_delta"), _tick_steps),
    _Shape("candles", "open", ("date", "high", "low", "close", "volume"), _candle_steps),
)


def _price(text: str, tick_size: Decimal) -> Decimal:
    ticks = (Decimal(text) / tick_size).to_integral_value(rounding=ROUND_HALF_EVEN)
    if not (ticks.is_finite() and ticks > 0):
        raise ValueError(f"a price must be above zero, was {text!r:.40}")
    return int(ticks) * tick_size  # a whole number times the tick keeps the tick's decimals


def _price_or_none(row: _Row, name: str, tick_size: Decimal) -> Decimal | None:
    """Return a price that may be missing: no column, nothing in it, or zero."""
    text = row.get(name)
    return _price(text, tick_size) if text and Decimal(text) != 0 else None


def _whole(text: str) -> int:
    number = Decimal(text)
    if number != int(number):
        raise ValueError(f"a quantity must be whole, was {text!r:.40}")
    return int(number)


def _whole_or_none(row: _Row, name: str) -> int | None:
    text = row.get(name)
    return _whole(text) if text else None


def _time_ns(text: str) -> int:
    # Python reads the offset `+00` only as `+00:00`.
    instant = datetime.fromisoformat(f"{text}:00" if text[-3:-2] in ("+", "-") else text)
    return ns_from_datetime(instant if instant.tzinfo else instant.replace(tzinfo=IST))
