"""The broker closes what is intraday before the exchange closes, on paper as in truth."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from async_body import run_async
from squareoff.adapters.calendar import AlwaysOpen, ExchangeCalendar
from squareoff.adapters.paper.broker import PaperBroker
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, Side

TO_FIVE_TO_CLOSE = 5 * 3600 + 25 * 60
"""From the world's 10:00 to 15:25 IST; the broker begins at 15:20."""


@pytest.fixture
def closing(world: Any) -> Any:
    """Give a world whose broker closes intraday positions at the exchange's hours."""
    settings = replace(world.settings, closes_intraday=True)
    return replace(world, settings=settings, calendar=ExchangeCalendar())


async def net(broker: PaperBroker) -> int:
    (row,) = await broker.positions()
    return row.net_quantity


def held(world: Any, net_quantity: int, product: ProductType = ProductType.INTRADAY) -> Any:
    return replace(world.position(net_quantity), product_type=product)


@pytest.mark.parametrize("quantity", [150, -150])
def test_an_intraday_position_is_closed_at_the_market(closing: Any, quantity: int) -> None:
    """From 15:20 on, as a stranger's trade at the market's price; not a moment before."""

    async def body() -> None:
        broker = await closing.boot()
        broker.declare_position(held(closing, quantity))
        closing.clock.advance(5 * 3600 + 20 * 60 - 1)
        broker.on_tick(closing.tick("25100.00"))
        assert await net(broker) == quantity

        closing.clock.advance(1)
        await broker.positions()
        closing.arrive()
        assert await net(broker) == 0
        (trade,) = await broker.trade_book()
        (order,) = await broker.order_book()
        assert (trade.price, trade.quantity) == (Decimal(25100), 150)
        assert order.client_order_id is None

    run_async(body())


@pytest.mark.parametrize("product", [ProductType.MARGIN, ProductType.CNC, ProductType.MTF])
def test_what_carries_forward_is_left_alone(closing: Any, product: ProductType) -> None:
    """The broker closes by itself only what is intraday."""

    async def body() -> None:
        broker = await closing.boot()
        broker.declare_position(held(closing, 75, product))
        closing.clock.advance(TO_FIVE_TO_CLOSE)
        broker.on_tick(closing.tick("25100.00"))
        await broker.positions()
        closing.arrive()

        assert await net(broker) == 75

    run_async(body())


def test_an_exit_that_rests_is_cancelled_first(closing: Any) -> None:
    """Else both would fill, and the position would be turned around."""

    async def body() -> None:
        broker = await closing.boot()
        broker.declare_position(held(closing, 75))
        broker.on_tick(closing.tick("25000.00"))
        await broker.place_order(closing.request(Side.SELL, 75, "26000.00"))
        closing.clock.advance(TO_FIVE_TO_CLOSE)
        broker.on_tick(closing.tick("25100.00"))
        for _ in range(3):
            await broker.positions()
            closing.arrive()

        resting, own = await broker.order_book()
        assert resting.status is BrokerOrderStatus.CANCELLED
        assert (own.status, await net(broker)) == (BrokerOrderStatus.TRADED, 0)

    run_async(body())


def test_more_than_the_freeze_quantity_is_closed_in_slices(closing: Any) -> None:
    """One order may carry 1,800 units."""

    async def body() -> None:
        broker = await closing.boot()
        broker.declare_position(held(closing, 3750))
        closing.clock.advance(TO_FIVE_TO_CLOSE)
        broker.on_tick(closing.tick("25100.00"))
        for _ in range(4):
            await broker.positions()
            closing.arrive()

        assert [each.quantity for each in await broker.trade_book()] == [1800, 1800, 150]
        assert await net(broker) == 0

    run_async(body())


def test_what_was_left_over_is_closed_on_the_next_day(closing: Any) -> None:
    """Nobody looked at 15:20; a real broker would have closed it, so it is gone with the open."""

    async def body() -> None:
        broker = await closing.boot()
        broker.declare_position(held(closing, 75))
        await broker.save()

        closing.clock.advance(24 * 3600)
        broker = await closing.boot()
        broker.list_instrument(closing.instrument)
        assert await net(broker) == 75
        broker.on_tick(closing.tick("25100.00"))
        await broker.positions()
        closing.arrive()
        assert await net(broker) == 0

    run_async(body())


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_is_new_on_a_key_is_not_left_over(closing: Any, is_restarted: bool) -> None:
    """Once yesterday's is gone, a position of today is closed at its own day's end."""

    async def body() -> None:
        broker = await closing.boot()
        broker.declare_position(held(closing, 75))
        await broker.save()
        closing.clock.advance(24 * 3600)
        broker = await closing.boot()
        broker.on_tick(closing.tick("25100.00"))
        await broker.positions()
        closing.arrive()
        assert await net(broker) == 0

        if is_restarted:
            broker = await closing.boot()
        broker.declare_position(held(closing, 150))
        broker.on_tick(closing.tick("25100.00"))
        await broker.positions()
        closing.arrive()
        assert await net(broker) == 150

    run_async(body())


def test_where_every_hour_is_market_time_nothing_ends(closing: Any) -> None:
    """Rehearsals have no close."""
    closing.calendar = AlwaysOpen()

    async def body() -> None:
        broker = await closing.boot()
        broker.declare_position(held(closing, 75))
        closing.clock.advance(TO_FIVE_TO_CLOSE)
        broker.on_tick(closing.tick("25100.00"))
        await broker.positions()
        closing.arrive()

        assert await net(broker) == 75

    run_async(body())
