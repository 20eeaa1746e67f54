"""The feed that the paper broker listens to."""

from collections.abc import Callable
from typing import Any

import pytest

from async_body import run_async
from squareoff.adapters.paper.feed import PaperFeed
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import Side
from squareoff.domain.ticks import Tick
from squareoff.ports import FeedConnected, FeedEvent


class ListedFeed:
    """Publishes a list of events, then ends."""

    def __init__(self, *events: FeedEvent) -> None:
        self.events = events
        self.watched: list[InstrumentId] = []

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
