"""What the paper broker refuses in its answer, in the words that the engine classes."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from squareoff.adapters.paper.orders import PaperOrder
from squareoff.adapters.paper.refusals import (
    MODIFICATIONS_MAX,
    check_is_live,
    check_market_is_open,
    check_modification,
    check_placement,
)
from squareoff.core.exits.rejections import RejectionClass, classify_rejection
from squareoff.domain.errors import BrokerRejected, Sent
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.orders import BrokerOrderStatus

NAME = BrokerOrderId("PAPER-260915-000001")


def test_a_closed_market_is_classed_as_closed() -> None:
    """The refusal of a closed market makes the exit wait for the session, not fail."""
    check_market_is_open(True, "place order sqx-1")
    with pytest.raises(BrokerRejected) as refused:
        check_market_is_open(False, "place order sqx-1")

    error = refused.value
    assert error.sent is Sent.YES
    assert classify_rejection(error.code, error.text) is RejectionClass.MARKET_CLOSED


def test_an_index_is_not_traded(world: Any) -> None:
    """An instrument that is quoted but not tradable is refused like one that is not known."""
    index = replace(world.instrument, instrument_id=InstrumentId(ExchangeSegment.IDX_I, "13"))
    for instrument in (None, index):
        with pytest.raises(BrokerRejected, match="not known or not tradable"):
            check_placement(world.request(), instrument)

    assert check_placement(world.request(), world.instrument) is world.instrument


@pytest.mark.parametrize("status", [each for each in BrokerOrderStatus if each.is_terminal])
def test_an_ended_order_takes_no_request(world: Any, status: BrokerOrderStatus) -> None:
    """A modify or cancel of an ended order is refused with the word of its end."""
    order = PaperOrder.accepted(NAME, world.request(), 0)
    order.status = status

    with pytest.raises(BrokerRejected, match=f"already {status.value.lower()}"):
        check_is_live("cancel order", order)
    with pytest.raises(BrokerRejected, match=f"already {status.value.lower()}"):
        check_modification(world.change(NAME, "25000.00"), order, world.instrument)


def test_a_modification_is_checked_like_an_order(world: Any) -> None:
    """Price, lot and the number of modifications are checked before a change is passed on."""
    order = PaperOrder.accepted(NAME, world.request(), 0)
    good = world.change(NAME, "25000.00", 150)
    assert check_modification(good, order, world.instrument) is order

    for bad in (
        replace(good, order_quantity=76),
        replace(good, order_quantity=0),
        replace(good, limit_price=Decimal(0)),
    ):
        with pytest.raises(BrokerRejected):
            check_modification(bad, order, world.instrument)
    order.modification_count = MODIFICATIONS_MAX
    with pytest.raises(BrokerRejected, match="Maximum modification limit"):
        check_modification(good, order, world.instrument)
