"""Row translation details; whole answers are proved in test_rest.py."""

import pytest

from squareoff.adapters.broker.dhan.json_values import Unreadable
from squareoff.adapters.broker.dhan.wire import (
    OWN_TAG_PREFIX,
    UnknownWord,
    read_order_rows,
    read_position_row,
    reason_of,
)
from squareoff.core.client_order_ids import client_order_id
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.orders import OrderRole, ReportSource


@pytest.mark.parametrize("role", list(OrderRole))
def test_the_own_prefix_covers_every_id_we_make(role):
    """A row of any order of ours is recognised as ours when it cannot be read."""
    tag = client_order_id(AccountId("1"), TrackerId("t"), role, attempt=1, slice_number=1)

    assert tag.startswith(OWN_TAG_PREFIX)
    with pytest.raises(Unreadable):
        read_order_rows([{"correlationId": tag}], ReportSource.ORDER_BOOK)
    with pytest.raises(Unreadable):
        read_order_rows([{"correlationId": tag.upper()}], ReportSource.ORDER_BOOK)


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
