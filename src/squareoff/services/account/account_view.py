"""The day's P&L of the account against its limits, as status, screen and metrics show it."""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal

from squareoff.core.account.account_limits import AccountLimits
from squareoff.core.account.account_pnl import AccountPnl, exact_rupees, rupees_of
from squareoff.domain.account_rules import AccountRuleName, AccountRules


@dataclass(frozen=True, slots=True)
class AccountView:
    """Money is rupees. `pnl` is None where it is not known, for want of the prices of `unseen`.

    `fired` are the rules that do not fire again today, `fired_reason` and `fired_at_ns` of the
    newest of them that closed everything. `realized_before` is no part of the day: what its
    positions had realised on earlier ones.
    """

    day: str
    pnl: Decimal | None
    realized_pnl: Decimal
    unrealized_pnl: Decimal | None
    unseen: tuple[str, ...]
    max_loss: Decimal | None
    target: Decimal | None
    trailing_activation: Decimal | None
    peak: Decimal | None
    trailing_stop: Decimal | None
    square_off_at: time | None
    fired: tuple[AccountRuleName, ...]
    fired_reason: str | None
    fired_at_ns: int | None
    realized_before: Decimal


def account_view(
    day: str,
    rules: AccountRules,
    limits: AccountLimits,
    pnl: AccountPnl,
    fired: tuple[str, int] | None,
    realized_before: int,
) -> AccountView:
    """Return the view; `fired` is why and when (UTC ns) everything was last closed today,
    `realized_before` what the day's positions had realised before it (money units)."""
    trailing, stop = rules.trailing, limits.trailing_stop
    return AccountView(
        day=day,
        pnl=rupees_of(pnl.total) if pnl.is_known else None,
        realized_pnl=rupees_of(pnl.realized),
        unrealized_pnl=rupees_of(pnl.open_pnl) if pnl.is_known else None,
        unseen=tuple(sorted(str(name) for name in pnl.unseen())),
        max_loss=rules.max_loss,
        target=rules.target,
        trailing_activation=None if trailing is None else trailing.activate_at_profit_rupees,
        peak=None if limits.peak is None else rupees_of(limits.peak),
        trailing_stop=None if stop is None else rupees_of(stop),
        square_off_at=rules.square_off_at,
        fired=tuple(rule for rule in AccountRuleName if rule in limits.spent),
        fired_reason=None if fired is None else fired[0],
        fired_at_ns=None if fired is None else fired[1],
        realized_before=exact_rupees(realized_before),
    )
