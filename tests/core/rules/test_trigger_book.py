"""The trigger book: who fires at a price, in which order, and what is quiet."""

from decimal import Decimal as D
from typing import Any

import pytest

from exit_story.values import INSTRUMENT, held
from squareoff.core.rules.side_book import NEVER
from squareoff.core.rules.trigger_book import TriggerBook
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import BreakEvenRule, PriceRule, RuleName, RuleSet, TrailingRule

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
BOTH = {"stop_loss": PriceRule(points=D(10)), "target": PriceRule(points=D(20))}
FAR = PriceRule(points=D(30))


def position(name: str, side: PositionSide = LONG, **rules: Any) -> PositionTracker:
    """Return 100 units bought or sold at 150."""
    return held(tracker_id=TrackerId(name), side=side, rules=RuleSet(**rules))


def armed(*trackers: PositionTracker) -> TriggerBook:
    """Return a book of these positions."""
    book = TriggerBook()
    for tracker in trackers:
        book.arm(tracker)
    return book


def fired(book: TriggerBook, price: int) -> list[tuple[str, str, int]]:
    """Return what a price fires: name, rule, level."""
    reached = book.on(INSTRUMENT).reach(PriceUnits(price))
    return [(name, level.rule.value, level.price) for name, level in reached.fired]


def test_levels_fire_at_the_price_that_reaches_them() -> None:
    """At or below a falling level, at or above a rising one, and not a tick before."""
    book = armed(position("long", **BOTH), position("short", SHORT, **BOTH))

    assert book.on(INSTRUMENT).nearest() == (1_400_000, 1_600_000)
    assert fired(book, 1_400_500) == fired(book, 1_599_500) == []
    assert fired(book, 1_400_000) == [("long", "stop_loss", 1_400_000)]
    assert fired(book, 1_600_000) == [("short", "stop_loss", 1_600_000)]
    assert len(book) == 0


def test_a_jump_fires_all_that_it_passes() -> None:
    """One price through many levels fires each position once, the nearest stop first."""
    book = armed(
        *(position(f"p{n}", stop_loss=PriceRule(points=D(n))) for n in (5, 1, 9, 3)),
        position("short", SHORT, **BOTH),
    )

    assert [name for name, _, _ in fired(book, 1_300_000)] == ["p1", "p3", "p5", "p9", "short"]
    assert fired(book, 1_300_000) == []


def test_a_falling_level_fires_before_a_rising_one() -> None:
    """A price that reaches both levels of a position fires the falling one."""
    weird = {
        "target": PriceRule(points=D(6)),
        "break_even": BreakEvenRule(at_profit_percent=D(1), lock_points=D(8)),
    }
    book = armed(position("long", **weird))
    assert fired(book, 1_515_000) == []

    assert fired(book, 1_560_000) == [("long", "break_even", 1_580_000)]


def test_a_stop_that_a_price_moves_waits_for_the_next_price() -> None:
    """Break-even with a lock above the price that starts it fires with the next price."""
    rule = BreakEvenRule(at_profit_percent=D(1), lock_points=D(8))
    book = armed(position("long", break_even=rule))
    levels = book.on(INSTRUMENT)

    assert levels.reach(PriceUnits(1_515_000)) == ([], ["long"])
    falling, _ = levels.quiet()
    assert falling == 1_580_000
    assert fired(book, 1_515_000) == [("long", "break_even", 1_580_000)]


def test_quiet_is_what_reaches_no_level_and_is_nobodys_best() -> None:
    """Between the levels, and for followers not beyond their best prices."""
    follow = TrailingRule(points=D(30))
    book = armed(position("long", trailing=follow), position("short", SHORT, trailing=follow))
    levels = book.on(INSTRUMENT)
    falling, rising = levels.quiet()
    assert rising - falling <= 1
    levels.reach(PriceUnits(1_500_000))
    levels.reach(PriceUnits(1_520_000))
    levels.reach(PriceUnits(1_490_000))

    assert levels.quiet() == (1_489_999, 1_520_001)


def test_latched_and_forgotten_positions_fire_nothing() -> None:
    """A latched position waits for nothing until it is armed anew; a forgotten one is gone."""
    book = armed(position("a", **BOTH), position("b", **BOTH))
    book.latch(TrackerId("a"))
    book.forget(TrackerId("b"))
    assert fired(book, 1_300_000) == []
    assert book.current(TrackerId("b")) is None
    book.arm(position("a", **BOTH))

    assert fired(book, 1_300_000) == [("a", "stop_loss", 1_400_000)]


def test_new_rules_take_the_place_of_the_old() -> None:
    """After arming anew only the new levels fire."""
    book = armed(position("a", **BOTH))
    book.arm(position("a", stop_loss=PriceRule(points=D(40))))

    assert fired(book, 1_200_000) == fired(book, 1_900_000) == []
    assert fired(book, 1_100_000) == [("a", "stop_loss", 1_100_000)]


def test_the_name_of_equal_stops_is_the_first_rules() -> None:
    """A fixed stop that meets a moving one at the same price gives its name."""
    rules = {"stop_loss": PriceRule(points=D(2)), "trailing": TrailingRule(points=D(4))}
    book = armed(position("a", **rules))
    assert fired(book, 1_520_000) == []

    assert fired(book, 1_400_000) == [("a", RuleName.STOP_LOSS.value, 1_480_000)]


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_what_a_range_fired_is_near_no_more(side: PositionSide) -> None:
    """The levels that are left are those of whoever still waits."""
    book = armed(position("gone", side, **BOTH), position("left", side, stop_loss=FAR))
    levels = book.on(INSTRUMENT)
    assert levels.nearest() == ((1_400_000, 1_700_000) if side is LONG else (1_300_000, 1_600_000))
    reached = (
        levels.reach_range(1_290_000, 1_590_000)
        if side is SHORT
        else (levels.reach_range(1_390_000, 1_500_000))
    )

    fired_ids = [name for name, _ in (*reached.fallen, *reached.risen)]
    assert fired_ids == ["gone"]
    assert levels.nearest() == ((1_200_000, NEVER) if side is LONG else (0, 1_800_000))


def test_a_move_is_told_again_once_the_last_is_durable() -> None:
    """Of a position that is not in, nothing is."""
    book = armed(position("a", trailing=TrailingRule(points=D(4))))
    levels = book.on(INSTRUMENT)
    told = [levels.reach(PriceUnits(price)).moved for price in (1_510_000, 1_520_000)]
    book.settle(TrackerId("gone"))
    book.settle(TrackerId("a"))

    assert told == [["a"], []]
    assert levels.reach(PriceUnits(1_530_000)).moved == ["a"]


def test_what_rests_is_armed_anew_only_with_other_rules() -> None:
    """It waits for nothing either way, and follows the rules that it has now."""
    before = position("a", trailing=TrailingRule(points=D(4)))
    after = position("a", trailing=TrailingRule(points=D(8)))
    book = armed(before)

    assert not book.rest(before)
    assert book.rest(after)
    current = book.current(TrackerId("a"))
    assert current is not None
    assert current.rules == after.rules
    assert fired(book, 1_600_000) == fired(book, 1_300_000) == []
