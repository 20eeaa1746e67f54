"""Recordings of the feed as steps of the market, for the simulator and for paper trading.

Each packet becomes a step at its receipt, with all five levels of depth; prices are brought back
to the tick that the recording names. Packets of instruments whose terms are not in it are left out,
and so is the rest of a frame behind a packet that cannot be read: the engine's own decoder, which a
replay uses, is the one that finds its way through damage.
"""

import struct
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from squareoff.adapters.broker.dhan.feed_packets import SEGMENT_NUMBERS
from squareoff.adapters.feed_recording.feed_file import FeedFile
from squareoff.adapters.feed_recording.records import FeedRecord, RecordKind, instrument_of
from squareoff.adapters.recordings import RecordedStep, Recording
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.prices import decimal_from_units, units_from_float32
from squareoff.exchange.book import Depth, DepthLevel

_HEADER = struct.Struct("<BHBI")
_TICKER = struct.Struct("<8xfI")
_QUOTE = struct.Struct("<8xfHIfIIIffff")
_FULL = struct.Struct("<8xfHIfIIIIIIffff")
_INTEREST = struct.Struct("<8xI")
_LEVEL = struct.Struct("<IIHHff")
_DEPTH_OFFSET, _LEVELS = 62, 5
_SIZES = {2: 16, 3: 112, 4: 50, 5: 12, 6: 16, 7: 8, 8: 162, 50: 10}
_SEGMENTS = {number: segment for segment, number in SEGMENT_NUMBERS.items()}


def read_feed_recordings(path: Path, *, setting: str) -> tuple[tuple[Recording, Instrument], ...]:
    """Return what a recording of the feed holds, by instrument, all from one common beginning.

    Raises:
        ConfigError: the file cannot be read, or holds no price.
    """
    steps: dict[InstrumentId, list[RecordedStep]] = {}
    terms: dict[InstrumentId, Instrument] = {}
    begin_ns: int | None = None
    for record in FeedFile(path).records():
        if record.kind is RecordKind.INSTRUMENT:
            _take_terms(path, record, terms)
        elif record.kind is RecordKind.FRAME:
            begin_ns = record.received.wall_ns if begin_ns is None else begin_ns
            for instrument_id, step in _steps(record, terms):
                steps.setdefault(instrument_id, []).append(step)
    found = tuple(
        (Recording(instrument_id, tuple(each), begin_ns=begin_ns), terms[instrument_id])
        for instrument_id, each in steps.items()
        if any(step.last_price is not None for step in each)
    )
    if not found:
        raise ConfigError(f"{setting}: {path.name} holds no price")
    return found


def _take_terms(path: Path, record: FeedRecord, terms: dict[InstrumentId, Instrument]) -> None:
    try:
        instrument = instrument_of(record)
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise ConfigError(f"{path.name}: an instrument's terms make no sense: {error!r}") from error
    terms[instrument.instrument_id] = instrument


def _steps(
    record: FeedRecord, terms: dict[InstrumentId, Instrument]
) -> Iterator[tuple[InstrumentId, RecordedStep]]:
    frame, offset = record.payload, 0
    while offset + _HEADER.size <= len(frame):
        code, _, segment, security_id = _HEADER.unpack_from(frame, offset)
        size = _SIZES.get(code, 0)
        if size == 0 or offset + size > len(frame) or segment not in _SEGMENTS:
            return
        instrument = terms.get(InstrumentId(_SEGMENTS[segment], str(security_id)))
        if instrument is not None:
            packet = frame[offset : offset + size]
            step = _step(code, packet, record.received.wall_ns, instrument)
            if step is not None:
                yield instrument.instrument_id, step
        offset += size


def _step(code: int, packet: bytes, time_ns: int, instrument: Instrument) -> RecordedStep | None:
    match code:
        case 2:
            price = _price(_TICKER.unpack_from(packet)[0], instrument)
            return None if price is None else RecordedStep(time_ns, last_price=price)
        case 4:
            return _traded(time_ns, _QUOTE.unpack_from(packet), instrument)
        case 5:
            return RecordedStep(time_ns, open_interest=_INTEREST.unpack_from(packet)[0])
        case 8:
            fields = _FULL.unpack_from(packet)
            # Three fields of open interest stand between the totals and the day's prices.
            traded = fields[:7] + fields[10:]
            depth = _depth(packet, instrument)
            return _traded(time_ns, traded, instrument, interest=fields[7], depth=depth)
        case _:
            return None


def _traded(
    time_ns: int,
    fields: tuple[float, ...],
    instrument: Instrument,
    *,
    interest: int | None = None,
    depth: Depth | None = None,
) -> RecordedStep | None:
    price = _price(fields[0], instrument)
    if price is None:
        return None
    average, total_sell, total_buy = fields[3], int(fields[5]), int(fields[6])
    return RecordedStep(
        time_ns,
        last_price=price,
        traded_quantity=int(fields[1]),
        volume=int(fields[4]),
        open_interest=interest,
        depth=depth,
        average_price=round(Decimal(average), 2) if 0 < average < float("inf") else None,
        total_buy_quantity=total_buy,
        total_sell_quantity=total_sell,
        day_open=_price(fields[7], instrument),
        day_high=_price(fields[9], instrument),
        day_low=_price(fields[10], instrument),
    )


def _depth(packet: bytes, instrument: Instrument) -> Depth:
    rows = [
        _LEVEL.unpack_from(packet, _DEPTH_OFFSET + number * _LEVEL.size)
        for number in range(_LEVELS)
    ]
    bids = _side(((row[4], row[0], row[2]) for row in rows), instrument)
    asks = _side(((row[5], row[1], row[3]) for row in rows), instrument)
    return Depth(bids, asks)


def _side(rows: Iterable[tuple[float, int, int]], instrument: Instrument) -> tuple[DepthLevel, ...]:
    levels = []
    for raw, quantity, orders in rows:
        price = _price(raw, instrument)
        if price is not None and quantity > 0:
            levels.append(DepthLevel(price, quantity, orders))
    return tuple(levels)


def _price(raw: float, instrument: Instrument) -> Decimal | None:
    units = units_from_float32(raw, instrument.tick_units)
    return None if units is None else decimal_from_units(units)
