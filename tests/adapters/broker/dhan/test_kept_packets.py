"""Bounds on the wire: exactly the prices and times that are between them are kept."""

import struct
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.adapters.broker.dhan.kept_packets import NOBODY, KeptPackets
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.prices import units_from_float32
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now
from squareoff.ports import DayRange, FeedEvent

RAW_TIME = 1_781_084_997
SECOND = 1_000_000_000
TIME_NS = (RAW_TIME - 19_800) * SECOND
NOW = Now(TIME_NS + SECOND, 77)
EQUITY = InstrumentId(ExchangeSegment.NSE_EQ, "1333")
OPEN = {"above": 990_000, "below": 1_010_000, "earliest_ns": TIME_NS, "latest_ns": TIME_NS + SECOND}


def instrument(tick: str = "0.05") -> Instrument:
    """Return the share that the packets are of."""
    return Instrument(EQUITY, "X", 1, D(tick))


def ticker(price: float, raw_time: int = RAW_TIME) -> bytes:
    """Return a ticker packet."""
    return struct.pack("<BHBIfI", 2, 16, 1, 1333, price, raw_time)


def full(price: float, high: float = 110.0, raw_time: int = RAW_TIME) -> bytes:
    """Return a full packet."""
    return struct.pack("<BHBIfHI36xff100x", 8, 162, 1, 1333, price, 1, raw_time, high, 90.0)


class Heard:
    """A decoder of one share, and what it published."""

    def __init__(self, tick: str = "0.05") -> None:
        self.decoder = FeedDecoder()
        self.decoder.watch(instrument(tick))
        self.events: list[FeedEvent] = []

    @property
    def kept(self) -> KeptPackets:
        """What is kept of the share."""
        kept = self.decoder.quiet_prices(EQUITY)
        assert isinstance(kept, KeptPackets)
        return kept

    def hear(self, frame: bytes, now: Now = NOW) -> list[FeedEvent]:
        """Return what a frame publishes."""
        self.events.clear()
        self.decoder.frame_count += 1
        self.decoder.decode(frame, now, self.events.append)
        return list(self.events)


@pytest.mark.parametrize("packet", [ticker, full])
def test_what_is_between_is_kept(packet: type[object]) -> None:
    """A price strictly between the bounds makes no event and is the newest; at them it does."""
    heard = Heard()
    heard.hear(packet(100.0))
    heard.kept.open(**OPEN)

    assert heard.hear(packet(99.05)) == heard.hear(packet(100.95)) == []
    newest = heard.kept.newest()
    assert newest is not None
    assert (newest.last_traded_price, newest.received_time_ns) == (1_009_500, NOW.wall_ns)
    assert (heard.decoder.quiet_count, heard.decoder.quiet_received_ns()) == (2, 77)
    assert len(heard.hear(packet(99.0))) == 1
    assert heard.kept.newest() is None
    assert len(heard.hear(packet(101.0))) == 1


def test_a_clock_set_back_by_days_leaves_no_newest() -> None:
    """Kept by bounds of the clock as it was, a packet is of the future by the clock as it is."""
    heard = Heard()
    heard.hear(ticker(100.0))
    heard.kept.open(**OPEN)

    assert heard.hear(ticker(99.05), Now(NOW.wall_ns - 2 * 86_400 * SECOND, 78)) == []
    assert heard.kept.newest() is None
    assert heard.hear(ticker(99.1)) == []
    assert heard.kept.newest() is not None


@given(
    tick=st.sampled_from(["0.05", "0.01", "0.0025", "1", "0.1"]),
    above=st.integers(0, 3_000_000),
    width=st.integers(1, 20_000),
    raw=st.floats(0.0078125, 400.0, width=32),
    places=st.integers(-3, 3),
    at_edge=st.booleans(),
)
def test_kept_is_what_would_round_between(
    tick: str, above: int, width: int, raw: float, places: int, at_edge: bool
) -> None:
    """Whatever the float32, it is kept only if its price on the grid is between the bounds; a
    price on the grid is kept if it is."""
    heard = Heard(tick)
    units = instrument(tick).tick_units
    heard.hear(ticker(100.0))
    heard.kept.open(**(OPEN | {"above": above, "below": above + width}))
    if at_edge:
        raw = float((above // units + places) * units / 10_000)
    is_kept = heard.hear(ticker(raw)) == []
    (as_float32,) = struct.unpack("<f", struct.pack("<f", raw))
    price = units_from_float32(as_float32, units)
    is_between = price is not None and above < price < above + width

    if is_kept and price is not None:
        assert is_between
    if at_edge and price is not None:
        assert is_kept == is_between


@pytest.mark.parametrize(
    ("raw_time", "is_kept"),
    [(RAW_TIME - 1, False), (RAW_TIME, True), (RAW_TIME + 1, True), (RAW_TIME + 2, False)],
)
def test_only_trades_of_the_time_are_kept(raw_time: int, is_kept: bool) -> None:
    """Older than the newest, or beyond what may be, is published."""
    heard = Heard()
    heard.hear(ticker(100.0))
    heard.kept.open(**OPEN)

    assert (heard.hear(ticker(100.0, raw_time)) == []) == is_kept


def test_kept_trades_set_the_time() -> None:
    """A trade older than one that was kept is published, also after the bounds opened anew."""
    heard = Heard()
    heard.hear(ticker(100.0))
    heard.kept.open(**OPEN)
    assert heard.hear(ticker(100.0, RAW_TIME + 1)) == []
    assert len(heard.hear(ticker(100.0, RAW_TIME))) == 1
    heard.kept.open(**OPEN)

    assert len(heard.hear(ticker(100.0, RAW_TIME))) == 1


def test_rubbish_is_never_kept() -> None:
    """No number, nothing and absurd prices are published or garbled, whatever the bounds."""
    heard = Heard()
    heard.hear(ticker(100.0))
    heard.kept.open(**(OPEN | {"above": -5, "below": 1 << 62}))
    for price in (float("nan"), float("inf"), -1.0, 0.0, 2_000_000.0):
        heard.hear(ticker(price))

    assert heard.decoder.quiet_count == 0
    assert heard.decoder.garbled_count == 4


def test_a_new_day_range_is_published() -> None:
    """A packet whose price is quiet but whose day has a new high is not."""
    heard = Heard()
    heard.hear(full(100.0))
    heard.kept.open(**OPEN)
    assert heard.hear(full(100.0)) == []

    day, tick = heard.hear(full(100.0, high=111.0))
    assert isinstance(tick, Tick)
    assert day == DayRange(1_110_000, 900_000, tick)


def test_bounds_open_only_on_what_was_heard() -> None:
    """Before the first packet of a connection, and after the instrument was dropped, none are."""
    heard = Heard()
    heard.kept.open(**OPEN)
    assert len(heard.hear(ticker(100.0))) == 1
    heard.kept.open(**OPEN)
    assert heard.hear(ticker(100.0)) == []
    heard.decoder.start_connection()
    assert heard.kept.newest() is not None
    heard.kept.open(**OPEN)
    assert len(heard.hear(ticker(100.0))) == 1
    kept = heard.kept
    heard.decoder.unwatch(EQUITY)

    assert kept.is_dropped
    assert heard.hear(ticker(100.0)) == []
    assert heard.decoder.unwatched_count == 1
    assert heard.decoder.quiet_prices(EQUITY) is None
    assert NOBODY.newest() is None


def test_watching_again_changes_nothing() -> None:
    """The same terms keep what was heard; another tick begins anew."""
    heard = Heard()
    heard.hear(ticker(100.0))
    heard.kept.open(**OPEN)
    heard.decoder.watch(instrument())
    assert heard.hear(ticker(100.0)) == []
    before = heard.kept
    heard.decoder.watch(instrument("0.01"))

    assert before.is_dropped
    assert len(heard.hear(ticker(100.0))) == 1
