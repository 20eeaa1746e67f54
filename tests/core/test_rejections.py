"""Tests of core.rejections: a refusal's text decides what may be done about it."""

import pytest

from squareoff.core.rejections import RejectionClass, classify_rejection

WAIT, CLOSED, STOP = RejectionClass.WAIT, RejectionClass.MARKET_CLOSED, RejectionClass.STOP


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("DH-906", "Market is Closed! Want to place an offline order?", CLOSED),
        ("DH-906", "markets offline or blocked", CLOSED),
        ("DH-905", "Invalid IP", STOP),
        ("DH-911", "anything", STOP),
        ("DH-905", "Missing required fields, bad values for parameters etc.", STOP),
        ("", "RMS: Insufficient funds", STOP),
        ("", "quantity above FREEZE limit", STOP),
        ("", "EXCH: 17070 price out of execution range", WAIT),
        ("DH-906", "order is in transit state", WAIT),
        ("DH-910", "transaction failed", WAIT),
        ("", "", WAIT),
        ("DH-999", "a text nobody has seen", WAIT),
    ],
)
def test_the_class_of_a_refusal(code: str, text: str, expected: RejectionClass) -> None:
    """Closed markets wait for the session, lasting faults stop, everything else may pass."""
    assert classify_rejection(code, text) is expected
