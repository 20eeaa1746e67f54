"""The paper ledger as bytes."""

from decimal import Decimal
from typing import Any

import pytest

from squareoff.adapters.paper.orders import PaperOrder
from squareoff.adapters.paper.state import (
    InFlight,
    PaperState,
    RequestKind,
    StateEncoder,
    decode_state,
)
from squareoff.domain.errors import StoreError
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderType, Side
from squareoff.exchange.ledger import Trade
from squareoff.exchange.orders import OrderChange, TimeInForce, WorkingOrder


def test_every_part_survives_the_round_trip(world: Any) -> None:
    """What is encoded is decoded equal, decimals exact."""
    name = BrokerOrderId("PAPER-260915-000001")
    identity = world.instrument.instrument_id
    order = PaperOrder.accepted(name, world.request(price="24999.90"), 7)
    order.notional = Decimal("1874992.500000001")
    state = PaperState(
        day="2026-09-15",
        order_count=1,
        declared_count=2,
        sequence=3,
        orders=[order],
        working=[
            WorkingOrder(
                name,
                "1200000000000001",
                identity,
                Side.SELL,
                OrderType.LIMIT,
                75,
                Decimal("24999.90"),
                None,
                TimeInForce.DAY,
                1,
                is_passive=True,
            )
        ],
        in_flight=[
            InFlight(RequestKind.CANCEL, name, 5),
            InFlight(
                RequestKind.MODIFY, name, 6, OrderChange(name, OrderType.LIMIT, 75, Decimal(1))
            ),
        ],
        trades=[
            Trade(
                "t", name, identity, ProductType.INTRADAY, Side.SELL, 75, Decimal("0.05"), 9, True
            )
        ],
        instruments=[world.instrument],
        history=[Trade("h", name, identity, ProductType.INTRADAY, Side.BUY, 75, Decimal("0.1"), 8)],
    )

    assert decode_state(StateEncoder().encode(state)) == state


def test_a_ledger_without_a_history_is_read(world: Any) -> None:
    """It was written before there was one."""
    written = StateEncoder().encode(PaperState(day="2026-09-15"))
    older = written.replace(b',"history":[]', b"")

    assert older != written
    assert decode_state(older) == PaperState(day="2026-09-15")


DAMAGED = {
    "cut off": b'{"version": 1, "day": "20',
    "not an object": b"[]",
    "a word unknown": StateEncoder()
    .encode(PaperState())
    .replace(b'"orders":[]', b'"orders":[{"side":"?"}]'),
    "another version": b'{"version": 2}',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_ledger_that_cannot_be_read_is_an_error(name: str) -> None:
    """Damaged bytes and other versions raise and are never taken for an empty ledger."""
    with pytest.raises(StoreError):
        decode_state(DAMAGED[name])


def test_what_can_still_change_is_written_anew(world: Any) -> None:
    """An encoder that is used again writes live orders as they are now, and ended ones the same."""
    encoder = StateEncoder()
    order = PaperOrder.accepted(BrokerOrderId("PAPER-1"), world.request(), 7)
    state = PaperState(orders=[order])
    for status in (BrokerOrderStatus.PENDING, BrokerOrderStatus.CANCELLED):
        order.status = status
        for _ in range(2):
            assert decode_state(encoder.encode(state)) == state
