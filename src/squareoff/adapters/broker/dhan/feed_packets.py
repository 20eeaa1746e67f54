"""Packets of the binary market feed: their layouts, and what one tells of its instrument.

Source: dhanhq-v2.md 7.3 (header, sizes), 7.4 (bodies), 7.6 (LTT is the IST clock read as an epoch),
11.1 (segment numbers). Little-endian; prices are float32.
"""

import struct
from enum import Enum

from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.prices import PriceUnits, units_from_float32
from squareoff.domain.ticks import AHEAD_NS_MAX, Tick
from squareoff.domain.time import IST_OFFSET_SECONDS, NANOSECONDS_PER_SECOND, Now

SEGMENT_NUMBERS = {
    ExchangeSegment.IDX_I: 0,
    ExchangeSegment.NSE_EQ: 1,
    ExchangeSegment.NSE_FNO: 2,
    ExchangeSegment.NSE_CURRENCY: 3,
    ExchangeSegment.BSE_EQ: 4,
    ExchangeSegment.MCX_COMM: 5,
    ExchangeSegment.BSE_CURRENCY: 7,
    ExchangeSegment.BSE_FNO: 8,
}
SEGMENTS = frozenset(SEGMENT_NUMBERS.values())

HEADER = struct.Struct("<BHBI")
TICKER = struct.Struct("<BHBIfI")
DISCONNECT = struct.Struct("<BHBIH")

TICKER_CODE, QUOTE_CODE, FULL_CODE, DISCONNECT_CODE = 2, 4, 8, 50
PRICED_CODES = frozenset({TICKER_CODE, QUOTE_CODE, FULL_CODE})
SIZES = {2: 16, 3: 112, 4: 50, 5: 12, 6: 16, 7: 8, 8: 162, 50: 10}
"""Codes of known size: 3 is depth without a time (v1), 5 open interest, 6 previous close, 7 market
status. They make no event, but their sizes keep the walk in step."""

UNSIZED_CODES = frozenset({0, 1})
"""Heartbeat and index packet, without a published layout: skipped by their own length."""

EARLIEST_RAW_TIME = 946_684_800
"""Below this raw LTT (the year 2000) the instrument has not traded."""

RAW_TIME_OFFSET = IST_OFFSET_SECONDS
"""Seconds that a raw LTT is ahead of UTC."""

TIME_OFFSETS = {TICKER_CODE: 12, QUOTE_CODE: 14, FULL_CODE: 14}
DAY_RANGE_OFFSETS = {TICKER_CODE: 0, QUOTE_CODE: 42, FULL_CODE: 54}
"""Where the day's high and low stand, two float32; 0 where the packet has none."""

_DEPTH_OFFSET = 62
# Of a quote or full packet, and of a depth level, what makes a tick. A quote is <BHBIfHIfIIIffff, a
# full packet <BHBIfHIfIIIIIIffff and five depth levels of <IIHHff.
_PRICE_AND_VOLUME = struct.Struct("<8xf2xI4xI")
_BEST_LEVEL = struct.Struct("<12xff")
_DAY_RANGE = struct.Struct("<ff")


class NoTick(Enum):
    """Why a whole packet with a price makes no tick."""

    UNTRADED = "no trade yet"
    GARBLED = "no price or time"


def read_tick(
    frame: bytes, offset: int, instrument_id: InstrumentId, tick_units: int, now: Now
) -> Tick | NoTick:
    """Read the ticker, quote or full packet that begins at `offset` and is whole.

    Args:
        tick_units: the instrument's price step in price units.
        now: when the packet came.
    """
    volume: int | None = None
    bid: PriceUnits | None = None
    ask: PriceUnits | None = None
    code = frame[offset]
    if code == TICKER_CODE:
        _, _, _, _, raw_price, raw_time = TICKER.unpack_from(frame, offset)
    else:
        raw_price, raw_time, volume = _PRICE_AND_VOLUME.unpack_from(frame, offset)
    if raw_price == 0.0 or raw_time < EARLIEST_RAW_TIME:
        return NoTick.UNTRADED
    price = units_from_float32(raw_price, tick_units)
    exchange_time_ns = (raw_time - RAW_TIME_OFFSET) * NANOSECONDS_PER_SECOND
    if price is None or exchange_time_ns > now.wall_ns + AHEAD_NS_MAX:
        return NoTick.GARBLED
    if code == FULL_CODE:
        raw_bid, raw_ask = _BEST_LEVEL.unpack_from(frame, offset + _DEPTH_OFFSET)
        bid = units_from_float32(raw_bid, tick_units)
        ask = units_from_float32(raw_ask, tick_units)
    return Tick(
        instrument_id, price, exchange_time_ns, now.wall_ns, now.monotonic_ns, bid, ask, volume
    )


def day_of(packet: bytes) -> bytes:
    """Return the day's high and low of a whole quote or full packet, eight bytes."""
    start = DAY_RANGE_OFFSETS[packet[0]]
    return packet[start : start + _DAY_RANGE.size]


def read_day_range(day: bytes, tick_units: int) -> tuple[PriceUnits, PriceUnits] | None:
    """Return the day's high and low from their eight bytes, None where they are none."""
    raw_high, raw_low = _DAY_RANGE.unpack(day)
    high, low = units_from_float32(raw_high, tick_units), units_from_float32(raw_low, tick_units)
    return None if high is None or low is None or high < low else (high, low)
