"""Stories of exit_protocol: a lost order is sent again, and then the first send turns up."""

import pytest

from exit_story.story import Story, with_policy
from exit_story.values import net, trade
from squareoff.core.state.commands import ReadBooks, ReadPositions, TransmitCancel
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import IntentStatus, OrderState, PositionStatus

B = BrokerOrderStatus
EXITED = PositionStatus.EXITED


def resent() -> Story:
    """Return a story whose first send was proved absent and whose second is accepted as B2."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(net(100))
    story.permit()
    story.accept("B2")
    story.see(B.PENDING, broker_order_id="B2")
    return story


def test_a_lost_answer_proved_absent_is_resent_under_the_same_id() -> None:
    """Absent after quarantine: sized, sent again under the same id, exited once."""
    story = resent()
    story.see(B.TRADED, 100, broker_order_id="B2")
    story.books(trade(100, broker_order_id="B2"))

    assert story.tracker.status is EXITED
    assert [c.send_number for c in story.sent] == [1, 2]
    assert len(story.orders) == 1


def test_the_first_send_appears_after_all_and_one_of_the_two_is_cancelled() -> None:
    """Two live orders of one id could close twice: both are cancelled at once, the rest resized."""
    story = resent()
    story.see(B.PENDING, broker_order_id="B1")
    cancels = {c.broker_order_id for c in story.commands if isinstance(c, TransmitCancel)}
    assert cancels == {"B1", "B2"}

    story.see(B.CANCELLED, broker_order_id="B1")
    story.see(B.CANCELLED, 30, broker_order_id="B2")
    assert story.tracker.open_quantity == 70
    story.wake()
    story.feed(net(70))
    story.permit()
    story.accept("B3")
    story.see(B.TRADED, 70, broker_order_id="B3")
    story.books(trade(30, broker_order_id="B2"), trade(70, broker_order_id="B3"))
    assert story.tracker.status is EXITED
    assert not story.alarms


def test_the_first_send_fills_after_all_and_the_second_is_cancelled() -> None:
    """The lost order filled: the resend is cancelled before it can over-exit."""
    story = resent()
    story.see(B.TRADED, 100, broker_order_id="B1")
    (cancel,) = [c for c in story.commands if isinstance(c, TransmitCancel)]
    assert cancel.broker_order_id == "B2"
    assert not story.wants(ReadBooks)

    story.see(B.CANCELLED, broker_order_id="B2")
    story.books(trade(100))
    assert story.tracker.status is EXITED
    assert not story.alarms


def test_both_sends_fill_and_the_over_exit_is_told_at_once() -> None:
    """Beyond our reach, but never silent: critical alarm, frozen, nothing bought back."""
    story = resent()
    story.see(B.TRADED, 100, broker_order_id="B1")
    story.see(B.TRADED, 100, broker_order_id="B2")

    assert story.tracker.over_exited_quantity == 100
    assert story.alarm_codes() == ["over_exit"]
    assert story.tracker.intent is not None
    assert story.tracker.intent.status is IntentStatus.NEEDS_HUMAN
    assert not story.commands


def test_a_late_rejection_of_the_first_send_says_nothing_of_the_second() -> None:
    """A REJECTED record of another order under the id leaves the live one alone."""
    story = resent()
    story.see(B.REJECTED, broker_order_id="B1", reason="RMS")

    assert story.states == [OrderState.WORKING]
    assert story.order().leaves_quantity == 100
    assert not story.wants(ReadPositions)


def test_a_late_order_of_an_older_attempt_is_not_added_to_the_new_one() -> None:
    """An absent order that turns up beside a new attempt makes an excess, which is cancelled."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(net(75))  # a changed plan: attempt 2
    story.permit()
    story.accept("B2")
    story.see(B.PENDING, number=1, broker_order_id="B2")
    story.see(B.PENDING, number=0, broker_order_id="B1")

    cancels = {c.broker_order_id for c in story.commands if isinstance(c, TransmitCancel)}
    assert cancels == {"B1", "B2"}


@pytest.mark.parametrize("status", [IntentStatus.BLOCKED, IntentStatus.NEEDS_HUMAN])
def test_an_excess_is_ended_however_the_intent_stands(status: IntentStatus) -> None:
    """A late order is cancelled also while the exit is blocked or in a person's hands."""
    story = resent()
    if status is IntentStatus.BLOCKED:
        story.see(B.REJECTED, broker_order_id="B2", reason="Market is closed")
    else:
        with_policy(story, attempts_max=1)
        story.see(B.REJECTED, broker_order_id="B2", reason="no")
    assert story.tracker.intent is not None
    assert story.tracker.intent.status is status
    story.see(B.PENDING, broker_order_id="B1")
    story.see(B.PENDING, broker_order_id="B0")

    cancels = {c.broker_order_id for c in story.commands if isinstance(c, TransmitCancel)}
    assert cancels == {"B0", "B1"}
