"""Rules are read strictly, every fault by its path, and written back as they were."""

from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squareoff.domain.account_rules import AccountRules, AccountTrailingRule
from squareoff.domain.rule_parsing import (
    InvalidRules,
    parse_account_rules,
    parse_rules,
    rules_as_json,
)
from squareoff.domain.rules import (
    NO_RULES,
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleSet,
    Tier,
    TrailingRule,
)

WRITTEN = {
    "stop_loss": {"price": "140.00"},
    "target": {"percent": "25"},
    "trailing": {"points": "8", "activate_at_profit_points": "10", "step": "0.50"},
    "break_even": {"at_profit_points": "12", "lock_points": "1"},
    "tiers": [{"at_profit_percent": "10", "stop_at_profit_percent": "2"}],
    "peak_drawdown": {"percent": "40", "activate_at_profit_percent": "15"},
    "max_holding_minutes": 90,
    "square_off_at": "15:15",
}


def test_the_shape_of_the_interface_is_read() -> None:
    """Every rule of the documented example becomes its value."""
    assert parse_rules(WRITTEN) == RuleSet(
        stop_loss=PriceRule(price=Decimal(140)),
        target=PriceRule(percent=Decimal(25)),
        trailing=TrailingRule(
            points=Decimal(8), activate_at_profit_points=Decimal(10), step=Decimal("0.5")
        ),
        break_even=BreakEvenRule(at_profit_points=Decimal(12), lock_points=Decimal(1)),
        tiers=(Tier(Decimal(10), Decimal(2)),),
        peak_drawdown=PeakDrawdownRule(Decimal(40), Decimal(15)),
        max_holding_minutes=90,
        square_off_at=time(15, 15),
    )


@pytest.mark.parametrize("nothing", [None, {}, {"stop_loss": None, "tiers": None}])
def test_nothing_means_no_rules(nothing: object) -> None:
    """Missing and null rules are no rules."""
    assert parse_rules(nothing) == NO_RULES


@pytest.mark.parametrize(
    ("number", "read"),
    [
        ("140.10", "140.10"),
        (" 7 ", "7"),
        (7, "7"),
        (0.1, "0.1"),
        (1e-05, "0.00001"),
        (Decimal("2.50"), "2.50"),
        ("-3", "-3"),
    ],
)
def test_numbers_may_be_text_or_numbers(number: object, read: str) -> None:
    """A float counts as its shortest text, so 0.1 is exactly 0.1."""
    rules = parse_rules({"stop_loss": {"points": number}})

    assert rules.stop_loss == PriceRule(points=Decimal(read))


FAULTS: dict[str, tuple[Any, str, str]] = {
    # name: (rules, field, part of the message)
    "unknown rule": ({"stop_los": {"price": "1"}}, "rules.stop_los", "unknown rule"),
    "unknown part": ({"trailing": {"pints": "1"}}, "rules.trailing.pints", "unknown part"),
    "unknown part of a tier": (
        {"tiers": [{"at_profit_percent": 1, "stop_at_profit_percent": 0, "x": 1}]},
        "rules.tiers[0].x",
        "unknown part",
    ),
    "not a table": ("140", "rules", "must be a table"),
    "rule not a table": ({"target": "25"}, "rules.target", "must be a table"),
    "no number": ({"target": {"percent": "many"}}, "rules.target.percent", "must be a number"),
    "true": ({"target": {"percent": True}}, "rules.target.percent", "must be a number"),
    "NaN": ({"target": {"percent": float("nan")}}, "rules.target.percent", "must be a number"),
    "infinite": ({"target": {"percent": "Infinity"}}, "rules.target.percent", "must be a number"),
    "exponent": ({"target": {"rupees": "1e999999"}}, "rules.target.rupees", "must be a number"),
    "too large": ({"target": {"rupees": 10**15}}, "rules.target.rupees", "must be a number"),
    "tiers no list": ({"tiers": {}}, "rules.tiers", "must be a list"),
    "too many tiers": ({"tiers": [{}] * 51}, "rules.tiers", "at most 50"),
    "tier part missing": (
        {"tiers": [{"at_profit_percent": 5}]},
        "rules.tiers[0].stop_at_profit_percent",
        "is missing",
    ),
    "drawdown without percent": ({"peak_drawdown": {}}, "rules.peak_drawdown.percent", "missing"),
    "minutes as text": ({"max_holding_minutes": "90"}, "rules.max_holding_minutes", "whole"),
    "minutes in parts": ({"max_holding_minutes": 1.5}, "rules.max_holding_minutes", "whole"),
    "25 o'clock": ({"square_off_at": "25:00"}, "rules.square_off_at", "HH:MM"),
    "a time with an offset": ({"square_off_at": "15:15+05:30"}, "rules.square_off_at", "HH:MM"),
    "a time as a number": ({"square_off_at": 15}, "rules.square_off_at", "HH:MM"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_names_its_field(name: str) -> None:
    """What cannot be read is refused with the path of the field and what it must be."""
    rules, field, message = FAULTS[name]

    with pytest.raises(InvalidRules) as caught:
        parse_rules(rules)

    assert [fault.field for fault in caught.value.faults] == [field]
    assert message in caught.value.faults[0].message
    assert str(caught.value).startswith(f"{field}: ")


def test_every_fault_is_found_in_one_reading() -> None:
    """A caller with three faults is told of three."""
    with pytest.raises(InvalidRules) as caught:
        parse_rules({"stop": 1, "target": {"percent": "x"}, "square_off_at": "9"}, "rules.default")

    fields = [fault.field for fault in caught.value.faults]
    assert fields == ["rules.default.stop", "rules.default.target.percent",
                      "rules.default.square_off_at"]  # fmt: skip


def test_a_long_value_is_cut_in_its_fault() -> None:
    """A fault shows the start of a long value, never all of it."""
    with pytest.raises(InvalidRules) as caught:
        parse_rules({"target": {"percent": "9" * 5_000}})

    assert len(str(caught.value)) < 150


_NUMBERS = st.decimals(0, 10**6, places=4, allow_nan=False)
_OPTIONAL = st.none() | _NUMBERS
_PRICE_RULES = st.none() | st.builds(
    PriceRule, price=_OPTIONAL, points=_OPTIONAL, percent=_OPTIONAL, rupees=_OPTIONAL
)
_RULE_SETS = st.builds(
    RuleSet,
    stop_loss=_PRICE_RULES,
    target=_PRICE_RULES,
    trailing=st.none() | st.builds(TrailingRule, points=_OPTIONAL, step=_OPTIONAL),
    break_even=st.none()
    | st.builds(BreakEvenRule, at_profit_points=_OPTIONAL, lock_points=_NUMBERS),
    tiers=st.lists(st.builds(Tier, _NUMBERS, _NUMBERS), max_size=4).map(tuple),
    peak_drawdown=st.none() | st.builds(PeakDrawdownRule, _NUMBERS, _NUMBERS),
    max_holding_minutes=st.none() | st.integers(1, 10_000),
    square_off_at=st.none() | st.times().map(lambda t: t.replace(microsecond=0)),
)


@given(_RULE_SETS)
def test_rules_survive_the_round_trip(rules: RuleSet) -> None:
    """What is written as JSON reads back equal."""
    assert parse_rules(rules_as_json(rules)) == rules


def test_only_what_is_set_is_written() -> None:
    """Rules that are not set leave no trace in the JSON, and numbers are text."""
    rules = RuleSet(stop_loss=PriceRule(points=Decimal("8.5")), square_off_at=time(15, 15, 30))

    assert rules_as_json(rules) == {
        "stop_loss": {"points": "8.50"},
        "square_off_at": "15:15:30",
    }


def test_account_rules_are_read() -> None:
    """The account's rules are rupees of the day's P&L and a time."""
    written = {
        "max_loss": "5000",
        "target": 9000,
        "trailing": {"rupees": 1500.5},
        "square_off_at": time(15, 10),
    }

    assert parse_account_rules(written) == AccountRules(
        max_loss=Decimal(5000),
        target=Decimal(9000),
        trailing=AccountTrailingRule(Decimal("1500.5")),
        square_off_at=time(15, 10),
    )


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ({"max_loss": 0}, "account_rules.max_loss"),
        ({"target": -1}, "account_rules.target"),
        ({"trailing": {}}, "account_rules.trailing.rupees"),
        ({"trailing": {"rupees": 0}}, "account_rules.trailing.rupees"),
        ({"maximum_loss": 1}, "account_rules.maximum_loss"),
    ],
)
def test_a_fault_of_the_account_rules_names_its_field(written: object, field: str) -> None:
    """The account's rules are checked like those of positions."""
    with pytest.raises(InvalidRules) as caught:
        parse_account_rules(written)

    assert caught.value.field == field
