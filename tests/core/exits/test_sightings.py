"""Tests of core.exits.sightings: what a report adds, and that repeats leave no trace."""

from exit_story.story import Story
from exit_story.values import net, report
from squareoff.core.state.facts import OrderReported
from squareoff.core.state.inputs import OrderSeen
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus, ReportSource
from squareoff.domain.states import OrderState

B = BrokerOrderStatus


def test_a_repeat_leaves_no_fact() -> None:
    """A report that tells nothing new is not journalled, whatever its source."""
    story = Story().work()
    story.see(B.PART_TRADED, 40)
    count = len(story.facts)
    for source in ReportSource:
        seen = report(B.PART_TRADED, 40, source=source)
        story.feed(OrderSeen(story.order().client_order_id, seen))
    story.see(B.PENDING, 0)
    story.see(B.TRANSIT, 0)

    assert len(story.facts) == count


def test_a_report_keeps_its_source() -> None:
    """The journal says where a fill was learned."""
    story = Story().work()
    seen = report(B.PART_TRADED, 40, source=ReportSource.ORDER_BOOK)
    story.feed(OrderSeen(story.order().client_order_id, seen))
    fact = story.facts[-1]

    assert isinstance(fact, OrderReported)
    assert fact.source is ReportSource.ORDER_BOOK


def test_an_order_of_nobody_changes_nothing() -> None:
    """A report of an order that this tracker does not have leaves no fact."""
    story = Story().work()
    count = len(story.facts)
    story.feed(OrderSeen(ClientOrderId("sqx-000000000000-001-01"), report(B.TRADED, 100)))

    assert len(story.facts) == count


def test_a_lost_order_that_turns_up_while_it_is_planned_again_is_taken_over() -> None:
    """The plan gives way to the order that exists: no second send, no exception."""
    for status in (B.TRANSIT, B.PENDING, B.PART_TRADED):
        story = Story().claim()
        story.permit()
        story.lose()
        story.prove_absent()
        story.feed(net(100))
        assert story.states == [OrderState.PLANNED]
        story.see(status, 40 if status is B.PART_TRADED else 0)
        story.permit()

        assert len(story.sent) == 1
        assert story.order().state.is_live
        assert story.order().leaves_quantity + story.tracker.exited_quantity == 100


def test_a_fill_that_turns_up_while_planned_again_ends_the_plan() -> None:
    """The lost order filled in full: nothing is sent and the close is confirmed."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(net(100))
    story.see(B.TRADED, 100)
    story.permit()

    assert story.states == [OrderState.FILLED]
    assert len(story.sent) == 1
