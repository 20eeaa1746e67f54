"""Check a rule set against the position it is meant for; every fault names its field.

A rule that can never fire is a fault: whoever set it would believe in a stop that is none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.errors import FieldFault
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import is_on_tick, round_to_tick_down
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule

_PERCENT_MAX = Decimal(100)
_HOLDING_MINUTES_MAX = 60 * 24 * 7


@dataclass(frozen=True, slots=True)
class RuledPosition:
    """What rules are held against.

    `entry_price` is 0 where it is not known yet, `quantity` 0 where nothing is held yet;
    `best_price` is the best one seen, None for none.
    """

    instrument: Instrument
    side: PositionSide
    entry_price: Decimal
    quantity: int = 0
    best_price: Decimal | None = None


def rule_faults(
    rules: RuleSet, position: RuledPosition, reference_price: Decimal | None
) -> tuple[FieldFault, ...]:
    """Return every fault of a rule set.

    Args:
        reference_price: what was last traded; a stop or target that it has already passed is on
            the wrong side. Without one no side is checked: a stop may lock a profit, so the entry
            price does not tell.
    """
    faults: list[FieldFault] = []
    for name, rule, stops in (
        ("stop_loss", rules.stop_loss, True),
        ("target", rules.target, False),
    ):
        if rule is not None:
            faults.extend(_price_rule_faults(name, rule, position.instrument))
            if reference_price is not None:
                faults.extend(_side_faults(name, rule, position.side, reference_price, stops=stops))
    faults.extend(_positive_faults(rules))
    if rules.stop_loss and rules.stop_loss.percent is not None and _is_long(position):
        faults.extend(_at_most_hundred("rules.stop_loss.percent", rules.stop_loss.percent))
    if not faults:  # else what is computed from them may make no sense
        faults.extend(_lock_faults(rules, position.entry_price))
        faults.extend(_unreachable_faults(rules, position, reference_price))
    return tuple(faults)


def needs_price(rules: RuleSet, entry_price: Decimal) -> bool:
    """Say whether only a price of the market tells if these rules make sense."""
    has_price = any(
        rule is not None and rule.price is not None for rule in (rules.stop_loss, rules.target)
    )
    points = None if rules.trailing is None else rules.trailing.points
    return has_price or (points is not None and points >= entry_price)


def _is_long(position: RuledPosition) -> bool:
    return position.side is PositionSide.LONG


def _price_rule_faults(name: str, rule: PriceRule, instrument: Instrument) -> Iterator[FieldFault]:
    given = {
        part: value
        for part in ("price", "points", "percent", "rupees")
        if (value := getattr(rule, part)) is not None
    }
    if len(given) != 1:
        yield FieldFault(
            f"rules.{name}",
            f"takes exactly one of price, points, percent, rupees; had {sorted(given) or 'none'}",
        )
    for part, value in given.items():
        if value <= 0:
            yield FieldFault(f"rules.{name}.{part}", f"must be above zero, was {value}")
    if rule.price is not None and not is_on_tick(rule.price, instrument.tick_size):
        yield FieldFault(
            f"rules.{name}.price",
            f"must be a multiple of the tick {instrument.tick_size}, was {rule.price}",
        )


def _side_faults(
    name: str, rule: PriceRule, side: PositionSide, reference: Decimal, *, stops: bool
) -> Iterator[FieldFault]:
    if rule.price is None:
        return
    must_be_below = (side is PositionSide.LONG) == stops
    if must_be_below and rule.price >= reference:
        word = "below"
    elif not must_be_below and rule.price <= reference:
        word = "above"
    else:
        return
    yield FieldFault(
        f"rules.{name}.price",
        f"is on the wrong side: for a {side.value} position it must be {word} {reference}, "
        f"was {rule.price}",
    )


def _positive_faults(rules: RuleSet) -> Iterator[FieldFault]:
    if rules.trailing is not None:
        trailing = rules.trailing
        if (trailing.points is None) == (trailing.percent is None):
            yield FieldFault("rules.trailing", "takes exactly one of points and percent")
        for part in (
            "points",
            "percent",
            "activate_at_profit_points",
            "activate_at_profit_percent",
            "step",
        ):
            yield from _above_zero(f"rules.trailing.{part}", getattr(trailing, part))
    if rules.break_even is not None:
        even = rules.break_even
        if (even.at_profit_points is None) == (even.at_profit_percent is None):
            yield FieldFault(
                "rules.break_even", "takes exactly one of at_profit_points and at_profit_percent"
            )
        yield from _above_zero("rules.break_even.at_profit_points", even.at_profit_points)
        yield from _above_zero("rules.break_even.at_profit_percent", even.at_profit_percent)
        if even.at_profit_points is not None and even.lock_points >= even.at_profit_points:
            yield FieldFault(
                "rules.break_even.lock_points",
                f"must be below at_profit_points {even.at_profit_points}, was {even.lock_points}",
            )
    for number, tier in enumerate(rules.tiers):
        yield from _above_zero(f"rules.tiers[{number}].at_profit_percent", tier.at_profit_percent)
        if tier.stop_at_profit_percent >= tier.at_profit_percent:
            yield FieldFault(
                f"rules.tiers[{number}].stop_at_profit_percent",
                f"must be below at_profit_percent {tier.at_profit_percent}, "
                f"was {tier.stop_at_profit_percent}",
            )
    if rules.peak_drawdown is not None:
        percent = rules.peak_drawdown.percent
        yield from _above_zero("rules.peak_drawdown.percent", percent)
        yield from _at_most_hundred("rules.peak_drawdown.percent", percent)
    minutes = rules.max_holding_minutes
    if minutes is not None and not 0 < minutes <= _HOLDING_MINUTES_MAX:
        yield FieldFault(
            "rules.max_holding_minutes",
            f"must be from 1 to {_HOLDING_MINUTES_MAX}, was {minutes}",
        )


def _lock_faults(rules: RuleSet, entry_price: Decimal) -> Iterator[FieldFault]:
    """A break-even in percent locks less than the profit that it waits for, as one in points."""
    even = rules.break_even
    if even is None or even.at_profit_percent is None or entry_price <= 0:
        return
    points = entry_price * even.at_profit_percent / _PERCENT_MAX
    if even.lock_points >= points:
        yield FieldFault(
            "rules.break_even.lock_points",
            f"must be below the {points.normalize():f} points that at_profit_percent "
            f"{even.at_profit_percent} of {entry_price} are, was {even.lock_points}",
        )


def _unreachable_faults(
    rules: RuleSet, position: RuledPosition, reference_price: Decimal | None
) -> Iterator[FieldFault]:
    """Yield the rules whose level lies where no price can come: at zero or below."""
    name, rule = "target", rules.target
    if _is_long(position):
        name, rule = "stop_loss", rules.stop_loss
        yield from _unreachable_moving_stops(rules, position, reference_price)
    if rule is None or position.entry_price <= 0:
        return
    distance = _distance(rule, position)
    if distance is not None:
        part, points = distance
        yield from _above_ground(f"rules.{name}.{part}", position.entry_price - points, position)


def _distance(rule: PriceRule, position: RuledPosition) -> tuple[str, Decimal] | None:
    """Return how a rule is written and its distance from the entry price; None for a price, and
    for money while nothing is held."""
    if rule.points is not None:
        return "points", rule.points
    if rule.percent is not None:
        return "percent", position.entry_price * rule.percent / _PERCENT_MAX
    if rule.rupees is not None and position.quantity > 0:
        return "rupees", rule.rupees / position.quantity
    return None


def _unreachable_moving_stops(
    rules: RuleSet, position: RuledPosition, reference_price: Decimal | None
) -> Iterator[FieldFault]:
    entry, trailing = position.entry_price, rules.trailing
    if trailing is not None and trailing.percent is not None and trailing.percent >= _PERCENT_MAX:
        yield FieldFault(
            "rules.trailing.percent", f"must be below 100, was {trailing.percent}: no stop is there"
        )
    if entry <= 0:
        return
    if trailing is not None and trailing.points is not None:
        known = (_activation(trailing, entry), reference_price, position.best_price)
        first = max(price for price in known if price is not None)
        yield from _above_ground("rules.trailing.points", first - trailing.points, position)
    even = rules.break_even
    if even is not None:
        yield from _above_ground("rules.break_even.lock_points", entry + even.lock_points, position)
    for number, tier in enumerate(rules.tiers):
        level = entry * (1 + tier.stop_at_profit_percent / _PERCENT_MAX)
        yield from _above_ground(f"rules.tiers[{number}].stop_at_profit_percent", level, position)


def _activation(trailing: TrailingRule, entry_price: Decimal) -> Decimal:
    """Return the price of a LONG position from which a trailing stop stands."""
    percent = trailing.activate_at_profit_percent or Decimal(0)
    points = trailing.activate_at_profit_points or Decimal(0)
    return entry_price + max(points, entry_price * percent / _PERCENT_MAX)


def _above_ground(field: str, level: Decimal, position: RuledPosition) -> Iterator[FieldFault]:
    """A level is rounded down to the grid, where the lowest price that can be is one tick."""
    tick = position.instrument.tick_size
    if round_to_tick_down(level, tick) <= 0:
        yield FieldFault(
            field,
            f"can never fire: from the entry price {position.entry_price} it stands at "
            f"{round_to_tick_down(level, tick)}, where no price comes",
        )


def _above_zero(field: str, value: Decimal | None) -> Iterator[FieldFault]:
    if value is not None and value <= 0:
        yield FieldFault(field, f"must be above zero, was {value}")


def _at_most_hundred(field: str, value: Decimal) -> Iterator[FieldFault]:
    if value > _PERCENT_MAX:
        yield FieldFault(field, f"must be at most 100, was {value}")
