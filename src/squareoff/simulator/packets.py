"""Binary packets of the market feed, encoded from dhanhq-v2.md 7.3 - 7.4 (little-endian).

Independent of the client's decoder on purpose: two readings of one sheet check each other.
Prices are float32 on the wire; quantities that do not fit their field are cut to its largest value.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.instruments import ExchangeSegment
from squareoff.exchange.book import Depth, DepthLevel

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
"""Dhanhq-v2.md 11.1."""

HEARTBEAT, INDEX, TICKER, QUOTE, OPEN_INTEREST, PREVIOUS_CLOSE, STATUS, FULL, DISCONNECT = (
    0, 1, 2, 4, 5, 6, 7, 8, 50,
)  # fmt: skip
HEADER_BYTES = 8
DEPTH_LEVELS = 5
EMPTY_DEPTH = Depth((), ())
_EMPTY_LEVEL = DepthLevel(Decimal(0), 0, 0)


@dataclass(frozen=True, slots=True)
class FeedImage:
    """All that a packet can say of one instrument. Rupees, units; LTT is raw wire seconds."""

    exchange_segment: ExchangeSegment
    security_id: str
    last_price: float
    last_trade_time: int
    last_quantity: int = 0
    average_price: Decimal = Decimal(0)
    volume: int = 0
    total_sell_quantity: int = 0
    total_buy_quantity: int = 0
    open_interest: int = 0
    open_interest_high: int = 0
    open_interest_low: int = 0
    day_open: Decimal = Decimal(0)
    close: Decimal = Decimal(0)
    day_high: Decimal = Decimal(0)
    day_low: Decimal = Decimal(0)
    depth: Depth = EMPTY_DEPTH


def ticker_packet(image: FeedImage, *, code: int = TICKER) -> bytes:
    """Return the 16 bytes of a ticker packet."""
    body = struct.pack("<fI", image.last_price, image.last_trade_time)
    return _packet(code, image.exchange_segment, image.security_id, body)


def previous_close_packet(image: FeedImage) -> bytes:
    """Return the 16 bytes of a previous-close packet: close and previous day's open interest."""
    body = struct.pack("<fI", float(image.close), _u32(image.open_interest))
    return _packet(PREVIOUS_CLOSE, image.exchange_segment, image.security_id, body)


def open_interest_packet(image: FeedImage) -> bytes:
    """Return the 12 bytes of an open-interest packet."""
    body = struct.pack("<I", _u32(image.open_interest))
    return _packet(OPEN_INTEREST, image.exchange_segment, image.security_id, body)


def status_packet(exchange_segment: ExchangeSegment) -> bytes:
    """Return the 8 bytes of a market-status packet: a header alone."""
    return _packet(STATUS, exchange_segment, "0", b"")


def heartbeat_packet() -> bytes:
    """Return a code-0 packet, seen and undocumented."""
    return _packet(HEARTBEAT, ExchangeSegment.IDX_I, "0", b"")


def disconnect_packet(reason: int) -> bytes:
    """Return the 10 bytes of a disconnect packet with its reason (800-814)."""
    return _packet(DISCONNECT, ExchangeSegment.IDX_I, "0", struct.pack("<H", reason))


def quote_packet(image: FeedImage) -> bytes:
    """Return the 50 bytes of a quote packet; total sell quantity comes before total buy."""
    body = _trading_part(image) + _day_part(image)
    return _packet(QUOTE, image.exchange_segment, image.security_id, body)


def full_packet(image: FeedImage) -> bytes:
    """Return the 162 bytes of a full packet: quote, open interest and five levels of depth."""
    interest = struct.pack(
        "<III",
        _u32(image.open_interest),
        _u32(image.open_interest_high),
        _u32(image.open_interest_low),
    )
    body = _trading_part(image) + interest + _day_part(image) + depth_part(image.depth)
    return _packet(FULL, image.exchange_segment, image.security_id, body)


def depth_part(depth: Depth) -> bytes:
    """Return five levels of 20 bytes each, best first; empty levels are zeros."""
    parts = []
    for index in range(DEPTH_LEVELS):
        bid, ask = _level(depth.bids, index), _level(depth.asks, index)
        parts.append(
            struct.pack(
                "<IIHHff",
                _u32(bid.quantity),
                _u32(ask.quantity),
                _u16(bid.orders),
                _u16(ask.orders),
                float(bid.price),
                float(ask.price),
            )
        )
    return b"".join(parts)


def with_payload_length(packet: bytes) -> bytes:
    """Return the packet with a length field that leaves out the header (the sheet's doubt 23)."""
    return packet[:1] + struct.pack("<H", len(packet) - HEADER_BYTES) + packet[3:]


def _trading_part(image: FeedImage) -> bytes:
    return struct.pack(
        "<fHIfIII",
        image.last_price,
        _u16(image.last_quantity),
        image.last_trade_time,
        float(image.average_price),
        _u32(image.volume),
        _u32(image.total_sell_quantity),
        _u32(image.total_buy_quantity),
    )


def _day_part(image: FeedImage) -> bytes:
    return struct.pack(
        "<ffff",
        float(image.day_open),
        float(image.close),
        float(image.day_high),
        float(image.day_low),
    )


def _packet(code: int, segment: ExchangeSegment, security_id: str, body: bytes) -> bytes:
    length = HEADER_BYTES + len(body)
    return struct.pack("<BHBI", code, length, SEGMENT_NUMBERS[segment], int(security_id)) + body


def _level(levels: Sequence[DepthLevel], index: int) -> DepthLevel:
    return levels[index] if index < len(levels) else _EMPTY_LEVEL


def _u16(value: int) -> int:
    return min(max(value, 0), 0xFFFF)


def _u32(value: int) -> int:
    return min(max(value, 0), 0xFFFFFFFF)
