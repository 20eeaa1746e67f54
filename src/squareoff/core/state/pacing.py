"""What only this process knows of a tracker's waiting: monotonic instants and counts of readings.

Nothing here is durable. After a restart it starts empty, which is always the slow, safe side: a
quarantine begins anew and no absence reading made before the restart counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from squareoff.domain.copies import prepare_copies, replace
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.states import BlockReason


@dataclass(frozen=True, slots=True)
class OrderPacing:
    """Waiting of one order. All instants are monotonic nanoseconds; 0 means not yet."""

    planned_at_ns: int = 0
    unknown_since_ns: int = 0
    next_look_up_ns: int = 0
    look_ups: int = 0
    lacking_readings: int = 0
    last_lacking_ns: int = 0
    lacking_net_quantity: int | None = None
    sighted_ns: int = 0
    """When a record of it was last read; a live order that is in no book has vanished."""
    priced_at_ns: int = 0
    limit_price_seen: Decimal | None = None
    """Limit price in the newest record since the last modify was decided."""
    limit_before: Decimal | None = None
    """Limit price at which it stood when the last modify was decided."""
    prices_refused: int = 0
    """Modifies of it that the broker refused for their price."""
    modifies_refused: int = 0
    """Modifies of it that the broker refused for what is not their price: none was a step."""
    is_too_large: bool = False
    """Whether a modify of it was turned away for its size, which only smaller slices can cure."""
    chases: int = 0
    went_market: bool = False
    """Whether it was made MARKET where its limit could go no further; that is tried once."""
    next_cancel_ns: int = 0
    cancels: int = 0
    ends_read: frozenset[BrokerOrderId] = frozenset()
    """What ended at the broker by the word of its own books, not of the stream alone."""
    ends_denied: frozenset[BrokerOrderId] = frozenset()
    """What the order book showed alive after another source had told its end."""
    end_readings: int = 0


@dataclass(frozen=True, slots=True)
class Pacing:
    """Waiting of one tracker."""

    retry_at_ns: int = 0
    next_positions_ns: int = 0
    zero_readings: int = 0
    short_readings: int = 0
    """Readings in a row that showed less than all trackers of the key hold."""
    is_covered: bool | None = None
    """Whether the last reading showed all that had to be closed; None: nothing was read."""
    flatten_until_ns: int = 0
    """Until when what was closed too much may be taken back; 0: it is left to a person."""
    next_flatten_ns: int = 0
    flatten_readings: int = 0
    flatten_net_quantity: int | None = None
    next_books_ns: int = 0
    next_ends_ns: int = 0
    books_disagreed: int = 0
    alarmed_reasons: frozenset[BlockReason] = frozenset()
    """Block reasons told to a person since an order of the exit last was at the exchange."""
    orders: Mapping[ClientOrderId, OrderPacing] = field(default_factory=dict)

    def of(self, client_order_id: ClientOrderId) -> OrderPacing:
        """Return one order's pacing, a fresh one where none was kept."""
        return self.orders.get(client_order_id, _FRESH)

    def with_order(self, client_order_id: ClientOrderId, pacing: OrderPacing) -> "Pacing":
        """Return a copy with one order's pacing replaced."""
        return replace(self, orders={**self.orders, client_order_id: pacing})


_FRESH = OrderPacing()


prepare_copies(OrderPacing, Pacing)
