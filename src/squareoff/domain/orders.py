"""Orders as asked for and as reported, in our words."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import (
    ExchangeSegment,
    InstrumentId,
    PositionKey,
    ProductType,
)


class Side(str, Enum):
    """Side of an order (FIX 54)."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class PositionSide(str, Enum):
    """Direction of a held position."""

    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def sign(self) -> int:
        """+1 for long, -1 for short."""
        return 1 if self is PositionSide.LONG else -1

    @property
    def entry_order_side(self) -> Side:
        """The order side that opens this position."""
        return Side.BUY if self is PositionSide.LONG else Side.SELL

    @property
    def exit_order_side(self) -> Side:
        """The order side that closes this position: a short closes by BUY."""
        return self.entry_order_side.opposite


class OrderType(str, Enum):
    """Order type (FIX 40), in the broker's words."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_MARKET = "STOP_LOSS_MARKET"


class OrderRole(str, Enum):
    """What an order of ours is for; never read off BUY or SELL."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    FLATTEN = "FLATTEN"


class OrderOrigin(str, Enum):
    """How an exit order came to be: placed for the exit, or converted from a resting stop."""

    PLACED = "PLACED"
    CONVERTED_STOP = "CONVERTED_STOP"


class BrokerOrderStatus(str, Enum):
    """Status words of the broker's order rows (dhanhq-v2.md 2.9), normalised to upper case."""

    TRANSIT = "TRANSIT"
    PENDING = "PENDING"
    PART_TRADED = "PART_TRADED"
    TRADED = "TRADED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"
    """A word we do not know: quantities count, the word decides nothing (I15)."""
    MISSING = "MISSING"
    """Our own word: accepted, and in none of the broker's books; any report takes its place."""

    @property
    def is_terminal(self) -> bool:
        """Say whether an order with this status can never fill again."""
        return self in (
            BrokerOrderStatus.TRADED,
            BrokerOrderStatus.CANCELLED,
            BrokerOrderStatus.REJECTED,
            BrokerOrderStatus.EXPIRED,
            BrokerOrderStatus.MISSING,
        )


class ReportSource(str, Enum):
    """Where a report was read."""

    STREAM = "STREAM"
    ORDER_BOOK = "ORDER_BOOK"
    LOOKUP = "LOOKUP"
    PLACEMENT = "PLACEMENT"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One order to place. Quantity in whole units, prices in rupees on the tick grid.

    `limit_price` is None only for MARKET; `stop_price` only for the stop types. `send_before_ns` is
    the monotonic instant after which it must not leave any more; it is no part of the order.
    """

    client_order_id: ClientOrderId
    key: PositionKey
    side: Side
    order_type: OrderType
    order_quantity: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    send_before_ns: int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class OrderModification:
    """A live order's new absolute target: `order_quantity` is the total, filled part included.

    `send_before_ns` as in `OrderRequest`.
    """

    broker_order_id: BrokerOrderId
    client_order_id: ClientOrderId
    order_type: OrderType
    order_quantity: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    send_before_ns: int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PlacementAnswer:
    """The broker's order system accepted an order. The status is only a hint (dhanhq-v2.md 2.2)."""

    broker_order_id: BrokerOrderId
    status: BrokerOrderStatus


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What a broker record or update says of one order at the broker.

    `cumulative_quantity` is all filled so far; `average_price` is rupees over all fills, None where
    the source gives none (0). `client_order_id` is None where the record carries no tag. Times are
    UTC nanoseconds, one-second grain at this broker, None where absent; only what was put together
    from trades tells when the last of them was made.
    """

    broker_order_id: BrokerOrderId
    client_order_id: ClientOrderId | None
    status: BrokerOrderStatus
    instrument_id: InstrumentId
    product_type: ProductType
    side: Side
    order_quantity: int
    cumulative_quantity: int
    average_price: Decimal | None
    limit_price: Decimal | None
    reason: str
    update_time_ns: int | None
    source: ReportSource
    last_trade_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TradeReport:
    """One fill from the broker's trade book. `exec_id` is the exchange's trade id."""

    broker_order_id: BrokerOrderId
    exec_id: str
    instrument_id: InstrumentId
    product_type: ProductType
    side: Side
    quantity: int
    price: Decimal
    exchange_time_ns: int | None


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """One row of the broker's positions: signed `net_quantity` in units, averages in rupees.

    `delivered_quantity` is the part of `net_quantity` that was delivered on earlier days; only
    readings that count the demat account in have one.
    """

    instrument_id: InstrumentId
    product_type: ProductType
    net_quantity: int
    buy_quantity: int
    sell_quantity: int
    buy_average: Decimal
    sell_average: Decimal
    trading_symbol: str = ""
    delivered_quantity: int = 0

    def is_on(self, key: PositionKey) -> bool:
        """Say whether it is the row of this key."""
        return self.instrument_id == key.instrument_id and self.product_type is key.product_type

    @property
    def traded_quantity(self) -> int:
        """The signed net without what was delivered: what the broker calls the position."""
        return self.net_quantity - self.delivered_quantity

    @property
    def open_quantity(self) -> int:
        """What is open as a position: shares of earlier days are none, nor is their sale."""
        is_cash = self.instrument_id.exchange_segment.is_cash
        if is_cash and self.product_type.is_delivered:
            return max(0, self.traded_quantity)
        return self.net_quantity


def net_quantity(rows: Iterable[BrokerPosition], key: PositionKey) -> int:
    """Return the signed net of a key in a reading of the positions; a missing row is 0."""
    return sum(row.net_quantity for row in rows if row.is_on(key))


@dataclass(frozen=True, slots=True)
class Holding:
    """Shares of one instrument in the demat account, or on their way there: what is surely there
    to be sold of each product, None where the row could not be read.

    `exchange_segment` is None where the row speaks of all exchanges.
    """

    exchange_segment: ExchangeSegment | None
    security_id: str
    cnc_quantity: int | None
    mtf_quantity: int | None


@dataclass(frozen=True, slots=True)
class WalletSnapshot:
    """Funds of the account in rupees."""

    available_balance: Decimal
    utilized_amount: Decimal
    start_of_day_limit: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """One instrument of the broker's REST quote. Prices are rupees; None where absent."""

    instrument_id: InstrumentId
    last_traded_price: Decimal
    last_trade_time_ns: int | None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    lower_circuit: Decimal | None = None
    upper_circuit: Decimal | None = None
    day_high: Decimal | None = None
    day_low: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BrokerProfile:
    """What the broker says of the token: when it ends (UTC ns, None if unreadable)."""

    client_id: str
    token_expires_ns: int | None
