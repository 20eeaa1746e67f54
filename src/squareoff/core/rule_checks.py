"""Check a rule set against the position it is meant for; every fault names its field."""

from collections.abc import Iterator
from decimal import Decimal

from squareoff.domain.errors import FieldFault
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import is_on_tick
from squareoff.domain.rules import PriceRule, RuleSet

_PERCENT_MAX = Decimal(100)
_HOLDING_MINUTES_MAX = 60 * 24 * 7


def rule_faults(
    rules: RuleSet,
    *,
    instrument: Instrument,
    side: PositionSide,
    entry_price: Decimal,
    reference_price: Decimal | None,
) -> tuple[FieldFault, ...]:
    """Return every fault of a rule set.

    Args:
        reference_price: the newest usable price, None where there is none and the entry price
            counts; a stop or target that it has already passed is on the wrong side. An entry at
            the market has neither, and no side is checked.
    """
    reference = entry_price if reference_price is None else reference_price
    faults: list[FieldFault] = []
    for name, rule, stops in (
        ("stop_loss", rules.stop_loss, True),
        ("target", rules.target, False),
    ):
        if rule is not None:
            faults.extend(_price_rule_faults(name, rule, instrument))
            if reference > 0:
                faults.extend(_side_faults(name, rule, side, reference, stops=stops))
    faults.extend(_positive_faults(rules))
    if rules.stop_loss and rules.stop_loss.percent is not None and side is PositionSide.LONG:
        faults.extend(_at_most_hundred("rules.stop_loss.percent", rules.stop_loss.percent))
    return tuple(faults)


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


def _above_zero(field: str, value: Decimal | None) -> Iterator[FieldFault]:
    if value is not None and value <= 0:
        yield FieldFault(field, f"must be above zero, was {value}")


def _at_most_hundred(field: str, value: Decimal) -> Iterator[FieldFault]:
    if value > _PERCENT_MAX:
        yield FieldFault(field, f"must be at most 100, was {value}")
