"""Rows of holdings: what is surely there, whose rows must be readable."""

import json
from typing import Any

import pytest

from squareoff.adapters.broker.dhan.json_values import Unreadable
from squareoff.adapters.broker.dhan.wire_holdings import read_holding_row, says_nothing_is_held
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.orders import Holding


def row(**changes: Any) -> dict[str, Any]:
    """Return a row of a hundred shares in the demat, with these fields changed."""
    plain = {
        "exchange": "ALL",
        "tradingSymbol": "RELIANCE",
        "securityId": "2885",
        "isin": "INE002A01018",
        "totalQty": 100,
        "dpQty": 100,
        "t1Qty": 0,
        "availableQty": 100,
        "collateralQty": 0,
        "avgCostPrice": 1500.0,
    }
    return {**plain, **changes}


@pytest.mark.parametrize(
    ("changes", "cnc", "mtf"),
    [
        ({}, 100, 0),
        ({"totalQty": "100", "availableQty": "100.0"}, 100, 0),
        ({"dpQty": 0, "t1Qty": 100, "availableQty": 0}, 100, 0),
        ({"dpQty": 0, "t1Qty": 100}, 100, 0),
        ({"dpQty": 60, "t1Qty": 40, "availableQty": 60}, 100, 0),
        ({"availableQty": 60}, 60, 0),
        ({"totalQty": 60}, 60, 0),
        ({"dpQty": 60}, 60, 0),
        ({"collateralQty": 30, "availableQty": 70}, 70, 0),
        ({"collateralQty": 30, "availableQty": 100}, 70, 0),
        ({"collateralQty": None}, 100, 0),
        ({"collateralQty": 130}, 0, 0),
        ({"mtf_qty": 40, "mtf_tq_qty": 0}, 60, 40),
        ({"totalQty": 0, "dpQty": 0, "availableQty": 0, "mtf_qty": 40}, 0, 40),
        ({"mtf_qty": None}, 100, 0),
    ],
)
def test_no_more_is_counted_than_every_figure_grants(
    changes: dict[str, Any], cnc: int, mtf: int
) -> None:
    """Shares bought yesterday count, pledged ones do not, those of MTF count for MTF alone."""
    assert read_holding_row(row(**changes)) == Holding(None, "2885", cnc, mtf)


@pytest.mark.parametrize(
    ("exchange", "segment"),
    [
        ("ALL", None),
        ("NSE", ExchangeSegment.NSE_EQ),
        ("NSE_EQ", ExchangeSegment.NSE_EQ),
        ("BSE", ExchangeSegment.BSE_EQ),
        ("bse_eq", ExchangeSegment.BSE_EQ),
    ],
)
def test_a_row_is_of_one_exchange_or_of_all(exchange: str, segment: ExchangeSegment | None) -> None:
    """The broker writes ALL; the name of an exchange is taken at its word."""
    assert read_holding_row(row(exchange=exchange)).exchange_segment is segment


@pytest.mark.parametrize(
    "changes",
    [
        {"totalQty": None},
        {"dpQty": "x"},
        {"t1Qty": -1},
        {"availableQty": 0.5},
        {"mtf_qty": "?"},
        {"exchange": "MOON"},
        {"exchange": None},
    ],
)
def test_an_unreadable_row_is_one_without_a_quantity(changes: dict[str, Any]) -> None:
    """It blinds nobody but those who hold that instrument, and it is never taken for none."""
    assert read_holding_row(row(**changes)) == Holding(None, "2885", None, None)


@pytest.mark.parametrize("name", [None, "", "NA", "28 85"])
def test_a_row_without_an_instrument_fails_the_read(name: str | None) -> None:
    """Nobody can tell whose row it is, so it may be ours."""
    with pytest.raises(Unreadable):
        read_holding_row(row(securityId=name))


@pytest.mark.parametrize("code", [["DH-1111"], {"a": 1}, 1111, None, True])
def test_an_odd_code_is_not_the_answer_for_an_empty_account(code: object) -> None:
    """A list or an object where a word should be is no defect of ours: the reading has failed."""
    assert not says_nothing_is_held(500, json.dumps({"errorCode": code}).encode())
    assert says_nothing_is_held(500, json.dumps({"errorCode": "DH-1111"}).encode())
