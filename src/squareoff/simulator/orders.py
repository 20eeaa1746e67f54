"""The broker's own record of one order, and the account that holds orders, trades and rights."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from squareoff.domain.instruments import InstrumentId, ProductType
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.ledger import ZERO, Ledger, Trade
from squareoff.exchange.orders import TimeInForce
from squareoff.simulator.catalogue import Listing
from squareoff.simulator.rates import RateLimiter

TERMINAL_STATUSES = frozenset({"TRADED", "CANCELLED", "REJECTED", "EXPIRED"})


@dataclass(slots=True)
class Placement:
    """What a valid placement body asks for. Units, rupees; prices zero where unused."""

    listing: Listing
    side: Side
    product_type: ProductType
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: int
    disclosed_quantity: int
    price: Decimal
    trigger_price: Decimal
    correlation_id: str | None
    is_after_market: bool


class _Shown:
    """Keeps the rows that an order was last shown as, until anything of the order changes.

    Books are read far more often than orders change. `shown` is filled by `simulator.rows`.
    """

    __slots__ = ("shown",)
    shown: dict[object, dict[str, Any]]

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        object.__setattr__(self, "shown", {})


@dataclass(slots=True)
class BrokerOrder(_Shown):
    """One order at the broker. `shown_type` is what rows say; times are UTC nanoseconds.

    `history` holds (time, row) of every change, oldest first: lagging reads answer from it.
    """

    order_id: str
    client_id: str
    correlation_id: str | None
    listing: Listing
    side: Side
    product_type: ProductType
    order_type: OrderType
    shown_type: OrderType
    time_in_force: TimeInForce
    quantity: int
    disclosed_quantity: int
    price: Decimal
    trigger_price: Decimal
    is_after_market: bool
    created_ns: int
    source: str = "P"
    status: str = "TRANSIT"
    exchange_order_id: str = "0"
    updated_ns: int = 0
    exchange_ns: int | None = None
    filled_quantity: int = 0
    notional: Decimal = ZERO
    last_fill_quantity: int = 0
    last_fill_price: Decimal = ZERO
    error_code: str = "0"
    reason: str = ""
    modification_count: int = 0
    fill_cap: int | None = None
    reject_text: str = ""
    is_past: bool = False
    """Whether it is of an earlier day: no book of today shows it or its trades."""
    history: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    @property
    def is_terminal(self) -> bool:
        """Say whether the order can never fill again."""
        return self.status in TERMINAL_STATUSES

    @property
    def average_price(self) -> Decimal:
        """Average over all fills, zero before the first."""
        return self.notional / self.filled_quantity if self.filled_quantity else ZERO

    @property
    def open_status(self) -> str:
        """The word for an order that is live at the exchange."""
        return "PART_TRADED" if self.filled_quantity else "PENDING"


@dataclass(slots=True)
class Delivery:
    """Shares of earlier days; of `quantity`, `bought_yesterday` are not in the demat yet."""

    quantity: int = 0
    bought_yesterday: int = 0
    average_price: Decimal = ZERO


@dataclass(slots=True)
class Account:
    """One client of the broker: its orders in order of arrival, its books and its rights."""

    client_id: str
    orders: dict[str, BrokerOrder] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    limiter: RateLimiter = field(default_factory=RateLimiter)
    kill_switch_is_on: bool = False
    busted: set[str] = field(default_factory=set)
    """Ids of trades that the exchange has annulled."""
    deliveries: dict[tuple[InstrumentId, ProductType], Delivery] = field(default_factory=dict)
    carried: list[Trade] = field(default_factory=list)
    """What was open at the day's begin, one trade for each position, at its cost."""
    settled: set[str] = field(default_factory=set)
    """Ids of trades of earlier days: what became of them is carried, delivered or cash."""
    earlier_cash: Decimal = ZERO
    """Rupees by which earlier days have changed the funds of the day's start."""

    def orders_tagged(self, correlation_id: str) -> list[BrokerOrder]:
        """Return the orders that carry this tag, oldest first."""
        return [o for o in self.orders.values() if o.correlation_id == correlation_id]

    def ledger_as_of(self, until_ns: int) -> Ledger:
        """Return the positions as they stood at an instant of the day, or at its begin."""
        of_today = (trade for trade in self.trades if trade.trade_id not in self.settled)
        return Ledger.of([*self.carried, *(t for t in of_today if t.time_ns <= until_ns)])

    def open_orders(self) -> list[BrokerOrder]:
        """Return the orders that may still fill, oldest first."""
        return [order for order in self.orders.values() if not order.is_terminal]
