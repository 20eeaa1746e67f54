"""Tests of domain.prices: the feed's float32 on the tick grid, exact roundings, plain text."""

import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squareoff.domain.prices import (
    decimal_from_units,
    decimal_text,
    is_on_tick,
    round_average_half_even,
    round_to_tick_down,
    round_to_tick_up,
    units_from_decimal,
    units_from_float32,
)

TICKS = st.sampled_from([Decimal("0.0025"), Decimal("0.01"), Decimal("0.05"), Decimal("0.10"), 1])
PRICES = st.decimals(min_value="0.0001", max_value="500000", places=4)


def as_float32(price: float) -> float:
    """Return a price as the feed's four bytes carry it."""
    return float(struct.unpack("<f", struct.pack("<f", price))[0])


@pytest.mark.parametrize(
    ("raw", "tick_units", "expected"),
    [
        pytest.param(25974.900390625, 500, 259_749_000, id="index future on 0.05"),
        pytest.param(25974.900390625, 1_000, 259_749_000, id="the same on 0.10"),
        pytest.param(248.0500030517578, 500, 2_480_500, id="a stop at 248.05 fires on 248.05"),
        pytest.param(as_float32(0.05), 500, 500, id="lowest option price"),
        pytest.param(as_float32(83.0025), 25, 830_025, id="currency"),
        pytest.param(as_float32(999_999.95), 500, 9_999_999_500, id="highest price told apart"),
    ],
)
def test_a_feed_price_lands_on_the_grid(raw: float, tick_units: int, expected: int) -> None:
    """A float32 price is rounded to the nearest tick before anything compares it (I17)."""
    assert units_from_float32(raw, tick_units) == expected


@pytest.mark.parametrize(
    "raw",
    [0.0, -0.0, -1.0, 0.0001, 1e38, -1e38, 1_000_001.0, math.nan, math.inf, -math.inf],
)
def test_what_is_no_price_is_none(raw: float) -> None:
    """Zero, negative, NaN, infinite, absurd and sub-tick values are no price at all (I8)."""
    assert units_from_float32(raw, 500) is None


@given(ticks=st.integers(min_value=1, max_value=5_000_000), tick_units=st.sampled_from([500, 1000]))
def test_every_price_on_the_grid_survives_the_wire(ticks: int, tick_units: int) -> None:
    """A price up to 2,50,000 rupees on the grid comes back from float32 as itself."""
    units = ticks * tick_units
    if units > 2_500_000_000:
        units %= 2_500_000_000
        units = max(units - units % tick_units, tick_units)

    assert units_from_float32(as_float32(units / 10_000), tick_units) == units


@given(price=PRICES)
def test_units_and_decimals_are_one_value(price: Decimal) -> None:
    """Rupees become price units and come back unchanged, with at least two decimals."""
    back = decimal_from_units(units_from_decimal(price))

    assert back == price
    assert -back.as_tuple().exponent >= 2  # type: ignore[operator]


@pytest.mark.parametrize("text", ["0.00001", "NaN", "Infinity", "-Infinity"])
def test_a_price_finer_than_a_unit_is_refused(text: str) -> None:
    """What price units cannot hold is an error, never a silent rounding."""
    with pytest.raises(ValueError, match=r"multiple of 0\.0001"):
        units_from_decimal(Decimal(text))


@given(price=PRICES, tick=TICKS)
def test_rounding_to_the_grid_keeps_its_direction(price: Decimal, tick: Decimal) -> None:
    """Down is the highest tick not above, up the lowest not below; both are on the grid."""
    tick = Decimal(tick)
    down, up = round_to_tick_down(price, tick), round_to_tick_up(price, tick)

    assert down <= price <= up
    assert price - down < tick
    assert up - price < tick
    assert is_on_tick(down, tick)
    assert is_on_tick(up, tick)
    assert (down == up) == is_on_tick(price, tick)


def test_negative_prices_round_in_the_named_direction() -> None:
    """Down is toward minus infinity also below zero: a far stop does not creep up."""
    assert round_to_tick_down(Decimal("-0.02"), Decimal("0.05")) == Decimal("-0.05")
    assert round_to_tick_up(Decimal("-0.07"), Decimal("0.05")) == Decimal("-0.05")


def test_an_average_has_eight_decimals_half_even() -> None:
    """An average price is rounded half to even at the eighth decimal."""
    assert round_average_half_even(Decimal("452.35"), 3) == Decimal("150.78333333")
    assert round_average_half_even(Decimal("0.00000001"), 2) == Decimal("0E-8")


def test_an_average_of_nothing_is_a_defect() -> None:
    """Asking for the average of no quantity is an assertion, not a division by zero."""
    with pytest.raises(AssertionError):
        round_average_half_even(Decimal(1), 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("152.35", "152.35"),
        ("150", "150.00"),
        ("83.0025", "83.0025"),
        ("1E+2", "100.00"),
        ("-0.00", "0.00"),
    ],
)
def test_decimals_are_shown_plain(value: str, text: str) -> None:
    """Money is text without exponent, two decimals or as many as it needs; nothing is no loss."""
    assert decimal_text(Decimal(value)) == text
