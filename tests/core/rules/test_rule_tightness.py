"""What counts as loosening: every rule, taken out, moved away, or written in another unit."""

from dataclasses import replace
from datetime import time
from decimal import Decimal

import pytest

from squareoff.core.rules.rule_tightness import loosened_rules
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import (
    NO_RULES,
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleSet,
    Tier,
    TrailingRule,
)

D = Decimal
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
ALL = RuleSet(
    stop_loss=PriceRule(price=D(140)),
    target=PriceRule(points=D(20)),
    trailing=TrailingRule(points=D(8), activate_at_profit_points=D(10), step=D("0.5")),
    break_even=BreakEvenRule(at_profit_points=D(12), lock_points=D(1)),
    tiers=(Tier(D(10), D(2)), Tier(D(20), D(8))),
    peak_drawdown=PeakDrawdownRule(percent=D(40), activate_at_profit_percent=D(15)),
    max_holding_minutes=90,
    square_off_at=time(15, 15),
)
TIGHTER = RuleSet(
    stop_loss=PriceRule(price=D(145)),
    target=PriceRule(points=D(10)),
    trailing=TrailingRule(points=D(5)),
    break_even=BreakEvenRule(at_profit_points=D(10), lock_points=D(2)),
    tiers=(Tier(D(9), D(8)),),
    peak_drawdown=PeakDrawdownRule(percent=D(30)),
    max_holding_minutes=60,
    square_off_at=time(15, 10),
)


def test_what_comes_nearer_or_stays_loosens_nothing() -> None:
    """The same rules, tighter ones, and more rules than before are no loosening."""
    assert loosened_rules(ALL, ALL, LONG) == ()
    assert loosened_rules(ALL, TIGHTER, LONG) == ()
    assert loosened_rules(NO_RULES, ALL, LONG) == ()


def test_every_rule_that_is_taken_out_is_named() -> None:
    """Without any rule all that stood are loosened, in the order of the rule set."""
    assert loosened_rules(ALL, NO_RULES, LONG) == tuple(RuleSet.__dataclass_fields__)
    assert loosened_rules(TIGHTER, ALL, LONG) == tuple(RuleSet.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop_loss", PriceRule(price=D("139.95"))),
        ("stop_loss", PriceRule(points=D(1))),
        ("target", PriceRule(points=D("20.05"))),
        ("target", PriceRule(percent=D(1))),
        ("trailing", TrailingRule(percent=D(1))),
        ("trailing", replace(ALL.trailing, activate_at_profit_points=D(11))),  # type: ignore[type-var]
        ("trailing", replace(ALL.trailing, step=D(1))),  # type: ignore[type-var]
        ("trailing", replace(ALL.trailing, activate_at_profit_percent=D(1))),  # type: ignore[type-var]
        ("break_even", BreakEvenRule(at_profit_points=D(12), lock_points=D(0))),
        ("break_even", BreakEvenRule(at_profit_percent=D(1), lock_points=D(1))),
        ("tiers", (Tier(D(10), D(2)), Tier(D(20), D(7)))),
        ("peak_drawdown", PeakDrawdownRule(percent=D(40), activate_at_profit_percent=D(16))),
        ("max_holding_minutes", 91),
        ("square_off_at", time(15, 15, 1)),
    ],
)
def test_one_rule_that_moves_away_is_named(name: str, value: object) -> None:
    """Each way to hold longer, and each unit that cannot be compared, is a loosening."""
    assert loosened_rules(ALL, replace(ALL, **{name: value}), LONG) == (name,)


def test_prices_count_by_side() -> None:
    """A short position's stop comes nearer downward, its target upward."""
    before = RuleSet(stop_loss=PriceRule(price=D(160)), target=PriceRule(price=D(120)))
    nearer = RuleSet(stop_loss=PriceRule(price=D(155)), target=PriceRule(price=D(130)))

    assert loosened_rules(before, nearer, SHORT) == ()
    assert loosened_rules(before, nearer, LONG) == ("stop_loss", "target")
    assert loosened_rules(nearer, before, SHORT) == ("stop_loss", "target")
