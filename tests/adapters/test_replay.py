"""Recorded prices as a market feed."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from async_body import run_async
from squareoff.adapters.replay import Recording, ReplayFeed, read_recording
from squareoff.domain.errors import ConfigError, FeedDisconnected
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now, ns_from_iso, seconds_to_ns
from squareoff.ports import FeedConnected, FeedEvent

NAME = InstrumentId(ExchangeSegment.NSE_FNO, "49543")
OTHER = InstrumentId(ExchangeSegment.NSE_EQ, "2885")
TICK = Decimal("0.10")

PACKETS = """\
time,type,ltp,volume,oi,bid_price_1,ask_price_1
2025-12-29 12:47:02.553384,full,25974.900390625,3333675,11148150,25974.80078125,25980.0
2025-12-29 12:47:02.555390,oi,,,11148150,,
2025-12-29 12:47:03.553384,full,25975.0,3333750,11148150,0.0,25980.0
"""
TICKS = """\
time,trading_symbol,last_price,volume_delta,oi
2025-12-29 04:06:44+00,,26097.80,415425,10337325
2025-12-29 04:06:45+00,,26093.40,375,10337325
"""
INDEX = "2022-09-19 09:00:14,17254.75\n2022-09-19 09:00:15,17258.2\n"
CANDLES = """\
date,open,high,low,close,volume
2025-10-29T09:15:00+05:30,1490,1495,1488.1,1494.6,67995
2025-10-29T09:16:00+05:30,1494.7,1499.7,1494.1,1494.2,5
"""


class SteppingClock:
    """Sleeping moves the time at once; others run in between."""

    def __init__(self) -> None:
        self.elapsed_ns = 0
        self.late_ns = 0

    def now(self) -> Now:
        return Now(5_000_000_000 + self.elapsed_ns, self.elapsed_ns)

    async def sleep(self, seconds: float) -> None:
        self.elapsed_ns += seconds_to_ns(seconds) + self.late_ns
        await asyncio.sleep(0)


def instrument(name: InstrumentId) -> Instrument:
    return Instrument(name, "X", 75, TICK)


def recording(folder: Path, text: str, name: InstrumentId = NAME) -> Recording:
    path = folder / "recorded.csv"
    path.write_text(text)
    return read_recording(path, name, TICK)


def test_packets_give_price_bid_ask_and_volume(tmp_path: Path) -> None:
    """Full packets become steps on the tick; an empty level is no bid; other rows are left out."""
    first, second = recording(tmp_path, PACKETS).steps

    assert first.time_ns == ns_from_iso("2025-12-29T12:47:02.553384+05:30")
    assert (first.last_traded_price, first.best_bid, first.best_ask, first.volume) == (
        259_749_000,
        259_748_000,
        259_800_000,
        3_333_675,
    )
    assert (second.last_traded_price, second.best_bid) == (259_750_000, None)


def test_ticks_give_price_and_volume_so_far(tmp_path: Path) -> None:
    """Tick rows carry UTC times with a short offset, and their volumes add up."""
    first, second = recording(tmp_path, TICKS).steps

    assert first.time_ns == ns_from_iso("2025-12-29T04:06:44+00:00")
    assert (second.last_traded_price, second.volume) == (260_934_000, 415_800)


def test_an_index_file_is_known_by_its_two_columns(tmp_path: Path) -> None:
    """A file without header gives a price a second, in IST."""
    first, second = recording(tmp_path, INDEX).steps

    assert first.time_ns == ns_from_iso("2022-09-19T09:00:14+05:30")
    assert second.last_traded_price == 172_582_000


def test_a_candle_is_played_as_four_prices(tmp_path: Path) -> None:
    """A rising candle goes by its low first, a falling one by its high."""
    steps = recording(tmp_path, CANDLES).steps

    prices = [step.last_traded_price // 1_000 for step in steps]
    assert prices == [14900, 14881, 14950, 14946, 14947, 14997, 14941, 14942]
    assert steps[3].time_ns == ns_from_iso("2025-10-29T09:15:45+05:30")


BAD = {
    "unknown header": "a,b,c\n1,2,3\n",
    "no price": "2022-09-19 09:00:14,zero\n",
    "price zero": "2022-09-19 09:00:14,0\n",
    "no time": "time,trading_symbol,last_price,volume_delta\nsoon,,1,1\n",
    "cut short": "time,type,ltp,volume\n2025-12-29 12:47:02,full,1,1\n",
    "header only": "date,open,high,low,close,volume\n",
    "empty": "",
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_played_is_refused(tmp_path: Path, name: str) -> None:
    """A file of no known shape, or with a line that makes no sense, stops the start by its name."""
    with pytest.raises(ConfigError, match=r"recorded\.csv"):
        recording(tmp_path, BAD[name])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there stops the start by its name."""
    with pytest.raises(ConfigError, match=r"gone\.csv"):
        read_recording(tmp_path / "gone.csv", NAME, TICK)


def play(
    feed: ReplayFeed, *, until: int = 10_000, watched: tuple[InstrumentId, ...] = (NAME, OTHER)
) -> list[FeedEvent]:
    """Play until the end or until so many events were published; return them."""
    events: list[FeedEvent] = []

    def take(event: FeedEvent) -> None:
        events.append(event)
        if len(events) >= until:
            feed.close()

    async def body() -> None:
        feed.watch([instrument(name) for name in watched])

        async def run() -> None:
            with pytest.raises(FeedDisconnected):
                await feed.run_once(take)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run())
            if until == 10_000:
                await feed.wait_until_played()
                feed.close()

    run_async(body())
    return events


def ticks_of(events: list[FeedEvent]) -> list[Tick]:
    return [event for event in events if isinstance(event, Tick)]


def test_steps_come_at_their_pace_stamped_now(tmp_path: Path) -> None:
    """At speed 10 a second of the recording is a tenth, and each tick carries its playing time."""
    clock = SteppingClock()
    events = play(ReplayFeed([recording(tmp_path, TICKS)], clock, speed=10))

    assert events[0] == FeedConnected()
    first, second = ticks_of(events)
    assert (first.received_monotonic_ns, second.received_monotonic_ns) == (0, 100_000_000)
    assert second.exchange_time_ns == second.received_time_ns == 5_100_000_000


def test_recordings_play_side_by_side_from_their_own_start(tmp_path: Path) -> None:
    """Two recordings of different days are merged by the time since each one's first step."""
    index = recording(tmp_path, INDEX, OTHER)
    events = play(ReplayFeed([recording(tmp_path, PACKETS), index], SteppingClock()))

    assert [tick.instrument_id for tick in ticks_of(events)] == [NAME, OTHER, NAME, OTHER]


def test_only_watched_instruments_are_published(tmp_path: Path) -> None:
    """An instrument that nobody watches passes unheard."""
    index = recording(tmp_path, INDEX, OTHER)
    feed = ReplayFeed([recording(tmp_path, TICKS), index], SteppingClock())
    feed.watch([instrument(OTHER)])
    feed.unwatch([OTHER])

    assert {tick.instrument_id for tick in ticks_of(play(feed, watched=(NAME,)))} == {NAME}


def test_a_late_clock_skips_nothing(tmp_path: Path) -> None:
    """Where the machine is slower than the recording, every step is still played, in order."""
    clock = SteppingClock()
    clock.late_ns = seconds_to_ns(5)
    ticks = ticks_of(play(ReplayFeed([recording(tmp_path, CANDLES)], clock, speed=1000)))

    assert len(ticks) == 8


def test_a_looping_recording_starts_again(tmp_path: Path) -> None:
    """A loop begins anew a second after the last step."""
    clock = SteppingClock()
    feed = ReplayFeed([recording(tmp_path, TICKS)], clock, is_looping=True)
    ticks = ticks_of(play(feed, until=6))

    assert [tick.last_traded_price for tick in ticks[:4]] == [260_978_000, 260_934_000] * 2
    assert [tick.received_monotonic_ns // 10**9 for tick in ticks[:4]] == [0, 1, 2, 3]


def test_a_new_connection_goes_on_where_the_last_stopped(tmp_path: Path) -> None:
    """A connection that was cut and comes back repeats and skips no step."""
    feed = ReplayFeed([recording(tmp_path, CANDLES)], SteppingClock())
    feed.watch([instrument(NAME)])
    events: list[FeedEvent] = []

    def cut_after_three(event: FeedEvent) -> None:
        events.append(event)
        if len(ticks_of(events)) == 3:
            raise FeedDisconnected("cut")

    async def body() -> None:
        with pytest.raises(FeedDisconnected, match="cut"):
            await feed.run_once(cut_after_three)

    run_async(body())
    rest = ticks_of(play(feed))

    assert len(ticks_of(events)) + len(rest) == 8
    assert rest[0].received_monotonic_ns == 45 * 10**9


def test_a_speed_of_nothing_is_refused() -> None:
    """A speed that is not above zero is a setting gone wrong."""
    with pytest.raises(ConfigError, match="speed"):
        ReplayFeed([], SteppingClock(), speed=0)
