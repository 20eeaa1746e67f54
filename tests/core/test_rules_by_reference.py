"""The engine's price path against an evaluator written from docs/rules.md, on random streams.

`python -m rule_reference --streams 1000000` (in tests/support) plays more of them.
"""

from typing import Any

import pytest

from exact_fractions import Fraction
from rule_reference import reference
from rule_reference.comparison import first_difference
from rule_reference.streams import make_stream

FOUND = {
    728: "a price kept before a reconnect made the first one after it late",
    3257: "the rule named for a stop depended on which best prices were looked at",
}


@pytest.mark.parametrize("first_seed", range(0, 160, 20))
def test_random_streams_agree(first_seed: int) -> None:
    """Same print, rule, level and price for every exit, and the same stop after every print."""
    for seed in range(first_seed, first_seed + 20):
        assert first_difference(make_stream(seed)) is None, f"seed {seed}"


@pytest.mark.parametrize("seed", FOUND)
def test_streams_that_once_parted_agree(seed: int) -> None:
    """Each seed that found a defect stays agreed on."""
    assert first_difference(make_stream(seed)) is None, FOUND[seed]


@pytest.mark.parametrize("rule", reference.MOVING_RULES)
def test_another_meaning_of_a_rule_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that puts one rule's stop a tenth of a rupee elsewhere soon disagrees."""
    meaning = reference.MEANINGS[rule]

    def shifted(*given: Any) -> Fraction | None:
        price = meaning(*given)
        return None if price is None else price + Fraction(1, 10)

    monkeypatch.setitem(reference.MEANINGS, rule, shifted)

    assert any(first_difference(make_stream(seed)) is not None for seed in range(100))


def test_another_meaning_of_the_days_range_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that lets every position take part at once soon disagrees."""

    def all_take_part(market: reference.Market, second: int) -> None:
        for holding in market.holdings:
            holding.takes_part = True

    monkeypatch.setattr(reference.Market, "look", all_take_part)

    assert any(first_difference(make_stream(seed)) is not None for seed in range(100))
