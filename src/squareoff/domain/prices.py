"""Prices: `Decimal` rupees where people and orders are, whole price units on the hot path.

One price unit is 1/10,000 rupee, the finest step any Indian exchange uses (currency: 0.0025).
Source of the float32 rule: dhanhq-v2.md 7.4 (a feed price of 25974.90 arrives as
25974.900390625).

Invariants:
1. No float leaves this module; a float enters only through `units_from_float32`.
2. Every rounding names its direction.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import NewType

PriceUnits = NewType("PriceUnits", int)
"""A price in 1/10,000 rupee."""

PRICE_UNITS_PER_RUPEE = 10_000
AVERAGE_PRICE_STEP = Decimal("0.00000001")
"""Average prices are kept to 8 decimals: finer than any money that follows from them."""

# The highest price any instrument here can have is far below this; above it a float32 cannot
# tell neighbouring ticks of 0.05 apart (spacing 0.0625 at 1,048,576).
_FLOAT32_PRICE_MAX = 1_000_000.0


def units_from_decimal(price: Decimal) -> PriceUnits:
    """Return `price` (rupees) in price units.

    Raises:
        ValueError: the price is not finite or is finer than one price unit.
    """
    scaled = price * PRICE_UNITS_PER_RUPEE
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"a price must be a multiple of 0.0001 rupee, was {price}")
    return PriceUnits(int(scaled))


def decimal_from_units(units: int) -> Decimal:
    """Return price units as exact rupees, with at least two decimals (`152.35`, `83.0025`)."""
    price = Decimal(units).scaleb(-4)
    hundredths = price.quantize(Decimal("0.01"))
    return hundredths if hundredths == price else price.normalize()


def units_from_float32(raw: float, tick_units: int) -> PriceUnits | None:
    """Return a feed price on the instrument's grid, or None where it is no price at all.

    Args:
        raw: rupees as decoded from the feed's float32.
        tick_units: the instrument's price step in price units, above zero.

    Returns:
        The nearest tick in price units; None for NaN, infinite, zero, negative or absurd values.
    """
    if not (math.isfinite(raw) and 0.0 < raw <= _FLOAT32_PRICE_MAX):
        return None
    ticks = round(raw * PRICE_UNITS_PER_RUPEE / tick_units)
    return PriceUnits(ticks * tick_units) if ticks > 0 else None


def is_on_tick(price: Decimal, tick_size: Decimal) -> bool:
    """Say whether `price` is a whole multiple of `tick_size` (both rupees)."""
    return price % tick_size == 0


def round_to_tick_down(price: Decimal, tick_size: Decimal) -> Decimal:
    """Return the highest multiple of `tick_size` that is not above `price`."""
    return (price / tick_size).to_integral_value(rounding=ROUND_FLOOR) * tick_size


def round_to_tick_up(price: Decimal, tick_size: Decimal) -> Decimal:
    """Return the lowest multiple of `tick_size` that is not below `price`."""
    return (price / tick_size).to_integral_value(rounding=ROUND_CEILING) * tick_size


def round_average_half_even(notional: Decimal, quantity: int) -> Decimal:
    """Return `notional / quantity` to 8 decimals; `quantity` is above zero."""
    assert quantity > 0, "an average needs a quantity"
    return (notional / quantity).quantize(AVERAGE_PRICE_STEP, rounding=ROUND_HALF_EVEN)


def decimal_text(value: Decimal) -> str:
    """Return a decimal as plain text: no exponent, two decimals or as many as it needs.

    A loss that was rounded to nothing has no sign.
    """
    hundredths = value.quantize(Decimal("0.01"))
    if hundredths == value:
        return format(hundredths if value else abs(hundredths), "f")
    return format(value.normalize(), "f")
