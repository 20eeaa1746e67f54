"""The paper broker's own record of one order, and how the exchange's events change it.

Invariants:
1. A terminal status never changes; `cumulative_quantity` never falls.
2. `order_quantity`, `limit_price` and `order_type` show what the exchange holds, not what was asked
   for in a change that it refused.
"""

from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import InstrumentId, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderReport,
    OrderRequest,
    OrderType,
    ReportSource,
    Side,
)
from squareoff.domain.prices import round_average_half_even
from squareoff.exchange.events import (
    Acknowledged,
    Cancelled,
    ExchangeEvent,
    Expired,
    Filled,
    Modified,
    Rejected,
    RequestRejected,
    Triggered,
)
from squareoff.exchange.ledger import ZERO
from squareoff.exchange.orders import NewOrder


@dataclass(slots=True)
class PaperOrder:
    """One order at the paper broker. Units, rupees, UTC nanoseconds.

    `notional` is the sum of price times units over all fills.
    """

    broker_order_id: BrokerOrderId
    client_order_id: ClientOrderId
    instrument_id: InstrumentId
    product_type: ProductType
    side: Side
    order_type: OrderType
    order_quantity: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    update_time_ns: int
    status: BrokerOrderStatus = BrokerOrderStatus.TRANSIT
    cumulative_quantity: int = 0
    notional: Decimal = ZERO
    reason: str = ""
    modification_count: int = 0

    @classmethod
    def accepted(
        cls, broker_order_id: BrokerOrderId, request: OrderRequest, now_ns: int
    ) -> "PaperOrder":
        """Return the record of an order that was just accepted and is on its way."""
        return cls(
            broker_order_id=broker_order_id,
            client_order_id=request.client_order_id,
            instrument_id=request.key.instrument_id,
            product_type=request.key.product_type,
            side=request.side,
            order_type=request.order_type,
            order_quantity=request.order_quantity,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            update_time_ns=now_ns,
        )

    @property
    def is_terminal(self) -> bool:
        """Say whether the order can never fill again."""
        return self.status.is_terminal

    def as_new_order(self) -> NewOrder:
        """Return the order as it goes to the exchange."""
        return NewOrder(
            order_id=self.broker_order_id,
            instrument_id=self.instrument_id,
            side=self.side,
            order_type=self.order_type,
            quantity=self.order_quantity,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
        )

    def report(self, source: ReportSource) -> OrderReport:
        """Return what the broker's books or the stream say of this order now."""
        filled = self.cumulative_quantity
        return OrderReport(
            broker_order_id=self.broker_order_id,
            client_order_id=self.client_order_id or None,
            status=self.status,
            instrument_id=self.instrument_id,
            product_type=self.product_type,
            side=self.side,
            order_quantity=self.order_quantity,
            cumulative_quantity=filled,
            average_price=round_average_half_even(self.notional, filled) if filled else None,
            limit_price=self.limit_price,
            reason=self.reason,
            update_time_ns=self.update_time_ns,
            source=source,
        )

    def take(self, event: ExchangeEvent) -> None:
        """Change as the exchange says.

        Raises:
            InvariantBroken: the exchange spoke of an order that had ended, or filled too much.
        """
        if self.is_terminal:
            if isinstance(event, RequestRejected):
                return  # a modify or cancel that met the end of the order changes nothing
            raise InvariantBroken(
                f"paper order {self.broker_order_id} ended {self.status.value}, "
                f"then the exchange said {type(event).__name__}"
            )
        self.update_time_ns = event.time_ns
        match event:
            case Acknowledged():
                self.order_type, self.limit_price = event.order_type, event.limit_price
                self.status = BrokerOrderStatus.PENDING
            case Triggered():
                self.limit_price = event.limit_price
            case Filled():
                self._take_fill(event)
            case Modified():
                self._take_change(event)
            case Cancelled():
                self.status = BrokerOrderStatus.CANCELLED
            case Expired():
                self.status = BrokerOrderStatus.EXPIRED
            case Rejected():
                self.status = BrokerOrderStatus.REJECTED
                self.reason = event.text
            case RequestRejected():
                self.reason = event.text

    def _take_fill(self, event: Filled) -> None:
        self.cumulative_quantity += event.quantity
        self.notional += event.price * event.quantity
        if self.cumulative_quantity > self.order_quantity:
            raise InvariantBroken(f"paper order {self.broker_order_id} was filled too much")
        self._set_open_status()

    def _take_change(self, event: Modified) -> None:
        self.order_type, self.order_quantity = event.order_type, event.quantity
        self.limit_price, self.stop_price = event.limit_price, event.stop_price
        self.reason = ""
        self._set_open_status()

    def _set_open_status(self) -> None:
        if self.cumulative_quantity == self.order_quantity:
            self.status = BrokerOrderStatus.TRADED
        elif self.cumulative_quantity:
            self.status = BrokerOrderStatus.PART_TRADED
        else:
            self.status = BrokerOrderStatus.PENDING
