"""Feed packets: the byte vectors of dhanhq-v2.md 7.5, and every way of being wrong."""

import random
import struct
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squareoff.adapters.broker.dhan.feed_codec import NO_PRICE, FeedDecoder
from squareoff.domain.errors import DomainError
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now
from squareoff.ports import DayRange, FeedGarbled

EQUITY = InstrumentId(ExchangeSegment.NSE_EQ, "1333")
OPTION = InstrumentId(ExchangeSegment.NSE_FNO, "49081")
RAW_TIME = 1_781_084_997  # reads 2026-06-10 09:49:57 as IST wall clock
TIME_NS = (RAW_TIME - 19_800) * 1_000_000_000
NOW = Now(TIME_NS + 5_000_000_000, 77)

TICKER = bytes.fromhex("02 1000 01 35050000 0010cd44 4533296a")
PREVIOUS_CLOSE = bytes.fromhex("06 1000 01 35050000 0008cc44 00000000")
OPEN_INTEREST = bytes.fromhex("05 0c00 02 b9bf0000 02120f00")
MARKET_STATUS = bytes.fromhex("07 0800 01 00000000")
DISCONNECT = bytes.fromhex("32 0a00 00 00000000 2503")
QUOTE = bytes.fromhex(
    "04 3200 01 35050000 0010cd44 1900 4533296a 00d8cc44 40e20100 88130000 581b0000 "
    "0060cc44 0008cc44 0080cd44 00d0cb44"
)
FULL_HEAD = bytes.fromhex(
    "08 a200 02 b9bf0000 0010cd44 1900 4533296a 00d8cc44 40e20100 88130000 581b0000 "
    "02120f00 301b0f00 20f40e00 0060cc44 0008cc44 0080cd44 00d0cb44"
)
LEVEL = bytes.fromhex("64000000 c8000000 0300 0400 660ecd44 9a11cd44")
FULL = FULL_HEAD + LEVEL + bytes(80)
DEPTH_V1 = struct.pack("<BHBIf", 3, 112, 1, 1333, 1640.5) + bytes(100)
HEARTBEAT = bytes.fromhex("00 0800 01 35050000")
INDEX_PACKET = bytes.fromhex("01 1400 00 0d000000") + bytes(12)


def instrument(instrument_id, tick="0.05"):
    return Instrument(instrument_id, "X", 1, Decimal(tick))


def decoder():
    made = FeedDecoder()
    made.watch(instrument(EQUITY))
    made.watch(instrument(OPTION))
    return made


def decode(frame, made=None, now=NOW):
    events = []
    reason = (made or decoder()).decode(frame, now, events.append)
    return events, reason


def ticker(price, raw_time=RAW_TIME, segment=1, security_id=1333):
    return struct.pack("<BHBIfI", 2, 16, segment, security_id, price, raw_time)


def only_tick(events):
    (tick,) = [event for event in events if isinstance(event, Tick)]
    return tick


def test_a_ticker_is_a_tick_with_utc_time():
    """LTP on the grid, LTT shifted from the IST clock to UTC, no depth, no volume."""
    events, reason = decode(TICKER)

    assert events == [Tick(EQUITY, 16_405_000, TIME_NS, NOW.wall_ns, NOW.monotonic_ns)]
    assert reason is None


def test_a_quote_gives_volume_and_day_range():
    """A quote packet is a tick with the day's volume, and the day's high and low."""
    events, _ = decode(QUOTE)

    day, tick = events
    assert (tick.last_traded_price, tick.volume, tick.best_bid) == (16_405_000, 123_456, None)
    assert day == DayRange(16_440_000, 16_305_000, tick)


def test_a_full_packet_gives_the_best_level():
    """Bid and ask are the first depth level, on the grid."""
    events, _ = decode(FULL)

    day, tick = events
    assert (tick.instrument_id, tick.last_traded_price) == (OPTION, 16_405_000)
    assert (tick.best_bid, tick.best_ask) == (16_404_500, 16_405_500)
    assert day == DayRange(16_440_000, 16_305_000, tick)


def test_an_empty_depth_level_is_no_bid():
    """Zeros mean that nobody bids."""
    tick = only_tick(decode(FULL_HEAD + bytes(100))[0])

    assert (tick.best_bid, tick.best_ask) == (None, None)


def test_a_disconnect_packet_gives_its_reason_after_what_came_before():
    """Packet 50 is the reason code; packets before it in the frame still count."""
    events, reason = decode(TICKER + DISCONNECT)

    assert (len(events), reason) == (1, 805)


@pytest.mark.parametrize(
    "frame", [PREVIOUS_CLOSE, OPEN_INTEREST, MARKET_STATUS, DEPTH_V1, HEARTBEAT, INDEX_PACKET, b""]
)
def test_packets_without_a_price_for_us_are_passed_over(frame):
    """Known packets that are no tick are neither events nor garbled, and the walk stays in step."""
    made = decoder()

    assert decode(frame, made) == ([], NO_PRICE)
    events, _ = decode(frame + TICKER + frame + TICKER, made)
    assert len(events) == 2
    assert made.garbled_count == 0


def test_concatenated_packets_are_all_read():
    """One frame may hold many packets of all kinds."""
    events, reason = decode(TICKER + OPEN_INTEREST + FULL + MARKET_STATUS + QUOTE + TICKER)

    assert [type(event).__name__ for event in events] == [
        "Tick",
        "DayRange",
        "Tick",
        "DayRange",
        "Tick",
        "Tick",
    ]
    assert reason is None


def test_a_length_without_the_header_is_taken():
    """The length field may leave the header out; the fixed size decides."""
    shorter = bytes([2]) + struct.pack("<H", 8) + TICKER[3:]

    assert len(decode(shorter + TICKER)[0]) == 2


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (bytes([2]) + struct.pack("<H", 17) + TICKER[3:], "wrong length"),
        (bytes([4]) + TICKER[1:], "code of another size"),
        (bytes([99]) + TICKER[1:], "unknown code"),
        (bytes([99]) + struct.pack("<H", 0) + TICKER[3:], "unknown code, no length"),
        (bytes([99]) + struct.pack("<H", 60_000) + TICKER[3:], "unknown code, absurd length"),
        (TICKER[:5], "cut off in the header"),
        (b"\xff" * 37, "rubbish"),
        (FULL[:60], "cut-off full packet"),
        (ticker(float("nan")), "not a number"),
        (ticker(float("inf")), "infinite"),
        (ticker(-5.0), "negative"),
        (ticker(3e9), "absurd price"),
        (ticker(1640.5, RAW_TIME + 3 * 86_400), "from the future"),
    ],
)
def test_a_bad_packet_costs_only_itself(bad, name):
    """Good packets before and behind a bad one are read; the bad one is garbled, never priced."""
    made = decoder()
    events, _ = decode(QUOTE + bad + FULL + TICKER, made)

    ticks = [event for event in events if isinstance(event, Tick)]
    assert {tick.last_traded_price for tick in ticks} == {16_405_000}
    assert [tick.instrument_id for tick in ticks] == [EQUITY, OPTION, EQUITY]
    assert made.garbled_count >= 1
    assert made.garbled_count == sum(isinstance(event, FeedGarbled) for event in events)


def test_a_cut_off_last_packet_is_garbled():
    """Whatever is missing at the end of a frame is told, at every length."""
    for packet in (TICKER, QUOTE, FULL):
        for length in range(1, len(packet)):
            events, _ = decode(TICKER + packet[:length])
            assert isinstance(events[0], Tick)
            assert all(isinstance(event, FeedGarbled) for event in events[1:])
            assert len(events) >= 2


@pytest.mark.parametrize("frame", [ticker(0.0), ticker(100.0, 0), ticker(100.0, 19_800)])
def test_an_instrument_that_never_traded_has_no_tick(frame):
    """A zero price or a zero time is no trade, and no fault either."""
    made = decoder()

    assert decode(frame, made) == ([], None)
    assert (made.untraded_count, made.garbled_count) == (1, 0)


def test_packets_of_unwatched_instruments_make_no_event():
    """Another id, another segment and an unwatched one are counted and dropped."""
    made = decoder()
    made.unwatch(EQUITY)

    events, _ = decode(TICKER + ticker(5.0, segment=2) + ticker(5.0, segment=6) + FULL, made)
    day, tick = events
    assert tick.instrument_id == OPTION
    assert day == DayRange(16_440_000, 16_305_000, tick)
    assert made.unwatched_count == 3


@pytest.mark.parametrize(
    ("rupees", "tick", "units"),
    [
        (25974.90, "0.05", 259_749_000),
        (248.05, "0.05", 2_480_500),
        (83.0025, "0.0025", 830_025),
        (0.05, "0.05", 500),
        (81234.56, "0.01", 812_345_600),
        (99999.95, "0.05", 999_999_500),
    ],
)
def test_prices_land_on_the_grid(rupees, tick, units):
    """float32 noise is gone before anybody compares."""
    made = FeedDecoder()
    made.watch(instrument(EQUITY, tick))

    assert only_tick(decode(ticker(rupees), made)[0]).last_traded_price == units


@pytest.mark.parametrize("ticks", [("0.01", "0.50"), ("0.50", "0.01")])
def test_two_ticks_of_one_instrument_share_the_finer_grid(ticks):
    """On the coarser one a price of 140.20 would be read as 140.00, and fire a stop there."""
    made = FeedDecoder()
    for tick in ticks:
        made.watch(instrument(EQUITY, tick))

    assert only_tick(decode(ticker(140.20), made)[0]).last_traded_price == 1_402_000


def test_a_day_range_is_told_when_it_is_new():
    """The same range is told once per connection; a new high is told at once."""
    made = decoder()
    first, _ = decode(QUOTE + QUOTE, made)
    higher = QUOTE[:42] + struct.pack("<f", 1650.0) + QUOTE[46:]
    second, _ = decode(higher, made)
    made.start_connection()
    third, _ = decode(higher, made)

    assert [type(event) for event in first] == [DayRange, Tick, Tick]
    assert second[0] == DayRange(16_500_000, 16_305_000, second[1])
    assert third == second


def test_a_day_range_is_told_again_after_packets_without_one():
    """Whoever follows ranges must know that one came: until then the ticks told of none."""
    made = decoder()
    decode(QUOTE, made)
    decode(ticker(1640.0), made)
    events, _ = decode(QUOTE, made)

    assert [type(event) for event in events] == [DayRange, Tick]


def test_a_day_range_of_another_days_trade_is_told_again():
    """Whoever cannot believe it of this day would take it for new with the next change.

    Found by the simulation (seed 12100110): a high of before the position was taken fired it.
    """
    made = decoder()
    yesterday = QUOTE[:14] + struct.pack("<I", RAW_TIME - 86_400) + QUOTE[18:]
    events, _ = decode(yesterday + QUOTE + QUOTE, made)

    assert [type(event) for event in events] == [DayRange, Tick, DayRange, Tick, Tick]
    assert events[2] == DayRange(16_440_000, 16_305_000, events[3])


@pytest.mark.parametrize("security_id", ["", "ABC", "-1", "4294967296", "1.5", "\u0665"])
def test_an_instrument_the_feed_cannot_name_is_refused(security_id):
    """A security id is a number of 32 bits."""
    with pytest.raises(DomainError):
        FeedDecoder().watch(instrument(InstrumentId(ExchangeSegment.NSE_EQ, security_id)))


@given(st.binary(max_size=400))
@settings(max_examples=500, deadline=None)
def test_no_bytes_raise(frame):
    """Any bytes are decoded to events or garbled, and to no price of what nobody watches."""
    events, reason = decode(frame)

    assert reason is None or reason == NO_PRICE or 0 <= reason <= 0xFFFF
    told = [event.tick if isinstance(event, DayRange) else event for event in events]
    for event in told:
        assert isinstance(event, FeedGarbled) or event.instrument_id in (EQUITY, OPTION)


def test_mutated_frames_never_raise_and_never_make_a_foreign_price():
    """Packets with flipped, cut and inserted bytes end in ticks of watched ids or in garbled."""
    seed = 20260610
    print("seed", seed)
    chance = random.Random(seed)
    packets = [TICKER, QUOTE, FULL, OPEN_INTEREST, MARKET_STATUS, PREVIOUS_CLOSE, HEARTBEAT]
    made = decoder()
    for _ in range(20_000):
        frame = bytearray(b"".join(chance.choices(packets, k=chance.randrange(1, 5))))
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(frame))
            match chance.randrange(3):
                case 0:
                    frame[place] = chance.randrange(256)
                case 1:
                    del frame[place:]
                    frame += b"\x00"
                case _:
                    frame[place:place] = chance.randbytes(chance.randrange(1, 9))
        events, _ = decode(bytes(frame), made)
        for event in events:
            if isinstance(event, Tick):
                assert event.instrument_id in (EQUITY, OPTION)
                assert event.last_traded_price > 0
                assert event.last_traded_price % 500 == 0
                assert event.exchange_time_ns <= NOW.wall_ns + 86_400 * 10**9
