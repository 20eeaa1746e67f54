"""A position that a new tracker names is held on paper from then on."""

from typing import Any

import pytest

from async_body import run_async
from squareoff.services.orders.gateway import GatewayPaper


@pytest.mark.parametrize(
    ("net", "under_watch", "declared", "answer", "then"),
    [
        pytest.param(0, 0, 150, None, 150, id="what is not there is added"),
        pytest.param(75, 0, 150, None, 150, id="a part is there"),
        pytest.param(75, 75, 150, None, 225, id="that part is somebody else's"),
        pytest.param(150, 0, 75, None, 150, id="more is there"),
        pytest.param(0, 0, -75, None, -75, id="a short"),
        pytest.param(75, 0, -75, 75, 75, id="the other side is there"),
    ],
)
def test_a_declared_position_is_held_from_then_on(
    world: Any, net: int, under_watch: int, declared: int, answer: int | None, then: int
) -> None:
    """What a new tracker says is held is there on paper, across a restart, and no unit twice."""

    async def body() -> None:
        broker = await world.boot()
        if net:
            broker.declare_position(world.position(net))
        gateway = GatewayPaper(broker, gateway_seconds=8.0, holdings=broker)
        position = world.position(declared)
        assert await gateway.declare_position(world.instrument, position, under_watch) == answer
        again = await world.boot() if answer is None else broker
        (row,) = await again.positions()
        assert row.net_quantity == then

    run_async(body())
