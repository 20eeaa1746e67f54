"""Prices for a chart: exact extremes, bounded however long the day."""

import asyncio
import tracemalloc
from dataclasses import replace
from decimal import Decimal

from exit_story.values import INSTRUMENT
from service_world.virtual import VirtualClock, run_virtual
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.prices import PriceUnits, units_from_decimal
from squareoff.domain.ticks import Tick
from squareoff.domain.time import seconds_to_ns
from squareoff.services.prices import price_history
from squareoff.services.prices.price_history import SAMPLE_SECONDS, SPANS_MAX, PriceHistory

BEGIN = 1_789_440_000


def tick(price: str, second: float) -> Tick:
    """Return a tick that was received this many seconds after the beginning."""
    at_ns = seconds_to_ns(BEGIN) + seconds_to_ns(second)
    return Tick(
        instrument_id=INSTRUMENT.instrument_id,
        last_traded_price=units_from_decimal(Decimal(price)),
        exchange_time_ns=at_ns,
        received_time_ns=at_ns,
        received_monotonic_ns=at_ns,
    )


def units(*prices: str) -> tuple[PriceUnits, ...]:
    """Return prices in price units."""
    return tuple(units_from_decimal(Decimal(price)) for price in prices)


def test_a_span_holds_first_highest_lowest_and_last() -> None:
    """All ticks of one second are one span; the next second begins another."""
    history = PriceHistory()
    for price, second in (("152", 0.1), ("155", 0.2), ("150", 0.5), ("151", 0.9), ("153", 1.0)):
        history.note(tick(price, second))
    seconds, spans = history.of(INSTRUMENT.instrument_id)

    assert seconds == 1
    assert [span.began_seconds - BEGIN for span in spans] == [0, 1]
    first = spans[0]
    assert (first.open, first.high, first.low, first.close) == units("152", "155", "150", "151")


def test_a_long_day_stays_bounded_and_keeps_its_extremes() -> None:
    """Spans are joined in pairs when they become too many; no high or low is lost."""
    history = PriceHistory()
    for second in range(20_000):
        history.note(tick(str(150 + second % 7), second))
    history.note(tick("199", 20_000))
    history.note(tick("101", 20_001))
    seconds, spans = history.of(INSTRUMENT.instrument_id)

    assert len(spans) <= SPANS_MAX
    assert seconds == 32
    began = [span.began_seconds for span in spans]
    assert began == sorted(set(began))
    assert all(at % seconds == 0 for at in began)
    assert (max(s.high for s in spans), min(s.low for s in spans)) == units("199", "101")
    assert (spans[0].open, spans[-1].close) == units("150", "101")


def test_rare_prices_of_a_long_day_stay_bounded() -> None:
    """Where joining neighbours leaves as many, for each is far from the next, it is done again."""
    history = PriceHistory()
    for minute in range(3 * SPANS_MAX):
        history.note(tick("150", minute * 300))
    assert len(history.of(INSTRUMENT.instrument_id)[1]) <= SPANS_MAX + 9


def test_memory_stands_still_after_the_first_full_chart() -> None:
    """Room for as many spans as a chart may have is made once; joining them takes none."""
    history = PriceHistory()
    for second in range(SPANS_MAX + 1):
        history.note(tick("150", second))
    tracemalloc.start()
    try:
        for second in range(SPANS_MAX + 1, 8 * SPANS_MAX):
            history.note(tick("150", second))
        # What other threads of the test's process take meanwhile is theirs.
        own = tracemalloc.Filter(True, price_history.__file__)
        taken = tracemalloc.take_snapshot().filter_traces([own]).statistics("filename")
        assert sum(each.size for each in taken) < 1_024
    finally:
        tracemalloc.stop()


def test_no_second_joins_the_spans_of_many_instruments() -> None:
    """Instruments that were first seen together are full at different times.

    Joined in one second, the spans of thousands held the event loop up for as long.
    """
    history, count = PriceHistory(), 120
    names = [InstrumentId(ExchangeSegment.NSE_FNO, str(50_000 + each)) for each in range(count)]
    joined = {}
    for second in range(SPANS_MAX + 1):
        at = tick("150", second)
        for name in names:
            history.note(replace(at, instrument_id=name))
        if second % 30 == 0 and second >= SPANS_MAX - 120:
            joined[SPANS_MAX - second] = sum(history.of(name)[0] == 2 for name in names)

    assert joined[120] == 0
    assert all(abs(joined[left] - (120 - left)) <= 1 for left in joined), joined


def test_a_clock_that_was_set_back_adds_to_the_newest_span() -> None:
    """A chart's time never runs backwards."""
    history = PriceHistory()
    history.note(tick("152", 100))
    history.note(tick("140", 3))
    _, spans = history.of(INSTRUMENT.instrument_id)

    assert [(s.began_seconds - BEGIN, s.low) for s in spans] == [(100, *units("140"))]


def test_what_is_returned_does_not_change() -> None:
    """Spans are copies; an instrument that was never seen has none."""
    history = PriceHistory()
    history.note(tick("152", 0))
    _, spans = history.of(INSTRUMENT.instrument_id)
    history.note(tick("160", 0))

    assert spans[0].high == units("152")[0]
    assert history.of(InstrumentId(ExchangeSegment.NSE_EQ, "1")) == (1, ())


def test_prices_that_no_listener_hears_of_are_looked_at_every_second() -> None:
    """A quiet feed keeps them; each is taken in once, and an old one never after a newer one."""

    async def body() -> None:
        history, clock = PriceHistory(), VirtualClock()
        newest = [tick("150.00", 100)]
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(history.run(lambda: newest, clock))
            await asyncio.sleep(SAMPLE_SECONDS * 2.5)
            newest[:] = [tick("151.00", 102)]
            await asyncio.sleep(SAMPLE_SECONDS)
            history.note(tick("152.00", 104))
            await asyncio.sleep(SAMPLE_SECONDS * 3)
            looking.cancel()

        _, spans = history.of(INSTRUMENT.instrument_id)
        assert [span.began_seconds - BEGIN for span in spans] == [100, 102, 104]
        assert tuple(span.close for span in spans) == units("150", "151", "152")

    run_virtual(body())


def test_each_day_begins_anew() -> None:
    """Today's chart is as fine on day sixty as on the first; what is held no more is gone."""
    history, day_seconds = PriceHistory(), 86_400
    other = replace(tick("90", 0), instrument_id=InstrumentId(ExchangeSegment.NSE_EQ, "1"))
    history.note(other)
    for second in range(2 * SPANS_MAX):
        history.note(tick("150", second))
    history.note(tick("160", day_seconds))
    history.note(tick("161", day_seconds + 1))

    seconds, spans = history.of(INSTRUMENT.instrument_id)
    assert seconds == 1
    assert [span.close for span in spans] == list(units("160", "161"))
    assert history.of(other.instrument_id) == (1, ())
