"""What exit rules mean in prices: the level that fires, and how a best price moves the stop.

All levels are price units on the instrument's grid. A level that fires on falling prices is rounded
down to the grid and one that fires on rising prices up: a price on the grid crosses the rounded
level exactly when it crosses the exact one.

Invariants:
1. Every stop is a function of the best price seen, so duplicates and restarts change nothing.
2. A stop that a best price has reached never loosens (I14).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from squareoff.core.state.facts import StopMoved
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import (
    PRICE_UNITS_PER_RUPEE,
    PriceUnits,
    decimal_from_units,
    round_to_tick_down,
    round_to_tick_up,
)
from squareoff.domain.rules import PriceRule, RuleName

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Level:
    """One price at which a rule fires."""

    price: PriceUnits
    rule: RuleName


@dataclass(frozen=True, slots=True)
class Levels:
    """Where a position's price rules fire: at or below `falling`, at or above `rising`."""

    falling: Level | None
    rising: Level | None


def levels_of(tracker: PositionTracker) -> Levels:
    """Return the nearest levels of a tracker's price rules as they stand now."""
    stop = stop_of(tracker)
    target = _target(tracker)
    if tracker.side is PositionSide.LONG:
        return Levels(falling=stop, rising=target)
    return Levels(falling=target, rising=stop)


def stop_of(tracker: PositionTracker) -> Level | None:
    """Return the tightest stop: the fixed one or what moving rules have reached.

    Of equal stops the fixed one is named, then the moving ones in their order at the best price, so
    that the name does not depend on the way that the price took.
    """
    found = list(_fixed_stop(tracker))
    if tracker.peak_price is not None:
        found.extend(_moving_stops(tracker, decimal_from_units(tracker.peak_price)))
    if tracker.stop_level is not None and tracker.stop_rule:
        found.append(Level(tracker.stop_level, RuleName(tracker.stop_rule)))
    return _tightest(tracker.side, found)


def move_stop(
    tracker: PositionTracker, peak_price: PriceUnits, reached: Level | None = None
) -> StopMoved | None:
    """Return the fact that a better price moved the stop, None if the stop stays where it is.

    Args:
        reached: where the stop stands by the rules of when the price was seen; rules set since may
            put it farther away, and it never loosens.
    """
    moved, peak, held = None, tracker.peak_price, tracker.stop_level
    if peak is None or is_better(tracker.side, peak_price, peak):
        moved, peak = _moved_at(tracker, peak_price), peak_price
    if moved is not None:
        held = moved.stop_level
    if reached is not None and is_better(tracker.side, reached.price, held):
        return StopMoved(tracker.tracker_id, peak, reached.price, reached.rule.value)
    return moved


def with_peak(tracker: PositionTracker, peak_price: PriceUnits) -> PositionTracker:
    """Return the tracker as a better price leaves it: peak, stop and the rule that holds it.

    Where the stop stays, the rule that would put it there is named, so that the name does not
    depend on which of the better prices before were looked at.
    """
    levels = list(_moving_stops(tracker, decimal_from_units(peak_price)))
    reached = _tightest(tracker.side, levels)
    held = tracker.stop_level
    if reached is None or (held is not None and is_better(tracker.side, held, reached.price)):
        return replace(tracker, peak_price=peak_price)
    return replace(
        tracker, peak_price=peak_price, stop_level=reached.price, stop_rule=reached.rule.value
    )


def reached_stop(tracker: PositionTracker) -> StopMoved | None:
    """Return the fact that the rules put the stop tighter than before at the best price seen.

    So it is after new rules, or another entry price. None where it stands there already.
    """
    return None if tracker.peak_price is None else _moved_at(tracker, tracker.peak_price)


def is_stop_behind(tracker: PositionTracker) -> bool:
    """Say whether the rules put the stop tighter than what is reached, at the best price seen."""
    return reached_stop(tracker) is not None


def has_moving_stop(tracker: PositionTracker) -> bool:
    """Say whether any rule moves the stop with the best price."""
    rules = tracker.rules
    return bool(rules.trailing or rules.break_even or rules.tiers or rules.peak_drawdown)


def is_better(side: PositionSide, price: int, than: int | None) -> bool:
    """Say whether `price` is better for the holder than `than`; of stops, the tighter."""
    if than is None:
        return True
    return price > than if side is PositionSide.LONG else price < than


def _moved_at(tracker: PositionTracker, peak_price: PriceUnits) -> StopMoved | None:
    reached = _tightest(tracker.side, list(_moving_stops(tracker, decimal_from_units(peak_price))))
    if reached is None or not is_better(tracker.side, reached.price, tracker.stop_level):
        return None
    return StopMoved(tracker.tracker_id, peak_price, reached.price, reached.rule.value)


def _tightest(side: PositionSide, levels: list[Level]) -> Level | None:
    """Return the tightest level, the first of equal ones."""
    if not levels:
        return None
    best = max if side is PositionSide.LONG else min
    return best(levels, key=lambda level: level.price)


def _fixed_stop(tracker: PositionTracker) -> Iterator[Level]:
    rule = tracker.rules.stop_loss
    if rule is not None and _can_be_priced(tracker, rule):
        price = _offset_price(tracker, rule, toward_profit=False)
        yield Level(_stop_units(tracker, price), RuleName.STOP_LOSS)


def _target(tracker: PositionTracker) -> Level | None:
    rule = tracker.rules.target
    if rule is None or not _can_be_priced(tracker, rule):
        return None
    price = _offset_price(tracker, rule, toward_profit=True)
    tick = tracker.instrument.tick_size
    long = tracker.side is PositionSide.LONG
    rounded = round_to_tick_up(price, tick) if long else round_to_tick_down(price, tick)
    return Level(_units(rounded), RuleName.TARGET)


def _can_be_priced(tracker: PositionTracker, rule: PriceRule) -> bool:
    """An entry whose average the broker has not told yet (0) gives no level but a fixed price."""
    return rule.price is not None or tracker.entry_price > 0


def _offset_price(tracker: PositionTracker, rule: PriceRule, *, toward_profit: bool) -> Decimal:
    """Return the exact price of a stop loss or target rule."""
    sign = tracker.side.sign if toward_profit else -tracker.side.sign
    if rule.price is not None:
        return rule.price
    if rule.points is not None:
        return tracker.entry_price + sign * rule.points
    if rule.percent is not None:
        return tracker.entry_price * (1 + sign * rule.percent / _HUNDRED)
    assert rule.rupees is not None, "checked when the rules were set"
    return tracker.entry_price + sign * rule.rupees / max(tracker.quantity, 1)


def _moving_stops(tracker: PositionTracker, peak: Decimal) -> Iterator[Level]:
    """Yield the stop of every rule that this best price has activated."""
    entry, sign = tracker.entry_price, tracker.side.sign
    if entry <= 0:
        return
    profit = (peak - entry) * sign
    for rule, price in (
        (RuleName.TRAILING, _trailing_price(tracker, peak, profit)),
        (RuleName.BREAK_EVEN, _break_even_price(tracker, profit)),
        (RuleName.TIERS, _tier_price(tracker, profit)),
        (RuleName.PEAK_DRAWDOWN, _drawdown_price(tracker, profit)),
    ):
        if price is not None:
            yield Level(_stop_units(tracker, price), rule)


def _trailing_price(tracker: PositionTracker, peak: Decimal, profit: Decimal) -> Decimal | None:
    rule = tracker.rules.trailing
    if rule is None or not _reached(
        tracker, profit, rule.activate_at_profit_points, rule.activate_at_profit_percent
    ):
        return None
    entry, sign = tracker.entry_price, tracker.side.sign
    distance = rule.points if rule.points is not None else peak * (rule.percent or 0) / _HUNDRED
    price = peak - sign * distance
    if rule.step:
        whole_steps = ((price - entry) * sign) // rule.step
        if (price - entry) * sign < whole_steps * rule.step:
            whole_steps -= 1  # Decimal's // rounds toward zero; a stop must round away from price
        price = entry + sign * whole_steps * rule.step
    return price


def _break_even_price(tracker: PositionTracker, profit: Decimal) -> Decimal | None:
    rule = tracker.rules.break_even
    if rule is None or not _reached(tracker, profit, rule.at_profit_points, rule.at_profit_percent):
        return None
    return tracker.entry_price + tracker.side.sign * rule.lock_points


def _tier_price(tracker: PositionTracker, profit: Decimal) -> Decimal | None:
    stops = [
        tier.stop_at_profit_percent
        for tier in tracker.rules.tiers
        if _reached(tracker, profit, None, tier.at_profit_percent)
    ]
    if not stops:
        return None
    return tracker.entry_price * (1 + tracker.side.sign * max(stops) / _HUNDRED)


def _drawdown_price(tracker: PositionTracker, profit: Decimal) -> Decimal | None:
    rule = tracker.rules.peak_drawdown
    if (
        rule is None
        or profit <= 0
        or not _reached(tracker, profit, None, rule.activate_at_profit_percent)
    ):
        return None
    kept = profit * (1 - rule.percent / _HUNDRED)
    return tracker.entry_price + tracker.side.sign * kept


def _reached(
    tracker: PositionTracker, profit: Decimal, points: Decimal | None, percent: Decimal | None
) -> bool:
    if points is not None and profit < points:
        return False
    return percent is None or profit >= tracker.entry_price * percent / _HUNDRED


def _stop_units(tracker: PositionTracker, price: Decimal) -> PriceUnits:
    tick = tracker.instrument.tick_size
    long = tracker.side is PositionSide.LONG
    rounded = round_to_tick_down(price, tick) if long else round_to_tick_up(price, tick)
    return _units(rounded)


def _units(price: Decimal) -> PriceUnits:
    return PriceUnits(int(price * PRICE_UNITS_PER_RUPEE))
