"""Tests of core.exits.sightings: what a report adds, and that repeats leave no trace."""

from dataclasses import replace

from exit_story.story import Story
from exit_story.values import held, net, report
from squareoff.core.state.facts import OrderReported
from squareoff.core.state.inputs import OrderSeen, UntrackAsked
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus, ReportSource, Side
from squareoff.domain.states import OrderState, PositionStatus

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


def test_a_lost_exit_that_fills_after_its_position_was_let_go_is_told() -> None:
    """A person holds those units himself by then: nothing of the engine's may sell them unheard."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(UntrackAsked("mine now", "me"))
    assert story.tracker.status is PositionStatus.UNTRACKED
    story.see(B.TRADED, 100)

    assert story.alarm_codes()[-1:] == ["over_exit"]
    assert "100" in story.alarms[-1].message


def test_an_entry_that_fills_on_after_it_was_let_go_is_told_with_what_is_new() -> None:
    """The 50 of before are a person's on purpose: he is not told to close them."""
    story = Story(held(entry_order_id=BrokerOrderId("E1")))
    entry = story.tracker.entry_orders[0].client_order_id
    done = report(B.CANCELLED, 50, broker_order_id="E1", side=Side.BUY)
    story.feed(OrderSeen(entry, done))
    story.feed(UntrackAsked("mine now", "me"))
    story.feed(OrderSeen(entry, replace(done, cumulative_quantity=75)))

    assert story.alarm_codes() == ["entry_filled_after_exit"]
    assert "filled 25 units" in story.alarms[0].message


def test_an_entry_that_was_given_up_and_fills_after_all_is_told() -> None:
    """Whoever entered was told that it came to nothing, and holds units unknowingly."""
    story = Story(held(entry_order_id=BrokerOrderId("E1")))
    entry = story.tracker.entry_orders[0].client_order_id
    ended = report(B.CANCELLED, 0, broker_order_id="E1", side=Side.BUY)
    story.feed(OrderSeen(entry, ended))
    assert story.tracker.status is PositionStatus.CANCELLED
    story.feed(OrderSeen(entry, replace(ended, cumulative_quantity=75)))

    assert story.tracker.status is PositionStatus.ACTIVE
    assert story.alarm_codes() == ["entry_filled_late"]
    assert "filled 75 units" in story.alarms[0].message
