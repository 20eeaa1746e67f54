"""Orders as the exchange sees them: what is asked, what is working.

Quantities are whole units, prices Decimal rupees, times UTC nanoseconds given by the caller.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from squareoff.domain.instruments import InstrumentId
from squareoff.domain.orders import OrderType, Side


class TimeInForce(str, Enum):
    """How long an order may stand (FIX 59)."""

    DAY = "DAY"
    """Until filled, cancelled or the session's end."""
    IOC = "IOC"
    """Matched once on arrival; what is left expires at once."""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """One order that arrives at the exchange.

    `limit_price` is None only for MARKET and STOP_LOSS_MARKET, `stop_price` only for orders without
    a trigger. `fill_cap` bounds what may fill (a rehearsed partial fill), None for no bound.
    """

    order_id: str
    instrument_id: InstrumentId
    side: Side
    order_type: OrderType
    quantity: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    fill_cap: int | None = None


@dataclass(frozen=True, slots=True)
class OrderChange:
    """A new absolute target for a working order; `quantity` is the total, filled part included."""

    order_id: str
    order_type: OrderType
    quantity: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY


@dataclass(slots=True)
class WorkingOrder:
    """One order in the exchange's book; only the matching engine changes it.

    `limit_price` None means any price. `sequence` is the time priority: lower came first.
    `is_waiting` holds while a stop has not triggered. `is_passive` says that the market of the
    last update did not reach the limit, so that the next trade happens at the order's own price.
    """

    order_id: str
    exchange_order_id: str
    instrument_id: InstrumentId
    side: Side
    order_type: OrderType
    quantity: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce
    sequence: int
    filled_quantity: int = 0
    is_waiting: bool = False
    is_passive: bool = False
    fill_cap: int | None = None

    @property
    def leaves_quantity(self) -> int:
        """Units still open."""
        return self.quantity - self.filled_quantity

    @property
    def fillable_quantity(self) -> int:
        """Units that may fill now: the open rest, bounded by the fill cap."""
        if self.fill_cap is None:
            return self.leaves_quantity
        return max(0, min(self.leaves_quantity, self.fill_cap - self.filled_quantity))

    def accepts(self, price: Decimal) -> bool:
        """Say whether the limit allows a trade at `price`."""
        if self.limit_price is None:
            return True
        if self.side is Side.BUY:
            return price <= self.limit_price
        return price >= self.limit_price
