"""Today's prices of every instrument under watch, thinned for a chart. In memory only.

A chart needs some hundred points however long the day gets: prices are kept in spans of one length,
and where an instrument's spans would become too many, neighbours are joined and the length doubles.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import Clock

SPANS_MAX = 720
"""More than a chart has pixels for on most screens; a whole session is then 45-second spans."""

FIRST_SPAN_SECONDS = 1
SAMPLE_SECONDS = 1.0


@dataclass(slots=True)
class PriceSpan:
    """The prices of one span of time; `began_seconds` is UTC, a whole multiple of the length."""

    began_seconds: int
    open: PriceUnits
    high: PriceUnits
    low: PriceUnits
    close: PriceUnits


class _Instrument:
    """The spans of one instrument, oldest first."""

    def __init__(self) -> None:
        self.span_seconds = FIRST_SPAN_SECONDS
        self.spans: list[PriceSpan] = []
        self.newest_ns = 0

    def note(self, price: PriceUnits, at_seconds: int) -> None:
        began = at_seconds - at_seconds % self.span_seconds
        newest = self.spans[-1] if self.spans else None
        if newest is None or began > newest.began_seconds:
            self.spans.append(PriceSpan(began, price, price, price, price))
            if len(self.spans) > SPANS_MAX:
                self._join_neighbours()
            return
        # A clock that was set back adds to the newest span: a chart's time never runs backwards.
        newest.high, newest.low = max(newest.high, price), min(newest.low, price)
        newest.close = price

    def _join_neighbours(self) -> None:
        self.span_seconds *= 2
        joined: list[PriceSpan] = []
        for span in self.spans:
            began = span.began_seconds - span.began_seconds % self.span_seconds
            if not joined or joined[-1].began_seconds < began:
                span.began_seconds = began
                joined.append(span)
                continue
            last = joined[-1]
            last.high, last.low = max(last.high, span.high), min(last.low, span.low)
            last.close = span.close
        self.spans = joined


class PriceHistory:
    """Keeps the spans; `note` is called for every tick and costs two comparisons."""

    def __init__(self) -> None:
        self._instruments: dict[InstrumentId, _Instrument] = {}

    def note(self, tick: Tick) -> None:
        """Take a tick in, by the time it was received."""
        kept = self._instruments.get(tick.instrument_id)
        if kept is None:
            kept = self._instruments[tick.instrument_id] = _Instrument()
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
        copies = (
            PriceSpan(each.began_seconds, each.open, each.high, each.low, each.close)
            for each in kept.spans
        )
        return kept.span_seconds, tuple(copies)
