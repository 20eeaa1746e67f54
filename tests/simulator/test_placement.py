"""What a placement's body may hold: the rules of dhanhq-v2.md 2.2 - 2.3 and their knobs."""

from collections.abc import Callable
from typing import Any

import pytest

NULL = None
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"quantity": ...}, "DH-905"),
    ({"quantity": 0}, "DH-905"),
    ({"quantity": 75.5}, "DH-905"),
    ({"quantity": True}, "DH-905"),
    ({"quantity": 100}, "DH-906"),
    ({"securityId": "1"}, "DH-906"),
    ({"securityId": 49543}, "DH-905"),
    ({"exchangeSegment": "IDX_I", "securityId": "13"}, "DH-905"),
    ({"exchangeSegment": "NSE"}, "DH-905"),
    ({"transactionType": "SHORT"}, "DH-905"),
    ({"validity": ...}, "DH-905"),
    ({"productType": "CNC"}, "DH-905"),
    ({"productType": "BO"}, "DH-905"),
    ({"productType": "MARGIN", "exchangeSegment": "NSE_EQ", "securityId": "2885"}, "DH-905"),
    ({"price": ...}, "DH-905"),
    ({"price": -1}, "DH-905"),
    ({"price": "nan"}, "DH-905"),
    ({"price": ""}, "DH-905"),
    ({"price": 1e27}, "DH-905"),
    ({"price": "1e300"}, "DH-905"),
    ({"orderType": "STOP_LOSS", "triggerPrice": 1e300}, "DH-905"),
    ({"quantity": 75 * 10**30}, "DH-905"),
    ({"quantity": 75 * 2**31}, "DH-905"),
    ({"correlationId": ""}, "DH-905"),
    ({"correlationId": "a" * 26}, "DH-905"),
    ({"correlationId": "a/b"}, "DH-905"),
    ({"correlationId": 5}, "DH-905"),
    ({"disclosedQuantity": 10}, "DH-905"),
    ({"orderType": "STOP_LOSS", "triggerPrice": 26000.0}, "DH-906"),
    ({"orderType": "STOP_LOSS"}, "DH-905"),
    ({"afterMarketOrder": True}, "DH-905"),
    ({"afterMarketOrder": "yes"}, "DH-905"),
    ({"legName": NULL}, "DH-905"),
    ({"dhanClientId": ...}, "DH-905"),
    ({"legName": "LEFT_LEG"}, "DH-905"),
    ({"boProfitValue": "much"}, "DH-905"),
    ({"amoTime": "LATER"}, "DH-905"),
    ({"afterMarketOrder": True, "amoTime": ["OPEN"]}, "DH-905"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED, ids=[str(c) for c, _ in REFUSED])
def test_refused_at_once(bench: Any, changes: dict[str, Any], code: str) -> None:
    """A body the broker cannot take is refused at once, naming no field, and is not placed."""
    status, body = bench.call("POST", "/orders", bench.body(**changes))

    assert (status, body["errorCode"]) == (400, code)
    assert bench.call("GET", "/orders") == (200, [])


ACCEPTED: list[dict[str, Any]] = [
    {"legName": "NA", "boProfitValue": 0.0, "amoTime": "OPEN_30"},
    {"boProfitValue": None, "boStopLossValue": None},
    {"quantity": "75", "price": "26000.0"},
    {"correlationId": "a" * 25},
    {"correlationId": "with space"},
    {"disclosedQuantity": 30},
    {"orderType": "MARKET", "price": 0.0, "triggerPrice": 0.0, "disclosedQuantity": 0},
    {"orderType": "STOP_LOSS", "price": 26000.0, "triggerPrice": 25999.0},
    {"exchangeSegment": "NSE_EQ", "securityId": "2885", "quantity": 1, "productType": "CNC"},
]


@pytest.mark.parametrize("changes", ACCEPTED, ids=str)
def test_accepted(bench: Any, changes: dict[str, Any]) -> None:
    """What the SDK and other clients send is taken: nulls of unused BO fields, numeric strings."""
    assert bench.call("POST", "/orders", bench.body(**changes))[0] == 200


@pytest.mark.parametrize(
    ("knobs", "changes", "status"),
    [
        ({"correlation_id_length_max": 30}, {"correlationId": "a" * 30}, 200),
        ({"correlation_id_charset": "portal"}, {"correlationId": "a.b"}, 200),
        ({"correlation_id_charset": "portal"}, {"correlationId": "a b"}, 400),
        ({"correlation_id_charset": "safe"}, {"correlationId": "a b"}, 400),
        ({"refuse_empty_strings": False}, {"amoTime": "", "correlationId": ""}, 200),
        ({"accept_numeric_strings": False}, {"quantity": "75"}, 400),
        ({"disclosed_quantity_rule": "max_30"}, {"disclosedQuantity": 30}, 400),
        ({"disclosed_quantity_rule": "max_30"}, {"disclosedQuantity": 20}, 200),
        ({"disclosed_quantity_rule": "off"}, {"disclosedQuantity": 1}, 200),
        ({"static_ip_allowed": False}, {}, 400),
        ({"check_lot_size": "off"}, {"quantity": 10}, 200),
        ({"check_lot_size": "reject"}, {"quantity": 10}, 200),
        ({"stop_loss_market": "refuse"}, {"orderType": "STOP_LOSS_MARKET", "triggerPrice": 1}, 400),
        ({"market_hours": "closed"}, {}, 400),
        ({"market_hours": "closed"}, {"afterMarketOrder": True, "amoTime": "OPEN"}, 200),
    ],
    ids=str,
)
def test_knobs_of_placement(
    make_bench: Callable[..., Any], knobs: dict[str, Any], changes: dict[str, Any], status: int
) -> None:
    """Each doubtful rule of the sheet can be shown either way."""
    bench = make_bench(**knobs)

    assert bench.call("POST", "/orders", bench.body(**changes))[0] == status


@pytest.mark.parametrize("code", ["DH-905", "DH-911"])
def test_static_ip_refusal(make_bench: Callable[..., Any], code: str) -> None:
    """A caller at the wrong address is refused for writes while reads go on (12.15)."""
    bench = make_bench(static_ip_allowed=False, static_ip_code=code)

    status, body = bench.call("POST", "/orders", bench.body())

    assert (status, body["errorCode"], body["errorMessage"]) == (400, code, "Invalid IP")
    assert bench.call("GET", "/orders")[0] == 200


def test_missing_quantity_is_seen_before_the_address(make_bench: Callable[..., Any]) -> None:
    """The order of checks is quantity, then address, then instrument, as probed."""
    bench = make_bench(static_ip_allowed=False)

    _, no_quantity = bench.call("POST", "/orders", bench.body(quantity=...))
    _, no_instrument = bench.call("POST", "/orders", bench.body(securityId="1"))

    assert no_quantity["errorMessage"] != "Invalid IP"
    assert no_instrument["errorMessage"] == "Invalid IP"


def test_body_must_be_json(bench: Any) -> None:
    """A body that is no JSON object is DH-905."""
    assert bench.call("POST", "/orders", b"a=b")[1]["errorCode"] == "DH-905"
