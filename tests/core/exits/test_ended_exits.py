"""An exit that ended short is sized anew only once the broker's own books have shown its end."""

from decimal import Decimal

import pytest

from exit_story.story import Story
from exit_story.values import held, net
from squareoff.core.exits.ended_exits import READINGS_BEFORE_ALARM
from squareoff.core.state.commands import ReadBooks, ReadPositions, TransmitCancel
from squareoff.core.state.inputs import BooksRead, ClosedByOthers, WithdrawAsked
from squareoff.core.state.policy import END_READINGS_MAX
from squareoff.domain.orders import BrokerOrderStatus as B
from squareoff.domain.orders import ReportSource
from squareoff.domain.states import PositionStatus

STREAM = ReportSource.STREAM
ENDS = (B.REJECTED, B.CANCELLED, B.EXPIRED)


def ended_by_stream(status: B = B.REJECTED, quantity: int = 28) -> Story:
    """Return an exit of 100 whose only order ended after `quantity`, by the stream's word."""
    story = Story()
    story.work()
    story.see(status, quantity, source=STREAM)
    return story


def unread() -> BooksRead:
    """Return a reading of the books that failed."""
    return BooksRead(None, frozenset())


@pytest.mark.parametrize("status", ENDS)
def test_the_books_are_read_for_an_end_that_the_stream_told(status: B) -> None:
    """They are asked while the pause before the next try runs, and sizing waits for them."""
    story = ended_by_stream(status)

    assert story.wants(ReadBooks)
    story.later(60.0)
    story.feed(net(72))
    assert not story.wants(ReadPositions)
    assert len(story.orders) == 1


def test_the_books_tell_what_the_stream_left_out() -> None:
    """A stream that names the last fill for all fills does not make us close the rest twice."""
    story = ended_by_stream(quantity=1)
    story.see(B.REJECTED, 30)
    story.wait(60.0)
    story.feed(net(200))

    assert story.order().order_quantity == 70


def test_an_end_that_the_books_tell_first_needs_no_second_reading() -> None:
    """Nothing is asked for where the word is the broker's record already."""
    story = Story()
    story.work()
    story.see(B.CANCELLED, 28)

    assert not story.wants(ReadBooks)
    story.wait(60.0)
    assert story.wants(ReadPositions)


def test_books_that_cannot_be_read_hold_an_exit_up_for_some_readings_only() -> None:
    """Then the positions alone decide, as they do where nothing else can be read."""
    story = ended_by_stream()
    for reading in range(END_READINGS_MAX):
        assert not story.wants(ReadPositions), reading
        story.wait(1.0)
        assert story.wants(ReadBooks)
        story.feed(unread())
    story.wait(60.0)

    assert story.wants(ReadPositions)
    assert "fills_unconfirmed" not in story.alarm_codes()


def test_a_book_that_lags_is_asked_again() -> None:
    """A record from before the end is no end."""
    story = ended_by_stream()
    story.see(B.PART_TRADED, 28)
    story.feed(BooksRead((), frozenset()))

    assert not story.wants(ReadBooks)
    story.wait(1.0)
    assert story.wants(ReadBooks)


def test_the_end_of_a_slice_of_an_older_attempt_is_read_too() -> None:
    """It rested while the other slice was tried again, and units of others hide what it filled."""
    story = Story(held(quantity=3600)).claim()
    story.permit_all()
    story.accept("B1", 0)
    story.accept("B2", 1)
    story.see(B.REJECTED, number=0, reason="RMS")
    story.see(B.PENDING, number=1, broker_order_id="B2")
    story.wait(60.0)
    story.feed(net(9000))
    story.permit()
    story.accept("B3")
    story.see(B.PENDING, broker_order_id="B3")
    story.see(B.CANCELLED, 200, number=1, broker_order_id="B2", source=STREAM)

    assert story.wants(ReadBooks)
    story.wait(60.0)
    assert not story.wants(ReadPositions)
    story.see(B.CANCELLED, 1000, number=1, broker_order_id="B2")
    story.feed(net(9000))
    assert story.order().order_quantity == 800


def denied(status: B = B.REJECTED) -> Story:
    """Return an exit that the stream ended and that every reading of the books shows alive."""
    story = ended_by_stream(status, 0)
    for _ in range(READINGS_BEFORE_ALARM):
        story.see(B.PENDING)
        story.feed(BooksRead((), frozenset()))
        story.wait(1.0)
    return story


@pytest.mark.parametrize("status", ENDS)
def test_nothing_is_sized_beside_an_exit_that_the_books_show_alive(status: B) -> None:
    """A refused modify that the stream calls a rejection of the order ends no order."""
    story = denied(status)
    story.wait(600.0)

    assert not story.wants(ReadPositions)
    assert story.wants(ReadBooks)
    story.feed(net(100))
    assert len(story.orders) == 1
    assert story.alarm_codes() == ["order_end_denied"]


def test_an_exit_that_the_books_showed_alive_may_fill_after_all() -> None:
    """Its fills close the position, and nothing was sent beside it."""
    story = denied()
    story.see(B.TRADED, 100, source=STREAM)

    assert story.order().cumulative_quantity == 100
    assert story.tracker.open_quantity == 0


def test_what_the_books_showed_alive_on_an_earlier_day_holds_nothing_up() -> None:
    """Orders are for the day, and the book of the next one does not list it."""
    story = denied()
    story.wait(24 * 3600.0)

    assert story.wants(ReadPositions)


def test_an_end_that_the_books_show_late_lets_the_exit_go_on() -> None:
    """A cancel by hand, or a book that lagged: the rest is sized then."""
    story = denied()
    story.see(B.CANCELLED, 28)
    story.wait(60.0)

    assert story.wants(ReadPositions)


@pytest.mark.parametrize("word", [B.UNKNOWN, B.PENDING])
def test_a_record_from_before_the_end_denies_nothing_once_the_end_was_read(word: B) -> None:
    """A terminal record is final, and a word that nobody knows denies no end."""
    story = ended_by_stream(quantity=0)
    story.see(B.UNKNOWN)
    if word is B.PENDING:
        story.see(B.REJECTED)
        story.see(B.PENDING)
    for _ in range(END_READINGS_MAX):
        story.feed(BooksRead((), frozenset()))
        story.wait(1.0)
    story.wait(60.0)

    assert story.wants(ReadPositions)
    assert story.alarm_codes() == []


def cancelled(story: Story) -> list[str]:
    """Return what the last decision cancels."""
    return [c.broker_order_id for c in story.commands if isinstance(c, TransmitCancel)]


def test_an_exit_that_the_books_show_alive_is_cancelled_before_it_is_withdrawn() -> None:
    """Taken back while it rests at the exchange, it could close the position later."""
    story = ended_by_stream(quantity=0)
    story.see(B.PENDING)
    story.feed(WithdrawAsked("a slip", "a person"))
    assert cancelled(story) == ["B1"]
    assert story.tracker.status is PositionStatus.EXITING
    story.feed(BooksRead((), frozenset()))
    story.wait(1.0)
    assert story.wants(ReadBooks)
    story.see(B.CANCELLED)

    assert story.tracker.status is PositionStatus.ACTIVE


@pytest.mark.parametrize("by_others", [100, 40])
def test_an_exit_that_the_books_show_alive_is_cancelled_where_others_closed(by_others: int) -> None:
    """It would close what is no longer held; EXITED waits for its end."""
    story = ended_by_stream(quantity=0)
    story.see(B.PENDING)
    story.feed(ClosedByOthers(by_others, Decimal(150), None))
    assert cancelled(story) == ["B1"]
    story.books()
    assert story.tracker.status is PositionStatus.EXITING
    story.see(B.CANCELLED)
    if by_others == 100:
        story.wait(1.0)
        story.books()

    assert story.tracker.open_quantity == 100 - by_others
    is_over = story.tracker.status is PositionStatus.EXITED
    assert is_over is (by_others == 100)


def test_an_exit_that_the_books_show_alive_after_its_end_is_cancelled() -> None:
    """The denial may come after the withdrawal, which went by the stream's word."""
    story = ended_by_stream(quantity=0)
    story.feed(WithdrawAsked("a slip", "a person"))
    assert story.tracker.status is PositionStatus.ACTIVE
    story.see(B.PENDING)

    assert cancelled(story) == ["B1"]
