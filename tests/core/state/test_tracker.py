"""Tests of core.state.tracker: what is held, closed, open and covered."""

from exit_story.story import Story
from exit_story.values import held, net
from squareoff.core.state.tracker import SendOutcome
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus


def test_open_and_leaves_add_up() -> None:
    """What is closed, what may still close and what is uncovered make up what is held."""
    story = Story(held(quantity=3600)).claim(net(3600))
    assert story.tracker.exit_leaves_quantity == 3600
    story.permit_all()
    story.accept("B1", 0)
    story.see(BrokerOrderStatus.PART_TRADED, 700, number=0)

    tracker = story.tracker
    assert (tracker.exited_quantity, tracker.open_quantity) == (700, 2900)
    assert tracker.exit_leaves_quantity == 2900


def test_what_is_open_is_never_negative() -> None:
    """An over-exit leaves nothing open rather than less than nothing."""
    story = Story().work()
    story.see(BrokerOrderStatus.TRADED, 130, order_quantity=130)

    assert story.tracker.open_quantity == 0


def test_orders_are_found_by_id_only() -> None:
    """An id that is not ours finds nothing."""
    story = Story().claim()

    assert story.tracker.order(story.order().client_order_id) is story.order()
    assert story.tracker.order(ClientOrderId("NA")) is None


def test_only_proof_means_that_a_send_never_reached_the_exchange() -> None:
    """A send that was declared absent may still have an order at the broker."""
    unreachable = {o for o in SendOutcome if not o.may_reach_the_exchange}

    assert unreachable == {SendOutcome.REFUSED, SendOutcome.NOT_SENT}
    assert not SendOutcome.UNKNOWN.is_resolved
    assert not SendOutcome.IN_FLIGHT.is_resolved
