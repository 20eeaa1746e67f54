"""The account's sums and limits against an evaluator written from docs/rules.md, on random days.

`python -m account_reference --days 100000` (in tests/support) plays more of them.
"""

from collections import Counter
from fractions import Fraction

import pytest

from account_reference.comparison import first_difference
from account_reference.days import Stood, make_day
from account_reference.reference import Account, Fired


@pytest.mark.parametrize("first_seed", range(0, 400, 50))
def test_random_days_agree(first_seed: int) -> None:
    """Same step, rule, level and P&L, and the same P&L and trailing stop after every step."""
    for seed in range(first_seed, first_seed + 50):
        assert first_difference(make_day(seed)) is None, f"seed {seed}"


def test_the_days_fire_every_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is about something: each rule fires often, the loss of a part seen too."""
    fired: Counter[str] = Counter()
    judge, judge_the_rest = Account.judge, Account.judge_the_rest

    def counted(account: Account) -> Fired | None:
        found = judge(account)
        fired.update([] if found is None else [found.rule, *found.also])
        return found

    def counted_rest(account: Account) -> Fired | None:
        found = judge_the_rest(account)
        fired.update([] if found is None else [Stood.__name__])
        return found

    monkeypatch.setattr(Account, "judge", counted)
    monkeypatch.setattr(Account, "judge_the_rest", counted_rest)
    for seed in range(300):
        first_difference(make_day(seed))

    assert set(fired) == {"max_loss", "trailing", "target", "Stood"}
    assert min(fired.values()) >= 5


@pytest.mark.parametrize("part", ["known_part", "at_its_best", "trailing_stop"])
def test_another_meaning_is_found(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that is a paisa elsewhere soon disagrees."""
    meaning = getattr(Account, part).fget

    def shifted(account: Account) -> Fraction | None:
        found = meaning(account)
        return None if found is None else found + Fraction(1, 100)

    monkeypatch.setattr(Account, part, property(shifted))

    assert any(first_difference(make_day(seed)) is not None for seed in range(50))
