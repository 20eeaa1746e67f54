"""Tests of core.state.tracker: what is held, closed, open and covered."""

from dataclasses import replace

import pytest

from exit_story.story import Story
from exit_story.values import OPENED_AT_NS, held, net
from squareoff.core.state.tracker import SendOutcome
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, PositionSide
from squareoff.domain.states import PositionStatus


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


@pytest.mark.parametrize(
    ("product", "midnight_ns", "is_over"),
    [
        (ProductType.INTRADAY, OPENED_AT_NS, False),
        (ProductType.INTRADAY, OPENED_AT_NS + 1, True),
        (ProductType.MARGIN, OPENED_AT_NS + 1, False),
    ],
)
def test_an_intraday_position_ends_with_its_day(
    product: ProductType, midnight_ns: int, is_over: bool
) -> None:
    """What is carried over does not."""
    assert held(product_type=product).is_of_an_ended_day(midnight_ns) is is_over


def test_a_position_that_was_let_go_owes_nothing_to_the_net() -> None:
    """It counts for its sign until then."""
    tracker = held(side=PositionSide.SHORT)
    let_go = replace(tracker, status=PositionStatus.UNTRACKED)

    assert (tracker.signed_quantity, let_go.signed_quantity) == (-100, 0)


@pytest.mark.parametrize(
    ("status", "exited_at_ns", "has_ended"),
    [
        (PositionStatus.ACTIVE, None, False),
        (PositionStatus.EXITED, OPENED_AT_NS, False),
        (PositionStatus.EXITED, OPENED_AT_NS - 1, True),
    ],
)
def test_what_ended_at_an_instant_had_not_ended_before_it(
    status: PositionStatus, exited_at_ns: int | None, *, has_ended: bool
) -> None:
    """What is held has ended before no instant."""
    tracker = replace(held(), status=status, exited_at_ns=exited_at_ns)

    assert tracker.has_ended_before(OPENED_AT_NS) is has_ended
