"""Tests of levels: worked examples of every rule, both sides, and stops that never loosen."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exit_story.values import OPENED_AT_NS, held
from squareoff.core.rules.levels import has_moving_stop, is_better, levels_of, move_stop, stop_of
from squareoff.core.state.evolve import evolve
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.orders import OrderType, PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import (
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleName,
    RuleSet,
    Tier,
    TrailingRule,
)

D = Decimal
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def units(rupees: str) -> PriceUnits:
    """Return rupees in price units."""
    return PriceUnits(int(D(rupees) * 10_000))


def tracker(side: PositionSide = LONG, entry: str = "150", **rules: Any) -> PositionTracker:
    """Return a held position of 100 units with these rules."""
    return held(side=side, entry_price=D(entry), rules=RuleSet(**rules))


def see(held_position: PositionTracker, *prices: str) -> PositionTracker:
    """Return the tracker after these prices were seen in order."""
    for price in prices:
        fact = move_stop(held_position, units(price))
        if fact is not None:
            held_position = evolve(held_position, fact, OPENED_AT_NS)
    return held_position


FIXED = [
    (LONG, PriceRule(price=D("140.00")), "140.00", PriceRule(price=D("175.50")), "175.50"),
    (LONG, PriceRule(points=D("10.02")), "139.95", PriceRule(points=D("20.01")), "170.05"),
    (LONG, PriceRule(percent=D(10)), "135.00", PriceRule(percent=D(25)), "187.50"),
    (LONG, PriceRule(rupees=D(1000)), "140.00", PriceRule(rupees=D(1503)), "165.05"),
    (SHORT, PriceRule(price=D("160.00")), "160.00", PriceRule(price=D("120.50")), "120.50"),
    (SHORT, PriceRule(points=D("10.02")), "160.05", PriceRule(points=D("20.01")), "129.95"),
    (SHORT, PriceRule(percent=D(10)), "165.00", PriceRule(percent=D(25)), "112.50"),
    (SHORT, PriceRule(rupees=D(1000)), "160.00", PriceRule(rupees=D(1503)), "134.95"),
]


@pytest.mark.parametrize(("side", "stop", "stop_at", "target", "target_at"), FIXED)
def test_fixed_levels(
    side: PositionSide, stop: PriceRule, stop_at: str, target: PriceRule, target_at: str
) -> None:
    """Stop and target stand where price, points, percent or rupees of the position put them."""
    levels = levels_of(tracker(side, stop_loss=stop, target=target))
    below, above = (stop_at, target_at) if side is LONG else (target_at, stop_at)

    assert levels.falling is not None
    assert levels.rising is not None
    assert (levels.falling.price, levels.rising.price) == (units(below), units(above))
    stops = levels.falling if side is LONG else levels.rising
    assert stops.rule is RuleName.STOP_LOSS


def test_without_price_rules_nothing_fires() -> None:
    """A position without price rules has no level."""
    levels = levels_of(tracker(max_holding_minutes=5))

    assert levels.falling is None
    assert levels.rising is None
    assert not has_moving_stop(tracker(max_holding_minutes=5))


MOVING: dict[str, tuple[PositionSide, dict[str, Any], list[str], str | None]] = {
    "points follow at once": (LONG, {"trailing": TrailingRule(points=D(8))}, ["151"], "143"),
    "points follow the best": (
        LONG,
        {"trailing": TrailingRule(points=D(8))},
        ["151", "163", "149", "162"],
        "155",
    ),
    "percent of the best price": (
        LONG,
        {"trailing": TrailingRule(percent=D(10))},
        ["163"],
        "146.70",
    ),
    "not before the activation": (
        LONG,
        {"trailing": TrailingRule(points=D(8), activate_at_profit_points=D(10))},
        ["159.95"],
        None,
    ),
    "from the activation on": (
        LONG,
        {"trailing": TrailingRule(points=D(8), activate_at_profit_points=D(10))},
        ["160"],
        "152",
    ),
    "activation in percent": (
        LONG,
        {"trailing": TrailingRule(points=D(8), activate_at_profit_percent=D(10))},
        ["164.95", "165"],
        "157",
    ),
    "whole steps only": (
        LONG,
        {"trailing": TrailingRule(points=D(8), step=D(5))},
        ["166"],
        "155",
    ),
    "steps below the entry round away": (
        LONG,
        {"trailing": TrailingRule(points=D(8), step=D(5))},
        ["151"],
        "140",
    ),
    "break-even not yet": (
        LONG,
        {"break_even": BreakEvenRule(at_profit_points=D(12), lock_points=D(1))},
        ["161.95"],
        None,
    ),
    "break-even": (
        LONG,
        {"break_even": BreakEvenRule(at_profit_points=D(12), lock_points=D(1))},
        ["162"],
        "151",
    ),
    "best tier reached": (
        LONG,
        {"tiers": (Tier(D(20), D(10)), Tier(D(10), D(2)))},
        ["181"],
        "165",
    ),
    "first tier": (LONG, {"tiers": (Tier(D(20), D(10)), Tier(D(10), D(2)))}, ["165"], "153"),
    "drawdown keeps its share": (
        LONG,
        {"peak_drawdown": PeakDrawdownRule(D(40), D(15))},
        ["180"],
        "168",
    ),
    "drawdown not active": (
        LONG,
        {"peak_drawdown": PeakDrawdownRule(D(40), D(15))},
        ["172"],
        None,
    ),
    "tightest of several": (
        LONG,
        {
            "trailing": TrailingRule(points=D(20)),
            "break_even": BreakEvenRule(at_profit_points=D(12)),
        },
        ["165"],
        "150",
    ),
    "short: points": (SHORT, {"trailing": TrailingRule(points=D(8))}, ["140", "145"], "148"),
    "short: percent": (SHORT, {"trailing": TrailingRule(percent=D(10))}, ["137"], "150.70"),
    "short: steps": (SHORT, {"trailing": TrailingRule(points=D(8), step=D(5))}, ["134"], "145"),
    "short: break-even": (
        SHORT,
        {"break_even": BreakEvenRule(at_profit_points=D(12), lock_points=D(1))},
        ["138"],
        "149",
    ),
    "short: tier": (SHORT, {"tiers": (Tier(D(10), D(2)),)}, ["135"], "147"),
    "short: drawdown": (SHORT, {"peak_drawdown": PeakDrawdownRule(D(40))}, ["130"], "138"),
}


@pytest.mark.parametrize(("side", "rules", "prices", "stop"), MOVING.values(), ids=MOVING.keys())
def test_moving_stops(
    side: PositionSide, rules: dict[str, Any], prices: list[str], stop: str | None
) -> None:
    """A moving stop stands where the best price seen puts it."""
    moved = see(tracker(side, **rules), *prices)

    assert moved.stop_level == (None if stop is None else units(stop))


def test_the_tightest_stop_counts_and_names_its_rule() -> None:
    """Of a fixed and a moving stop the nearer one fires, under its own name."""
    both = tracker(stop_loss=PriceRule(points=D(5)), trailing=TrailingRule(points=D(8)))
    early, late = stop_of(see(both, "151")), stop_of(see(both, "160"))

    assert early is not None
    assert late is not None
    assert (early.price, early.rule) == (units("145"), RuleName.STOP_LOSS)
    assert (late.price, late.rule) == (units("152"), RuleName.TRAILING)


def test_an_untold_entry_price_fires_nothing() -> None:
    """A market entry whose average is not told yet (0) has no level reckoned from it."""
    rules = RuleSet(
        stop_loss=PriceRule(points=D(10)),
        target=PriceRule(percent=D(25)),
        peak_drawdown=PeakDrawdownRule(D(40)),
        trailing=TrailingRule(points=D(8), activate_at_profit_points=D(10)),
    )
    for side in PositionSide:
        entered = held(side=side, entry_price=D(0), rules=rules, entry_order_type=OrderType.MARKET)
        levels = levels_of(see(entered, "152"))
        assert levels.falling is None
        assert levels.rising is None


def test_a_fixed_price_holds_before_the_entry_price_is_told() -> None:
    """A stop given as a price needs no entry price."""
    rules = RuleSet(stop_loss=PriceRule(price=D(140)))
    entered = held(entry_price=D(0), rules=rules, entry_order_type=OrderType.MARKET)
    falling = levels_of(entered).falling

    assert falling is not None
    assert falling.price == units("140")


def test_other_rules_do_not_loosen_a_stop_that_was_reached() -> None:
    """A stop that trailing has reached stands after the owner sets a wider distance (I14)."""
    near = see(tracker(trailing=TrailingRule(points=D(2))), "160")
    wider = see(_with_rules(near, trailing=TrailingRule(points=D(30))), "161")
    stop = stop_of(wider)

    assert stop is not None
    assert stop.price == units("158")


def _with_rules(held_position: PositionTracker, **rules: Any) -> PositionTracker:
    return replace(held_position, rules=RuleSet(**rules))


POINTS = st.decimals(min_value="0.05", max_value="60", places=2)
PERCENTS = st.decimals(min_value="0.5", max_value="60", places=1)
RULES = st.builds(
    RuleSet,
    stop_loss=st.none() | st.builds(PriceRule, points=POINTS),
    trailing=st.none()
    | st.builds(
        TrailingRule,
        points=POINTS,
        step=st.none() | POINTS,
        activate_at_profit_points=st.none() | POINTS,
    )
    | st.builds(TrailingRule, percent=PERCENTS, step=st.none() | POINTS),
    break_even=st.none() | st.builds(BreakEvenRule, at_profit_points=POINTS),
    tiers=st.lists(st.builds(Tier, PERCENTS, st.just(D("0.4"))), max_size=3).map(tuple),
    peak_drawdown=st.none() | st.builds(PeakDrawdownRule, PERCENTS, PERCENTS),
)
PATHS = st.lists(st.integers(min_value=1, max_value=8_000), min_size=1, max_size=40)


@given(rules=RULES, path=PATHS, side=st.sampled_from(PositionSide))
def test_a_stop_never_loosens(rules: RuleSet, path: list[int], side: PositionSide) -> None:
    """Over any price path the stop only tightens, stays on the grid, and ignores repeats (I14)."""
    position = held(side=side, rules=rules)
    for ticks in path:
        before = stop_of(position)
        position = see(position, str(D(ticks) * D("0.05")))
        after = stop_of(position)
        assert see(position, str(D(ticks) * D("0.05"))) == position
        if before is not None:
            assert after is not None
            assert after.price == before.price or is_better(side, after.price, before.price)
        if after is not None:
            assert after.price % 500 == 0


@given(rules=RULES, path=PATHS, side=st.sampled_from(PositionSide))
def test_the_stop_is_a_function_of_the_best_price(
    rules: RuleSet, path: list[int], side: PositionSide
) -> None:
    """Gaps and order do not matter: the best price alone gives the same stop as the whole path."""
    best = max(path) if side is LONG else min(path)
    position = held(side=side, rules=rules)

    whole = stop_of(see(position, *(str(D(ticks) * D("0.05")) for ticks in path)))
    alone = stop_of(see(position, str(D(best) * D("0.05"))))

    assert (whole and whole.price) == (alone and alone.price)
