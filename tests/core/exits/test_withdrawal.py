"""Tests of withdrawal: an exit taken back, a position let go, a frozen over-exit ended."""

from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.story import Story
from exit_story.values import asked, held, net, trade
from squareoff.core.exits.withdrawal import over_exit_refusal, untrack_refusal, withdrawal_refusal
from squareoff.core.rules.levels import levels_of
from squareoff.core.state.commands import ReadBooks, ReadPositions, TransmitCancel
from squareoff.core.state.facts import ExitWithdrawalAsked, ExitWithdrawn, PositionUntracked
from squareoff.core.state.inputs import (
    ExitHindered,
    Input,
    OverExitResolveAsked,
    UntrackAsked,
    WithdrawAsked,
    Woke,
)
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import PriceRule, RuleName, RuleSet, TrailingRule
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus

B = BrokerOrderStatus
WITHDRAW = WithdrawAsked("a slip of the hand", "mira")
UNTRACK = UntrackAsked("watched elsewhere", "mira")
RESOLVE = OverExitResolveAsked("sold the rest in the app", "mira")


def status_of(story: Story) -> IntentStatus:
    """Return the status of the story's newest intent."""
    assert story.tracker.intent is not None
    return story.tracker.intent.status


def test_an_exit_with_nothing_sent_is_withdrawn_at_once() -> None:
    """Planned orders are dropped, and the position is active again (invariant 1)."""
    story = Story().claim()

    decision = story.feed(WITHDRAW)

    assert [type(fact) for fact in decision.facts[-2:]] == [ExitWithdrawalAsked, ExitWithdrawn]
    assert story.tracker.status is PositionStatus.ACTIVE
    assert status_of(story) is IntentStatus.WITHDRAWN
    assert story.states == [OrderState.ABSENT]
    assert not story.commands


def test_a_working_exit_is_cancelled_first() -> None:
    """The wish is latched and survives a restart; only the order's end withdraws the exit."""
    story = Story()
    story.work()
    story.feed(WITHDRAW)

    assert story.wants(TransmitCancel)
    assert story.tracker.status is PositionStatus.EXITING
    story.restart()
    story.wait(10.0)
    assert story.wants(TransmitCancel)
    assert story.reprices_wanted() == []
    assert not story.wants(ReadPositions)
    story.see(B.CANCELLED, 25)
    assert story.tracker.status is PositionStatus.ACTIVE
    assert story.tracker.open_quantity == 75


def test_an_unknown_order_is_settled_first() -> None:
    """While an order may be at the broker the exit is not withdrawn (invariant 1)."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.feed(WITHDRAW)

    assert status_of(story) is IntentStatus.BLOCKED
    story.prove_absent()
    assert status_of(story) is IntentStatus.WITHDRAWN
    assert len(story.sent) == 1


def test_what_fills_meanwhile_ends_the_position() -> None:
    """A fill that beats the cancel closes the position; there is nothing left to take back."""
    story = Story()
    story.work()
    story.feed(WITHDRAW)
    story.see(B.TRADED, 100)
    story.books(trade(100, "151.50"))

    assert story.tracker.status is PositionStatus.EXITED
    assert status_of(story) is IntentStatus.DONE


def test_a_late_order_of_a_withdrawn_exit_is_cancelled_and_counted() -> None:
    """An order proved absent that turns up after the withdrawal must not live on."""
    story = Story().claim()
    story.permit()
    story.lose()
    story.prove_absent()
    story.feed(WITHDRAW)

    story.see(B.PENDING)
    assert story.wants(TransmitCancel)
    story.see(B.TRADED, 100)
    assert story.wants(ReadBooks)
    story.books(trade(100, "151.50"))
    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.exit_price == Decimal("151.5")
    assert story.tracker.exit_reason == "stop_loss fired"


@pytest.mark.parametrize(
    "event",
    [
        ExitHindered(BlockReason.MARKET_CLOSED, "closed", 1.0),
        net(100),
        Woke(),
        WITHDRAW,
    ],
)
def test_nothing_but_a_person_stops_a_withdrawal(event: Input) -> None:
    """While an exit is being taken back no hindrance, reading or wake-up drives it on."""
    story = Story()
    story.work()
    story.feed(WITHDRAW)
    facts = len(story.facts)

    story.feed(event)

    assert story.tracker.is_withdrawing
    assert len(story.facts) == facts


def test_asking_for_the_exit_again_goes_on_with_it() -> None:
    """An exit asked for during the withdrawal resumes the same intent."""
    story = Story()
    story.work()
    story.feed(WITHDRAW)

    story.feed(asked())

    assert status_of(story) is IntentStatus.OPEN


def test_the_rule_that_fired_is_taken_out_and_the_others_stay() -> None:
    """A withdrawn stop does not fire again at once; the target still stands (invariant 2)."""
    rules = RuleSet(stop_loss=PriceRule(price=Decimal(140)), target=PriceRule(price=Decimal(180)))
    story = Story(held(rules=rules))
    story.feed(asked())
    story.feed(WITHDRAW)

    assert story.tracker.rules == replace(rules, stop_loss=None)
    levels = levels_of(story.tracker)
    assert levels.falling is None
    assert levels.rising is not None


def test_with_everything_closed_there_is_nothing_to_take_back() -> None:
    """All has filled and the books are yet to agree: the exit ends as an exit."""
    story = Story().work()
    story.see(B.PART_TRADED, 99)
    assert withdrawal_refusal(story.tracker) is None
    story.see(B.TRADED, 100)

    assert "everything of trk-1 is closed" in (withdrawal_refusal(story.tracker) or "")
    assert not story.feed(WITHDRAW).facts


def test_a_withdrawn_trailing_stop_takes_its_level_with_it() -> None:
    """The level that the rule had reached goes with the rule."""
    tracker = replace(
        held(rules=RuleSet(trailing=TrailingRule(points=Decimal(5)))),
        peak_price=PriceUnits(1_600_000),
        stop_level=PriceUnits(1_550_000),
        stop_rule=RuleName.TRAILING.value,
    )
    story = Story(tracker)
    story.feed(replace(asked(), trigger=replace(asked().trigger, rule=RuleName.TRAILING)))
    story.feed(WITHDRAW)

    assert story.tracker.stop_level is None
    assert levels_of(story.tracker).falling is None


def test_a_second_exit_gets_ids_of_its_own() -> None:
    """After a withdrawal the next exit counts its attempts on from the first."""
    story = Story()
    story.work()
    story.feed(WITHDRAW)
    story.see(B.CANCELLED)
    story.claim()

    assert len({order.client_order_id for order in story.orders}) == 2


def test_a_position_without_live_orders_is_let_go() -> None:
    """No order, no price: the tracker ends and the rest is the person's (invariant 3)."""
    story = Story()
    story.feed(UNTRACK)

    assert story.tracker.status is PositionStatus.UNTRACKED
    assert story.tracker.exit_reason == "watched elsewhere"
    assert story.tracker.exit_price is None
    assert not story.commands


def test_letting_go_withdraws_a_waiting_exit() -> None:
    """A blocked exit with nothing at the broker ends with its position."""
    story = Story().claim()
    story.feed(UNTRACK)

    assert isinstance(story.facts[-1], PositionUntracked)
    assert status_of(story) is IntentStatus.WITHDRAWN
    assert story.states == [OrderState.ABSENT]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_position_with_an_order_that_may_fill_is_not_let_go(is_lost: bool) -> None:
    """A live or unknown order is refused with its id, and nothing happens (invariant 3)."""
    story = Story().claim()
    story.permit()
    if is_lost:
        story.lose()
    facts = len(story.facts)
    refusal = untrack_refusal(story.tracker)

    story.feed(UNTRACK)

    assert refusal is not None
    assert story.order().client_order_id in refusal
    assert len(story.facts) == facts


def test_refusals_say_why() -> None:
    """What cannot be asked is refused in words, and asked all the same does nothing."""
    story = Story()
    assert "no exit" in str(withdrawal_refusal(story.tracker))
    assert "not frozen" in str(over_exit_refusal(story.tracker))
    for event in (WITHDRAW, RESOLVE):
        story.feed(event)
    assert story.facts == []
    story.claim()
    assert withdrawal_refusal(story.tracker) is None
    story.feed(UNTRACK)
    assert "UNTRACKED" in str(untrack_refusal(story.tracker))


def test_a_frozen_over_exit_ends_by_a_persons_word() -> None:
    """Resolved, the position is confirmed and ends; its P&L counts no more than was held."""
    story = Story()
    story.work()
    story.see(B.TRADED, 130, order_quantity=130)
    assert story.tracker.is_frozen
    story.wait(60.0)
    assert not story.commands

    assert over_exit_refusal(story.tracker) is None
    story.feed(RESOLVE)
    assert story.wants(ReadBooks)
    story.books(trade(130, "151.50"))

    assert story.tracker.status is PositionStatus.EXITED
    assert story.tracker.over_exited_quantity == 30
    assert story.tracker.realized_pnl == Decimal("150.00")


def test_a_growing_over_exit_freezes_again() -> None:
    """What a person resolved was what they saw; more of it needs their word again."""
    story = Story()
    story.work()
    story.see(B.TRADED, 130, order_quantity=130)
    story.feed(RESOLVE)
    story.see(B.TRADED, 150, order_quantity=150)

    assert story.tracker.is_frozen
    assert story.alarm_codes().count("over_exit") == 2
