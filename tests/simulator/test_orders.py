"""The broker's own record of an order."""

from typing import Any

import pytest

from squareoff.simulator.orders import TERMINAL_STATUSES


@pytest.mark.parametrize(
    "status", ["TRANSIT", "PENDING", "PART_TRADED", *sorted(TERMINAL_STATUSES)]
)
def test_terminal_statuses(bench: Any, status: str) -> None:
    """Exactly TRADED, CANCELLED, REJECTED and EXPIRED are the end of an order."""
    order = bench.broker.desk.orders[bench.place()]
    order.status = status

    assert order.is_terminal == (status in {"TRADED", "CANCELLED", "REJECTED", "EXPIRED"})
    assert (order in bench.broker.account().open_orders()) != order.is_terminal


def test_orders_are_found_by_tag_in_order(bench: Any) -> None:
    """All orders of one tag are found, oldest first."""
    ids = [bench.place(), bench.place(correlationId="other"), bench.place()]

    found = bench.broker.account().orders_tagged("tag-1")

    assert [order.order_id for order in found] == [ids[0], ids[2]]
