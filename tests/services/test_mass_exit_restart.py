"""The rate limit holds over restarts: what the last process wrote counts for the next one."""

import asyncio
import random

from mass_exit.broker import AmbiguousBroker
from service_world.store import FaultyStore
from service_world.virtual import run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.rate_budget import RateLimits

PER_SECOND = 8
LIVES_SECONDS = (1.3, 0.4, 2.1, 0.2, 0.9)
PRODUCTS = (ProductType.INTRADAY, ProductType.MARGIN, ProductType.MTF)


async def restarted(dead: World, broker: AmbiguousBroker) -> World:
    """Return a new engine on what the dead one left."""
    store = FaultyStore(dead.store._inner)
    return await make_world(store=store, gateway=broker)


def test_no_restart_makes_room_in_a_window() -> None:
    """An engine that dies again and again in the middle of sixty exits keeps the limit, and every
    position is closed exactly once."""

    async def body() -> None:
        broker = AmbiguousBroker(seed=7, ambiguous_share=0.0)
        world = await make_world(gateway=broker)
        chance, names = random.Random(7), [TrackerId(f"trk-{n}") for n in range(60)]
        async with running(world):
            for number, name in enumerate(names):
                await world.hold(
                    tracker_id=name,
                    quantity=25 * chance.randint(1, 9),
                    product_type=PRODUCTS[number % 3],
                )
            for name in names:
                await world.engine.exit_engine.execute_exit(name, "x", wait=Wait.CLAIMED)
            await asyncio.sleep(0.5)
        for seconds in LIVES_SECONDS:
            world = await restarted(world, broker)
            async with running(world, until_ready=False):
                await asyncio.sleep(seconds)
        world = await restarted(world, broker)
        async with running(world):
            for name in names:
                await world.until_status(name, PositionStatus.EXITED)

        assert broker.most_in_any_second() <= PER_SECOND
        assert set(broker.nets.values()) == {0}
        closed = sum(report.cumulative_quantity for report in broker.orders.values())
        assert closed == sum(world.tracker(name).quantity for name in names)

    run_virtual(body())


def test_the_minute_is_counted_before_anything_is_sent() -> None:
    """After a restart the account's own writes of the last minute hold an exit up as before."""

    async def body() -> None:
        limits = RateLimits(per_minute=2)
        async with running_world(limits=limits) as dead:
            for number, product in enumerate(PRODUCTS):
                name = TrackerId(f"trk-{number}")
                await dead.hold(tracker_id=name, product_type=product)
                await dead.engine.exit_engine.execute_exit(name, "x", wait_seconds=5.0)
        again = await make_world(store=dead.store, gateway=dead.gateway, limits=limits)
        async with running(again):
            assert again.engine.status.view().budget_used["minute"] == 2
            await asyncio.sleep(50.0)
            assert len(dead.gateway.requests) == 2
            await again.until_status(TrackerId("trk-2"), PositionStatus.EXITED)

            assert asyncio.get_running_loop().time() < 65.0

    run_virtual(body())
