"""Row translation details; whole answers are proved in test_rest.py."""

import json

import pytest

from squareoff.adapters.broker.dhan.json_values import Unreadable
from squareoff.adapters.broker.dhan.wire import (
    OWN_TAG_PREFIX,
    UnknownWord,
    order_rows,
    read_position_row,
    reason_of,
)
from squareoff.adapters.broker.dhan.wire_requests import read_placement
from squareoff.core.exits.client_order_ids import client_order_id
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.orders import OrderRole, ReportSource


@pytest.mark.parametrize("role", list(OrderRole))
def test_the_own_prefix_covers_every_id_we_make(role):
    """A row of any order of ours is recognised as ours when it cannot be read."""
    tag = client_order_id(AccountId("1"), TrackerId("t"), role, attempt=1, slice_number=1)

    assert tag.startswith(OWN_TAG_PREFIX)
    with pytest.raises(Unreadable):
        order_rows(ReportSource.ORDER_BOOK).read({"correlationId": tag})
    with pytest.raises(Unreadable):
        order_rows(ReportSource.ORDER_BOOK).read({"correlationId": tag.upper()})


@pytest.mark.parametrize("text", ["CONFIRMED", "confirmed", "", "NA", None, "0", 0])
def test_healthy_orders_have_no_reason(text):
    """The broker's all-is-well words are no reason."""
    assert reason_of({"why": text}, "why") == ""


def test_an_unknown_word_is_told_from_a_missing_one():
    """Only a word that is there and unknown may let a row be skipped."""
    with pytest.raises(UnknownWord):
        read_position_row({"exchangeSegment": "NSE_COMM", "productType": "INTRADAY"})
    with pytest.raises(Unreadable) as caught:
        read_position_row({"exchangeSegment": None})
    assert not isinstance(caught.value, UnknownWord)


@pytest.mark.parametrize("order_id", ["\x00", "9\x00", "९५२५", "952 509", "9\n5"])
def test_an_order_id_that_is_no_plain_word_is_no_order_id(order_id):
    """It would be kept as a key: a database may refuse it, and then for ever."""
    with pytest.raises(Unreadable):
        read_placement(json.dumps({"orderId": order_id, "orderStatus": "TRANSIT"}).encode())
