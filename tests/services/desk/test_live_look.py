"""What changed since an onlooker last looked: each price and level once, and no more."""

from dataclasses import replace
from decimal import Decimal as D

from exit_story.values import INSTRUMENT, held
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.domain.states import PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.services.desk.live_look import LevelsView, LiveLook, levels_view
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.prices.tick_cache import TickCache

RULES = RuleSet(stop_loss=PriceRule(points=D(10)), target=PriceRule(points=D(20)))


def tick(price: int, time_ns: int) -> Tick:
    """Return a tick of the instrument."""
    return Tick(INSTRUMENT.instrument_id, PriceUnits(price), time_ns, time_ns, time_ns)


def looking_at(tracker: PositionTracker) -> tuple[LiveLook, PositionBook, TickCache]:
    """Return a look at a book with one tracker."""
    book, ticks = PositionBook(), TickCache(5.0)
    book.add(tracker)
    return LiveLook(book, ticks), book, ticks


def test_the_first_look_tells_everything_and_the_second_nothing() -> None:
    """What did not change is not told again."""
    tracker = held(rules=RULES)
    look, _, ticks = looking_at(tracker)
    ticks.put(tick(1_520_000, 1))
    first, second = look.changes(), look.changes()

    assert [t.last_traded_price for t in first.ticks] == [1_520_000]
    assert first.levels == (levels_view(tracker),)
    assert (second.ticks, second.levels) == ((), ())


def test_only_the_newest_price_is_told() -> None:
    """Several ticks between two looks are one change, also where the price is the same again."""
    look, _, ticks = looking_at(held())
    look.changes()
    for price, at in ((1_510_000, 1), (1_530_000, 2), (1_530_000, 3)):
        ticks.put(tick(price, at))

    assert [t.received_time_ns for t in look.changes().ticks] == [3]


def test_a_level_is_told_when_it_moves() -> None:
    """A tracker that changed without a new level tells none; a moved stop is told."""
    tracker = held(rules=RuleSet(trailing=TrailingRule(points=D(5))))
    look, book, _ = looking_at(tracker)
    look.changes()
    actor = book.get(tracker.tracker_id)
    assert actor is not None
    book.replace(actor, replace(tracker, version=9), 0)

    assert look.changes().levels == ()
    moved = replace(tracker, stop_level=PriceUnits(1_500_000), stop_rule="trailing")
    book.replace(actor, moved, 0)
    expected = LevelsView(tracker.tracker_id, D("150.00"), "trailing", None)
    assert look.changes().levels == (expected,)


def test_what_is_over_is_not_told() -> None:
    """A position that ended has neither price nor levels to watch."""
    look, _, ticks = looking_at(replace(held(rules=RULES), status=PositionStatus.EXITED))
    ticks.put(tick(1_520_000, 1))
    changes = look.changes()

    assert (changes.ticks, changes.levels) == ((), ())


def test_the_target_of_a_short_is_below() -> None:
    """Stop and target change places with the side."""
    tracker = held(rules=RULES, side=PositionSide.SHORT)
    view = levels_view(tracker)

    assert view.stop_level == tracker.entry_price + 10
    assert view.target_level == tracker.entry_price - 20
    assert view.stop_rule == "stop_loss"
