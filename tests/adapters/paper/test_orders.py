"""The paper order's record under every event of the exchange."""

from decimal import Decimal
from typing import Any

import pytest

from squareoff.adapters.paper.orders import PaperOrder
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderType, ReportSource
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

PRICE = Decimal("25000")
ACKNOWLEDGED = Acknowledged("o", "1", OrderType.LIMIT, PRICE, 1)


def filled(quantity: int, price: str = "25000") -> Filled:
    return Filled("o", quantity, Decimal(price), f"t{quantity}", 2)


def modified(quantity: int) -> Modified:
    return Modified("o", OrderType.LIMIT, OrderType.LIMIT, quantity, PRICE, None, 3)


WAYS: dict[str, tuple[list[ExchangeEvent], str]] = {
    "acknowledged": ([ACKNOWLEDGED], "PENDING"),
    "triggered": ([ACKNOWLEDGED, Triggered("o", PRICE, 2)], "PENDING"),
    "rejected": ([Rejected("o", "tick_size", "off the tick", 1)], "REJECTED"),
    "part filled": ([ACKNOWLEDGED, filled(75)], "PART_TRADED"),
    "filled in two": ([ACKNOWLEDGED, filled(75), filled(75)], "TRADED"),
    "modified": ([ACKNOWLEDGED, modified(225)], "PENDING"),
    "modified after a fill": ([ACKNOWLEDGED, filled(75), modified(225)], "PART_TRADED"),
    "modified down to its fills": ([ACKNOWLEDGED, filled(75), modified(75)], "TRADED"),
    "cancelled": ([ACKNOWLEDGED, Cancelled("o", 2)], "CANCELLED"),
    "expired after a fill": ([ACKNOWLEDGED, filled(75), Expired("o", 3)], "EXPIRED"),
    "change refused": ([ACKNOWLEDGED, RequestRejected("o", "modify", "c", "no", 2)], "PENDING"),
}


def an_order(world: Any) -> PaperOrder:
    return PaperOrder.accepted(BrokerOrderId("o"), world.request(quantity=150), 0)


@pytest.mark.parametrize("name", WAYS)
def test_each_event_leads_to_its_status(world: Any, name: str) -> None:
    """Every event of the exchange leaves the order with the status the live broker would show."""
    events, status = WAYS[name]
    order = an_order(world)
    for event in events:
        order.take(event)

    assert order.status is BrokerOrderStatus(status)
    assert order.report(ReportSource.ORDER_BOOK).status is order.status
    assert order.update_time_ns == events[-1].time_ns


def test_the_average_is_over_all_fills(world: Any) -> None:
    """The report carries the quantity-weighted average, and none before the first fill."""
    order = an_order(world)
    order.take(ACKNOWLEDGED)
    assert order.report(ReportSource.STREAM).average_price is None
    order.take(filled(75, "25000"))
    order.take(Filled("o", 75, Decimal("25001"), "t2", 3))

    assert order.report(ReportSource.STREAM).average_price == Decimal("25000.5")


def test_an_ended_order_takes_no_event(world: Any) -> None:
    """After its end an order takes only a late refusal of a change, which changes nothing."""
    order = an_order(world)
    order.take(ACKNOWLEDGED)
    order.take(Cancelled("o", 2))
    order.take(RequestRejected("o", "modify", "unknown_order", "not working", 3))
    assert (order.reason, order.update_time_ns) == ("", 2)

    with pytest.raises(InvariantBroken):
        order.take(filled(75))


def test_no_order_is_filled_beyond_its_quantity(world: Any) -> None:
    """A fill beyond the order's quantity is a bug of ours and is told at once."""
    order = an_order(world)
    order.take(ACKNOWLEDGED)

    with pytest.raises(InvariantBroken):
        order.take(filled(225))
