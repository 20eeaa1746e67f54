"""What the rules of an account mean for its P&L: which are reached, and where the trailing stands.

Money is whole units of 1e-8 rupee (`core.account.account_pnl`).

Invariants:
1. A rule that was spent is reached no more that day.
2. The peak never falls, and with it the trailing stop never loosens.
3. A P&L strictly between the ends of the band reaches nothing and is no new peak.
"""

from collections.abc import Iterable
from typing import NamedTuple

from squareoff.core.account.account_pnl import money_units
from squareoff.domain.account_rules import AccountRuleName, AccountRules

_NEVER = 1 << 80
"""Beyond every sum of money."""


class ReachedRule(NamedTuple):
    """A rule whose level, in money units, the P&L has reached."""

    rule: AccountRuleName
    level: int


class AccountLimits:
    """The price rules of one account on one day."""

    def __init__(self, rules: AccountRules) -> None:
        trailing = rules.trailing
        self._loss = None if rules.max_loss is None else -money_units(rules.max_loss)
        self._target = None if rules.target is None else money_units(rules.target)
        self._distance = None if trailing is None else money_units(trailing.rupees)
        self._activation = (
            0 if trailing is None else money_units(trailing.activate_at_profit_rupees)
        )
        self._spent: frozenset[AccountRuleName] = frozenset()
        self.peak: int | None = None
        self.lowest, self.highest = -_NEVER, _NEVER
        self.begin_day()

    def begin_day(self, peak: int | None = None, spent: Iterable[AccountRuleName] = ()) -> None:
        """Begin a day anew, or go on with it from what was stored.

        A stored peak below the activation (another one was set since) starts nothing.
        """
        is_active = peak is not None and peak >= self._activation and self._distance is not None
        self.peak = peak if is_active else None
        self._spent = frozenset(spent)
        self._refresh()

    @property
    def spent(self) -> frozenset[AccountRuleName]:
        """The rules that do not fire again today."""
        return self._spent

    @property
    def trailing_stop(self) -> int | None:
        """The P&L at which the trailing fires, None before its activation."""
        if self.peak is None or self._distance is None:
            return None
        return self.peak - self._distance

    def take(self, pnl: int) -> tuple[ReachedRule, ...]:
        """Take in a P&L that is known: raise the peak, spend and return what it reaches."""
        if self.lowest < pnl < self.highest:
            return ()
        if self._distance is not None and pnl >= self._activation:
            self.peak = pnl if self.peak is None else max(self.peak, pnl)
        reached = tuple(self._reached(pnl))
        self.spend(rule.rule for rule in reached)
        return reached

    def take_loss(self, pnl: int) -> tuple[ReachedRule, ...]:
        """Spend and return the maximum loss where this P&L reaches it; nothing else looks."""
        if not self.is_loss(pnl):
            return ()
        assert self._loss is not None, "it was reached"
        self.spend((AccountRuleName.MAX_LOSS,))
        return (ReachedRule(AccountRuleName.MAX_LOSS, self._loss),)

    def is_loss(self, pnl: int) -> bool:
        """Say whether a P&L reaches the maximum loss, and that is not spent."""
        is_open = AccountRuleName.MAX_LOSS not in self._spent
        return is_open and self._loss is not None and pnl <= self._loss

    def spend(self, rules: Iterable[AccountRuleName]) -> None:
        """Let these rules fire no more today."""
        self._spent |= frozenset(rules)
        self._refresh()

    def _reached(self, pnl: int) -> Iterable[ReachedRule]:
        levels = self._levels()
        for rule, level in levels.items():
            is_reached = pnl >= level if rule is AccountRuleName.TARGET else pnl <= level
            if is_reached:
                yield ReachedRule(rule, level)

    def _levels(self) -> dict[AccountRuleName, int]:
        """Return where each rule that is not spent fires, in their order."""
        levels = {
            AccountRuleName.MAX_LOSS: self._loss,
            AccountRuleName.TRAILING: self.trailing_stop,
            AccountRuleName.TARGET: self._target,
        }
        return {
            rule: level
            for rule, level in levels.items()
            if level is not None and rule not in self._spent
        }

    def _refresh(self) -> None:
        levels = self._levels()
        target = levels.pop(AccountRuleName.TARGET, _NEVER)
        self.lowest = max(levels.values(), default=-_NEVER)
        self.highest = target
        if self._distance is not None and AccountRuleName.TRAILING not in self._spent:
            news = self._activation if self.peak is None else self.peak + 1
            self.highest = min(target, news)
