"""Tests of core.exits.chasing: what the broker tells of an order decides how it is moved on."""

from decimal import Decimal

import pytest

from exit_story.resting import chase, price, resting
from exit_story.story import with_policy
from exit_story.values import net
from squareoff.core.state.commands import TransmitCancel
from squareoff.core.state.inputs import ModifyRefused
from squareoff.domain.orders import BrokerOrderStatus, OrderType, PositionSide

B = BrokerOrderStatus
D = Decimal


@pytest.mark.parametrize(
    ("side", "moved_to", "market", "further"),
    [
        (PositionSide.LONG, "970.00", "980", "950"),
        (PositionSide.SHORT, "1030.00", "1015", "1050"),
    ],
)
def test_an_order_that_a_person_moved_further_is_not_moved_back(
    side: PositionSide, moved_to: str, market: str, further: str
) -> None:
    """Moved in the broker's app to fill at once, it stays there until the market is beyond it."""
    story = resting(side)
    story.see(B.PENDING, limit_price=moved_to)
    assert chase(story, market) is None  # a price between would fill worse

    modify = chase(story, further)
    assert modify is not None
    assert modify.modification.limit_price is not None
    assert side.sign * (modify.modification.limit_price - D(moved_to)) < 0


def test_a_modify_that_came_late_is_not_undone() -> None:
    """Taken for lost, the second modify named a price between; the first then came after it."""
    story = resting()
    assert chase(story, "960") is not None
    story.see(B.PENDING, limit_price="995.00")  # the first modify is not there yet
    second = chase(story, "990")
    assert second is not None
    assert second.modification.limit_price == D("975.15")
    story.see(B.PENDING, limit_price="950.40")

    assert chase(story, "975") is None


def test_market_is_not_tried_again_where_the_broker_took_none() -> None:
    """An order that died of being made MARKET shows that the next must stay a limit."""
    story = with_policy(resting(), market_on_last_step=True)
    for _ in range(10):
        modify = chase(story, "1000")
    assert modify is not None
    assert modify.modification.order_type is OrderType.MARKET
    story.see(B.REJECTED, reason="RMS:12: Market orders are not allowed")
    story.wait(5.0)
    story.feed(net(100))
    story.permit(price=price("1000"))
    story.accept("B2")
    story.see(B.PENDING, broker_order_id="B2")

    modifies = [chase(story, "1000") for _ in range(30)]
    assert {m.modification.order_type for m in modifies if m} == {OrderType.LIMIT}
    assert story.order().limit_price == D("950.00")


@pytest.mark.parametrize(
    ("side", "market", "refused", "nearer"),
    [
        (PositionSide.LONG, "990", "980.10", "982.55"),
        (PositionSide.SHORT, "1010", "1020.10", "1017.60"),
    ],
)
def test_a_modify_refused_for_its_price_comes_nearer_to_the_market(
    side: PositionSide, market: str, refused: str, nearer: str
) -> None:
    """Ever wider ones would be refused as well, until the modifications are used up."""
    story = resting(side)
    stands_at = str(story.order().limit_price)
    first = chase(story, market)
    assert first is not None
    assert first.modification.limit_price == D(refused)
    story.see(B.PENDING, limit_price=stands_at)
    name = story.order().client_order_id
    story.feed(ModifyRefused(name, "DH-906", "EXCH: 17070 price out of execution range"))

    second = chase(story, market)
    assert second is not None
    assert second.modification.limit_price == D(nearer)


def test_a_modify_refused_for_another_reason_is_made_again() -> None:
    """A market that was closed for a minute does not find the exit at the end of its slippage; the
    broker's record need not have been read in between."""
    story = resting()
    for is_seen in (True, False) * 6:
        modify = chase(story, "990")
        assert modify is not None
        assert modify.modification.limit_price == D("980.10")
        if is_seen:
            story.see(B.PENDING, limit_price="995.00")
        name = story.order().client_order_id
        story.feed(ModifyRefused(name, "DH-906", "Market is closed, cannot modify order"))
    taken, second = chase(story, "990"), chase(story, "990")

    assert taken is not None
    assert taken.modification.limit_price == D("980.10")
    assert second is not None
    assert second.modification.limit_price == D("975.15")


@pytest.mark.parametrize("is_told_at_once", [True, False])
def test_an_order_that_is_too_large_to_be_moved_is_replaced_by_smaller_ones(
    is_told_at_once: bool,
) -> None:
    """A freeze quantity that was lowered refuses every modify of it: none of the others is tried.

    The broker tells it by the answer to the modify, or by the reason in the order's row.
    """
    story, text = resting(), "Quantity 100 exceeds the freeze quantity 60"
    assert chase(story, "990") is not None
    if is_told_at_once:
        story.see(B.PENDING, limit_price="995.00")
        story.feed(ModifyRefused(story.order().client_order_id, "DH-906", text))
    else:
        story.see(B.PENDING, limit_price="995.00", reason=text)

    assert chase(story, "980") is None
    assert story.wants(TransmitCancel)
    story.see(B.CANCELLED, reason=text)
    story.wait(0.5)  # nothing is to be waited for
    story.feed(net(100))
    assert [order.order_quantity for order in story.orders[1:]] == [50, 50]
