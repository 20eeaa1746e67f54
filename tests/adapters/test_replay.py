"""Recorded prices as a market feed."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from async_body import run_async
from recorded_texts import CANDLES, INDEX, PACKETS, TICKS
from squareoff.adapters.recordings import Recording, read_recording
from squareoff.adapters.replay import ReplayFeed
from squareoff.domain.errors import ConfigError, FeedDisconnected
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.ports import FeedConnected, FeedEvent

NAME = InstrumentId(ExchangeSegment.NSE_FNO, "49543")
OTHER = InstrumentId(ExchangeSegment.NSE_EQ, "2885")
TICK = Decimal("0.10")


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
    return read_recording(path, name, TICK, setting="paper.ticks")


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
                while feed._next is not None:
                    await asyncio.sleep(0)
                feed.close()

    run_async(body())
    return events


def ticks_of(events: list[FeedEvent]) -> list[Tick]:
    return [event for event in events if isinstance(event, Tick)]


def test_a_tick_has_price_bid_ask_and_volume(tmp_path: Path) -> None:
    """Rupees become price units; an empty level is no bid; a row without a price is no tick."""
    first, second = ticks_of(play(ReplayFeed([recording(tmp_path, PACKETS)], SteppingClock())))

    assert (first.last_traded_price, first.best_bid, first.best_ask, first.volume) == (
        259_749_000,
        259_748_000,
        259_800_000,
        3_333_675,
    )
    assert (second.last_traded_price, second.best_bid) == (259_750_000, None)


def test_a_tick_without_depth_has_no_bid_and_ask(tmp_path: Path) -> None:
    """Where the recording has prices alone, nothing is made up beside them."""
    ticks = ticks_of(play(ReplayFeed([recording(tmp_path, TICKS)], SteppingClock())))

    assert [(tick.best_bid, tick.best_ask, tick.volume) for tick in ticks] == [
        (None, None, 415_425),
        (None, None, 415_800),
    ]


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
