"""Today's prices of every instrument under watch, thinned for a chart. In memory only.

A chart needs some hundred points however long the day gets: prices are kept in spans of one length,
and where an instrument's spans would become too many, neighbours are joined and the length doubles.
"""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick
from squareoff.domain.time import DAY_NS, NANOSECONDS_PER_SECOND, ist_midnight_ns
from squareoff.ports import Clock

SPANS_MAX = 720
"""More than a chart has pixels for on most screens; a whole session is then 45-second spans."""

_SPREAD = 120
"""Instruments that were first seen together would all be full in the same second, and joining the
spans of thousands takes seconds, in which no price is judged: each of so many has a limit of its
own."""

FIRST_SPAN_SECONDS = 1
SAMPLE_SECONDS = 1.0
_NUMBERS_PER_SPAN = 5
_HIGH, _LOW, _CLOSE = 2, 3, 4
"""Where a span's prices stand, from its beginning; its first number says when it began."""


@dataclass(slots=True)
class PriceSpan:
    """The prices of one span of time; `began_seconds` is UTC, a whole multiple of the length."""

    began_seconds: int
    open: PriceUnits
    high: PriceUnits
    low: PriceUnits
    close: PriceUnits


class _Instrument:
    """The spans of one instrument, oldest first, as plain numbers: a full day of ten thousand
    instruments is some hundred megabytes so, and gigabytes as objects.

    Neighbours are joined in place, and the room that they leave is kept for the next spans: memory
    stands still once an instrument has had its first full chart.
    """

    __slots__ = ("_newest", "_numbers", "_spans_max", "newest_ns", "span_seconds")

    def __init__(self, spans_max: int) -> None:
        self._spans_max = spans_max
        self.span_seconds = FIRST_SPAN_SECONDS
        self.newest_ns = 0
        self._numbers = array("q")
        self._newest = -_NUMBERS_PER_SPAN

    def spans(self) -> list[PriceSpan]:
        """Return copies of the spans."""
        numbers = self._numbers
        return [
            PriceSpan(numbers[at], *map(PriceUnits, numbers[at + 1 : at + _NUMBERS_PER_SPAN]))
            for at in range(0, self._newest + _NUMBERS_PER_SPAN, _NUMBERS_PER_SPAN)
        ]

    def note(self, price: PriceUnits, at_seconds: int) -> None:
        """Take a price in."""
        began = at_seconds - at_seconds % self.span_seconds
        numbers, newest = self._numbers, self._newest
        if newest < 0 or began > numbers[newest]:
            self._append(began, price)
            return
        # A clock that was set back adds to the newest span: a chart's time never runs backwards.
        if price > numbers[newest + _HIGH]:
            numbers[newest + _HIGH] = price
        if price < numbers[newest + _LOW]:
            numbers[newest + _LOW] = price
        numbers[newest + _CLOSE] = price

    def _append(self, began: int, price: PriceUnits) -> None:
        self._newest += _NUMBERS_PER_SPAN
        span = began, price, price, price, price
        if self._newest == len(self._numbers):
            self._numbers.extend(span)
        else:
            self._numbers[self._newest : self._newest + _NUMBERS_PER_SPAN] = array("q", span)
        if self._newest >= self._spans_max * _NUMBERS_PER_SPAN:
            self._join_neighbours()

    def _join_neighbours(self) -> None:
        self.span_seconds *= 2
        numbers, joined = self._numbers, -_NUMBERS_PER_SPAN
        for at in range(0, self._newest + _NUMBERS_PER_SPAN, _NUMBERS_PER_SPAN):
            began, first, high, low, close = numbers[at : at + _NUMBERS_PER_SPAN]
            if joined >= 0 and began < numbers[joined] + self.span_seconds:
                numbers[joined + _HIGH] = max(numbers[joined + _HIGH], high)
                numbers[joined + _LOW] = min(numbers[joined + _LOW], low)
            else:
                joined += _NUMBERS_PER_SPAN
                numbers[joined] = began - began % self.span_seconds
                numbers[joined + 1], numbers[joined + _HIGH] = first, high
                numbers[joined + _LOW] = low
            numbers[joined + _CLOSE] = close
        self._newest = joined


class PriceHistory:
    """Keeps the spans; `note` is called for every tick and costs three comparisons."""

    def __init__(self) -> None:
        self._instruments: dict[InstrumentId, _Instrument] = {}
        self._ends_ns = 0

    def note(self, tick: Tick) -> None:
        """Take a tick in, by the time it was received; the first one of a day begins all anew."""
        if tick.received_time_ns >= self._ends_ns:
            self._instruments.clear()
            self._ends_ns = ist_midnight_ns(tick.received_time_ns) + DAY_NS
        kept = self._instruments.get(tick.instrument_id)
        if kept is None:
            spans_max = SPANS_MAX - len(self._instruments) % _SPREAD
            kept = self._instruments[tick.instrument_id] = _Instrument(spans_max)
        kept.newest_ns = tick.received_time_ns
        kept.note(tick.last_traded_price, tick.received_time_ns // NANOSECONDS_PER_SECOND)

    async def run(self, newest: Callable[[], Iterable[Tick]], clock: Clock) -> None:
        """Take in every second the newest ticks that no listener heard of; never returns.

        For a feed that keeps quiet prices: what lies between two looks reached no level and was
        nobody's best price.
        """
        while True:
            await clock.sleep(SAMPLE_SECONDS)
            for tick in newest():
                kept = self._instruments.get(tick.instrument_id)
                if kept is None or tick.received_time_ns > kept.newest_ns:
                    self.note(tick)

    def of(self, instrument_id: InstrumentId) -> tuple[int, tuple[PriceSpan, ...]]:
        """Return the length of a span in seconds, and copies of the spans, oldest first."""
        kept = self._instruments.get(instrument_id)
        if kept is None:
            return FIRST_SPAN_SECONDS, ()
        return kept.span_seconds, tuple(kept.spans())
