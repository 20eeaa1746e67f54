"""Exit rules of one position, as its owner wrote them; and the trigger that a rule fires.

A rule set is plain values; what they mean in prices is `core.rules.levels`.
"""

from dataclasses import dataclass, replace
from datetime import time
from decimal import Decimal
from enum import Enum
from typing import Any

from squareoff.domain.prices import PriceUnits


class RuleName(str, Enum):
    """Which rule asked for an exit; `manual` is a person or a program through the API, `exit_all`
    the wish to close everything."""

    STOP_LOSS = "stop_loss"
    TARGET = "target"
    TRAILING = "trailing"
    BREAK_EVEN = "break_even"
    TIERS = "tiers"
    PEAK_DRAWDOWN = "peak_drawdown"
    MAX_HOLDING = "max_holding_minutes"
    SQUARE_OFF = "square_off_at"
    MANUAL = "manual"
    EXIT_ALL = "exit_all"


class Urgency(int, Enum):
    """Order in which waiting exits go out; lower goes first."""

    KILL_SWITCH = 0
    STOP = 1
    TRAILING = 2
    TARGET = 3
    TIME = 4
    ENTRY = 9

    @staticmethod
    def of_rule(rule: RuleName) -> "Urgency":
        """Return the urgency of exits that this rule asks for; a person's exit counts as a stop."""
        return _URGENCIES[rule]


_URGENCIES = {
    RuleName.STOP_LOSS: Urgency.STOP,
    RuleName.TARGET: Urgency.TARGET,
    RuleName.TRAILING: Urgency.TRAILING,
    RuleName.BREAK_EVEN: Urgency.TRAILING,
    RuleName.TIERS: Urgency.TRAILING,
    RuleName.PEAK_DRAWDOWN: Urgency.TRAILING,
    RuleName.MAX_HOLDING: Urgency.TIME,
    RuleName.SQUARE_OFF: Urgency.TIME,
    RuleName.MANUAL: Urgency.STOP,
    RuleName.EXIT_ALL: Urgency.KILL_SWITCH,
}


@dataclass(frozen=True, slots=True)
class PriceRule:
    """A stop loss or target: exactly one of the four is set.

    `price` is rupees; `points` rupees from the entry; `percent` of the entry price; `rupees` the
    profit or loss of the whole position.
    """

    price: Decimal | None = None
    points: Decimal | None = None
    percent: Decimal | None = None
    rupees: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TrailingRule:
    """A stop that follows the best price seen at `points` or `percent` of that price.

    It starts once the profit reaches the activation (none: at once) and moves in whole `step`s.
    """

    points: Decimal | None = None
    percent: Decimal | None = None
    activate_at_profit_points: Decimal | None = None
    activate_at_profit_percent: Decimal | None = None
    step: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BreakEvenRule:
    """Once the profit reached `at_profit_*`, the stop stands at entry plus `lock_points`."""

    at_profit_points: Decimal | None = None
    at_profit_percent: Decimal | None = None
    lock_points: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Tier:
    """Once the profit reached `at_profit_percent`, the stop stands at `stop_at_profit_percent`."""

    at_profit_percent: Decimal
    stop_at_profit_percent: Decimal


@dataclass(frozen=True, slots=True)
class PeakDrawdownRule:
    """From the activation on, exit when `percent` of the best profit is given back."""

    percent: Decimal
    activate_at_profit_percent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All exit rules of one position, each optional. `square_off_at` is IST wall clock time."""

    stop_loss: PriceRule | None = None
    target: PriceRule | None = None
    trailing: TrailingRule | None = None
    break_even: BreakEvenRule | None = None
    tiers: tuple[Tier, ...] = ()
    peak_drawdown: PeakDrawdownRule | None = None
    max_holding_minutes: int | None = None
    square_off_at: time | None = None

    def without(self, rule: RuleName) -> "RuleSet":
        """Return the set with one rule taken out; `manual` takes out nothing."""
        if rule.value not in RuleSet.__dataclass_fields__:
            return self
        empty: Any = () if rule is RuleName.TIERS else None
        return replace(self, **{rule.value: empty})


NO_RULES = RuleSet()
"""A position that only a person or a program closes."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What fired: the rule, its level and the price seen, with the tick's times (UTC ns).

    Level and price are price units; None for rules that are not about a price.
    """

    rule: RuleName
    level: PriceUnits | None = None
    price: PriceUnits | None = None
    exchange_time_ns: int | None = None
    received_time_ns: int | None = None
