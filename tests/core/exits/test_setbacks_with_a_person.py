"""Tests of core.exits.setbacks: what a person who holds an exit is told of its orders."""

import pytest

from exit_story.story import Story, with_policy
from exit_story.values import held
from squareoff.core.state.facts import Severity
from squareoff.core.state.inputs import SendNotMade
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import BlockReason

B = BrokerOrderStatus


@pytest.mark.parametrize("ended", [B.CANCELLED, B.REJECTED, B.EXPIRED])
def test_a_person_hears_when_what_might_still_fill_will_not(ended: B) -> None:
    """The alarm left that order its share, so its end without it is told as well."""
    story = with_policy(Story(held(quantity=3600)), attempts_max=1).claim()
    story.permit_all()
    story.accept("B1", 0)
    story.accept("B2", 1)
    story.see(B.REJECTED, number=1, broker_order_id="B2", reason="no")
    story.see(B.PART_TRADED, 300, number=0)
    assert story.alarm_codes() == ["exit_attempts_exhausted"]
    story.see(ended, 300, number=0, reason="day over")
    story.see(ended, 300, number=0, reason="day over")

    assert story.alarm_codes() == ["exit_attempts_exhausted", "exit_order_ended"]
    alarm = story.alarms[-1]
    assert alarm.severity is Severity.CRITICAL
    assert "order B1" in alarm.message
    assert "300 of 1800 filled: day over" in alarm.message
    assert "3300 of 3600 still open" in alarm.message


def test_a_person_hears_when_an_unknown_order_was_never_there() -> None:
    """It was named among what may still fill, by our own id."""
    story = with_policy(Story(held(quantity=3600)), attempts_max=1).claim()
    story.permit_all()
    story.lose(0)
    story.accept("B2", 1)
    story.see(B.REJECTED, number=1, broker_order_id="B2", reason="no")
    assert "1800 by order without a broker id yet" in story.alarms[-1].message
    story.prove_absent(0)

    assert story.alarm_codes() == ["exit_attempts_exhausted", "exit_order_ended"]


def test_a_person_hears_when_an_order_under_way_never_left() -> None:
    """It was named among what may still fill, and nothing of it reached the broker."""
    story = with_policy(Story(held(quantity=3600)), attempts_max=1).claim()
    story.permit_all()
    story.accept("B2", 1)
    story.see(B.REJECTED, number=1, broker_order_id="B2", reason="no")
    assert "1800 by order without a broker id yet" in story.alarms[-1].message
    story.answer(SendNotMade(BlockReason.BROKER_UNREACHABLE, "no line"), 0)

    assert story.alarm_codes() == ["exit_attempts_exhausted", "exit_order_ended"]
    assert "no line" in story.alarms[-1].message
    assert "3600 of 3600 still open" in story.alarms[-1].message
