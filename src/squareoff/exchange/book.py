"""The replayed market of one instrument: what it offers to our orders right now.

Invariants:
1. Liquidity taken by our fills is gone until the next update of the market.
2. The newest update decides the kind of book: five levels of depth, or one print on both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.orders import Side

# A print without a bound offers this many units; far above any order, small enough to add up.
UNBOUNDED_QUANTITY = 10**12


@dataclass(frozen=True, slots=True)
class DepthLevel:
    """One level of the market's depth: rupees, units, and how many orders stand there."""

    price: Decimal
    quantity: int
    orders: int = 1


@dataclass(frozen=True, slots=True)
class Depth:
    """The market's levels, best first; either side may be empty."""

    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]


@dataclass(slots=True)
class OfferedLevel:
    """One level of what is on offer now; the matching engine takes from `quantity`."""

    price: Decimal
    quantity: int


class MarketBook:
    """What the market of one instrument offers, less what our fills have taken since."""

    def __init__(self) -> None:
        self.last_price: Decimal | None = None
        self._bids: list[OfferedLevel] = []
        self._asks: list[OfferedLevel] = []

    @property
    def is_known(self) -> bool:
        """Say whether the market has ever spoken of this instrument."""
        return self.last_price is not None or bool(self._bids) or bool(self._asks)

    def set_print(self, price: Decimal, quantity: int | None) -> None:
        """Take a print: `quantity` units (None: any) on each side at `price`."""
        offered = UNBOUNDED_QUANTITY if quantity is None else quantity
        self.last_price = price
        self._bids = [OfferedLevel(price, offered)]
        self._asks = [OfferedLevel(price, offered)]

    def set_depth(self, depth: Depth, last_price: Decimal | None) -> None:
        """Take new levels and, where given, a new last price."""
        if last_price is not None:
            self.last_price = last_price
        self._bids = _levels_of(depth.bids)
        self._asks = _levels_of(depth.asks)

    def opposite(self, side: Side) -> list[OfferedLevel]:
        """Return the levels an order of `side` trades against, best first."""
        return self._asks if side is Side.BUY else self._bids

    def best_opposite_price(self, side: Side) -> Decimal | None:
        """Return the best price the last update offered to `side`, taken or not."""
        levels = self.opposite(side)
        return levels[0].price if levels else None


def _levels_of(levels: Sequence[DepthLevel]) -> list[OfferedLevel]:
    return [OfferedLevel(level.price, level.quantity) for level in levels if level.quantity > 0]
