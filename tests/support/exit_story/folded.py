"""One exit order as the fold meets it: what is reported of it, and what was told before."""

from dataclasses import replace
from decimal import Decimal

from exit_story.story import Story
from exit_story.values import TRACKER
from squareoff.core.state.facts import OrderReported
from squareoff.core.state.tracker import BrokerOrder, TrackedOrder
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus, ReportSource
from squareoff.domain.states import OrderState


def reported(status: BrokerOrderStatus, filled: int, average: str | None) -> OrderReported:
    """Return what the order stream told of the broker's order `B1`."""
    return OrderReported(
        tracker_id=TRACKER,
        client_order_id=ClientOrderId("sqx-000000000000-001-01"),
        broker_order_id=BrokerOrderId("B1"),
        status=status,
        cumulative_quantity=filled,
        average_price=None if average is None else Decimal(average),
        reason="",
        source=ReportSource.STREAM,
    )


def order_with(*records: tuple[BrokerOrderStatus, int]) -> TrackedOrder:
    """Return an order that works at the broker as `B1`, `B2` and so on, each filled so far."""
    planned = Story().claim().order()
    return replace(
        planned,
        state=OrderState.WORKING,
        broker_orders=tuple(
            BrokerOrder(BrokerOrderId(f"B{n}"), status, filled, None)
            for n, (status, filled) in enumerate(records, start=1)
        ),
    )
