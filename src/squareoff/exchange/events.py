"""What the exchange says: one frozen event per thing that happened to one order."""

from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.orders import OrderType
from squareoff.exchange.orders import TimeInForce


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The exchange has the order; a converted MARKET order shows its protected `limit_price`."""

    order_id: str
    exchange_order_id: str
    order_type: OrderType
    limit_price: Decimal | None
    time_ns: int


@dataclass(frozen=True, slots=True)
class Triggered:
    """A stop order's trigger was reached; it is a live order from now on."""

    order_id: str
    limit_price: Decimal | None
    time_ns: int


@dataclass(frozen=True, slots=True)
class Filled:
    """One execution: units and rupees of this fill only; `trade_id` is unique per exchange."""

    order_id: str
    quantity: int
    price: Decimal
    trade_id: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Modified:
    """The order now has this target; `quantity` is the total.

    `requested_type` is what was asked for, `order_type` what it is after a conversion.
    """

    order_id: str
    requested_type: OrderType
    order_type: OrderType
    quantity: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_ns: int
    time_in_force: TimeInForce = TimeInForce.DAY


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The order is done by cancel; it may have fills."""

    order_id: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The order is refused and done; `code` is a word of `exchange.rules.RejectCode`."""

    order_id: str
    code: str
    text: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class RequestRejected:
    """A modify or cancel was refused; the order stands as it was."""

    order_id: str
    request: str
    code: str
    text: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The order's validity ended; it may have fills."""

    order_id: str
    time_ns: int


ExchangeEvent = (
    Acknowledged | Triggered | Filled | Modified | Cancelled | Rejected | RequestRejected | Expired
)
