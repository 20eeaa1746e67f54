"""One side's book: bounds, latching, and telling of moved stops."""

from decimal import Decimal as D

from exit_story.values import held
from squareoff.core.rules.side_book import NEVER, SideBook
from squareoff.core.rules.stop_path import NO_PRICE
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule

TRAILING = RuleSet(
    stop_loss=PriceRule(points=D(10)),
    target=PriceRule(points=D(30)),
    trailing=TrailingRule(points=D(8)),
)


def test_bounds_are_those_of_the_positions() -> None:
    """An empty side has none; a position sets stop, target and the price that is no news."""
    book = SideBook(PositionSide.LONG, 500)
    assert (book.nearest_stop, book.nearest_target, book.quiet_max) == (NO_PRICE, NEVER, NEVER)
    book.follow(held(rules=TRAILING), None)
    assert (book.nearest_stop, book.nearest_target) == (1_400_000, 1_800_000)
    book.raise_peaks(1_550_000)

    assert (book.nearest_stop, book.quiet_max) == (1_470_000, 1_550_000)
    book.raise_peaks(1_560_000)
    assert (book.nearest_stop, book.quiet_max) == (1_480_000, 1_560_000)


def test_a_short_side_is_mirrored() -> None:
    """A short position's stop lies above, its target below, and a lower price is a better one."""
    book = SideBook(PositionSide.SHORT, 500)
    follower = book.follow(held(side=PositionSide.SHORT, rules=TRAILING), None)
    book.raise_peaks(-1_450_000)

    assert (book.nearest_stop, book.nearest_target) == (-1_530_000, -1_200_000)
    assert book.peak_of(follower) == 1_450_000
    assert list(book.pop_stopped(-1_529_500)) == []
    assert list(book.pop_stopped(-1_530_000)) == [follower]


def test_a_moved_stop_is_told_once_until_it_is_settled() -> None:
    """While one move is being made durable, later ones are not told; after it the next one is."""
    book = SideBook(PositionSide.LONG, 500)
    follower = book.follow(held(rules=TRAILING), None)

    assert book.raise_peaks(1_550_000) == [follower]
    assert book.raise_peaks(1_560_000) == []
    book.settle(follower)
    assert book.raise_peaks(1_560_500) == [follower]
    assert book.current(follower).stop_level == 1_480_500


def test_what_is_latched_waits_for_nothing_and_goes_on_seeing() -> None:
    """A latched position fires no more; its best price still rises."""
    book = SideBook(PositionSide.LONG, 500)
    follower = book.follow(held(rules=TRAILING), None)
    book.raise_peaks(1_550_000)
    book.latch(follower)

    assert book.raise_peaks(1_600_000) == []
    book.settle(follower)
    assert book.raise_peaks(1_600_500) == []
    assert list(book.pop_stopped(1)) == []
    assert list(book.pop_targeted(NEVER)) == []
    assert book.peak_of(follower) == 1_600_500


def test_what_rests_keeps_its_best_price_and_not_its_stop() -> None:
    """While an exit is open prices go on to count; its end may take out the rule with its stop."""
    book = SideBook(PositionSide.LONG, 500)
    first = book.follow(held(rules=TRAILING), None)
    book.raise_peaks(1_550_000)
    book.rest(first)
    assert book.raise_peaks(1_600_000) == []
    assert list(book.pop_stopped(1)) == []
    fixed = RuleSet(stop_loss=PriceRule(points=D(10)))
    second = book.follow(held(rules=fixed), first)
    current = book.current(second)

    assert (current.peak_price, current.stop_level) == (1_600_000, None)
    assert list(book.pop_stopped(1_400_500)) == []
    assert list(book.pop_stopped(1_400_000)) == [second]


def test_arming_anew_keeps_the_best_price_and_the_stop() -> None:
    """A commit that lags, or wider rules, take back neither the best price nor the stop."""
    book = SideBook(PositionSide.LONG, 500)
    first = book.follow(held(rules=TRAILING), None)
    book.raise_peaks(1_600_000)
    wider = RuleSet(trailing=TrailingRule(points=D(40)))
    second = book.follow(held(rules=wider), first)
    current = book.current(second)

    assert (current.peak_price, current.stop_level) == (1_600_000, 1_520_000)
    assert list(book.pop_stopped(1_520_000)) == [second]


def test_many_with_one_peak_are_all_stopped_on_their_own_level() -> None:
    """A fall goes through the stops of a group one after the other."""
    book = SideBook(PositionSide.LONG, 500)
    followers = [
        book.follow(
            held(
                tracker_id=TrackerId(f"trk-{points}"),
                rules=RuleSet(trailing=TrailingRule(points=D(points))),
            ),
            None,
        )
        for points in range(1, 21)
    ]
    book.raise_peaks(1_600_000)
    reached = [len(list(book.pop_stopped(1_600_000 - fall))) for fall in range(0, 210_000, 5_000)]

    assert reached[:5] == [0, 0, 1, 0, 1]
    assert sum(reached) == len(followers)
