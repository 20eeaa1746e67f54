"""JSON rows of the reads."""

from decimal import Decimal

from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.exchange.ledger import Position
from squareoff.simulator.catalogue import default_listings
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.rows import (
    funds_row,
    position_row,
    segment_is_derivative,
    with_number_texts,
)

OPTION = next(each for each in default_listings() if each.option_type == "CE")


def test_position_row_has_every_documented_key() -> None:
    """A short option's row has the sheet's keys, its sign and its marks."""
    position = Position(OPTION.instrument_id, ProductType.INTRADAY)
    position.day_sell_quantity, position.day_sell_value = 75, Decimal(15000)

    row = position_row(position, OPTION, "1100000001", Decimal(190), BrokerConduct())

    assert list(row) == [
        "dhanClientId", "tradingSymbol", "securityId", "positionType", "exchangeSegment",
        "productType", "buyAvg", "costPrice", "buyQty", "sellAvg", "sellQty", "netQty",
        "realizedProfit", "unrealizedProfit", "rbiReferenceRate", "multiplier",
        "carryForwardBuyQty", "carryForwardSellQty", "carryForwardBuyValue",
        "carryForwardSellValue", "dayBuyQty", "daySellQty", "dayBuyValue", "daySellValue",
        "drvExpiryDate", "drvOptionType", "drvStrikePrice", "crossCurrency",
    ]  # fmt: skip
    assert (row["positionType"], row["netQty"], row["unrealizedProfit"]) == ("SHORT", -75, 750.0)
    assert (row["drvOptionType"], row["drvStrikePrice"]) == ("CALL", 26000.0)


def test_funds_keep_the_wire_s_spelling() -> None:
    """Two keys are misspelt on the wire and stay so."""
    row = funds_row("1", Decimal("1000"), Decimal("300.50"))

    assert (row["availabelBalance"], row["utilizedAmount"]) == (699.5, 300.5)
    assert "receiveableAmount" in row


def test_number_texts_touch_numbers_only() -> None:
    """Only quantities and prices become strings."""
    assert with_number_texts({"price": 1.5, "legName": "NA", "quantity": 3}) == {
        "price": "1.5", "legName": "NA", "quantity": "3",
    }  # fmt: skip


def test_derivatives_are_told_from_cash_and_index() -> None:
    """Cash and index segments carry no expiry."""
    derivatives = [segment for segment in ExchangeSegment if segment_is_derivative(segment)]

    assert ExchangeSegment.NSE_FNO in derivatives
    assert not {ExchangeSegment.NSE_EQ, ExchangeSegment.BSE_EQ, ExchangeSegment.IDX_I} & set(
        derivatives
    )
