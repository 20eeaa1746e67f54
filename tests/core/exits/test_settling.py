"""Tests of settling: an unknown order is asked for, and absent only when it is proved."""

import pytest

from exit_story.story import Story, with_policy
from exit_story.values import asked, net
from squareoff.core.state.commands import LookUpOrder, ReadPositions, RequestReprice
from squareoff.core.state.facts import ExitEscalated, OrderSettled, OrderVanished, Severity
from squareoff.core.state.inputs import (
    SendAccepted,
    SendAnswer,
    SendLost,
    SendNotMade,
    SendRefused,
    Woke,
)
from squareoff.core.state.tracker import SendOutcome
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import BlockReason, IntentStatus, OrderState

UNKNOWN, ABSENT = OrderState.OUTCOME_UNKNOWN, OrderState.ABSENT


def intent_status(story: Story) -> IntentStatus:
    """Return the status of the story's intent."""
    assert story.tracker.intent is not None
    return story.tracker.intent.status


def lost() -> Story:
    """Return a story whose one order was sent and never answered."""
    story = Story().claim()
    story.permit()
    story.lose()
    return story


def test_a_lost_order_is_asked_for_and_never_resent() -> None:
    """An unknown outcome wants look-ups, no permit, no sizing, no second send (invariant 3)."""
    story = lost()
    assert story.states == [UNKNOWN]

    for _ in range(5):
        story.wake()
        assert story.wants(LookUpOrder)
        assert not story.wants(ReadPositions)
        story.settle_reading(complete=False)
    assert len(story.sent) == 1


def test_look_ups_are_paced_at_growing_pauses() -> None:
    """The same question is not asked again before its pause is over."""
    story = lost()
    pauses = []
    for _ in range(8):
        before = story.monotonic_ns
        story.wake()
        assert story.wants(LookUpOrder)
        story.settle_reading(complete=False)
        assert not story.wants(LookUpOrder)
        pauses.append((story.monotonic_ns - before) / 1e9)

    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0


def test_the_quarantine_holds_however_many_readings_lack_it() -> None:
    """Spaced readings before the quarantine is over settle nothing."""
    story = with_policy(lost(), quarantine_seconds=30.0)
    for _ in range(29):
        story.later(1.0)
        story.settle_reading()

    assert story.states == [UNKNOWN]
    story.later(1.0)
    story.settle_reading()
    assert story.states == [ABSENT]


def test_an_order_that_lacks_enough_readings_is_asked_for_again_after_the_quarantine() -> None:
    """Until then more look-ups prove nothing, and many unknown orders share their rate."""
    story = with_policy(lost(), quarantine_seconds=30.0)
    began_ns = story.monotonic_ns
    asked_at = []
    while story.states == [UNKNOWN]:
        story.wake()
        assert story.wants(LookUpOrder)
        asked_at.append((story.monotonic_ns - began_ns) / 1e9)
        story.settle_reading()

    assert [at for at in asked_at if 5.0 < at < 30.0] == []
    assert asked_at[-1] == 30.0
    assert story.states == [ABSENT]


def test_readings_are_needed_however_long_it_takes() -> None:
    """Time alone proves nothing: three complete readings that lack it are needed."""
    story = lost()
    story.later(3600.0)
    for reading in range(3):
        assert story.states == [UNKNOWN], reading
        story.settle_reading()
        story.later(1.0)

    assert story.states == [ABSENT]


def test_readings_too_close_together_count_once() -> None:
    """Two readings of one lagging replica are one."""
    story = lost()
    story.later(60.0)
    for _ in range(10):
        story.settle_reading()
        story.later(0.09)

    assert story.states == [UNKNOWN]


@pytest.mark.parametrize(("complete", "lacking"), [(False, True), (True, False), (False, False)])
def test_incomplete_or_finding_readings_prove_nothing(complete: bool, lacking: bool) -> None:
    """A reading with a part missing, or one that shows an order of ours, never counts."""
    story = lost()
    for _ in range(20):
        story.later(5.0)
        story.settle_reading(complete=complete, lacking=lacking)

    assert story.states == [UNKNOWN]
    assert story.alarm_codes() == ["order_outcome_unknown"]


def test_a_person_is_called_where_the_broker_never_tells() -> None:
    """A look-up that fails for ever settles nothing, and an open position waits for it."""
    story = lost()
    for _ in range(60):
        story.later(5.0)
        story.settle_reading(complete=False, lacking=True)

    assert story.states == [UNKNOWN]
    assert [(each.code, each.severity) for each in story.alarms] == [
        ("order_outcome_unknown", Severity.WARNING),
        ("order_outcome_unknown", Severity.CRITICAL),
    ]


def test_a_moved_net_position_starts_the_count_anew() -> None:
    """If the net position moved by something unexplained the order may be the reason."""
    story = lost()
    story.later(20.0)
    story.settle_reading()
    story.later(1.0)
    story.settle_reading()
    story.later(1.0)
    story.settle_reading(net_quantity=60)
    assert story.states == [UNKNOWN]

    story.later(1.0)
    story.settle_reading(net_quantity=60)
    assert story.states == [UNKNOWN]
    story.later(1.0)
    story.settle_reading(net_quantity=60)
    assert story.states == [ABSENT]


def test_a_settled_order_is_sized_again() -> None:
    """Absent: positions are read anew before anything is sent again."""
    story = lost().prove_absent()

    assert story.wants(ReadPositions)
    assert story.order().sends[0].outcome is SendOutcome.ABSENT
    (fact,) = [f for f in story.facts if isinstance(f, OrderSettled)]
    assert fact.readings >= 3
    assert fact.waited_seconds >= 10.0


def test_a_found_order_goes_on() -> None:
    """Found by the look-up: the order is driven like any other, and asking ends."""
    story = lost()
    story.wake()
    story.see(BrokerOrderStatus.PENDING)
    story.settle_reading(lacking=False)

    assert story.states == [OrderState.WORKING]
    story.wait(10.0)
    assert not story.wants(LookUpOrder)
    assert story.wants(RequestReprice)


def test_a_second_lost_send_has_a_quarantine_of_its_own() -> None:
    """After a resend the quarantine and the readings start from nothing."""
    story = lost().prove_absent()
    story.feed(net(100))
    story.permit()
    story.lose()
    story.later(2.0)
    story.settle_reading()
    story.later(2.0)
    story.settle_reading()
    story.later(2.0)
    story.settle_reading()

    assert story.states == [UNKNOWN]


def test_a_restart_begins_the_quarantine_anew() -> None:
    """Nothing read before a restart counts: that is the slow, safe side."""
    story = lost()
    story.later(20.0)
    story.settle_reading()
    story.later(2.0)
    story.settle_reading()
    story.restart()
    assert story.wants(LookUpOrder)

    for _ in range(3):
        story.later(1.0)
        story.settle_reading()
    assert story.states == [UNKNOWN]


def test_an_accepted_order_without_a_name_is_looked_up() -> None:
    """A gateway that says only yes leaves an order nobody can chase until its record is found."""
    story = Story().claim()
    story.permit()
    story.answer(SendAccepted(None))
    assert story.states == [OrderState.ACCEPTED]
    assert story.wants(LookUpOrder)

    story.see(BrokerOrderStatus.PENDING)
    assert not story.wants(LookUpOrder)
    story.wait(10.0)
    assert story.wants(RequestReprice)


def ask_in_vain(story: Story, rounds: int = 12) -> None:
    """Answer rounds of asking that find nothing."""
    for _ in range(rounds):
        story.settle_reading()
        story.later(2.0)
        story.feed(Woke())


def test_an_accepted_order_that_is_never_named_calls_a_person() -> None:
    """In no book after the quarantine: not sent again by itself, for the broker said yes."""
    story = Story().claim()
    story.permit()
    story.answer(SendAccepted(None))
    ask_in_vain(story)

    assert story.states == [ABSENT]
    assert story.alarm_codes() == ["order_vanished"]
    assert intent_status(story) is IntentStatus.NEEDS_HUMAN
    assert len(story.sent) == 1


def test_an_accepted_order_that_no_book_shows_calls_a_person() -> None:
    """Accepted by name and never seen: asked for, and after the same proof a person is called."""
    story = Story().claim()
    story.permit()
    story.accept("B1")
    story.wait(14.0)
    assert not story.wants(LookUpOrder)
    story.wait(1.0)
    assert story.wants(LookUpOrder)
    ask_in_vain(story)

    assert [type(fact) for fact in story.facts[-2:]] == [OrderVanished, ExitEscalated]
    assert story.states == [ABSENT]
    assert story.tracker.open_quantity == 100
    assert story.alarm_codes() == ["order_vanished"]


def sent_again_after_it_vanished() -> Story:
    """Return a story whose order was accepted, then in no book, and sent again on a word."""
    story = Story().claim()
    story.permit()
    story.accept("B1")
    story.wait(15.0)
    ask_in_vain(story)
    story.feed(asked("exit-2"))
    story.feed(net(100))
    story.permit()
    return story


def test_a_person_lets_a_vanished_order_be_sent_again() -> None:
    """The person's word goes on: sized anew, and sent under the same id as a send of its own."""
    story = sent_again_after_it_vanished()

    assert [command.send_number for command in story.sent] == [1, 2]
    assert len(story.orders) == 1


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (SendRefused("DH-905", "insufficient margin"), OrderState.REFUSED),
        (SendNotMade(BlockReason.BROKER_UNREACHABLE, "429"), ABSENT),
        (SendLost("no answer within 3 s"), UNKNOWN),
        (SendAccepted(BrokerOrderId("B1")), OrderState.ACCEPTED),
        (SendAccepted(BrokerOrderId("B2")), OrderState.ACCEPTED),
    ],
)
def test_every_answer_to_the_second_send_of_a_vanished_order_goes_on(
    answer: SendAnswer, state: OrderState
) -> None:
    """The first one's record, which is in no book, neither halts the position nor hides the end."""
    story = sent_again_after_it_vanished()
    story.answer(answer)

    assert story.states == [state]
    assert story.order().leaves_quantity == (100 if state.is_live else 0)
    story.wait(120.0)
    assert story.commands


def test_a_vanished_order_that_appears_lives_again() -> None:
    """Any report takes the place of our own word for missing; its fills count."""
    story = Story().claim()
    story.permit()
    story.accept("B1")
    story.wait(15.0)
    ask_in_vain(story)
    story.see(BrokerOrderStatus.PART_TRADED, 25)

    assert story.states == [OrderState.PART_FILLED]
    assert story.tracker.open_quantity == 75


def test_an_order_seen_in_a_book_is_not_missing() -> None:
    """One sighting ends the asking, and what was counted before it."""
    story = Story().claim()
    story.permit()
    story.accept("B1")
    story.wait(15.0)
    ask_in_vain(story, rounds=4)
    story.see(BrokerOrderStatus.PENDING)
    story.settle_reading(lacking=False)
    story.wait(15.0)
    ask_in_vain(story, rounds=4)

    assert story.states == [OrderState.WORKING]


def test_the_record_of_the_first_send_does_not_stand_for_the_second() -> None:
    """Sent twice under one id, the one that ended is in the book and the other in none."""
    story = lost().prove_absent()
    story.feed(net(100))
    story.permit()
    story.accept("B2")
    story.see(BrokerOrderStatus.CANCELLED, broker_order_id="B1")
    for _ in range(40):
        if story.wants(LookUpOrder):
            story.settle_reading()
        story.see(BrokerOrderStatus.CANCELLED, broker_order_id="B1")
        story.wait(1.0)

    assert story.alarm_codes() == ["order_vanished"]
    assert story.order().leaves_quantity == 0


def test_an_order_of_an_earlier_day_has_expired() -> None:
    """Orders live for a day: yesterday's is not in today's book, and nobody need be called."""
    story = Story().work()
    story.see(BrokerOrderStatus.PART_TRADED, 25)
    story.later(24 * 3600.0)
    story.restart()
    story.wait(15.0)
    ask_in_vain(story)

    assert story.states == [OrderState.EXPIRED]
    assert story.alarms == []
    story.wait(5.0)
    assert story.wants(ReadPositions)


def test_a_rejection_may_be_of_the_lost_send_not_of_the_unnamed_one() -> None:
    """A record that two sends could have made frees nothing while one of them may live."""
    story = lost().prove_absent()
    story.feed(net(100))
    story.permit()
    story.answer(SendAccepted(None))
    story.see(BrokerOrderStatus.REJECTED, reason="RMS")

    assert story.states == [UNKNOWN]
    assert story.wants(LookUpOrder)
    assert story.order().leaves_quantity == 100


def test_readings_for_settled_or_unknown_ids_change_nothing() -> None:
    """A late answer to a question that is settled leaves no fact."""
    story = Story().work()
    count = len(story.facts)
    story.settle_reading()

    assert len(story.facts) == count
