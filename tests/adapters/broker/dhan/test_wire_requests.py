"""Requests in the broker's words; bodies of orders are proved in test_rest.py."""

import json

import pytest

from squareoff.adapters.broker.dhan.wire_requests import (
    login_text,
    quote_body,
    read_status,
    subscription_text,
)
from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId

OPTION = InstrumentId(ExchangeSegment.NSE_FNO, "49081")
INDEX = InstrumentId(ExchangeSegment.IDX_I, "13")


def test_a_subscription_names_segment_word_and_text_id():
    """Security ids are text in subscriptions, whole numbers in quotes."""
    assert json.loads(subscription_text(21, [OPTION, INDEX])) == {
        "RequestCode": 21,
        "InstrumentCount": 2,
        "InstrumentList": [
            {"ExchangeSegment": "NSE_FNO", "SecurityId": "49081"},
            {"ExchangeSegment": "IDX_I", "SecurityId": "13"},
        ],
    }
    assert json.loads(quote_body([OPTION, INDEX])) == {"NSE_FNO": [49081], "IDX_I": [13]}


def test_the_login_frame():
    """The login is message 42 with client id and token."""
    assert json.loads(login_text(AccountId("11"), "jwt")) == {
        "LoginReq": {"MsgCode": 42, "ClientId": "11", "Token": "jwt"},
        "UserType": "SELF",
    }


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("TRADED", "TRADED"),
        ("traded", "TRADED"),
        ("Part Traded", "PART_TRADED"),
        ("part-traded", "PART_TRADED"),
        ("CLOSED", "UNKNOWN"),
        ("UNKNOWN", "UNKNOWN"),
        (None, "UNKNOWN"),
        (3, "UNKNOWN"),
        ([], "UNKNOWN"),
    ],
)
def test_status_words(word, status):
    """Every case and dash is the same word; a strange one is UNKNOWN."""
    assert read_status(word).value == status
