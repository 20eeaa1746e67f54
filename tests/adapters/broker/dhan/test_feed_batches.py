"""Long frames: many packets at once publish and keep what they would one by one."""

import random
import struct
from decimal import Decimal as D

import pytest

from exit_story.values import held
from squareoff.adapters.broker.dhan.feed_batches import BATCH_PACKETS_MIN
from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.prices.price_watch import PriceWatch
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now
from squareoff.ports import FeedEvent

RAW_TIME = 1_781_084_997
NOW = Now((RAW_TIME - 19_800 + 2) * 1_000_000_000, 77)
INSTRUMENTS = [
    Instrument(InstrumentId(ExchangeSegment.NSE_EQ, str(1_000 + n)), f"S{n}", 1, D("0.05"))
    for n in range(12)
]


def packet(kind: int, number: int, price: float, raw_time: int, high: float = 200.0) -> bytes:
    """Return a packet of a kind: ticker, quote or full."""
    if kind == 2:
        return struct.pack("<BHBIfI", 2, 16, 1, 1_000 + number, price, raw_time)
    if kind == 4:
        head = struct.pack("<BHBIfHI", 4, 50, 1, 1_000 + number, price, 1, raw_time)
        return head + bytes(24) + struct.pack("<ff", high, 50.0)
    head = struct.pack("<BHBIfHI", 8, 162, 1, 1_000 + number, price, 1, raw_time)
    return head + bytes(36) + struct.pack("<ff", high, 50.0) + bytes(100)


class Line:
    """Decoder and watch of some positions, and all that came of what was played."""

    def __init__(self) -> None:
        self.decoder = FeedDecoder()
        self.watch = PriceWatch(HygieneLimits(), self.decoder)
        self.heard: list[FeedEvent] = []
        self.fired: list[tuple[TrackerId, int, int]] = []
        for number, instrument in enumerate(INSTRUMENTS):
            self.decoder.watch(instrument)
            for which, points in enumerate((2, 4, 8)):
                rules = RuleSet(
                    stop_loss=PriceRule(points=D(points)),
                    target=PriceRule(points=D(points + 1)),
                    trailing=TrailingRule(points=D(points)) if which != 1 else None,
                )
                name = TrackerId(f"trk-{number}-{which}")
                tracker = held(
                    tracker_id=name, instrument=instrument, rules=rules, entry_price=D(100)
                )
                self.watch.watch(tracker)

    def play(self, frame: bytes, now: Now = NOW) -> None:
        """Decode a frame."""
        self.decoder.frame_count += 1
        self.decoder.decode(frame, now, self.hear)

    def hear(self, event: FeedEvent) -> None:
        """Note an event; judge a tick."""
        self.heard.append(event)
        if isinstance(event, Tick):
            seen = self.watch.on_tick(event)
            assert seen is not None
            self.fired += [
                (name, level.price, event.last_traded_price) for name, level in seen.fired
            ]

    def state(self) -> tuple[object, ...]:
        """Return all that may be seen of it."""
        kept = [self.decoder.quiet_prices(each.instrument_id) for each in INSTRUMENTS]
        newest = [None if each is None else each.newest() for each in kept]
        counts = self.decoder.quiet_count, self.decoder.unwatched_count, self.decoder.garbled_count
        return self.heard, self.fired, newest, counts, self.decoder.quiet_received_ns()


def walk(chance: random.Random, kind: int, count: int) -> list[bytes]:
    """Return packets that walk, and now and then jump, come late or bring a new day's high."""
    prices, time = [100.0] * len(INSTRUMENTS), RAW_TIME
    packets = []
    for _ in range(count):
        number = chance.randrange(len(INSTRUMENTS))
        prices[number] += chance.choice((-0.05, 0.0, 0.05))
        time += chance.random() < 0.05
        price, at, high = prices[number], time, 200.0
        draw = chance.random()
        if draw < 0.003:
            price *= 1.5
        elif draw < 0.006:
            at -= 30
        elif draw < 0.009:
            high = 201.0
        elif draw < 0.012:
            prices[number] += chance.choice((-2.0, 2.0))
        packets.append(packet(kind, number, price, at, high))
    return packets


@pytest.mark.parametrize("kind", [2, 4, 8])
@pytest.mark.parametrize("seed", range(8))
def test_frames_of_many_are_as_one_by_one(kind: int, seed: int) -> None:
    """Whatever the cut into frames: same events, same exits, same newest prices, same counts."""
    chance = random.Random(seed)
    packets = walk(chance, kind, 3_000)
    single, cut = Line(), Line()
    for each in packets:
        single.play(each)
    start = 0
    while start < len(packets):
        size = chance.choice((1, 3, BATCH_PACKETS_MIN, 300, 700))
        cut.play(b"".join(packets[start : start + size]))
        start += size

    assert cut.state() == single.state()
    assert single.decoder.quiet_count > 2_000


@pytest.mark.parametrize("extra", ["unknown", "other kind", "rubbish"])
def test_a_mixed_frame_is_read_one_by_one(extra: str) -> None:
    """A stranger among many packets costs only itself."""
    packets = [packet(8, n % 12, 100.0, RAW_TIME) for n in range(100)]
    odd = {
        "unknown": packet(8, 77, 100.0, RAW_TIME),
        "other kind": packet(2, 3, 100.05, RAW_TIME),
        "rubbish": b"\xff" * 162,
    }[extra]
    packets.insert(50, odd)
    single, cut = Line(), Line()
    for each in packets:
        single.play(each)
    cut.play(b"".join(packets))

    assert cut.decoder.quiet_count == single.decoder.quiet_count > 80
    assert cut.fired == single.fired


def test_a_batch_is_not_undone_by_what_came_before() -> None:
    """A packet by itself, older than what a batch kept, is published; the batch's is the newest."""
    line = Line()
    for number in range(12):
        line.play(packet(8, number, 100.0, RAW_TIME))
    line.play(b"".join(packet(8, n % 12, 100.05, RAW_TIME + 5) for n in range(100)))
    before = len(line.heard)
    kept = line.decoder.quiet_prices(INSTRUMENTS[0].instrument_id)
    assert kept is not None
    newest = kept.newest()
    assert newest is not None
    assert newest.last_traded_price == 1_000_500
    line.play(packet(8, 0, 100.0, RAW_TIME + 3))

    assert len(line.heard) == before + 1


def test_a_reconnect_between_batches_closes_all() -> None:
    """After a new connection the first packet of each instrument is published again."""
    line = Line()
    frame = b"".join(packet(8, n % 12, 100.0, RAW_TIME) for n in range(120))
    line.play(frame)
    line.play(frame)
    line.decoder.start_connection()
    line.watch.on_connected()
    line.heard.clear()
    line.play(frame)

    assert len([event for event in line.heard if isinstance(event, Tick)]) == 12
    assert all(line.decoder.is_heard(each.instrument_id) for each in INSTRUMENTS)


def test_an_instrument_watched_meanwhile_is_known() -> None:
    """Batches go on over a changed set of instruments, and keep what was kept."""
    line = Line()
    frame = b"".join(packet(8, n % 12, 100.0, RAW_TIME) for n in range(120))
    line.play(frame)
    line.play(frame)
    other = Instrument(InstrumentId(ExchangeSegment.NSE_EQ, "1077"), "S77", 1, D("0.05"))
    line.decoder.watch(other)
    kept = line.decoder.quiet_prices(INSTRUMENTS[3].instrument_id)
    assert kept is not None
    assert kept.newest() is not None
    line.decoder.unwatch(INSTRUMENTS[3].instrument_id)
    line.play(frame)

    assert line.decoder.unwatched_count == 10
    assert kept.is_dropped


def test_receipt_times_do_not_pile_up() -> None:
    """However many frames come, no more receipt times are held than instruments and a few."""
    line = Line()
    frame = b"".join(packet(8, n % 12, 100.0, RAW_TIME) for n in range(120))
    for number in range(3_000):
        line.play(frame, Now(NOW.wall_ns, number))

    assert line.decoder.quiet_received_ns() == 2_999
    batches = line.decoder._batches
    assert batches is not None
    assert len(batches._received) < 1_100
