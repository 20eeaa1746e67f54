"""One order as it really stands at the model broker, whatever the engine was told of it."""

from dataclasses import dataclass, field
from decimal import Decimal

from exit_story.values import INSTRUMENT, new_position
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, ReportSource, Side

PRODUCT = new_position().product_type


@dataclass
class ModelOrder:
    """One order as it really stands at the broker."""

    broker_order_id: BrokerOrderId
    client_order_id: ClientOrderId
    side: Side
    quantity: int
    limit_price: Decimal | None
    visible_at_ns: int
    status: BrokerOrderStatus = BrokerOrderStatus.TRANSIT
    reason: str = ""
    fills: list[tuple[int, Decimal, int]] = field(default_factory=list)

    @property
    def filled(self) -> int:
        """All that was filled."""
        return sum(quantity for quantity, _, _ in self.fills)

    @property
    def notional(self) -> Decimal:
        """The value of all fills."""
        return sum((quantity * price for quantity, price, _ in self.fills), Decimal(0))

    @property
    def leaves(self) -> int:
        """What can still fill."""
        return 0 if self.status.is_terminal else self.quantity - self.filled

    def report(self, source: ReportSource, *, with_average: bool) -> OrderReport:
        """Return the order as the broker would tell of it now."""
        known = with_average and self.filled > 0
        return OrderReport(
            broker_order_id=self.broker_order_id,
            client_order_id=self.client_order_id,
            status=self.status,
            instrument_id=INSTRUMENT.instrument_id,
            product_type=PRODUCT,
            side=self.side,
            order_quantity=self.quantity,
            cumulative_quantity=self.filled,
            average_price=self.notional / self.filled if known else None,
            limit_price=self.limit_price,
            reason=self.reason,
            update_time_ns=None,
            source=source,
        )
