"""Tests of core.rule_checks: every fault of a rule set names its field."""

from decimal import Decimal
from typing import Any

import pytest

from exit_story.values import INSTRUMENT
from squareoff.core.rule_checks import rule_faults
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
    found = rule_faults(
        RuleSet(**rules),
        instrument=INSTRUMENT,
        side=side,
        entry_price=D(150),
        reference_price=D(152),
    )
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
        max_holding_minutes=90,
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
    "holding too long": ({"max_holding_minutes": 60 * 24 * 8}, "rules.max_holding_minutes"),
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
        pytest.param(D(150), D(135), ["rules.stop_loss.price"], id="the newest price counts"),
        pytest.param(D(135), None, ["rules.stop_loss.price"], id="else the entry price"),
        pytest.param(D(0), None, [], id="an entry at the market has neither"),
    ],
)
def test_the_side_is_judged_by_the_best_price_there_is(
    entry_price: Decimal, reference_price: Decimal | None, expected: list[str]
) -> None:
    """A stop at 140 of a LONG is on the wrong side of 135, and of no price at all."""
    found = rule_faults(
        RuleSet(stop_loss=PriceRule(price=D("140.00"))),
        instrument=INSTRUMENT,
        side=PositionSide.LONG,
        entry_price=entry_price,
        reference_price=reference_price,
    )

    assert [fault.field for fault in found] == expected
