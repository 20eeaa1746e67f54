"""A usable price for an exit: memory, then Redis, then the broker's quote; each only if fresh.

Never raises, never hides which source answered. An old value stays old however often it is read:
age counts from the moment the price was received.
"""

from typing import Protocol

import structlog

from squareoff.core.inputs import PriceView
from squareoff.domain.errors import BrokerError
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import Quote
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now, seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.gateway import Gateway
from squareoff.services.tick_cache import TickCache

_log = structlog.get_logger("squareoff.ltp_resolver")
QUOTE_SPACING_SECONDS = 1.1
"""The broker answers one quote call a second (dhanhq-v2.md 8.1)."""

QUOTE_WAIT_SECONDS_MAX = 2.5
"""Longer than this no exit waits for a quote; without a price it goes as MARKET."""


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
        gateway: Gateway,
        clock: Clock,
        *,
        stale_after_seconds: float,
    ) -> None:
        self._cache = cache
        self._shared = shared
        self._gateway = gateway
        self._clock = clock
        self._stale_after_seconds = stale_after_seconds
        self._next_quote_ns = 0

    async def resolve(self, instrument: Instrument) -> PriceView | None:
        """Return a fresh price with its source and age, None where no source has one."""
        now = self._clock.now()
        tick = self._cache.fresh(instrument.instrument_id, now.monotonic_ns)
        if tick is not None:
            age_ns = now.monotonic_ns - tick.received_monotonic_ns
            return _view_of_tick(tick, "memory", age_ns / NANOSECONDS_PER_SECOND)
        if self._shared is not None:
            view = self._shared_view(await self._shared.get(instrument.instrument_id), now)
            if view is not None:
                return view
        return await self._quoted(instrument)

    def _shared_view(self, tick: Tick | None, now: Now) -> PriceView | None:
        """Age of a shared tick is by wall clock: monotonic time means nothing across processes."""
        if tick is None:
            return None
        age = (now.wall_ns - tick.received_time_ns) / NANOSECONDS_PER_SECOND
        if not 0 <= age <= self._stale_after_seconds:
            return None
        return _view_of_tick(tick, "redis", age)

    async def _quoted(self, instrument: Instrument) -> PriceView | None:
        if not await self._wait_for_quote_turn():
            return None
        try:
            quotes = await self._gateway.quotes([instrument.instrument_id])
        except BrokerError as error:
            _log.warning("quote_failed", instrument=str(instrument.instrument_id), error=str(error))
            return None
        quote = quotes.get(instrument.instrument_id)
        if quote is None or quote.last_traded_price <= 0:
            return None
        return _view_of_quote(quote)

    async def _wait_for_quote_turn(self) -> bool:
        """Keep quotes a little over a second apart; False where the turn is too far off."""
        now_ns = self._clock.now().monotonic_ns
        turn_ns = max(now_ns, self._next_quote_ns)
        wait_seconds = (turn_ns - now_ns) / NANOSECONDS_PER_SECOND
        if wait_seconds > QUOTE_WAIT_SECONDS_MAX:
            return False
        self._next_quote_ns = turn_ns + seconds_to_ns(QUOTE_SPACING_SECONDS)
        if wait_seconds > 0:
            await self._clock.sleep(wait_seconds)
        return True


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
