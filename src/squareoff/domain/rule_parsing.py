"""Rules as JSON or TOML, read strictly and written back (the shape of docs/api.md).

Answers for the shape only: known names, numbers, times. What a rule means for a position (one of
four forms, the right side, the tick) is `core.rules.rule_checks`.
Invariants:
1. Every fault is found in one reading and names its field by path: `rules.trailing.points`.
2. `parse_rules(rules_as_json(rules))` gives back equal rules.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import time
from decimal import Decimal

from squareoff.domain.account_rules import AccountRules, AccountTrailingRule
from squareoff.domain.errors import DomainError, FieldFault
from squareoff.domain.prices import decimal_text
from squareoff.domain.rules import (
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleSet,
    Tier,
    TrailingRule,
)

TIERS_MAX = 50
"""Nobody reads a longer ladder, and each step is a price level to watch."""

_NUMBER = re.compile(r"[+-]?\d{1,12}(\.\d{1,8})?", re.ASCII)
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_PRICE_RULE = ("price", "points", "percent", "rupees")
_TRAILING = tuple(field.name for field in fields(TrailingRule))
_BREAK_EVEN = tuple(field.name for field in fields(BreakEvenRule))
_TIER = ("at_profit_percent", "stop_at_profit_percent")
_PEAK_DRAWDOWN = ("percent", "activate_at_profit_percent")
_RULE_NAMES = tuple(field.name for field in fields(RuleSet))
_ACCOUNT_RULE_NAMES = tuple(field.name for field in fields(AccountRules))
_ACCOUNT_TRAILING = ("rupees", "activate_at_profit_rupees")


class InvalidRules(DomainError):
    """The rules cannot be read; `faults` names each field. Nothing was changed."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        text = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        super().__init__("invalid_request", text, faults[0].field)
        self.faults = tuple(faults)


def parse_rules(value: object, path: str = "rules") -> RuleSet:
    """Read the rules of one position.

    Args:
        value: a mapping as JSON or TOML gives it; None and missing rules mean no rule. Numbers may
            be text (`"12.5"`) or numbers, times `"HH:MM"` or `"HH:MM:SS"` in IST.
        path: where `value` stands in what the user wrote, for the faults.

    Raises:
        InvalidRules: every fault, by field.
    """
    reader = _Reader()
    rules = _rule_set(reader, value, path)
    if reader.faults:
        raise InvalidRules(reader.faults)
    return rules


def parse_account_rules(value: object, path: str = "account_rules") -> AccountRules:
    """Read the rules of the whole account; raises InvalidRules with every fault."""
    reader = _Reader()
    table = reader.table(value, path, _ACCOUNT_RULE_NAMES, "rule")
    rules = AccountRules(
        max_loss=reader.positive(table, "max_loss", path),
        target=reader.positive(table, "target", path),
        trailing=_account_trailing(reader, table.get("trailing"), f"{path}.trailing"),
        square_off_at=reader.clock_time(table.get("square_off_at"), f"{path}.square_off_at"),
    )
    if reader.faults:
        raise InvalidRules(reader.faults)
    return rules


def read_clock_time(value: object) -> time | None:
    """Return an IST wall clock time, None for what is none.

    Text is `HH:MM` or `HH:MM:SS`. An offset or fractions of a second are refused, in text as in
    TOML's own times: whoever reads the hour would drop the offset in silence, and a time with one
    cannot be compared with the others.
    """
    if isinstance(value, time) and value.tzinfo is None and not value.microsecond:
        return value
    found = _CLOCK_TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    return time(int(found[1]), int(found[2]), int(found[3] or 0))


def rules_as_json(rules: RuleSet) -> dict[str, object]:
    """Return rules in the shape of docs/api.md: only what is set, numbers as decimal text."""
    written: dict[str, object] = {}
    for name in _RULE_NAMES:
        value = getattr(rules, name)
        if value is None or value == ():
            continue
        match value:
            case time():
                written[name] = _time_text(value)
            case int():
                written[name] = value
            case tuple():
                written[name] = [_parts_as_json(tier) for tier in value]
            case _:
                written[name] = _parts_as_json(value)
    return written


def _parts_as_json(rule: PriceRule | TrailingRule | BreakEvenRule | Tier) -> dict[str, object]:
    parts = ((field.name, getattr(rule, field.name)) for field in fields(rule))
    return {name: decimal_text(value) for name, value in parts if value is not None}


def _time_text(value: time) -> str:
    return value.isoformat("seconds" if value.second else "minutes")


def _rule_set(reader: "_Reader", value: object, path: str) -> RuleSet:
    table = reader.table(value, path, _RULE_NAMES, "rule")
    return RuleSet(
        stop_loss=_price_rule(reader, table.get("stop_loss"), f"{path}.stop_loss"),
        target=_price_rule(reader, table.get("target"), f"{path}.target"),
        trailing=_trailing(reader, table.get("trailing"), f"{path}.trailing"),
        break_even=_break_even(reader, table.get("break_even"), f"{path}.break_even"),
        tiers=_tiers(reader, table.get("tiers"), f"{path}.tiers"),
        peak_drawdown=_peak_drawdown(reader, table.get("peak_drawdown"), f"{path}.peak_drawdown"),
        max_holding_minutes=reader.whole(
            table.get("max_holding_minutes"), f"{path}.max_holding_minutes"
        ),
        square_off_at=reader.clock_time(table.get("square_off_at"), f"{path}.square_off_at"),
    )


def _price_rule(reader: "_Reader", value: object, path: str) -> PriceRule | None:
    if value is None:
        return None
    return PriceRule(**reader.numbers(value, path, _PRICE_RULE))


def _trailing(reader: "_Reader", value: object, path: str) -> TrailingRule | None:
    if value is None:
        return None
    return TrailingRule(**reader.numbers(value, path, _TRAILING))


def _break_even(reader: "_Reader", value: object, path: str) -> BreakEvenRule | None:
    if value is None:
        return None
    return BreakEvenRule(**reader.numbers(value, path, _BREAK_EVEN))


def _tiers(reader: "_Reader", value: object, path: str) -> tuple[Tier, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > TIERS_MAX:
        reader.fault(path, f"must be a list of at most {TIERS_MAX} tiers")
        return ()
    tiers = []
    for number, entry in enumerate(value):
        parts = reader.numbers(entry, f"{path}[{number}]", _TIER, needed=_TIER)
        if len(parts) == len(_TIER):
            tiers.append(Tier(**parts))
    return tuple(tiers)


def _peak_drawdown(reader: "_Reader", value: object, path: str) -> PeakDrawdownRule | None:
    if value is None:
        return None
    parts = reader.numbers(value, path, _PEAK_DRAWDOWN, needed=("percent",))
    return PeakDrawdownRule(**parts) if "percent" in parts else None


def _account_trailing(reader: "_Reader", value: object, path: str) -> AccountTrailingRule | None:
    if value is None:
        return None
    parts = reader.numbers(value, path, _ACCOUNT_TRAILING, needed=("rupees",))
    if "rupees" not in parts:
        return None
    if parts["rupees"] <= 0:
        reader.fault(f"{path}.rupees", f"must be above zero, was {parts['rupees']}")
    return AccountTrailingRule(**parts)


class _Reader:
    """Reads values and gathers the faults it meets."""

    def __init__(self) -> None:
        self.faults: list[FieldFault] = []

    def fault(self, path: str, message: str) -> None:
        self.faults.append(FieldFault(path, message))

    def table(self, value: object, path: str, known: Sequence[str], kind: str) -> dict[str, object]:
        """Return a mapping's known keys; what is unknown becomes a fault."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.fault(path, f"must be a table of {kind}s, was {_shown(value)}")
            return {}
        for key in value:
            if key not in known:
                self.fault(f"{path}.{key}", f"unknown {kind}; there are {', '.join(known)}")
        return {key: value[key] for key in known if key in value}

    def numbers(
        self, value: object, path: str, known: Sequence[str], needed: Sequence[str] = ()
    ) -> dict[str, Decimal]:
        """Return the numbers of one rule by name; missing ones that are needed become faults."""
        is_table = isinstance(value, Mapping)
        table = self.table(value, path, known, "part")
        for key in needed:
            if is_table and table.get(key) is None:
                self.fault(f"{path}.{key}", "is missing")
        found = {}
        for key, entry in table.items():
            number = self.number(entry, f"{path}.{key}")
            if number is not None:
                found[key] = number
        return found

    def number(self, value: object, path: str) -> Decimal | None:
        """Return a number given as text or number; floats count as their shortest text."""
        if value is None:
            return None
        text = _number_text(value)
        if text is None or _NUMBER.fullmatch(text) is None:
            self.fault(path, f"must be a number, was {_shown(value)}")
            return None
        return Decimal(text)

    def positive(self, table: Mapping[str, object], key: str, path: str) -> Decimal | None:
        """Return a number above zero."""
        number = self.number(table.get(key), f"{path}.{key}")
        if number is not None and number <= 0:
            self.fault(f"{path}.{key}", f"must be above zero, was {number}")
        return number

    def whole(self, value: object, path: str) -> int | None:
        """Return a whole number; text and fractions are faults."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(path, f"must be a whole number, was {_shown(value)}")
            return None
        return value

    def clock_time(self, value: object, path: str) -> time | None:
        """Return an IST wall clock time."""
        if value is None:
            return None
        clock = read_clock_time(value)
        if clock is None:
            self.fault(path, f"must be a time as HH:MM or HH:MM:SS, was {_shown(value)}")
        return clock


def _number_text(value: object) -> str | None:
    match value:
        case bool():
            return None
        case str():
            return value.strip()
        case int() | Decimal():
            return format(value, "f") if isinstance(value, Decimal) else str(value)
        case float() if math.isfinite(value):
            return format(Decimal(repr(value)), "f")
        case _:
            return None


def _shown(value: object) -> str:
    """Return a value as its fault shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
