"""A broker's quote as a tick."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, OPENED_AT_NS
from squareoff.core.prices.quoted_prices import day_range_of_quote, tick_of_quote
from squareoff.domain.orders import Quote
from squareoff.domain.ticks import TickSource
from squareoff.domain.time import Now

NOW = Now(OPENED_AT_NS + 800_000_000, 7)
QUOTE = Quote(
    INSTRUMENT.instrument_id,
    D("152.20"),
    OPENED_AT_NS,
    best_bid=D("152.15"),
    best_ask=D("152.25"),
    day_high=D(160),
    day_low=D("141.5"),
)


def test_a_quote_is_a_tick_that_names_its_source() -> None:
    """Its trade time is the quote's, its receipt is now."""
    tick = tick_of_quote(QUOTE, INSTRUMENT, NOW)

    assert tick is not None
    assert (tick.last_traded_price, tick.best_bid, tick.best_ask) == (
        1_522_000,
        1_521_500,
        1_522_500,
    )
    assert (tick.exchange_time_ns, tick.received_time_ns) == (OPENED_AT_NS, NOW.wall_ns)
    assert (tick.received_monotonic_ns, tick.source) == (7, TickSource.QUOTE)


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity", "1000001", "0.001"])
def test_what_is_no_price_makes_no_tick(price: str) -> None:
    """The same limits as a price of the feed, and one that rounds to nothing."""
    assert tick_of_quote(replace(QUOTE, last_traded_price=D(price)), INSTRUMENT, NOW) is None


def test_a_quote_that_does_not_tell_when_is_not_used() -> None:
    """It may be of any day."""
    assert tick_of_quote(replace(QUOTE, last_trade_time_ns=None), INSTRUMENT, NOW) is None


def test_a_price_off_the_grid_goes_to_the_nearest_step() -> None:
    """As one of the feed does."""
    tick = tick_of_quote(replace(QUOTE, last_traded_price=D("152.21")), INSTRUMENT, NOW)

    assert tick is not None
    assert tick.last_traded_price == 1_522_000


@pytest.mark.parametrize(
    ("high", "low", "day"),
    [
        (D(160), D("141.5"), (1_600_000, 1_415_000)),
        (None, D("141.5"), None),
        (D(160), None, None),
        (D(100), D(101), None),
    ],
)
def test_the_days_range_needs_both_ends_in_order(
    high: D | None, low: D | None, day: tuple[int, int] | None
) -> None:
    """A range with one end, or upside down, is none."""
    quote = replace(QUOTE, day_high=high, day_low=low)

    assert day_range_of_quote(quote, INSTRUMENT) == day
