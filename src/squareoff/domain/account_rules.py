"""Rules over the day's profit and loss of a whole account, as the owner wrote them."""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from enum import Enum


class AccountRuleName(str, Enum):
    """Which rule of the account fired; of several at once the first one here is named."""

    MAX_LOSS = "max_loss"
    TRAILING = "trailing"
    TARGET = "target"
    SQUARE_OFF = "square_off_at"


@dataclass(frozen=True, slots=True)
class AccountTrailingRule:
    """Once the day's profit reached the activation, exit all when `rupees` of its peak are lost."""

    rupees: Decimal
    activate_at_profit_rupees: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class AccountRules:
    """Rules that close every position of the account, each optional.

    `max_loss` and `target` are rupees above zero of the day's P&L, realised and open together;
    `square_off_at` is IST wall clock time.
    """

    max_loss: Decimal | None = None
    target: Decimal | None = None
    trailing: AccountTrailingRule | None = None
    square_off_at: time | None = None

    @property
    def judges_prices(self) -> bool:
        """Say whether any rule looks at the P&L, and so at every price."""
        return not (self.max_loss is None and self.target is None and self.trailing is None)


NO_ACCOUNT_RULES = AccountRules()
"""An account whose positions are judged one by one only."""
