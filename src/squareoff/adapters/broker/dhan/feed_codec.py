"""Decode the binary market feed: packets into ticks, on the instrument's price grid.

Source: dhanhq-v2.md 7.3 (header, sizes), 7.4 (bodies), 7.6 (LTT is the IST clock read as an epoch),
11.1 (segment numbers). Little-endian; several packets may share one frame.

Invariants:
1. Whatever the bytes, `decode` returns; what cannot be read is `FeedGarbled`, never a price.
2. A packet is read at its code's fixed size, and only where its length field agrees (the field
   counts the header, or, in one reading of the documentation, does not).
3. A bad packet costs only itself: decoding goes on at the next place that is a packet's header.
4. Packets of instruments nobody watches, and of those never traded, make no event.
"""

import struct
from collections.abc import Callable

from squareoff.domain.errors import DomainError
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.prices import PriceUnits, units_from_float32
from squareoff.domain.ticks import Tick
from squareoff.domain.time import IST_OFFSET_SECONDS, NANOSECONDS_PER_SECOND, Now
from squareoff.ports import DayRange, FeedEvent, FeedGarbled

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

HEADER = struct.Struct("<BHBI")
TICKER = struct.Struct("<BHBIfI")
QUOTE = struct.Struct("<BHBIfHIfIIIffff")
FULL = struct.Struct("<BHBIfHIfIIIIIIffff100s")
DEPTH_LEVEL = struct.Struct("<IIHHff")
DISCONNECT = struct.Struct("<BHBIH")

_HEADER_SIZE = HEADER.size
_SEGMENT_OFFSET = 3
_DEPTH_OFFSET = 62
_TICKER, _QUOTE, _FULL, _DISCONNECT = 2, 4, 8, 50
_PRICED = frozenset({_TICKER, _QUOTE, _FULL})
# Codes of known size: 3 is depth without a time (v1), 5 open interest, 6 previous close, 7 market
# status. They make no event, but their sizes keep the walk in step.
_SIZES = {2: 16, 3: 112, 4: 50, 5: 12, 6: 16, 7: 8, 8: 162, 50: 10}
# Heartbeat and index packet, without a published layout: skipped by their own length.
_UNSIZED = frozenset({0, 1})
_SEGMENTS = frozenset(SEGMENT_NUMBERS.values())
_SECURITY_ID_MAX = 2**32 - 1
# How far behind a bad packet the next header is looked for; a frame of more rubbish is dropped.
_SCAN_BYTES_MAX = 4_096
_GARBLED_BYTES_SHOWN = 32
# Below this raw LTT (the year 2000) the instrument has not traded; a day ahead of our clock is
# rubbish rather than a clock that differs.
_EARLIEST_RAW_TIME = 946_684_800
_AHEAD_NS_MAX = 86_400 * NANOSECONDS_PER_SECOND

Emit = Callable[[FeedEvent], None]


class _Watched:
    """What decoding needs of one instrument, and the day's range last told."""

    __slots__ = ("day_high", "day_low", "instrument_id", "is_heard", "tick_units")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument_id = instrument.instrument_id
        self.tick_units = instrument.tick_units
        self.day_high = 0
        self.day_low = 0
        self.is_heard = False


class FeedDecoder:
    """Decodes frames for a changing set of instruments; counts what made no event."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self.garbled_count = 0
        self.unwatched_count = 0
        self.untraded_count = 0

    def watch(self, instrument: Instrument) -> None:
        """Decode packets of this instrument from now on.

        Raises:
            DomainError: the feed cannot name this instrument, or its tick is not above zero.
        """
        if instrument.tick_units <= 0:
            raise DomainError(
                "invalid_tick_size",
                f"{instrument.instrument_id}: tick size must be above zero",
                "tick_size",
            )
        self._watched[_key_of(instrument.instrument_id)] = _Watched(instrument)

    def unwatch(self, instrument_id: InstrumentId) -> None:
        """Stop decoding packets of this instrument."""
        self._watched.pop(_key_of(instrument_id), None)

    def start_connection(self) -> None:
        """Forget what was heard and the day ranges told: a new connection tells all of it again."""
        for watched in self._watched.values():
            watched.day_high = watched.day_low = 0
            watched.is_heard = False

    def is_heard(self, instrument_id: InstrumentId) -> bool:
        """Say whether any packet of a watched instrument came on this connection."""
        return self._watched[_key_of(instrument_id)].is_heard

    def decode(self, frame: bytes, now: Now, emit: Emit) -> int | None:
        """Decode one frame and hand each event to `emit`, in order.

        Returns:
            The reason code of a disconnect packet (7.7), else None.
        """
        offset, end = 0, len(frame)
        reason: int | None = None
        while offset < end:
            size = _size_at(frame, offset)
            if size == 0 or _runs_into_next(frame, offset, size):
                offset = self._skipped(frame, offset, emit)
                continue
            code = frame[offset]
            if code in _PRICED:
                _, _, segment, security_id = HEADER.unpack_from(frame, offset)
                watched = self._watched.get(segment << 32 | security_id)
                if watched is None:
                    self.unwatched_count += 1
                else:
                    self._priced(code, frame, offset, watched, now, emit)
            elif code == _DISCONNECT:
                reason = DISCONNECT.unpack_from(frame, offset)[4]
            offset += size
        return reason

    def _skipped(self, frame: bytes, offset: int, emit: Emit) -> int:
        """Tell of a packet that cannot be read, and return where decoding goes on."""
        if len(frame) - offset < _HEADER_SIZE:
            self._garbled("cut-off header", frame, offset, emit)
            return len(frame)
        code, length, _, _ = HEADER.unpack_from(frame, offset)
        if code not in _UNSIZED:
            self._garbled("no whole packet", frame, offset, emit)
        for step in (length, length + _HEADER_SIZE):
            place: int = offset + step
            if step >= _HEADER_SIZE and (place == len(frame) or _is_header(frame, place)):
                return place
        return _find_header(frame, offset + 1, offset + _SCAN_BYTES_MAX)

    def _priced(
        self, code: int, frame: bytes, offset: int, watched: _Watched, now: Now, emit: Emit
    ) -> None:
        """Turn a ticker, quote or full packet into its tick, and its day range where it is new."""
        volume: int | None = None
        bid: PriceUnits | None = None
        ask: PriceUnits | None = None
        high = low = 0.0
        watched.is_heard = True
        if code == _TICKER:
            _, _, _, _, raw_price, raw_time = TICKER.unpack_from(frame, offset)
        elif code == _QUOTE:
            fields = QUOTE.unpack_from(frame, offset)
            raw_price, raw_time, volume = fields[4], fields[6], fields[8]
            high, low = fields[13], fields[14]
        else:
            fields = FULL.unpack_from(frame, offset)
            raw_price, raw_time, volume = fields[4], fields[6], fields[8]
            high, low = fields[16], fields[17]
            depth = DEPTH_LEVEL.unpack_from(frame, offset + _DEPTH_OFFSET)
            bid = units_from_float32(depth[4], watched.tick_units)
            ask = units_from_float32(depth[5], watched.tick_units)
        if raw_price == 0.0 or raw_time < _EARLIEST_RAW_TIME:
            self.untraded_count += 1
            return
        price = units_from_float32(raw_price, watched.tick_units)
        exchange_time_ns = (raw_time - IST_OFFSET_SECONDS) * NANOSECONDS_PER_SECOND
        if price is None or exchange_time_ns > now.wall_ns + _AHEAD_NS_MAX:
            self._garbled("no price or time", frame, offset, emit)
            return
        emit(
            Tick(
                watched.instrument_id,
                price,
                exchange_time_ns,
                now.wall_ns,
                now.monotonic_ns,
                bid,
                ask,
                volume,
            )
        )
        if code != _TICKER:
            _tell_day_range(watched, high, low, emit)

    def _garbled(self, why: str, frame: bytes, offset: int, emit: Emit) -> None:
        self.garbled_count += 1
        shown = frame[offset : offset + _GARBLED_BYTES_SHOWN].hex()
        emit(FeedGarbled(f"{why} at byte {offset} of {len(frame)}: {shown}"))


def _tell_day_range(watched: _Watched, raw_high: float, raw_low: float, emit: Emit) -> None:
    high = units_from_float32(raw_high, watched.tick_units)
    low = units_from_float32(raw_low, watched.tick_units)
    if high is None or low is None or high < low:
        return
    if high != watched.day_high or low != watched.day_low:
        watched.day_high, watched.day_low = high, low
        emit(DayRange(watched.instrument_id, high, low))


def _size_at(frame: bytes, offset: int) -> int:
    """Return the size of the whole packet of known code that begins here, 0 if there is none."""
    if offset + _HEADER_SIZE > len(frame):
        return 0
    code, length, _, _ = HEADER.unpack_from(frame, offset)
    size = _SIZES.get(code, 0)
    if length not in (size, size - _HEADER_SIZE) or offset + size > len(frame):
        return 0
    return size


def _runs_into_next(frame: bytes, offset: int, size: int) -> bool:
    """Say whether a packet was cut short inside the frame, so that it would swallow the next.

    That shows in two things together: no packet begins behind it, and one begins inside it.
    """
    place = offset + size
    if place == len(frame) or _is_header(frame, place) or _is_unsized(frame, place):
        return False
    return _find_header(frame, offset + 1, place) < place


def _is_unsized(frame: bytes, place: int) -> bool:
    """Say whether a heartbeat or index packet begins here, going by its own length."""
    if place + _HEADER_SIZE > len(frame) or frame[place] not in _UNSIZED:
        return False
    length = HEADER.unpack_from(frame, place)[1]
    return bool(_HEADER_SIZE <= length <= len(frame) - place)


def _find_header(frame: bytes, start: int, stop: int) -> int:
    """Return the first place in [start, stop) where a packet begins; the frame's end if none."""
    for place in range(start, min(stop, len(frame) - _HEADER_SIZE + 1)):
        if frame[place] in _SIZES and _is_header(frame, place):
            return place
    return len(frame)


def _is_header(frame: bytes, place: int) -> bool:
    """Say whether a whole packet of known code, length and segment begins here."""
    return _size_at(frame, place) > 0 and frame[place + _SEGMENT_OFFSET] in _SEGMENTS


def _key_of(instrument_id: InstrumentId) -> int:
    """Return segment number and security id as the header gives them, in one whole number.

    Raises:
        DomainError: the security id is no number of 32 bits.
    """
    text = instrument_id.security_id
    if not (text.isascii() and text.isdecimal() and int(text) <= _SECURITY_ID_MAX):
        raise DomainError(
            "invalid_security_id", f"{instrument_id} cannot be in the feed", "security_id"
        )
    return SEGMENT_NUMBERS[instrument_id.exchange_segment] << 32 | int(text)
