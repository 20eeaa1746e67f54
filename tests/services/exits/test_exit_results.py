"""What a tracker's state means to a caller who waits."""

from decimal import Decimal

import pytest

from exit_story.story import Story
from exit_story.values import trade
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.results import ExitCode
from squareoff.services.exits.exit_results import (
    Wait,
    average_so_far,
    has_news,
    is_accepted,
    result_of,
)


def test_an_order_at_the_broker_is_accepted_and_not_exited() -> None:
    """Acceptance answers who waits for it, and nobody who waits for fills."""
    story = Story().work()

    assert is_accepted(story.tracker)
    assert has_news(story.tracker, Wait.ACCEPTED)
    assert not has_news(story.tracker, Wait.FILLED)
    assert result_of(story.tracker, Wait.ACCEPTED).code is ExitCode.ACCEPTED
    settling = result_of(story.tracker, Wait.FILLED)
    assert (settling.code, settling.success) == (ExitCode.BEING_SETTLED, False)
    assert "100 of 100 still open" in (settling.error or "")


def test_a_lost_order_is_no_acceptance() -> None:
    """An order whose outcome is unknown is being settled."""
    story = Story()
    story.claim()
    story.permit()
    story.lose()

    assert not is_accepted(story.tracker)
    assert result_of(story.tracker, Wait.ACCEPTED).code is ExitCode.BEING_SETTLED


def test_fills_alone_do_not_make_an_exit_before_the_books_agree() -> None:
    """All filled but unconfirmed is accepted; confirmed it is exited at the average price."""
    story = Story().work()
    story.see(BrokerOrderStatus.TRADED, 100)
    filled = result_of(story.tracker, Wait.ACCEPTED)
    story.books(trade(100, "151.50"))
    exited = result_of(story.tracker, Wait.FILLED)

    assert (filled.code, filled.exited_quantity) == (ExitCode.ACCEPTED, 100)
    assert (exited.code, exited.success, exited.error) == (ExitCode.EXITED, True, None)
    assert exited.exit_price == Decimal("151.50")


def test_the_average_so_far_is_weighted_and_none_without_every_price() -> None:
    """Partial fills are weighted by quantity; one unpriced fill leaves no average."""
    story = Story().work()
    assert average_so_far(story.tracker) is None
    story.see(BrokerOrderStatus.PART_TRADED, 40)

    assert average_so_far(story.tracker) == Decimal("151.50")


def test_an_exit_that_was_given_to_a_person_says_so() -> None:
    """Who waits learns that nothing goes on by itself, and why."""
    story = Story(policy=ExitPolicy(attempts_max=1)).work()
    story.see(BrokerOrderStatus.REJECTED, reason="no")

    result = result_of(story.tracker, Wait.FILLED)
    assert result.code is ExitCode.NEEDS_HUMAN
    assert "the exit needs a person" in (result.error or "")


@pytest.mark.parametrize("code", list(ExitCode))
def test_success_never_carries_an_error(code: ExitCode) -> None:
    """`success` and `error` exclude each other for every code."""
    result = result_of(Story().tracker, Wait.FILLED, code=code)

    assert result.success is code.is_success is (result.error is None)
