"""What a decision wants done, in the imperative: the closed list of commands.

A decision states what must be done now; whoever carries commands out drops one that is already
under way. Only `TransmitOrder`, `TransmitModify` and `TransmitCancel` change anything at the
broker, and each is preceded by its committed fact.
"""

from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import OrderModification, OrderRequest
from squareoff.domain.rules import Urgency


@dataclass(frozen=True, slots=True)
class ReadPositions:
    """Read the broker's positions to size the exit."""


@dataclass(frozen=True, slots=True)
class ReadBooks:
    """Read order book and trade book, to confirm fills or to find who closed the position."""


@dataclass(frozen=True, slots=True)
class LookUpOrder:
    """Ask the broker what became of an order whose outcome is unknown."""

    client_order_id: ClientOrderId


@dataclass(frozen=True, slots=True)
class RequestPermit:
    """Queue a planned order for rate budget and breaker, and fetch a price for it.

    `risk` orders exits of one urgency: the value at stake in rupees, largest first.
    """

    client_order_id: ClientOrderId
    urgency: Urgency
    risk: Decimal


@dataclass(frozen=True, slots=True)
class TransmitOrder:
    """Send the order now; its `OrderSent` is committed."""

    send_number: int
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class RequestReprice:
    """Fetch a price and budget to move a resting exit toward the market."""

    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class TransmitModify:
    """Send the modify now; its `OrderModifySent` is committed."""

    modification: OrderModification


@dataclass(frozen=True, slots=True)
class TransmitCancel:
    """Send the cancel now; its `OrderCancelSent` is committed."""

    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId


Command = (
    ReadPositions
    | ReadBooks
    | LookUpOrder
    | RequestPermit
    | TransmitOrder
    | RequestReprice
    | TransmitModify
    | TransmitCancel
)
