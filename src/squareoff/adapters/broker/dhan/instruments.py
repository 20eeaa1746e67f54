"""Read the broker's detailed instrument master (CSV) into instruments.

Source: dhanhq-v2.md 8.2. The real header ends with a comma (an empty last column); sizes are
written as floats (`75.0`), ticks are in paise, circuit limits in rupees, and `SM_FREEZE_QTY` is
the first refused quantity: NIFTY's 1756 at a lot of 65 is 27 lots + 1 (seen 2026-08-26).

Rules:
1. A file without the needed columns, without rows, or with more than `BAD_ROWS_SHARE_MAX` of
   unreadable rows is corrupt: `ConfigError` names it and what is wrong.
2. A single unreadable row is skipped and counted. Its instrument is then unknown, never guessed.
   What an order can do without (circuit limits, freeze quantity) is left out where it makes no
   sense, and costs nothing else.
3. Rows of segments nobody asked for are passed over before anything is parsed: the file has some
   200,000 rows.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

from squareoff.adapters.broker.dhan.wire import SEGMENTS_BY_LETTER
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE, decimal_from_units, decimal_text

BAD_ROWS_SHARE_MAX = 0.02
"""A healthy file has a handful of odd rows in 200,000; two in a hundred means the format moved."""

PAISE_PER_RUPEE = 100

_NEEDED_COLUMNS = (
    "EXCH_ID",
    "SEGMENT",
    "SECURITY_ID",
    "INSTRUMENT",
    "SYMBOL_NAME",
    "LOT_SIZE",
    "TICK_SIZE",
)
_OPTIONAL_COLUMNS = ("DISPLAY_NAME", "SM_UPPER_LIMIT", "SM_LOWER_LIMIT", "SM_FREEZE_QTY")
# The largest lots are of some penny options (tens of thousands); beyond this a column has slipped.
_LOT_SIZE_MAX = 10_000_000
_FREEZE_MAX = 10_000_000_000
# Steps at Indian exchanges run from 0.0025 (currency) to a few rupees (some commodities).
_TICK_SIZE_MIN = Decimal("0.0001")
_TICK_SIZE_MAX = Decimal(1_000)
_INDEX_TICK_SIZE = Decimal("0.01")
_DIGITS_MAX = 15
_FAULTS_SHOWN = 3
# A few hundred distinct lots, ticks and freeze quantities fill 200,000 rows: read each once.
_DISTINCT_MAX = 4_096


class _BadRow(Exception):
    """One row cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class InstrumentMaster:
    """The instruments of one file; fulfils `ports.InstrumentSource`.

    `skipped_count` rows of wanted segments were unreadable. `is_today` is False where a file of an
    earlier day had to do: circuit limits are then left out, for they hold for their day only.
    """

    instruments: Mapping[InstrumentId, Instrument]
    skipped_count: int = 0
    is_today: bool = True

    def get(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return the instrument, or None where the master does not hold it."""
        return self.instruments.get(instrument_id)

    def __len__(self) -> int:
        return len(self.instruments)


def read_master_file(
    path: Path,
    segments: Iterable[ExchangeSegment] | None = None,
    *,
    is_today: bool = True,
) -> InstrumentMaster:
    """Read a master file; blocking, some seconds for the whole of it.

    Args:
        segments: the segments wanted; None means all.
        is_today: whether the file is of today, so that its circuit limits hold.

    Raises:
        ConfigError: the file cannot be read or is corrupt (rule 1).
    """
    name = f"instruments file {path.name}"
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return read_master(lines, segments, name=name, is_today=is_today)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"instruments: {path} could not be read ({type(error).__name__}: {error})"
        ) from error


def read_master(
    lines: Iterable[str],
    segments: Iterable[ExchangeSegment] | None = None,
    *,
    name: str,
    is_today: bool = True,
) -> InstrumentMaster:
    """Read a master from its lines; see `read_master_file`.

    Raises:
        ConfigError: the content is corrupt (rule 1).
    """
    wanted = frozenset(ExchangeSegment if segments is None else segments)
    rows = csv.reader(lines)
    columns = _columns_of(next(rows, []), name)
    instruments: dict[InstrumentId, Instrument] = {}
    faults: list[str] = []
    fault_count = row_count = 0
    for number, row in enumerate(rows, start=2):
        if not any(row):
            continue
        segment = _segment_of(row, columns)
        if segment is None or segment not in wanted:
            continue
        row_count += 1
        try:
            instrument = _read_row(segment, row, columns, is_today)
        except _BadRow as error:
            fault_count += 1
            if len(faults) < _FAULTS_SHOWN:
                faults.append(f"line {number}: {error}")
            continue
        instruments[instrument.instrument_id] = instrument
    _refuse_corrupt(name, row_count, fault_count, faults)
    return InstrumentMaster(instruments, fault_count, is_today)


def _columns_of(header: Sequence[str], name: str) -> dict[str, int]:
    columns = {title.strip().upper(): place for place, title in enumerate(header)}
    missing = [title for title in _NEEDED_COLUMNS if title not in columns]
    if missing:
        raise ConfigError(
            f"instruments: {name} is no detailed instrument master, "
            f"it lacks the columns {', '.join(missing)}"
        )
    known = (*_NEEDED_COLUMNS, *_OPTIONAL_COLUMNS)
    return {title: place for title, place in columns.items() if title in known}


def _refuse_corrupt(name: str, row_count: int, fault_count: int, faults: Sequence[str]) -> None:
    if row_count == 0:
        raise ConfigError(f"instruments: {name} holds no rows of the wanted segments")
    if fault_count > max(1, row_count * BAD_ROWS_SHARE_MAX) or fault_count == row_count:
        raise ConfigError(
            f"instruments: {name} is corrupt, {fault_count} of {row_count} rows cannot be read: "
            + "; ".join(faults)
        )


def _segment_of(row: Sequence[str], columns: Mapping[str, int]) -> ExchangeSegment | None:
    exchange, letter = _cell(row, columns, "EXCH_ID"), _cell(row, columns, "SEGMENT")
    if letter == "I":
        return ExchangeSegment.IDX_I
    return SEGMENTS_BY_LETTER.get((exchange, letter))


def _read_row(
    segment: ExchangeSegment, row: Sequence[str], columns: Mapping[str, int], is_today: bool
) -> Instrument:
    security_id = _cell(row, columns, "SECURITY_ID")
    if not (security_id.isascii() and security_id.isdecimal()):
        raise _BadRow(f"SECURITY_ID must be digits, was {security_id!r:.40}")
    if not segment.is_tradable:
        return _index_value(security_id, row, columns)
    lot_size = _lot_size_of(_cell(row, columns, "LOT_SIZE"))
    lower, upper = _circuits_of(row, columns) if is_today else (None, None)
    return Instrument(
        instrument_id=InstrumentId(segment, security_id),
        trading_symbol=_symbol_of(row, columns),
        lot_size=lot_size,
        tick_size=_tick_size_of(_cell(row, columns, "TICK_SIZE")),
        freeze_quantity=_freeze_quantity_of(_cell(row, columns, "SM_FREEZE_QTY"), lot_size),
        lower_circuit=lower,
        upper_circuit=upper,
        instrument_type=_cell(row, columns, "INSTRUMENT"),
    )


def _index_value(security_id: str, row: Sequence[str], columns: Mapping[str, int]) -> Instrument:
    """Index rows have odd ticks and lots; nothing is ordered with them, so fixed ones do."""
    return Instrument(
        instrument_id=InstrumentId(ExchangeSegment.IDX_I, security_id),
        trading_symbol=_symbol_of(row, columns),
        lot_size=1,
        tick_size=_INDEX_TICK_SIZE,
        instrument_type=_cell(row, columns, "INSTRUMENT"),
    )


def _symbol_of(row: Sequence[str], columns: Mapping[str, int]) -> str:
    return _cell(row, columns, "SYMBOL_NAME") or _cell(row, columns, "DISPLAY_NAME")


@lru_cache(_DISTINCT_MAX)
def _lot_size_of(text: str) -> int:
    lot_size = _number_of("LOT_SIZE", text)
    if lot_size != lot_size.to_integral_value() or not 1 <= lot_size <= _LOT_SIZE_MAX:
        raise _BadRow(f"LOT_SIZE must be a whole number from 1, was {text!r:.40}")
    return int(lot_size)


@lru_cache(_DISTINCT_MAX)
def _tick_size_of(text: str) -> Decimal:
    """Return the price step in rupees; the file's figure is paise (`5.0000` is 0.05)."""
    tick_size = _number_of("TICK_SIZE", text) / PAISE_PER_RUPEE
    units = tick_size * PRICE_UNITS_PER_RUPEE
    is_plausible = _TICK_SIZE_MIN <= tick_size <= _TICK_SIZE_MAX
    if not is_plausible or units != units.to_integral_value():
        raise _BadRow(f"TICK_SIZE must be paise of a price step, was {text!r:.40}")
    return decimal_from_units(int(units))


@lru_cache(_DISTINCT_MAX)
def _freeze_quantity_of(text: str, lot_size: int) -> int | None:
    """Return the most units of one order: one below the first refused, in whole lots.

    None for what cannot be one: a position without its instrument cannot be watched, and one lot
    an order would make hundreds of orders of an exit. What is refused for its size is sent smaller.
    """
    try:
        first_refused = _number_of("SM_FREEZE_QTY", text)
    except _BadRow:
        return None
    if first_refused != first_refused.to_integral_value():
        return None
    limit = (int(first_refused) - 1) // lot_size * lot_size
    return limit if 1 <= limit <= _FREEZE_MAX else None


def _circuits_of(
    row: Sequence[str], columns: Mapping[str, int]
) -> tuple[Decimal | None, Decimal | None]:
    """Return the day's limits in rupees; both or none (0 and crossed pairs mean none)."""
    try:
        lower = _number_of("SM_LOWER_LIMIT", _cell(row, columns, "SM_LOWER_LIMIT"))
        upper = _number_of("SM_UPPER_LIMIT", _cell(row, columns, "SM_UPPER_LIMIT"))
    except _BadRow:
        return None, None
    if not 0 < lower < upper:
        return None, None
    return _price(lower), _price(upper)


def _price(number: Decimal) -> Decimal:
    return Decimal(decimal_text(number))


def _number_of(title: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number.adjusted() > _DIGITS_MAX:
        raise _BadRow(f"{title} must be a number, was {text!r:.40}")
    return number


def _cell(row: Sequence[str], columns: Mapping[str, int], title: str) -> str:
    place = columns.get(title)
    return row[place].strip() if place is not None and place < len(row) else ""
