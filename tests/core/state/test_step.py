"""Tests of step: facts are folded as they come, wake-ups keep the earliest, pauses grow."""

import pytest

from exit_story.values import OPENED_AT_NS, TRACKER, asked, held
from squareoff.core.state.facts import ExitClaimed, Severity
from squareoff.core.state.pacing import Pacing
from squareoff.core.state.policy import RETRY_DELAYS_SECONDS, ExitPolicy
from squareoff.core.state.step import Step, retry_delay_seconds
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import Now

NOW = Now(OPENED_AT_NS, 5_000_000_000)


def fresh() -> Step:
    """Return an empty step."""
    return Step(held(), Pacing(), NOW, ExitPolicy())


def test_a_recorded_fact_is_seen_at_once() -> None:
    """Every later line of a decision sees the state that the journal will rebuild."""
    step, wish = fresh(), asked()
    step.record(ExitClaimed(TRACKER, wish.intent_id, wish.reason, wish.trigger))

    assert step.tracker.status is PositionStatus.EXITING
    assert step.intent.claimed_at_ns == OPENED_AT_NS
    assert step.decision().tracker.version == held().version + 1


def test_asking_for_an_intent_that_is_not_there_is_a_defect() -> None:
    """There is no intent before a claim."""
    with pytest.raises(AssertionError):
        _ = fresh().intent


def test_the_earliest_wake_up_counts() -> None:
    """Several waits in one decision wake at the first of them; what is due wakes nothing."""
    step = fresh()
    assert step.is_due(NOW.monotonic_ns)
    assert step.decision().wake_at_ns is None

    assert not step.is_due(NOW.monotonic_ns + 7)
    assert not step.is_due(NOW.monotonic_ns + 3)
    step.wake_at(NOW.monotonic_ns + 9)
    assert step.decision().wake_at_ns == NOW.monotonic_ns + 3


def test_durations_count_on_the_monotonic_clock() -> None:
    """A wall clock step moves no deadline."""
    assert fresh().after(1.5) == NOW.monotonic_ns + 1_500_000_000


def test_an_alarm_names_its_tracker() -> None:
    """Every alarm of a decision says which position it is about."""
    step = fresh()
    step.alarm(Severity.WARNING, "code", "text")

    assert step.decision().alarms[0].tracker_id == TRACKER


def test_pacing_of_one_order_leaves_the_others_alone() -> None:
    """Each order has its own waiting, fresh until something is noted."""
    step = fresh()
    a, b = ClientOrderId("a"), ClientOrderId("b")
    step.pace_order(a, look_ups=3)
    step.pace_order(b, cancels=1)
    step.pace(zero_readings=2)

    pacing = step.decision().pacing
    assert (pacing.of(a).look_ups, pacing.of(b).look_ups, pacing.of(b).cancels) == (3, 0, 1)
    assert pacing.zero_readings == 2
    assert Pacing().of(a).look_ups == 0


def test_pauses_grow_to_the_last_and_stay() -> None:
    """The pause follows the number of failures in a row; none and one are alike."""
    pauses = [retry_delay_seconds(failures) for failures in range(12)]

    assert pauses == sorted(pauses)
    assert pauses[0] == pauses[1] == RETRY_DELAYS_SECONDS[0]
    assert pauses[-1] == RETRY_DELAYS_SECONDS[-1]
