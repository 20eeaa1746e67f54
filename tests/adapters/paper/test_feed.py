"""The feed that the paper broker listens to."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from async_body import run_async
from squareoff.adapters.paper.feed import PaperFeed, PaperWideFeed
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import BrokerOrderStatus, Side
from squareoff.domain.ticks import Tick
from squareoff.ports import FeedConnected, FeedEvent


class ListedFeed:
    """Publishes a list of events, then ends."""

    def __init__(self, *events: FeedEvent) -> None:
        self.events = events
        self.watched: list[InstrumentId] = []
        self.instrument_ids: tuple[InstrumentId, ...] = ()

    def watch(self, instruments: Any) -> None:
        self.watched += [each.instrument_id for each in instruments]

    def unwatch(self, instrument_ids: Any) -> None:
        for each in instrument_ids:
            self.watched.remove(each)

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        for event in self.events:
            publish(event)
        raise FeedDisconnected("over")


def test_the_broker_sees_a_tick_before_the_engine(world: Any) -> None:
    """When the engine hears of a tick, the orders that it fills are filled already."""
    statuses: list[str] = []

    async def body() -> None:
        broker = await world.boot()
        await broker.place_order(world.request(Side.SELL, 75, "25000.00"))
        world.arrive()
        feed = PaperFeed(ListedFeed(FeedConnected(), world.tick("25000.00")), broker)

        def hear(event: FeedEvent) -> None:
            if isinstance(event, Tick):
                statuses.extend(order.status.value for order in broker._desk.orders.values())

        with pytest.raises(FeedDisconnected):
            await feed.run_once(hear)

    run_async(body())

    assert statuses == ["TRADED"]


def test_watching_lists_the_instrument_for_trading(world: Any) -> None:
    """A watched instrument can be traded though no master holds it; watching reaches the feed."""
    world.master = type(world.master)()

    async def body() -> None:
        broker = await world.boot()
        inner = ListedFeed()
        feed = PaperFeed(inner, broker)
        instruments: list[Instrument] = [world.instrument]
        feed.watch(iter(instruments))
        assert inner.watched == [world.instrument.instrument_id]
        assert (await broker.place_order(world.request())).broker_order_id
        feed.unwatch([world.instrument.instrument_id])
        assert inner.watched == []

    run_async(body())


@pytest.mark.parametrize("is_wide", [False, True])
def test_nothing_fills_at_a_price_from_before_the_feed_was_lost(world: Any, is_wide: bool) -> None:
    """The market goes on without us: what fills is what the feed shows once it is back."""

    async def body() -> None:
        broker = await world.boot()
        listed = ListedFeed(FeedConnected(), world.tick("25000.00"))
        feed = PaperFeed(listed, broker)
        feed.watch([world.instrument])
        run_once = feed.run_once
        if is_wide:
            (line,) = PaperWideFeed(WideOf(listed, world.instrument.instrument_id), broker).lines
            run_once = line.run_once
        with pytest.raises(FeedDisconnected):
            await run_once(lambda event: None)

        world.clock.advance(600)
        await broker.place_order(world.request(Side.SELL, 75, "23000.00"))
        world.arrive()
        assert (await broker.order_book())[0].status is BrokerOrderStatus.PENDING

        listed.events = (FeedConnected(), world.tick("24000.00"))
        with pytest.raises(FeedDisconnected):
            await run_once(lambda event: None)
        (filled,) = await broker.order_book()
        assert (filled.status, filled.average_price) == (BrokerOrderStatus.TRADED, Decimal(24000))

    run_async(body())


def test_what_rested_before_the_loss_fills_at_its_own_price(world: Any) -> None:
    """The market came to it while we did not look."""

    async def body() -> None:
        broker = await world.boot()
        feed = PaperFeed(ListedFeed(world.tick("25000.00")), broker)
        feed.watch([world.instrument])
        with pytest.raises(FeedDisconnected):
            await feed.run_once(lambda event: None)
        broker.on_tick(world.tick("25000.00"))
        await broker.place_order(world.request(Side.SELL, 75, "25100.00"))
        world.arrive()
        await broker.order_book()
        broker.forget_prices([world.instrument.instrument_id])
        await broker.place_order(world.request(Side.SELL, 75, "25200.00", name="sqx-2"))
        world.arrive()
        await broker.order_book()

        broker.on_tick(world.tick("25150.00"))
        first, second = await broker.order_book()
        assert (first.average_price, second.status) == (Decimal(25100), BrokerOrderStatus.PENDING)

    run_async(body())


class WideOf:
    """A wide feed of one line."""

    def __init__(self, line: ListedFeed, instrument_id: InstrumentId) -> None:
        line.instrument_ids = (instrument_id,)
        self.lines = (line,)
