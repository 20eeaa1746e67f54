"""Where the account's P&L meets its rules: at every good price, and at every change of a position.

Invariants:
1. Nothing is judged before `is_judging` is set, nor while any price is missing.
2. A price between the ends of the band costs a look-up, a multiplication and two comparisons.
"""

from squareoff.core.account.account_limits import AccountLimits, ReachedRule
from squareoff.core.account.account_pnl import AccountPnl
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import PriceUnits

_NOTHING: tuple[ReachedRule, ...] = ()


class AccountWatch:
    """The P&L and the rules of one account on one day."""

    def __init__(self, rules: AccountRules) -> None:
        self.pnl = AccountPnl()
        self.limits = AccountLimits(rules)
        self.is_judging = False

    def on_price(self, instrument_id: InstrumentId, price: PriceUnits) -> tuple[ReachedRule, ...]:
        """Take a good price in; return what it reaches, first the rule that is named."""
        return self.judge() if self.pnl.price(instrument_id, price) else _NOTHING

    def judge(self) -> tuple[ReachedRule, ...]:
        """Return what the P&L reaches as it stands; each rule once a day."""
        pnl, limits = self.pnl, self.limits
        total = pnl.realized + pnl.open_pnl
        if limits.lowest < total < limits.highest or not (self.is_judging and pnl.is_known):
            return _NOTHING
        return limits.take(total)

    def judge_the_rest(self) -> tuple[ReachedRule, ...]:
        """Return the maximum loss where the known part, with the rest at its best, reaches it."""
        if not (self.is_judging and self.is_loss_without_the_rest):
            return _NOTHING
        return self.limits.take_loss(self.pnl.at_its_best())

    @property
    def is_loss_without_the_rest(self) -> bool:
        """Say whether prices are missing and the known part reaches the maximum loss.

        Where no price is known at all nothing moves that could be stopped, and what was realised
        says nothing of what is held.
        """
        pnl = self.pnl
        if pnl.is_known or not pnl.is_seen_in_part:
            return False
        return self.limits.is_loss(pnl.at_its_best())
