"""Keep the circuit limits by which prices are judged those of the day.

The instrument master tells the limits of the day on which a position came under watch; from the
next day on, and where the exchange moves them within a day, only the broker's quotes know them.
Asked for in the turns that no exit needs, for all instruments at once: shortly before the session,
until a quote shows by its own last trade that it is of the day, and again when a price outside of
them was told. Nothing here is waited for by anybody.
"""

from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.prices.quoted_prices import limits_of_quote, tick_of_quote
from squareoff.core.prices.watched_instrument import LimitsWanted
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import Quote
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now, ist_day_number, seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.prices.market_hours import MarketHours
from squareoff.services.prices.quote_turns import INSTRUMENTS_MAX, QuoteTurns

LOOK_SECONDS = 1.0

EARLY_SECONDS = 900
"""Limits are set before the session; the first prints of the day should find them known."""

ASK_AGAIN_SECONDS = {LimitsWanted.DOUBTED: 2.0, LimitsWanted.UNKNOWN: 30.0}
"""A quote that tells no limits, or those of an earlier day, is not asked for every second."""


class CircuitLimitWatch:
    """Asks for the circuit limits of one engine's instruments."""

    def __init__(
        self,
        book: PositionBook,
        prices: PriceWatch,
        quotes: QuoteTurns,
        *,
        hours: MarketHours,
        clock: Clock,
    ) -> None:
        self._book = book
        self._prices = prices
        self._quotes = quotes
        self._hours = hours
        self._clock = clock
        self._answered_ns: dict[InstrumentId, int] = {}

    async def run(self) -> None:
        """Look at once, and then every second; never returns."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ask for the limits that are wanted now, where there is a turn to spare."""
        if not self._quotes.has_spare_turn():
            return
        now = self._clock.now()
        wanted = self._wanted(now)
        if not wanted:
            return
        quotes = await self._quotes.spare_call(tuple(wanted))
        if quotes is None:
            return
        for instrument_id, instrument in wanted.items():
            self._answered_ns[instrument_id] = now.monotonic_ns
            if instrument_id in quotes:
                take_limits_of(quotes[instrument_id], instrument, self._prices, self._clock.now())

    def _wanted(self, now: Now) -> dict[InstrumentId, Instrument]:
        """Return whose limits to ask for now; those in doubt first, for a stop waits for them."""
        wanted: dict[InstrumentId, Instrument] = {}
        every = self._prices.limits_wanted(now.wall_ns)
        every = sorted(every, key=lambda each: ASK_AGAIN_SECONDS[each[1]])
        for instrument_id, why in every:
            answered_ns = self._answered_ns.get(instrument_id)
            pause_ns = seconds_to_ns(ASK_AGAIN_SECONDS[why])
            if answered_ns is not None and now.monotonic_ns - answered_ns < pause_ns:
                continue
            instrument = self._held(instrument_id)
            if instrument is not None and self._is_about_to_trade(instrument_id, now.wall_ns):
                wanted[instrument_id] = instrument
            if len(wanted) == INSTRUMENTS_MAX:
                break
        return wanted

    def _held(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return an instrument that a position is open in, None where none is."""
        for actor in self._book.on_instrument(instrument_id):
            if not actor.tracker.status.is_final:
                return actor.tracker.instrument
        return None

    def _is_about_to_trade(self, instrument_id: InstrumentId, wall_ns: int) -> bool:
        segment, early_ns = instrument_id.exchange_segment, EARLY_SECONDS * NANOSECONDS_PER_SECOND
        return self._hours.is_in_session(segment, wall_ns + early_ns) or (
            self._hours.is_in_session(segment, wall_ns)
        )


def take_limits_of(quote: Quote, instrument: Instrument, prices: PriceWatch, now: Now) -> None:
    """Take in what a quote tells of the limits of this day.

    Where its own trade of today lies outside of those that it tells and of those that are known,
    none are: limits that the broker keeps too long would mute a stop for the rest of the day.
    """
    limits, tick, now_ns = limits_of_quote(quote, instrument), None, now.wall_ns
    if (traded_ns := quote.last_trade_time_ns) is not None:
        is_of_today = ist_day_number(traded_ns) == ist_day_number(now_ns)
        tick = tick_of_quote(quote, instrument, now) if is_of_today else None
    if limits is not None:
        prices.take_limits(quote.instrument_id, limits, now_ns, is_proved=tick is not None)
    elif tick is not None:
        prices.refute_limits(tick)
