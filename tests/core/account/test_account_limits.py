"""Limits: reached at their level, spent once, and the trailing never loosens."""

from decimal import Decimal as D

import pytest

from squareoff.core.account.account_limits import AccountLimits
from squareoff.core.account.account_pnl import money_units, rupees_of
from squareoff.domain.account_rules import AccountRuleName, AccountRules, AccountTrailingRule

ALL = AccountRules(D(1000), D(500), AccountTrailingRule(D(300), D(200)))


def take(limits: AccountLimits, rupees: str) -> list[tuple[str, D]]:
    """Take a P&L in; return what it reached."""
    return [(rule.value, rupees_of(level)) for rule, level in limits.take(money_units(D(rupees)))]


@pytest.mark.parametrize(
    ("pnls", "reached"),
    [
        (["-999.99", "-1000"], [("max_loss", D(-1000))]),
        (["-5000"], [("max_loss", D(-1000))]),
        (["499.99", "500"], [("target", D(500))]),
        (["199.99", "-100.01"], []),
        (["200", "-99.99", "-100"], [("trailing", D(-100))]),
        (["400", "100.01", "100"], [("trailing", D(100))]),
        (["400", "-1000"], [("max_loss", D(-1000)), ("trailing", D(100))]),
    ],
)
def test_a_level_is_reached_by_the_first_pnl_at_or_beyond_it(
    pnls: list[str], reached: list[tuple[str, D]]
) -> None:
    """Nothing before, then the rules in their order."""
    limits = AccountLimits(ALL)
    assert [take(limits, pnl) for pnl in pnls[:-1]] == [[]] * (len(pnls) - 1)
    assert take(limits, pnls[-1]) == reached
    assert take(limits, pnls[-1]) == []


def test_the_peak_never_falls() -> None:
    """Lower P&Ls and what was stored change it only upward."""
    limits = AccountLimits(AccountRules(trailing=AccountTrailingRule(D(300))))
    stops = []
    for pnl in ("0", "250", "100", "260.5", "-39"):
        assert take(limits, pnl) == []
        assert limits.trailing_stop is not None
        stops.append(rupees_of(limits.trailing_stop))

    assert stops == [D(-300), D(-50), D(-50), D("-39.5"), D("-39.5")]


def test_a_stop_above_the_activation_fires_where_it_stands() -> None:
    """A P&L that falls and still holds the activation is no new peak."""
    limits = AccountLimits(AccountRules(trailing=AccountTrailingRule(D(300), D(200))))

    assert [take(limits, pnl) for pnl in ("900", "700", "600.01")] == [[], [], []]
    assert take(limits, "600") == [("trailing", D(600))]


def test_a_stored_peak_goes_on_unless_another_activation_was_set() -> None:
    """A peak below it starts nothing."""
    limits = AccountLimits(ALL)
    limits.begin_day(money_units(D(450)))
    assert take(limits, "150") == [("trailing", D(150))]
    limits.begin_day(money_units(D(150)))

    assert limits.trailing_stop is None


def test_what_was_spent_stays_so_for_the_day() -> None:
    """The other rules go on; a new day has them all."""
    limits = AccountLimits(ALL)
    limits.begin_day(None, (AccountRuleName.MAX_LOSS,))
    assert take(limits, "-2000") == []
    assert take(limits, "600") == [("target", D(500))]
    limits.begin_day()

    assert take(limits, "-2000") == [("max_loss", D(-1000))]


def test_only_the_loss_looks_at_a_part() -> None:
    """It is spent by it."""
    limits = AccountLimits(ALL)
    assert limits.take_loss(money_units(D("-999"))) == ()
    (reached,) = limits.take_loss(money_units(D("-1000")))

    assert reached.rule is AccountRuleName.MAX_LOSS
    assert limits.take_loss(money_units(D("-1000"))) == ()


def test_without_rules_nothing_is_ever_reached() -> None:
    """However far it goes."""
    limits = AccountLimits(AccountRules())

    assert take(limits, "-999999999999") == take(limits, "999999999999") == []
