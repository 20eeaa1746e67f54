"""Recorded market data, played back: four file shapes become steps of the market.

Shapes, told apart by their first line (see the data's README for what each is):
1. `time,type,ltp,...,bid_price_1,...`: full packets with five levels of depth, and `oi` rows;
2. `time,trading_symbol,last_price,volume_delta,...,oi,...`: ticks;
3. `time,price` without a header: an index, one value a second;
4. `date,open,high,low,close,volume`: candles, each played as four prints.

Times without an offset are IST. Feed prices in float32 form are brought back to the tick.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path

from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND
from squareoff.exchange.book import Depth, DepthLevel
from squareoff.simulator.market import MarketUpdate

KNOWN_PREFIXES = {
    "nifty-fut": InstrumentId(ExchangeSegment.NSE_FNO, "49543"),
    "nifty-index": InstrumentId(ExchangeSegment.IDX_I, "13"),
    "reliance-eq": InstrumentId(ExchangeSegment.NSE_EQ, "2885"),
}
"""File names whose instrument is known without saying so."""

# A candle's four prints lie a quarter of a minute apart.
_CANDLE_STEP_NS = 15 * NANOSECONDS_PER_SECOND
_LEVELS = range(1, 6)
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class TickSource:
    """One `--ticks` argument: `[SEGMENT:ID=]PATH[#day=YYYY-MM-DD,start=HH:MM,end=HH:MM,loop]`."""

    path: Path
    instrument_id: InstrumentId
    day: date | None = None
    start: time | None = None
    end: time | None = None
    is_loop: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One instrument's recorded steps; `offsets_ns` are nanoseconds since its first step."""

    instrument_id: InstrumentId
    updates: tuple[MarketUpdate, ...]
    offsets_ns: tuple[int, ...]
    is_loop: bool = False

    @property
    def price_range(self) -> tuple[Decimal, Decimal] | None:
        """Lowest and highest last price, None without any."""
        prices = [u.last_price for u in self.updates if u.last_price is not None]
        return (min(prices), max(prices)) if prices else None


def parse_tick_source(text: str) -> TickSource:
    """Return what a `--ticks` argument names.

    A plain path finds its instrument in a sidecar file `PATH.instrument` (one line
    `SEGMENT:ID`), else by the file name's known beginnings.

    Raises:
        ConfigError: the argument cannot be understood, or the instrument is not known.
    """
    location, _, options = text.partition("#")
    named, separator, path_text = location.partition("=")
    if not separator:
        named, path_text = "", location
    path = Path(path_text)
    source = TickSource(path, _instrument_of(named) if named else _instrument_for(path))
    for option in filter(None, options.split(",")):
        source = _with_option(source, option, text)
    return source


def read_series(source: TickSource, tick_size: Decimal) -> Series:
    """Read one recorded file.

    Raises:
        ConfigError: the file is missing, of no known shape, or has a line that cannot be read.
    """
    try:
        with source.path.open(newline="", encoding="utf-8") as file:
            steps = list(_steps(file, source.instrument_id, tick_size))
    except (OSError, ValueError, KeyError, InvalidOperation) as error:
        raise ConfigError(f"ticks: {source.path.name} cannot be read: {error}") from error
    kept = [step for step in steps if _is_within(step, source)]
    if not kept:
        raise ConfigError(f"ticks: {source.path.name} holds no step in the asked range")
    first = kept[0].recorded_ns or 0
    offsets = tuple((step.recorded_ns or 0) - first for step in kept)
    return Series(source.instrument_id, tuple(kept), offsets, source.is_loop)


class Replay:
    """Plays several series side by side, each from its own first step at market time zero."""

    def __init__(self, series: Iterable[Series]) -> None:
        self.series = list(series)
        self._next = [0] * len(self.series)
        self._shift_ns = [0] * len(self.series)

    def next_due_ns(self) -> int | None:
        """Return the market time of the next step, None at the end of all series."""
        return min((due for due in map(self._due, range(len(self.series))) if due is not None),
                   default=None)  # fmt: skip

    def take_due(self, market_ns: int) -> list[MarketUpdate]:
        """Return the steps due at `market_ns`, in order of time, and move past them."""
        taken: list[tuple[int, int, MarketUpdate]] = []
        for index, series in enumerate(self.series):
            due = self._due(index)
            while due is not None and due <= market_ns:
                taken.append((due, index, series.updates[self._next[index]]))
                self._step(index)
                due = self._due(index)
        return [update for _, _, update in sorted(taken, key=lambda each: each[:2])]

    def rewind(self) -> None:
        """Go back to the start of every series."""
        self._next = [0] * len(self.series)
        self._shift_ns = [0] * len(self.series)

    def seek(self, market_ns: int) -> None:
        """Skip, unplayed, every step before `market_ns`."""
        self.rewind()
        self.take_due(market_ns - 1)

    def _due(self, index: int) -> int | None:
        position, series = self._next[index], self.series[index]
        if position >= len(series.updates):
            return None
        return self._shift_ns[index] + series.offsets_ns[position]

    def _step(self, index: int) -> None:
        series = self.series[index]
        self._next[index] += 1
        if series.is_loop and self._next[index] == len(series.updates):
            self._next[index] = 0
            self._shift_ns[index] += series.offsets_ns[-1] + NANOSECONDS_PER_SECOND


def _steps(
    file: Iterable[str], instrument_id: InstrumentId, tick_size: Decimal
) -> Iterator[MarketUpdate]:
    lines = iter(file)
    first = next(lines, "")
    names = next(csv.reader([first]), [])
    reader = _reader_for(names)
    if reader is None:
        rows = csv.reader(_chained(first, lines))
        yield from (_index_step(row, instrument_id) for row in rows if row)
        return
    volume = 0
    for row in csv.DictReader(lines, fieldnames=names):
        for step in reader(row, instrument_id, tick_size):
            volume += step.traded_quantity or 0
            is_counted = step.volume is not None or step.last_price is None
            yield step if is_counted else replace(step, volume=volume)


def _chained(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _reader_for(
    names: list[str],
) -> Callable[[Row, InstrumentId, Decimal], Iterator[MarketUpdate]] | None:
    if "ltp" in names:
        return _full_steps
    if "last_price" in names:
        return _tick_steps
    if "open" in names:
        return _candle_steps
    if len(names) == 2 and "-" in names[0]:
        return None
    raise ValueError(f"no known shape has the first line {','.join(names)!r}")


def _full_steps(
    row: Row, instrument_id: InstrumentId, tick_size: Decimal
) -> Iterator[MarketUpdate]:
    recorded_ns, interest = _time_ns(row["time"]), _whole(row["oi"])
    if row["type"] != "full":
        yield MarketUpdate(instrument_id, open_interest=interest, recorded_ns=recorded_ns)
        return
    yield MarketUpdate(
        instrument_id,
        last_price=_price(row["ltp"], tick_size),
        traded_quantity=_whole(row["ltq"]),
        volume=_whole(row["volume"]),
        open_interest=interest,
        depth=Depth(_levels(row, "bid", tick_size), _levels(row, "ask", tick_size)),
        recorded_ns=recorded_ns,
        average_price=round(Decimal(row["atp"]), 2),
        total_buy_quantity=_whole(row["total_buy_qty"]),
        total_sell_quantity=_whole(row["total_sell_qty"]),
        day_open=_price(row["open"], tick_size),
        day_high=_price(row["high"], tick_size),
        day_low=_price(row["low"], tick_size),
    )


def _levels(row: Row, side: str, tick_size: Decimal) -> tuple[DepthLevel, ...]:
    return tuple(
        DepthLevel(
            _price(row[f"{side}_price_{number}"], tick_size),
            _whole(row[f"{side}_qty_{number}"]),
            _whole(row.get(f"{side}_orders_{number}") or "1"),
        )
        for number in _LEVELS
        if row[f"{side}_price_{number}"]
    )


def _tick_steps(
    row: Row, instrument_id: InstrumentId, tick_size: Decimal
) -> Iterator[MarketUpdate]:
    yield MarketUpdate(
        instrument_id,
        last_price=_price(row["last_price"], tick_size),
        traded_quantity=_whole(row["volume_delta"]),
        open_interest=_whole(row["oi"]),
        recorded_ns=_time_ns(row["time"]),
    )


def _candle_steps(
    row: Row, instrument_id: InstrumentId, tick_size: Decimal
) -> Iterator[MarketUpdate]:
    is_rising = Decimal(row["close"]) >= Decimal(row["open"])
    order = ("open", "low", "high", "close") if is_rising else ("open", "high", "low", "close")
    start_ns, quarter = _time_ns(row["date"]), _whole(row["volume"]) // 4
    for number, name in enumerate(order):
        yield MarketUpdate(
            instrument_id,
            last_price=_price(row[name], tick_size),
            traded_quantity=quarter,
            recorded_ns=start_ns + number * _CANDLE_STEP_NS,
        )


def _index_step(row: list[str], instrument_id: InstrumentId) -> MarketUpdate:
    return MarketUpdate(instrument_id, last_price=Decimal(row[1]), recorded_ns=_time_ns(row[0]))


def _price(text: str, tick_size: Decimal) -> Decimal:
    """Return a recorded price on the tick grid: files keep the feed's float32 noise."""
    return round(Decimal(text) / tick_size) * tick_size


def _whole(text: str) -> int:
    return int(Decimal(text or "0"))


def _time_ns(text: str) -> int:
    padded = f"{text}:00" if text[-3] in "+-" else text
    instant = datetime.fromisoformat(padded)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=IST)
    whole = int(instant.replace(microsecond=0).timestamp())
    return whole * NANOSECONDS_PER_SECOND + instant.microsecond * 1_000


def _is_within(step: MarketUpdate, source: TickSource) -> bool:
    if source.day is None and source.start is None and source.end is None:
        return True
    instant = datetime.fromtimestamp((step.recorded_ns or 0) / NANOSECONDS_PER_SECOND, IST)
    is_other_day = source.day is not None and instant.date() != source.day
    is_early = source.start is not None and instant.time() < source.start
    is_late = source.end is not None and instant.time() > source.end
    return not (is_other_day or is_early or is_late)


def _instrument_of(text: str) -> InstrumentId:
    segment, _, security_id = text.strip().partition(":")
    try:
        return InstrumentId(ExchangeSegment(segment), str(int(security_id)))
    except ValueError as error:
        raise ConfigError(f"ticks: {text!r} is no SEGMENT:ID, such as NSE_FNO:49543") from error


def _instrument_for(path: Path) -> InstrumentId:
    sidecar = path.with_name(path.name + ".instrument")
    if sidecar.is_file():
        return _instrument_of(sidecar.read_text(encoding="utf-8"))
    for prefix, instrument_id in KNOWN_PREFIXES.items():
        if path.name.startswith(prefix):
            return instrument_id
    raise ConfigError(
        f"ticks: the instrument of {path.name} is not known; say SEGMENT:ID={path.name}"
    )


def _with_option(source: TickSource, option: str, text: str) -> TickSource:
    name, _, value = option.partition("=")
    try:
        match name:
            case "day":
                return replace(source, day=date.fromisoformat(value))
            case "start":
                return replace(source, start=time.fromisoformat(value))
            case "end":
                return replace(source, end=time.fromisoformat(value))
            case "loop":
                return replace(source, is_loop=True)
    except ValueError as error:
        raise ConfigError(f"ticks: {option!r} of {text!r} is no day or time of day") from error
    raise ConfigError(f"ticks: {text!r} has an unknown option {json.dumps(name)}")
