"""Tests of core.rules.rule_checks: every fault of a rule set names its field."""

from decimal import Decimal
from typing import Any

import pytest

from exit_story.values import INSTRUMENT
from squareoff.core.rules.rule_checks import RuledPosition, needs_price, rule_faults
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import (
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleSet,
    Tier,
    TrailingRule,
)

D = Decimal


def faults(side: PositionSide = PositionSide.LONG, **rules: Any) -> list[str]:
    """Return the fields that are at fault for an entry at 150 and a last price of 152."""
    found = rule_faults(RuleSet(**rules), RuledPosition(INSTRUMENT, side, D(150), 100), D(152))
    assert all(fault.message for fault in found)
    return [fault.field for fault in found]


def test_a_full_good_rule_set_has_no_fault() -> None:
    """All rules combine freely."""
    assert not faults(
        stop_loss=PriceRule(price=D("140.00")),
        target=PriceRule(percent=D(25)),
        trailing=TrailingRule(points=D(8), activate_at_profit_points=D(10), step=D("0.50")),
        break_even=BreakEvenRule(at_profit_points=D(12), lock_points=D(1)),
        tiers=(Tier(D(10), D(2)), Tier(D(20), D(-1))),
        peak_drawdown=PeakDrawdownRule(D(40), D(15)),
        max_holding_minutes=60 * 24 * 7,
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "two ways to say a stop": (
        {"stop_loss": PriceRule(points=D(5), percent=D(5))},
        "rules.stop_loss",
    ),
    "no way to say a target": ({"target": PriceRule()}, "rules.target"),
    "stop points not above zero": ({"stop_loss": PriceRule(points=D(0))}, "rules.stop_loss.points"),
    "target rupees negative": ({"target": PriceRule(rupees=D(-1))}, "rules.target.rupees"),
    "stop off the grid": (
        {"stop_loss": PriceRule(price=D("140.03"))},
        "rules.stop_loss.price",
    ),
    "stop already passed": ({"stop_loss": PriceRule(price=D(153))}, "rules.stop_loss.price"),
    "stop at the price": ({"stop_loss": PriceRule(price=D(152))}, "rules.stop_loss.price"),
    "target already passed": ({"target": PriceRule(price=D(151))}, "rules.target.price"),
    "stop above a hundred percent": (
        {"stop_loss": PriceRule(percent=D(101))},
        "rules.stop_loss.percent",
    ),
    "trailing without distance": ({"trailing": TrailingRule()}, "rules.trailing"),
    "trailing with both": (
        {"trailing": TrailingRule(points=D(1), percent=D(1))},
        "rules.trailing",
    ),
    "trailing step zero": (
        {"trailing": TrailingRule(points=D(1), step=D(0))},
        "rules.trailing.step",
    ),
    "trailing activation negative": (
        {"trailing": TrailingRule(points=D(1), activate_at_profit_percent=D(-1))},
        "rules.trailing.activate_at_profit_percent",
    ),
    "break-even without profit": ({"break_even": BreakEvenRule()}, "rules.break_even"),
    "break-even at zero": (
        {"break_even": BreakEvenRule(at_profit_points=D(0), lock_points=D(-1))},
        "rules.break_even.at_profit_points",
    ),
    "break-even locks what is not there yet": (
        {"break_even": BreakEvenRule(at_profit_points=D(12), lock_points=D(12))},
        "rules.break_even.lock_points",
    ),
    "tier stop above its profit": (
        {"tiers": (Tier(D(10), D(2)), Tier(D(5), D(5)))},
        "rules.tiers[1].stop_at_profit_percent",
    ),
    "tier at zero": ({"tiers": (Tier(D(0), D(-1)),)}, "rules.tiers[0].at_profit_percent"),
    "drawdown above a hundred": (
        {"peak_drawdown": PeakDrawdownRule(D(101))},
        "rules.peak_drawdown.percent",
    ),
    "holding too short": ({"max_holding_minutes": 0}, "rules.max_holding_minutes"),
    "holding too long": ({"max_holding_minutes": 60 * 24 * 7 + 1}, "rules.max_holding_minutes"),
}


@pytest.mark.parametrize(("rules", "field"), BAD.values(), ids=BAD.keys())
def test_a_fault_names_its_field(rules: dict[str, Any], field: str) -> None:
    """A bad rule gives exactly one fault, and its field is the name the owner wrote."""
    assert faults(**rules) == [field]


def test_sides_are_mirrored_for_a_short() -> None:
    """A short's stop is above and its target below the price."""
    short = PositionSide.SHORT

    assert not faults(short, stop_loss=PriceRule(price=D(160)), target=PriceRule(price=D(140)))
    assert faults(short, stop_loss=PriceRule(price=D(150)), target=PriceRule(price=D(155))) == [
        "rules.stop_loss.price",
        "rules.target.price",
    ]


def test_a_short_may_lose_more_than_a_hundred_percent() -> None:
    """A short's stop in percent has no upper bound, for prices have none."""
    assert not faults(PositionSide.SHORT, stop_loss=PriceRule(percent=D(150)))


@pytest.mark.parametrize(
    ("entry_price", "reference_price", "expected"),
    [
        pytest.param(D(150), D(135), ["rules.stop_loss.price"], id="the last price counts"),
        pytest.param(D(135), D(150), [], id="a stop may lock a profit"),
        pytest.param(D(135), None, [], id="the entry price tells nothing"),
        pytest.param(D(0), None, [], id="an entry at the market has neither"),
    ],
)
def test_the_side_is_judged_by_the_price_of_the_market_alone(
    entry_price: Decimal, reference_price: Decimal | None, expected: list[str]
) -> None:
    """A stop at 140 of a LONG is on the wrong side of 135, whatever it was bought at."""
    found = rule_faults(
        RuleSet(stop_loss=PriceRule(price=D("140.00"))),
        RuledPosition(INSTRUMENT, PositionSide.LONG, entry_price),
        reference_price,
    )

    assert [fault.field for fault in found] == expected


LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
NEVER: dict[str, tuple[PositionSide, dict[str, Any], str]] = {
    "stop in points": (LONG, {"stop_loss": PriceRule(points=D(250))}, "rules.stop_loss.points"),
    "stop at nothing": (LONG, {"stop_loss": PriceRule(points=D(150))}, "rules.stop_loss.points"),
    "stop below a tick": (
        LONG,
        {"stop_loss": PriceRule(points=D("149.96"))},
        "rules.stop_loss.points",
    ),
    "stop in percent": (LONG, {"stop_loss": PriceRule(percent=D(100))}, "rules.stop_loss.percent"),
    "stop in rupees": (LONG, {"stop_loss": PriceRule(rupees=D(15_000))}, "rules.stop_loss.rupees"),
    "target of a short": (SHORT, {"target": PriceRule(points=D(150))}, "rules.target.points"),
    "target in percent": (SHORT, {"target": PriceRule(percent=D(120))}, "rules.target.percent"),
    "target in rupees": (SHORT, {"target": PriceRule(rupees=D(99_999))}, "rules.target.rupees"),
    "trailing in points": (
        LONG,
        {"trailing": TrailingRule(points=D(152))},
        "rules.trailing.points",
    ),
    "trailing in percent": (
        LONG,
        {"trailing": TrailingRule(percent=D(100))},
        "rules.trailing.percent",
    ),
    "break-even": (
        LONG,
        {"break_even": BreakEvenRule(at_profit_points=D(5), lock_points=D(-150))},
        "rules.break_even.lock_points",
    ),
    "tier": (LONG, {"tiers": (Tier(D(10), D(-100)),)}, "rules.tiers[0].stop_at_profit_percent"),
}


@pytest.mark.parametrize(("side", "rules", "field"), NEVER.values(), ids=NEVER.keys())
def test_a_level_at_which_no_price_can_be_is_a_fault(
    side: PositionSide, rules: dict[str, Any], field: str
) -> None:
    """A stop or target at zero or below never fires, so nobody may believe in it."""
    assert faults(side, **rules) == [field]


@pytest.mark.parametrize(
    ("side", "rules"),
    [
        (LONG, {"stop_loss": PriceRule(points=D("149.95"))}),
        (LONG, {"stop_loss": PriceRule(rupees=D(14_000))}),
        (LONG, {"target": PriceRule(points=D(500))}),
        (LONG, {"trailing": TrailingRule(points=D(160), activate_at_profit_points=D(20))}),
        (LONG, {"trailing": TrailingRule(points=D(160), activate_at_profit_percent=D(20))}),
        (LONG, {"trailing": TrailingRule(points=D("151.5"))}),
        (SHORT, {"stop_loss": PriceRule(points=D(500))}),
        (SHORT, {"trailing": TrailingRule(percent=D(150))}),
        (SHORT, {"target": PriceRule(percent=D(99))}),
    ],
)
def test_a_level_that_a_price_can_reach_is_none(side: PositionSide, rules: dict[str, Any]) -> None:
    """A trailing stop is judged where it first stands: at its activation, or at the last price."""
    assert faults(side, **rules) == []


def test_a_trailing_stop_is_judged_by_the_best_price_seen() -> None:
    """A distance beyond the last price leaves a stop where the best price was far above it."""
    rules = RuleSet(trailing=TrailingRule(points=D(160)))
    seen = RuledPosition(INSTRUMENT, LONG, D(150), 100, best_price=D(300))

    assert rule_faults(rules, seen, D(152)) == ()
    assert rule_faults(rules, RuledPosition(INSTRUMENT, LONG, D(150), 100), D(152))


def test_a_level_of_an_unknown_entry_is_not_judged() -> None:
    """What is counted from the entry price waits for it; money also for the quantity."""
    rules = RuleSet(
        stop_loss=PriceRule(points=D(250)),
        break_even=BreakEvenRule(at_profit_percent=D(1), lock_points=D(5)),
    )

    assert rule_faults(rules, RuledPosition(INSTRUMENT, LONG, D(0)), None) == ()
    in_money = RuleSet(stop_loss=PriceRule(rupees=D(99_999)))
    assert rule_faults(in_money, RuledPosition(INSTRUMENT, LONG, D(150)), None) == ()


@pytest.mark.parametrize(("lock_points", "is_fault"), [("1.49", False), ("1.5", True), ("5", True)])
def test_a_break_even_in_percent_locks_less_than_its_profit(
    lock_points: str, is_fault: bool
) -> None:
    """One percent of 150 is 1.50: a stop there or beyond would fire as it is set."""
    rule = BreakEvenRule(at_profit_percent=D(1), lock_points=D(lock_points))

    assert faults(break_even=rule) == (["rules.break_even.lock_points"] if is_fault else [])


def test_only_rules_with_a_price_need_one() -> None:
    """Whoever sets rules in points need not wait for a quote, unless they reach below zero."""
    assert needs_price(RuleSet(target=PriceRule(price=D(160))), D(150))
    assert needs_price(RuleSet(trailing=TrailingRule(points=D(150))), D(150))
    assert not needs_price(RuleSet(trailing=TrailingRule(points=D(8))), D(150))
    assert not needs_price(RuleSet(stop_loss=PriceRule(points=D(8))), D(150))
