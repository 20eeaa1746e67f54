"""How the paper broker behaves."""

from dataclasses import dataclass, field
from decimal import Decimal

from squareoff.exchange.rules import MatchingRules


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """How the paper broker behaves.

    `balance` is rupees, `exchange_delay_seconds` how long a request is on its way. `matching` says
    what one tick offers (`quantity_per_print`, units; None for any) and names the market policy.
    `closes_intraday` has what is intraday closed before the exchange closes, as the calendar says.
    """

    balance: Decimal = Decimal(1_000_000)
    exchange_delay_seconds: float = 0.03
    matching: MatchingRules = field(default_factory=MatchingRules)
    closes_intraday: bool = False
