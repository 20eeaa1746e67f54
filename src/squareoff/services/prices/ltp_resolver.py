"""A usable price for an exit: memory, then Redis, then the broker's quote; each only if fresh.

Never raises, never hides which source answered.
Invariants:
1. An old value stays old however often it is read and by whom: a tick's age counts from the moment
   the feed gave it to the first process, and restarts nowhere.
2. Redis costs an exit at most SHARED_WAIT_SECONDS_MAX, and nothing for a while after it failed.
3. All quotes of a process share the broker's rate of one call a second.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog

from squareoff.core.prices.price_hygiene import Circuit
from squareoff.core.state.inputs import PriceView
from squareoff.domain.copies import replace
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import Quote
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.ticks import Tick, TickSource
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.orders.gateway import BrokerBooks
from squareoff.services.prices.quote_turns import QuoteTurns
from squareoff.services.prices.tick_cache import TickCache

_log = structlog.get_logger("squareoff.ltp_resolver")
SHARED_WAIT_SECONDS_MAX = 0.15
"""A Redis at hand answers within a millisecond; the broker's quote is the better bet after this."""

SHARED_PAUSE_SECONDS = 1.0
"""How long a Redis that did not answer in time is not asked again."""

CLOCKS_APART_SECONDS_MAX = 1.0
"""Two hosts that keep time disagree by less; a tick of the nearer future counts as new."""

QUOTE_WAIT_SECONDS_MAX = 2.5
"""Longer than this no exit waits for a quote; without a price it goes as MARKET."""


LimitsOf = Callable[[InstrumentId, int], Circuit | None]
"""Tells the circuit limits of an instrument on the day of an instant (UTC ns)."""


class SharedTicks(Protocol):
    """Ticks shared between processes (Redis). Never raises: None where it has none or is away."""

    async def get(self, instrument_id: InstrumentId) -> Tick | None:
        """Return the shared tick of an instrument."""
        ...


class LtpResolver:
    """Finds a price that an exit may be priced with."""

    def __init__(
        self,
        cache: TickCache,
        shared: SharedTicks | None,
        gateway: BrokerBooks,
        clock: Clock,
        *,
        stale_after_seconds: float,
    ) -> None:
        self._cache = cache
        self._shared = shared
        self._clock = clock
        self.quotes = QuoteTurns(gateway, clock)
        self._stale_after_seconds = stale_after_seconds
        self._shared_again_ns = 0
        self._limits_of: LimitsOf = lambda instrument_id, wall_ns: None

    def know_limits(self, limits_of: LimitsOf) -> None:
        """Let every price come with the circuit limits of its day, where they are known."""
        self._limits_of = limits_of

    def at_hand(self, instrument: Instrument) -> PriceView | None:
        """Return a fresh price from memory, None where it has none; never waits."""
        now_ns = self._clock.now().monotonic_ns
        tick = self._cache.fresh(instrument.instrument_id, now_ns)
        if tick is None:
            return None
        age_ns = now_ns - tick.received_monotonic_ns
        source = "quote" if tick.source is TickSource.QUOTE else "memory"
        view = _view_of_tick(tick, source, age_ns / NANOSECONDS_PER_SECOND)
        return self._with_limits(instrument, view)

    async def resolve(self, instrument: Instrument) -> PriceView | None:
        """Return a fresh price with its source and age, None where no source has one."""
        view = self.at_hand(instrument)
        if view is not None:
            return view
        view = self._shared_view(await self._shared_tick(instrument.instrument_id))
        if view is None:
            view = await self._quoted(instrument)
        return None if view is None else self._with_limits(instrument, view)

    def _with_limits(self, instrument: Instrument, view: PriceView) -> PriceView:
        circuit = self._limits_of(instrument.instrument_id, self._clock.now().wall_ns)
        return view if circuit is None else replace(view, limits=circuit.in_rupees())

    async def _shared_tick(self, instrument_id: InstrumentId) -> Tick | None:
        now_ns = self._clock.now().monotonic_ns
        if self._shared is None or now_ns < self._shared_again_ns:
            return None
        tick = None
        with suppress(TimeoutError):
            async with asyncio.timeout(SHARED_WAIT_SECONDS_MAX):
                tick = await self._shared.get(instrument_id)
        elapsed_ns = self._clock.now().monotonic_ns - now_ns
        if tick is None and elapsed_ns > seconds_to_ns(SHARED_WAIT_SECONDS_MAX / 2):
            self._shared_again_ns = now_ns + seconds_to_ns(SHARED_PAUSE_SECONDS)
            _log.warning("shared_ticks_slow", instrument=str(instrument_id))
        return tick

    def _shared_view(self, tick: Tick | None) -> PriceView | None:
        """Age of a shared tick is by wall clock: monotonic time means nothing across processes."""
        if tick is None:
            return None
        now_ns = self._clock.now().wall_ns
        age = (now_ns - tick.received_time_ns) / NANOSECONDS_PER_SECOND
        if not -CLOCKS_APART_SECONDS_MAX <= age <= self._stale_after_seconds:
            return None
        if not self._cache.is_dated_right(tick):
            return None
        return _view_of_tick(tick, "redis", max(0.0, age))

    async def _quoted(self, instrument: Instrument) -> PriceView | None:
        quote = await self.quotes.quote(
            instrument.instrument_id, wait_seconds_max=QUOTE_WAIT_SECONDS_MAX
        )
        if quote is None or quote.last_traded_price <= 0:
            return None
        return _view_of_quote(quote)


def _view_of_tick(tick: Tick, source: str, age_seconds: float) -> PriceView:
    return PriceView(
        last_traded_price=decimal_from_units(tick.last_traded_price),
        best_bid=None if tick.best_bid is None else decimal_from_units(tick.best_bid),
        best_ask=None if tick.best_ask is None else decimal_from_units(tick.best_ask),
        source=source,
        age_seconds=age_seconds,
    )


def _view_of_quote(quote: Quote) -> PriceView:
    """The quote was asked for just now: its bid and ask are the book of this moment."""
    return PriceView(
        last_traded_price=quote.last_traded_price,
        best_bid=quote.best_bid,
        best_ask=quote.best_ask,
        source="quote",
        age_seconds=0.0,
    )
