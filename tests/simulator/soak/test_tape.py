"""The tape's packets are the feed's packets, and its walk crosses nothing by itself."""

import struct
from decimal import Decimal

import numpy as np
import pytest

from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now
from squareoff.ports import FeedEvent
from squareoff.simulator.soak.tape import (
    FIRST_SECURITY_ID,
    HIGHEST,
    LOWEST,
    MODES,
    STOP,
    THROUGH,
    Tape,
    packet,
    raw_time_of,
)

WALL_NS = 1_789_446_600 * 10**9


def decoded(frame: bytes) -> list[Tick]:
    """Return the ticks of a frame; the day's range comes with some, and is the same in all."""
    decoder, heard = FeedDecoder(), list[FeedEvent]()
    for number in range(3):
        name = InstrumentId(ExchangeSegment.NSE_EQ, str(FIRST_SECURITY_ID + number))
        decoder.watch(Instrument(name, "X", 1, Decimal("0.05")))
    decoder.decode(frame, Now(WALL_NS, 1), heard.append)
    return [event for event in heard if isinstance(event, Tick)]


@pytest.mark.parametrize("mode", MODES)
def test_the_engine_reads_what_is_made(mode: int) -> None:
    """Each mode's packet decodes to its price and time of trading."""
    tick = decoded(packet(mode, FIRST_SECURITY_ID, THROUGH, raw_time_of(WALL_NS)))[0]

    assert tick.last_traded_price == round(THROUGH * PRICE_UNITS_PER_RUPEE)
    assert tick.exchange_time_ns == WALL_NS


@pytest.mark.parametrize("mode", MODES)
def test_the_tape_is_framed_and_of_now(mode: int) -> None:
    """What is cut are whole frames of the rows, stamped with the time that was given."""
    tape = Tape(3, seed=1)
    tape.stamp(WALL_NS)
    size = len(packet(mode, 1, 1.0, 0))
    head = 2 if size <= 125 else 4
    frames = tape.cut(mode, np.arange(4))

    assert len(frames) == 4 * (head + size)
    (tick, *_) = decoded(frames[head : head + size])
    assert tick.exchange_time_ns == WALL_NS
    assert int(tick.instrument_id.security_id) == FIRST_SECURITY_ID + tape.instrument_of_row[0]


def test_the_walk_stays_above_the_stop() -> None:
    """No price of the tape is anywhere near a stop, and no step is larger than a tick or two."""
    tape = Tape(3, seed=1)
    frames = tape.cut(15, np.arange(len(tape)))
    starts = range(10, len(frames), 18)
    prices = np.array([struct.unpack_from("<f", frames, start)[0] for start in starts])

    assert STOP < LOWEST <= round(prices.min(), 2)
    assert round(prices.max(), 2) <= HIGHEST
    for number in range(3):
        walk = prices[tape.instrument_of_row == number]
        assert np.abs(np.diff(walk)).max() < 0.11
