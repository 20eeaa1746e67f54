"""Decode the binary market feed: packets into ticks, on the instrument's price grid.

Layouts are `feed_packets`; several packets may share one frame.

Invariants:
1. Whatever the bytes, `decode` returns; what cannot be read is `FeedGarbled`, never a price.
2. A packet is read at its code's fixed size, and only where its length field agrees (the field
   counts the header, or, in one reading of the documentation, does not).
3. A bad packet costs only itself: decoding goes on at the next place that is a packet's header.
4. Packets of instruments nobody watches, and of those never traded, make no event.
5. A packet that the watch asked to keep (`core.prices.quiet_prices`) makes no event. It costs its
   reading, one look-up and the comparisons, and becomes a tick only when somebody asks.
"""

import struct
from collections.abc import Callable, Iterable

from squareoff.adapters.broker.dhan.feed_batches import BATCH_PACKETS_MIN, PacketBatches
from squareoff.adapters.broker.dhan.feed_packets import (
    DISCONNECT,
    DISCONNECT_CODE,
    FULL_CODE,
    HEADER,
    PRICED_CODES,
    QUOTE_CODE,
    SEGMENT_NUMBERS,
    SEGMENTS,
    SIZES,
    TICKER_CODE,
    UNSIZED_CODES,
    NoTick,
    day_of,
    read_day_range,
    read_tick,
)
from squareoff.adapters.broker.dhan.kept_packets import (
    ANY_CODE,
    NO_DAY,
    NOBODY,
    KeptPackets,
)
from squareoff.core.prices.quiet_prices import QuietPrices
from squareoff.domain.errors import DomainError
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now, ist_day_number
from squareoff.ports import DayRange, FeedEvent, FeedGarbled

_HEADER_SIZE = HEADER.size
_SEGMENT_OFFSET = 3
# How far behind a bad packet the next header is looked for; a frame of more rubbish is dropped.
_SCAN_BYTES_MAX = 4_096
_GARBLED_BYTES_SHOWN = 32

# What tells a quiet packet: the whole header as one number, price, trade time, and the day's high
# and low. Times and days are read as floats, which compare twice as fast (`kept_packets`).
_FULL_HEAD = struct.Struct("<Qf2xf36xd100x").unpack
_QUOTE_HEAD = struct.Struct("<Qf2xf24xd").unpack
_TICKER_HEAD = struct.Struct("<Qff").unpack
_HEADER_NUMBER = struct.Struct("<Q")
_FULL_SIZE, _QUOTE_SIZE, _TICKER_SIZE = SIZES[FULL_CODE], SIZES[QUOTE_CODE], SIZES[TICKER_CODE]
_BATCH_BYTES_MIN = BATCH_PACKETS_MIN * _TICKER_SIZE

NO_PRICE = -1
"""What `decode` returns for a frame without a price of a watched instrument; no reason is below
zero."""

Emit = Callable[[FeedEvent], None]
_KeptByHeader = dict[int, KeptPackets]


class FeedDecoder:
    """Decodes frames for a changing set of instruments; counts what made no event."""

    def __init__(self) -> None:
        self._watched: dict[int, KeptPackets] = {}
        self._by_id: dict[InstrumentId, KeptPackets] = {}
        # By the whole header: an entry says that code, length, segment and id are right at once.
        self._known: dict[int, _KeptByHeader] = {FULL_CODE: {}, QUOTE_CODE: {}, TICKER_CODE: {}}
        self._full, self._quotes = self._known[FULL_CODE], self._known[QUOTE_CODE]
        self._tickers = self._known[TICKER_CODE]
        self._is_batching = False
        self._changed: list[KeptPackets] = []
        self._batches: PacketBatches | None = None
        self.frame_count = 0
        """Frames handed to `decode`, counted by whoever hands them: a count here would cost each
        quiet packet a tenth."""
        self._inner_count = 0
        self._loud_count = 0
        self._batched_count = 0
        self.garbled_count = 0
        self.unwatched_count = 0
        self.untraded_count = 0

    def watch(self, instrument: Instrument) -> None:
        """Decode packets of this instrument from now on, on the finest tick that was named for it:
        a coarser one would round prices to others than were traded.

        Raises:
            DomainError: the feed cannot name this instrument, or its tick is not above zero.
        """
        if instrument.tick_units <= 0:
            raise DomainError(
                "invalid_tick_size",
                f"{instrument.instrument_id}: tick size must be above zero",
                "tick_size",
            )
        key = _key_of(instrument.instrument_id)
        known = self._watched.get(key)
        if known is not None and known.tick_units <= instrument.tick_units:
            return
        if known is not None:
            known.drop()
        kept = KeptPackets(instrument, self._changed)
        self._watched[key] = self._by_id[instrument.instrument_id] = kept
        self._drop_batches()

    def unwatch(self, instrument_id: InstrumentId) -> None:
        """Stop decoding packets of this instrument."""
        kept = self._watched.pop(_key_of(instrument_id), None)
        if kept is not None:
            del self._by_id[instrument_id]
            kept.drop()
            self._drop_batches()

    def start_connection(self, instrument_ids: Iterable[InstrumentId] | None = None) -> None:
        """Forget what was heard and the day ranges told: a new connection tells all of it again.

        Args:
            instrument_ids: those of the new connection, None for all.
        """
        for instrument_id in self._by_id if instrument_ids is None else instrument_ids:
            self._by_id[instrument_id].start_connection()

    def expect(self, instrument_id: InstrumentId, code: int) -> None:
        """Count a watched instrument as heard again only by a packet of this code."""
        self._by_id[instrument_id].expect(code)

    def is_heard(self, instrument_id: InstrumentId) -> bool:
        """Say whether any packet of a watched instrument came on this connection."""
        return self._by_id[instrument_id].is_heard

    @property
    def quiet_count(self) -> int:
        """How many packets were kept since the start, going by `frame_count`."""
        one_by_one = self.frame_count + self._inner_count - self._loud_count
        return one_by_one + self._batched_count

    def quiet_prices(self, instrument_id: InstrumentId) -> QuietPrices | None:
        """Return what is kept of an instrument, None where it is not watched."""
        return self._by_id.get(instrument_id)

    def quiet_received_ns(self) -> int | None:
        """Return the monotonic instant at which the newest kept packet came, None for none."""
        kept = [each for each in self._watched.values() if each.packet is not None]
        times = [each.received.monotonic_ns for each in kept]
        in_batches = None if self._batches is None else self._batches.received_ns()
        return max(times if in_batches is None else [*times, in_batches], default=None)

    def decode(self, frame: bytes, now: Now, emit: Emit) -> int | None:
        """Decode one frame and hand each event to `emit`, in order.

        Returns:
            The reason code of a disconnect packet (7.7); `NO_PRICE` where nothing in the frame was
            a readable price packet of a watched instrument; else None.
        """
        # Written out, and with plain comparisons, for it runs once for every packet of the day.
        size = len(frame)
        if size == _FULL_SIZE:
            header, price, time, day = _FULL_HEAD(frame)
            kept = self._full.get(header, NOBODY)
        elif size == _TICKER_SIZE:
            header, price, time = _TICKER_HEAD(frame)
            kept, day = self._tickers.get(header, NOBODY), NO_DAY
        elif size == _QUOTE_SIZE:
            header, price, time, day = _QUOTE_HEAD(frame)
            kept = self._quotes.get(header, NOBODY)
        else:
            return self._read_many(frame, now, emit)
        if (
            price > kept.above
            and price < kept.below
            and time >= kept.earliest
            and time <= kept.latest
            and day == kept.day
        ):
            kept.earliest = time
            kept.packet = frame
            kept.received = now
            return None
        self._loud_count += 1
        if kept is NOBODY:
            return self._walk(frame, now, emit)
        return self._publish(frame, kept, now, emit)

    def _read_many(self, frame: bytes, now: Now, emit: Emit) -> int | None:
        """Read a frame that is not one packet with a price."""
        self._loud_count += 1
        if len(frame) >= _BATCH_BYTES_MIN and self._read_batch(frame, now, emit):
            return None
        return self._walk(frame, now, emit)

    def _read_batch(self, frame: bytes, now: Now, emit: Emit) -> bool:
        """Read many packets of one kind at once; False where they are to be read one by one."""
        if self._batches is None:
            self._batches = PacketBatches(self._watched.values(), self._known, self._changed)
        elif not self._is_batching:
            self._batches.take_all()
        batches = self._batches
        count = batches.read(
            frame, now, lambda packet, kept: self._publish(packet, kept, now, emit)
        )
        if count is None:
            return False
        self._batched_count += count
        if batches is not self._batches:  # what was published had another instrument watched
            batches.hand_over_all()
            return True
        # A packet that comes by itself finds nobody here, and so first of all the batches' end.
        self._is_batching, self._full, self._quotes, self._tickers = True, {}, {}, {}
        return True

    def _drop_batches(self) -> None:
        """Watch other instruments than the batches know."""
        if self._batches is not None:
            self._end_batching()
            for kept in self._watched.values():
                kept.columns = None
            self._batches = None

    def _end_batching(self) -> None:
        """Bring all instruments up to date, to be compared with packet by packet."""
        self._is_batching = False
        if self._batches is not None:
            self._batches.hand_over_all()
        self._full, self._quotes = self._known[FULL_CODE], self._known[QUOTE_CODE]
        self._tickers = self._known[TICKER_CODE]

    def _walk(self, frame: bytes, now: Now, emit: Emit) -> int | None:
        """Go through a frame packet by packet."""
        if self._is_batching:
            self._end_batching()
            self._inner_count += 1
            return self.decode(frame, now, emit)
        offset, end = 0, len(frame)
        reason: int | None = None
        found: int | None = NO_PRICE
        while offset < end:
            size = _size_at(frame, offset)
            if size == 0 or _runs_into_next(frame, offset, size):
                offset = self._skipped(frame, offset, emit)
                continue
            code = frame[offset]
            if code in PRICED_CODES and size == end:
                found = self._priced(frame, now, emit)
            elif code in PRICED_CODES:
                self._inner_count += 1
                if self.decode(frame[offset : offset + size], now, emit) is None:
                    found = None
            elif code == DISCONNECT_CODE:
                reason = DISCONNECT.unpack_from(frame, offset)[4]
            offset += size
        return found if reason is None else reason

    def _skipped(self, frame: bytes, offset: int, emit: Emit) -> int:
        """Tell of a packet that cannot be read, and return where decoding goes on."""
        if len(frame) - offset < _HEADER_SIZE:
            self._garbled("cut-off header", frame, offset, emit)
            return len(frame)
        code, length, _, _ = HEADER.unpack_from(frame, offset)
        if code not in UNSIZED_CODES:
            self._garbled("no whole packet", frame, offset, emit)
        for step in (length, length + _HEADER_SIZE):
            place: int = offset + step
            if step >= _HEADER_SIZE and (place == len(frame) or _is_header(frame, place)):
                return place
        return _find_header(frame, offset + 1, offset + _SCAN_BYTES_MAX)

    def _priced(self, packet: bytes, now: Now, emit: Emit) -> int | None:
        """Turn a ticker, quote or full packet into its tick, and its day range where it is new."""
        _, _, segment, security_id = HEADER.unpack_from(packet)
        kept = self._watched.get(segment << 32 | security_id)
        if kept is None:
            self.unwatched_count += 1
            return NO_PRICE
        self._know_header(packet, kept)
        return self._publish(packet, kept, now, emit)

    def _publish(self, packet: bytes, kept: KeptPackets, now: Now, emit: Emit) -> int | None:
        if kept.expected_code in (packet[0], ANY_CODE):
            kept.is_heard = True
        tick = read_tick(packet, 0, kept.instrument_id, kept.tick_units, now)
        if tick is NoTick.UNTRADED:
            self.untraded_count += 1
        elif isinstance(tick, NoTick):
            self._garbled(tick.value, packet, 0, emit)
            return NO_PRICE
        else:
            if packet[0] == TICKER_CODE:
                kept.forget_day()
            else:
                _tell_day_range(packet, kept, tick, emit)
            emit(tick)
            kept.packet = None
        return None

    def _know_header(self, packet: bytes, kept: KeptPackets) -> None:
        """Know a packet of this kind and instrument by its header from now on."""
        known, (header,) = self._known[packet[0]], _HEADER_NUMBER.unpack_from(packet)
        if header not in known:
            known[header] = kept
            kept.headers.append((known, header))

    def _garbled(self, why: str, frame: bytes, offset: int, emit: Emit) -> None:
        self.garbled_count += 1
        shown = frame[offset : offset + _GARBLED_BYTES_SHOWN].hex()
        emit(FeedGarbled(f"{why} at byte {offset} of {len(frame)}: {shown}"))


def _tell_day_range(packet: bytes, kept: KeptPackets, tick: Tick, emit: Emit) -> None:
    """Tell of a new range, before the tick: it is judged by the levels of before.

    One that comes with a trade of another day is told again with the next packet: whoever cannot
    believe it of this day must not take it for new when a trade of this day proves it.
    """
    day = day_of(packet)
    if not kept.set_day(day):
        return
    told = read_day_range(day, kept.tick_units)
    if told is not None and told != kept.day_range:
        kept.day_range = told
        emit(DayRange(*told, tick))
    if ist_day_number(tick.exchange_time_ns) != ist_day_number(tick.received_time_ns):
        kept.forget_day()


def _size_at(frame: bytes, offset: int) -> int:
    """Return the size of the whole packet of known code that begins here, 0 if there is none."""
    if offset + _HEADER_SIZE > len(frame):
        return 0
    code, length, _, _ = HEADER.unpack_from(frame, offset)
    size = SIZES.get(code, 0)
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
    if place + _HEADER_SIZE > len(frame) or frame[place] not in UNSIZED_CODES:
        return False
    length = HEADER.unpack_from(frame, place)[1]
    return bool(_HEADER_SIZE <= length <= len(frame) - place)


def _find_header(frame: bytes, start: int, stop: int) -> int:
    """Return the first place in [start, stop) where a packet begins; the frame's end if none."""
    for place in range(start, min(stop, len(frame) - _HEADER_SIZE + 1)):
        if frame[place] in SIZES and _is_header(frame, place):
            return place
    return len(frame)


def _is_header(frame: bytes, place: int) -> bool:
    """Say whether a whole packet of known code, length and segment begins here."""
    return _size_at(frame, place) > 0 and frame[place + _SEGMENT_OFFSET] in SEGMENTS


def _key_of(instrument_id: InstrumentId) -> int:
    """Return segment number and security id as the header gives them, in one whole number.

    Raises:
        DomainError: the security id is no number of 32 bits.
    """
    if not instrument_id.is_nameable:
        raise DomainError(
            "invalid_security_id", f"{instrument_id} cannot be in the feed", "security_id"
        )
    return SEGMENT_NUMBERS[instrument_id.exchange_segment] << 32 | int(instrument_id.security_id)
