"""How a stop goes on from where it stands, as lines and as the next prices that matter.

`core.rules.levels` says where a stop stands for one best price. Here is what lets many stops be
moved without asking each: a stop that moves with every better price is a line over the best price,
and all else happens at a price that can be told beforehand.

Prices are mirrored: for a short position they are negated, so that higher is better on both sides
and every stop is rounded down. They are price units (1/10,000 rupee).

Invariants:
1. An event is never told too late: between the best price and the event nothing but lines moves.
2. At a wake-up price or above, the reached stop stands tighter than now; below it, it does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from squareoff.core.rules.levels import is_stop_behind
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE

NO_PRICE = -(1 << 62)
"""Below every mirrored price: where no price was seen yet, the first one is a better one."""

_HUNDRED = Decimal(100)
_ONE = Decimal(1)
_NO_POINTS = Decimal(0)
# A division may end in a digit too high 28 places down; no two prices are this near.
_DIVISION_SLACK = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class StopLine:
    """A stop at `slope * best price + intercept`, rounded down to the tick; slope above zero."""

    slope: Decimal
    intercept: Decimal
    tick_units: int

    def level(self, peak: int) -> int:
        """Return the stop for a best price."""
        exact = int((self.slope * peak + self.intercept).to_integral_value(ROUND_FLOOR))
        return exact // self.tick_units * self.tick_units


def mirrored_peak(tracker: PositionTracker) -> int:
    """Return the best price seen, mirrored; `NO_PRICE` where none was."""
    peak = tracker.peak_price
    return NO_PRICE if peak is None else tracker.side.sign * peak


def lines_of(tracker: PositionTracker) -> tuple[StopLine, ...]:
    """Return the lines that the stop runs on now."""
    peak = mirrored_peak(tracker)
    if peak == NO_PRICE:
        return ()
    return tuple(line for start, line in _moving_rules(tracker) if line.slope > 0 and start <= peak)


def next_event(tracker: PositionTracker) -> int | None:
    """Return the next best price at which a line begins, or the stop moves that is on none."""
    peak = mirrored_peak(tracker)
    if peak == NO_PRICE:
        return NO_PRICE
    starts = [start for start, _ in _moving_rules(tracker)]
    prices = [start for start in (*starts, *_fixed_starts(tracker)) if start > peak]
    prices.extend(_next_step(tracker))
    if is_stop_behind(tracker):
        prices.append(peak)
    return max(min(prices), peak + 1) if prices else None


def next_wake(tracker: PositionTracker) -> int | None:
    """Return the next best price at which a line moves the reached stop, None where no line is."""
    if tracker.stop_level is None:
        return None
    peak = mirrored_peak(tracker)
    wanted = _reached_stop(tracker) + tracker.instrument.tick_units
    prices = [_whole((wanted - line.intercept) / line.slope) for line in lines_of(tracker)]
    return max(min(prices), peak + 1) if prices else None


def _moving_rules(tracker: PositionTracker) -> Iterator[tuple[int, StopLine]]:
    """Give each line, level or falling ones too, with the best price at which it begins."""
    if tracker.entry_price <= 0:
        return
    trailing, drawdown = tracker.rules.trailing, tracker.rules.peak_drawdown
    if trailing is not None and not trailing.step:
        yield _trailing_start(tracker), _trailing_line(tracker)
    if drawdown is not None:
        lost, entry = drawdown.percent / _HUNDRED, _entry(tracker)
        tick = tracker.instrument.tick_units
        start = _start(tracker, None, drawdown.activate_at_profit_percent)
        in_profit = int(entry.to_integral_value(ROUND_FLOOR)) + 1
        yield max(start, in_profit), StopLine(_ONE - lost, lost * entry, tick)


def _trailing_line(tracker: PositionTracker) -> StopLine:
    rule = tracker.rules.trailing
    assert rule is not None, "asked for where there is one"
    tick = tracker.instrument.tick_units
    if rule.points is not None:
        return StopLine(_ONE, -rule.points * PRICE_UNITS_PER_RUPEE, tick)
    share = (rule.percent or _NO_POINTS) / _HUNDRED
    return StopLine(_ONE - tracker.side.sign * share, _NO_POINTS, tick)


def _trailing_start(tracker: PositionTracker) -> int:
    rule = tracker.rules.trailing
    assert rule is not None, "asked for where there is one"
    return _start(tracker, rule.activate_at_profit_points, rule.activate_at_profit_percent)


def _fixed_starts(tracker: PositionTracker) -> Iterator[int]:
    """Give the best prices at which break-even and tiers begin; their stops stand still."""
    if tracker.entry_price <= 0:
        return
    even = tracker.rules.break_even
    if even is not None:
        yield _start(tracker, even.at_profit_points, even.at_profit_percent)
    for tier in tracker.rules.tiers:
        yield _start(tracker, None, tier.at_profit_percent)


def _next_step(tracker: PositionTracker) -> Iterator[int]:
    """Give the best price of the next whole step that tightens the reached stop."""
    rule = tracker.rules.trailing
    if rule is None or not rule.step or tracker.entry_price <= 0:
        return
    start, line, entry = _trailing_start(tracker), _trailing_line(tracker), _entry(tracker)
    if start > mirrored_peak(tracker):
        yield start
        return
    if line.slope <= 0 or tracker.stop_level is None:
        return
    step = rule.step * PRICE_UNITS_PER_RUPEE
    wanted = _reached_stop(tracker) + tracker.instrument.tick_units
    steps = ((wanted - entry) / step - _DIVISION_SLACK).to_integral_value(ROUND_CEILING)
    yield _whole((entry + steps * step - line.intercept) / line.slope)


def _start(tracker: PositionTracker, points: Decimal | None, percent: Decimal | None) -> int:
    """Return the best price at which a profit in points and in percent is reached."""
    needed = [] if points is None else [points]
    if percent is not None:
        needed.append(tracker.entry_price * percent / _HUNDRED)
    if not needed:
        return NO_PRICE
    return _whole(_entry(tracker) + max(needed) * PRICE_UNITS_PER_RUPEE)


def _entry(tracker: PositionTracker) -> Decimal:
    return tracker.side.sign * tracker.entry_price * PRICE_UNITS_PER_RUPEE


def _reached_stop(tracker: PositionTracker) -> int:
    assert tracker.stop_level is not None, "asked for where there is one"
    return tracker.side.sign * tracker.stop_level


def _whole(price: Decimal) -> int:
    """Return the lowest whole price that is not below this one."""
    return int((price - _DIVISION_SLACK).to_integral_value(ROUND_CEILING))
