"""What the exchange refuses, and the protection of market orders."""

from decimal import Decimal

import pytest

from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.orders import NewOrder
from squareoff.exchange.rules import (
    MatchingRules,
    RejectCode,
    find_refusal,
    protected_limit,
)

IDENTITY = InstrumentId(ExchangeSegment.NSE_FNO, "1")
OPTION = Instrument(
    IDENTITY, "OPT", 75, Decimal("0.05"), 1800, Decimal("0.05"), Decimal("500"), "OPTIDX"
)
STOCK = Instrument(IDENTITY, "EQ", 1, Decimal("0.05"), None, None, None, "EQUITY")


def refused(rules: MatchingRules | None = None, **terms: object) -> RejectCode | None:
    fields: dict[str, object] = {
        "order_type": OrderType.LIMIT, "quantity": 75, "limit_price": Decimal("100.00"),
        "side": Side.BUY,
    } | terms  # fmt: skip
    order = NewOrder("a", IDENTITY, **fields)  # type: ignore[arg-type]
    refusal = find_refusal(order, order.side, OPTION, rules or MatchingRules())
    return None if refusal is None else refusal.code


STOP = {"order_type": OrderType.STOP_LOSS}


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({}, None),
        ({"quantity": 0}, RejectCode.QUANTITY),
        ({"quantity": 100}, RejectCode.LOT_SIZE),
        ({"quantity": 1875}, RejectCode.FREEZE_QUANTITY),
        ({"quantity": 1800}, None),
        ({"limit_price": Decimal("100.03")}, RejectCode.TICK_SIZE),
        ({"limit_price": Decimal("500.05")}, RejectCode.CIRCUIT),
        ({"limit_price": Decimal("500.00")}, None),
        ({"limit_price": None}, RejectCode.PRICE_MISSING),
        ({"order_type": OrderType.MARKET, "limit_price": None}, None),
        (STOP, RejectCode.PRICE_MISSING),
        (STOP | {"stop_price": Decimal("99.00")}, None),
        (STOP | {"stop_price": Decimal("100.00")}, RejectCode.TRIGGER_SIDE),
        (STOP | {"stop_price": Decimal("99.00"), "side": Side.SELL}, RejectCode.TRIGGER_SIDE),
        (STOP | {"stop_price": Decimal("101.00"), "side": Side.SELL}, None),
        (STOP | {"stop_price": Decimal("99.01")}, RejectCode.TICK_SIZE),
    ],
)
def test_each_rule_of_the_exchange(terms: dict[str, object], code: RejectCode | None) -> None:
    """Quantity, lot, freeze, tick, circuit, price and trigger side are each refused by name."""
    assert refused(**terms) is code


def test_checks_can_be_left_out() -> None:
    """A rule that is not among the checks lets the order pass; a missing price never does."""
    lenient = MatchingRules(checks=frozenset())

    assert refused(lenient, quantity=100) is None
    assert refused(lenient, limit_price=None) is RejectCode.PRICE_MISSING


@pytest.mark.parametrize(
    ("instrument", "side", "reference", "expected"),
    [
        (OPTION, Side.SELL, "264.10", "250.90"),
        (OPTION, Side.BUY, "40.00", "48.00"),
        (OPTION, Side.BUY, "150.00", "165.00"),
        (OPTION, Side.BUY, "499.00", "500"),
        (OPTION, Side.SELL, "0.05", "0.05"),
        (STOCK, Side.BUY, "1500.00", "1507.50"),
        (STOCK, Side.SELL, "90.00", "88.20"),
        (STOCK, Side.BUY, "300.00", "303.00"),
    ],
)
def test_protection_follows_the_slabs(
    instrument: Instrument, side: Side, reference: str, expected: str
) -> None:
    """The protected price is the slab's percentage away, on the tick, inside the circuit.

    The first row is the one observed live: 264.10 became 250.90.
    """
    price = protected_limit(side, Decimal(reference), instrument, MatchingRules())

    assert price == Decimal(expected)
