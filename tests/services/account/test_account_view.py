"""The account's day as it is shown: what is not known is not told as a number."""

from decimal import Decimal as D

from exit_story.values import INSTRUMENT, TRACKER
from squareoff.core.account.account_limits import AccountLimits
from squareoff.core.account.account_pnl import AccountPnl, Share, money_units
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.prices import units_from_decimal
from squareoff.services.account.account_view import AccountView, account_view

RULES = AccountRules(max_loss=D(5000))
NAME = INSTRUMENT.instrument_id


def view_of(pnl: AccountPnl) -> AccountView:
    """Return the view of an account on which nothing fired."""
    return account_view("2026-09-15", RULES, AccountLimits(RULES), pnl, None, 0)


def test_without_a_price_of_all_that_is_held_the_pnl_is_not_known() -> None:
    """What was realised is known all the same, and whose price is wanted is named."""
    pnl = AccountPnl()
    cost = money_units(D(15_000))
    pnl.put(TRACKER, NAME, Share(100, cost, money_units(D(250))))
    blind = view_of(pnl)
    pnl.price(NAME, units_from_decimal(D("151.50")))
    seen = view_of(pnl)

    assert (blind.pnl, blind.unrealized_pnl, blind.unseen) == (None, None, (str(NAME),))
    assert blind.realized_pnl == D(250)
    assert (seen.pnl, seen.unrealized_pnl, seen.unseen) == (D(400), D(150), ())
    assert (seen.max_loss, seen.target, seen.fired) == (D(5000), None, ())
