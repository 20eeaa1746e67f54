"""Order-update messages: any casing, letters for words, quantities above all."""

import json
from decimal import Decimal

import pytest

from squareoff.adapters.broker.dhan.json_values import Unreadable
from squareoff.adapters.broker.dhan.wire_updates import read_update
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import BrokerOrderStatus, ReportSource, Side

CAMEL = {
    "exchange": "NSE",
    "segment": "D",
    "source": "P",
    "securityId": "49081",
    "clientId": "1100000001",
    "exchOrderNo": "1200000011223344",
    "orderNo": "9525091500001",
    "product": "I",
    "txnType": "B",
    "orderType": "LMT",
    "validity": "DAY",
    "remainingQuantity": 75,
    "quantity": 150,
    "tradedQty": 75,
    "price": 152.35,
    "triggerPrice": 0,
    "tradedPrice": 152.2,
    "avgTradedPrice": 152.2,
    "offMktFlag": "0",
    "orderDateTime": "2026-09-15 10:02:11",
    "lastUpdatedTime": "2026-09-15 10:02:14",
    "reasonDescription": "CONFIRMED",
    "legNo": 1,
    "status": "Part-Traded",
    "correlationId": "sqx-abcdefghijkl-001-01",
}


def message(order, kind="order_alert"):
    return json.dumps({"Data": order, "Type": kind})


@pytest.mark.parametrize(
    "spell",
    [str, str.upper, str.lower, lambda key: key[0].upper() + key[1:]],
    ids=["camel", "upper", "lower", "pascal"],
)
def test_keys_are_read_in_any_casing(spell):
    """Documented PascalCase, real camelCase and mixtures give the same report."""
    report = read_update(message({spell(key): value for key, value in CAMEL.items()}))

    assert report.broker_order_id == "9525091500001"
    assert report.client_order_id == "sqx-abcdefghijkl-001-01"
    assert report.instrument_id == InstrumentId(ExchangeSegment.NSE_FNO, "49081")
    assert (report.product_type, report.side) == (ProductType.INTRADAY, Side.BUY)
    assert (report.order_quantity, report.cumulative_quantity) == (150, 75)
    assert (report.average_price, report.limit_price) == (Decimal("152.2"), Decimal("152.35"))
    assert report.status is BrokerOrderStatus.PART_TRADED
    assert (report.source, report.reason) == (ReportSource.STREAM, "")
    assert report.update_time_ns == 1_789_446_734_000_000_000


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Transit", "TRANSIT"),
        ("Pending", "PENDING"),
        ("Rejected", "REJECTED"),
        ("Cancelled", "CANCELLED"),
        ("Traded", "TRADED"),
        ("Expired", "EXPIRED"),
        ("PART-TRADED", "PART_TRADED"),
        ("Part Traded", "PART_TRADED"),
        ("Modified", "UNKNOWN"),
        ("Triggered", "UNKNOWN"),
        ("", "UNKNOWN"),
        (None, "UNKNOWN"),
        (7, "UNKNOWN"),
    ],
)
def test_status_words_in_any_dress(word, status):
    """Title case, dashes and blanks are the same word; others are UNKNOWN."""
    assert read_update(message({**CAMEL, "status": word})).status.value == status


@pytest.mark.parametrize(
    ("exchange", "segment", "expected"),
    [
        ("NSE", "E", "NSE_EQ"),
        ("NSE", "D", "NSE_FNO"),
        ("NSE", "C", "NSE_CURRENCY"),
        ("BSE", "E", "BSE_EQ"),
        ("BSE", "D", "BSE_FNO"),
        ("BSE", "C", "BSE_CURRENCY"),
        ("MCX", "M", "MCX_COMM"),
        ("nse", "d", "NSE_FNO"),
    ],
)
def test_exchange_and_segment_make_the_segment_word(exchange, segment, expected):
    """The pair of letters names the segment of REST."""
    report = read_update(message({**CAMEL, "exchange": exchange, "segment": segment}))

    assert report.instrument_id.exchange_segment.value == expected


@pytest.mark.parametrize(
    ("letter", "product"),
    [
        ("C", "CNC"),
        ("I", "INTRADAY"),
        ("M", "MARGIN"),
        ("F", "MTF"),
        ("V", "CO"),
        ("B", "BO"),
        ("INTRADAY", "INTRADAY"),
    ],
)
def test_product_letters(letter, product):
    """Each product letter, and the word itself, names the product of REST."""
    assert read_update(message({**CAMEL, "product": letter})).product_type.value == product


def test_texts_for_numbers_and_empty_fields():
    """Numeric strings are numbers, an empty tag is none, zero averages are none."""
    report = read_update(
        message(
            {
                **CAMEL,
                "quantity": "150",
                "tradedQty": "0",
                "avgTradedPrice": 0,
                "price": "0",
                "correlationId": "",
                "securityId": 49081,
                "txnType": "SELL",
                "lastUpdatedTime": "",
                "reasonDescription": "RMS: no funds",
            }
        )
    )

    assert (report.order_quantity, report.cumulative_quantity) == (150, 0)
    assert (report.average_price, report.limit_price, report.client_order_id) == (None,) * 3
    assert (report.side, report.update_time_ns) == (Side.SELL, None)
    assert report.reason == "RMS: no funds"


@pytest.mark.parametrize("kind", ["trade_alert", "", None, 5, "login"])
def test_other_types_concern_nobody(kind):
    """A message of another type is passed over, not garbled."""
    assert read_update(message({"x": 1}, kind)) is None


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "hello",
        "[]",
        "null",
        "5",
        b"\x05\x00\x01\xff\xfe",
        "[" * 50_000,
        json.dumps({"Type": "order_alert"}),
        message([]),
        message({}),
        message({"orderNo": "1"}),
        message({**CAMEL, "tradedQty": None}),
        message({**CAMEL, "quantity": "x"}),
        message({**CAMEL, "exchange": "NYSE"}),
        message({**CAMEL, "product": "Z"}),
        message({**CAMEL, "txnType": "X"}),
        message({**CAMEL, "orderNo": ""}),
        message({**CAMEL, "tradedQty": -5}),
    ],
)
def test_what_is_no_order_update_is_unreadable(frame):
    """Rubbish and alerts that lack what decides raise one error."""
    with pytest.raises(Unreadable):
        read_update(frame)


@pytest.mark.parametrize("word", ["Cancelled", "Expired", "Rejected"])
def test_an_empty_end_at_a_traded_price_is_believed_in_neither(word):
    """Taken for an empty end, what the order did close would be closed again."""
    order = CAMEL | {"status": word, "tradedQty": 0, "avgTradedPrice": 151.5}
    with pytest.raises(Unreadable):
        read_update(message(order))
    report = read_update(message(order | {"avgTradedPrice": 0}))
    assert report.cumulative_quantity == 0
