"""Orders in the exchange's book."""

from decimal import Decimal

import pytest

from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.orders import TimeInForce, WorkingOrder


def working(side: Side, limit: str | None, **more: int | None) -> WorkingOrder:
    return WorkingOrder(
        "a", "1", InstrumentId(ExchangeSegment.NSE_EQ, "1"), side, OrderType.LIMIT, 100,
        None if limit is None else Decimal(limit), None, TimeInForce.DAY, 1, **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("side", "limit", "price", "accepted"),
    [
        (Side.BUY, "100", "100", True),
        (Side.BUY, "100", "100.05", False),
        (Side.SELL, "100", "100", True),
        (Side.SELL, "100", "99.95", False),
        (Side.SELL, None, "0.05", True),
    ],
)
def test_limit_bounds_the_price(side: Side, limit: str | None, price: str, accepted: bool) -> None:
    """A buyer pays at most the limit, a seller takes at least it, and no limit takes any price."""
    assert working(side, limit).accepts(Decimal(price)) is accepted


def test_fillable_is_open_rest_within_the_cap() -> None:
    """What may fill now is the open rest, bounded by the cap on all fills."""
    assert working(Side.BUY, "1", filled_quantity=40).fillable_quantity == 60
    assert working(Side.BUY, "1", filled_quantity=40, fill_cap=50).fillable_quantity == 10
    assert working(Side.BUY, "1", filled_quantity=40, fill_cap=0).fillable_quantity == 0
