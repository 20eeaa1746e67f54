"""Tests of core.exits.rejections: a refusal's text decides what may be done about it."""

import pytest

from squareoff.core.exits.rejections import PHRASES, RejectionClass, classify_rejection

WAIT, CLOSED, STOP = RejectionClass.WAIT, RejectionClass.MARKET_CLOSED, RejectionClass.STOP
SIZE, PRICE = RejectionClass.ADAPT_SIZE, RejectionClass.ADAPT_PRICE


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("DH-906", "Market is Closed! Want to place an offline order?", CLOSED),
        ("DH-906", "markets offline or blocked", CLOSED),
        ("DH-906", "Exchange closed, please place After Market Order", CLOSED),
        ("", "EXCH: The price is not in multiples of tick size", RejectionClass.ADAPT_TICK),
        ("DH-905", "Invalid IP", STOP),
        ("DH-911", "anything", STOP),
        ("DH-905", "Missing required fields, bad values for parameters etc.", STOP),
        ("", "RMS: Insufficient funds", STOP),
        ("", "quantity above FREEZE limit", SIZE),
        ("", "EXCH: 17070 price out of execution range", PRICE),
        ("", "RMS:123: Rate Not Within Ckt Limit 10.50-20.50", PRICE),
        ("", "Order price is outside the circuit limits", PRICE),
        ("", "RMS: Margin exceeds available limit", STOP),
        ("", "security is in ban period", STOP),
        ("DH-905", "IP address is not whitelisted for order APIs", STOP),
        ("", "RMS:12: Market orders are not allowed", RejectionClass.ADAPT_TYPE),
        ("", "RMS: Market orders are not allowed in this contract", RejectionClass.ADAPT_TYPE),
        ("", "Market order cannot be placed, market is closed", CLOSED),
        ("", "Orders are not allowed in this session", CLOSED),
        ("", "RMS: Intraday product is not allowed in this scrip", STOP),
        ("DH-904", "Too many requests", WAIT),
        ("DH-906", "order is in transit state", WAIT),
        ("DH-906", "transaction failed", WAIT),
        ("", "", WAIT),
        ("DH-999", "a text nobody has seen", WAIT),
    ],
)
def test_the_class_of_a_refusal(code: str, text: str, expected: RejectionClass) -> None:
    """The first phrase that the text holds decides; an unknown text may pass by itself."""
    assert classify_rejection(code, text) is expected


def test_every_phrase_can_decide() -> None:
    """No phrase of the table stands behind one that always decides before it."""
    for phrase, expected in PHRASES:
        assert classify_rejection("", phrase.upper()) is expected
        assert phrase == phrase.lower()
