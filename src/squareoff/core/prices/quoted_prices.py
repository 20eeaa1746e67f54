"""What a broker's REST quote tells: a tick for the rules to judge, the day's range and limits."""

from decimal import ROUND_HALF_EVEN, Decimal

from squareoff.core.prices.price_hygiene import Circuit, circuit_between
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import Quote
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE, PriceUnits
from squareoff.domain.ticks import Tick, TickSource
from squareoff.domain.time import Now

_PRICE_MAX = Decimal(1_000_000)
"""As of the feed: above it, it is no price."""


def tick_of_quote(quote: Quote, instrument: Instrument, now: Now) -> Tick | None:
    """Return a quote's last trade on the instrument's grid.

    None where it is no price, or the quote does not tell when it was traded: its age is unknown.
    """
    price = _on_grid(quote.last_traded_price, instrument.tick_units)
    if price is None or quote.last_trade_time_ns is None:
        return None
    return Tick(
        instrument_id=instrument.instrument_id,
        last_traded_price=price,
        exchange_time_ns=quote.last_trade_time_ns,
        received_time_ns=now.wall_ns,
        received_monotonic_ns=now.monotonic_ns,
        best_bid=_on_grid(quote.best_bid, instrument.tick_units),
        best_ask=_on_grid(quote.best_ask, instrument.tick_units),
        source=TickSource.QUOTE,
    )


def day_range_of_quote(quote: Quote, instrument: Instrument) -> tuple[int, int] | None:
    """Return the day's high and low that a quote tells, None where it tells none."""
    high = _on_grid(quote.day_high, instrument.tick_units)
    low = _on_grid(quote.day_low, instrument.tick_units)
    return None if high is None or low is None or high < low else (high, low)


def limits_of_quote(quote: Quote, instrument: Instrument) -> Circuit | None:
    """Return the day's circuit limits that a quote tells, None where it tells none that can be.

    Limits that the quote's own price stands outside of cannot be.
    """
    lower = _on_grid(quote.lower_circuit, instrument.tick_units)
    upper = _on_grid(quote.upper_circuit, instrument.tick_units)
    price = _on_grid(quote.last_traded_price, instrument.tick_units)
    if price is None or (lower is None and upper is None):
        return None
    limits = circuit_between(lower, upper)
    return limits if limits.lowest <= price <= limits.highest else None


def _on_grid(price: Decimal | None, tick_units: int) -> PriceUnits | None:
    if price is None or not price.is_finite() or not 0 < price <= _PRICE_MAX:
        return None
    ticks = (price * PRICE_UNITS_PER_RUPEE / tick_units).to_integral_value(ROUND_HALF_EVEN)
    return PriceUnits(int(ticks) * tick_units) if ticks > 0 else None
