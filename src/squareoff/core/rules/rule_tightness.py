"""Which rules a new rule set would loosen: let a position be held longer than the old one did.

A rule that is taken out, moved away, or written in another unit counts as loosened: what cannot be
compared plainly is for whoever may loosen.
"""

from collections.abc import Iterator
from typing import TypeVar

from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import (
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleSet,
    Tier,
    TrailingRule,
)

_Value = TypeVar("_Value")


def loosened_rules(before: RuleSet, after: RuleSet, side: PositionSide) -> tuple[str, ...]:
    """Return the names of the rules that `after` would loosen, in the order of the rule set."""
    return tuple(_loosened(before, after, side))


def _loosened(before: RuleSet, after: RuleSet, side: PositionSide) -> Iterator[str]:
    for name in ("stop_loss", "target"):
        old, new = getattr(before, name), getattr(after, name)
        if old is not None and not _is_nearer(old, new, side, is_stop=name == "stop_loss"):
            yield name
    if before.trailing is not None and not _is_closer(before.trailing, after.trailing):
        yield "trailing"
    if before.break_even is not None and not _locks_earlier(before.break_even, after.break_even):
        yield "break_even"
    if not all(_is_covered(tier, after.tiers) for tier in before.tiers):
        yield "tiers"
    if before.peak_drawdown is not None and not _gives_less(
        before.peak_drawdown, after.peak_drawdown
    ):
        yield "peak_drawdown"
    if not _is_sooner(before.max_holding_minutes, after.max_holding_minutes):
        yield "max_holding_minutes"
    if not _is_sooner(before.square_off_at, after.square_off_at):
        yield "square_off_at"


def _is_nearer(
    before: PriceRule, after: PriceRule | None, side: PositionSide, *, is_stop: bool
) -> bool:
    """Say whether a stop or target is no farther away; a price is, where it lies inward."""
    if after is None:
        return False
    if before.price is not None:
        inward_is_up = (side is PositionSide.LONG) == is_stop
        if after.price is None:
            return False
        return after.price >= before.price if inward_is_up else after.price <= before.price
    return any(
        old is not None and new is not None and new <= old
        for old, new in (
            (before.points, after.points),
            (before.percent, after.percent),
            (before.rupees, after.rupees),
        )
    )


def _is_closer(before: TrailingRule, after: TrailingRule | None) -> bool:
    return (
        after is not None
        and _is_sooner(before.points, after.points)
        and _is_sooner(before.percent, after.percent)
        and _starts_no_later(before.activate_at_profit_points, after.activate_at_profit_points)
        and _starts_no_later(before.activate_at_profit_percent, after.activate_at_profit_percent)
        and _starts_no_later(before.step, after.step)
    )


def _locks_earlier(before: BreakEvenRule, after: BreakEvenRule | None) -> bool:
    return (
        after is not None
        and _is_sooner(before.at_profit_points, after.at_profit_points)
        and _is_sooner(before.at_profit_percent, after.at_profit_percent)
        and after.lock_points >= before.lock_points
    )


def _is_covered(tier: Tier, by: tuple[Tier, ...]) -> bool:
    return any(
        other.at_profit_percent <= tier.at_profit_percent
        and other.stop_at_profit_percent >= tier.stop_at_profit_percent
        for other in by
    )


def _gives_less(before: PeakDrawdownRule, after: PeakDrawdownRule | None) -> bool:
    return (
        after is not None
        and after.percent <= before.percent
        and after.activate_at_profit_percent <= before.activate_at_profit_percent
    )


def _is_sooner(before: _Value | None, after: _Value | None) -> bool:
    """Say whether a bound is no larger; where there was none, any is."""
    if before is None:
        return True
    return after is not None and after <= before  # type: ignore[operator]


def _starts_no_later(before: _Value | None, after: _Value | None) -> bool:
    """Say whether a condition is no harder to meet; None is no condition at all."""
    if after is None:
        return True
    return before is not None and after <= before  # type: ignore[operator]
