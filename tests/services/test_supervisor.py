"""The start and the recovery are one path, in one order; what dies takes the engine down."""

import asyncio

import pytest

from exit_story.values import INSTRUMENT, TRACKER
from service_world.store import LostAfterCommit
from service_world.virtual import run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.domain.errors import BrokerUnreachable, FeedDisconnected, StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.states import PositionStatus
from squareoff.ports import FeedGarbled
from squareoff.services.exits.exit_results import Wait
from squareoff.services.positions.position_book import PositionActor


async def die_while_sending() -> World:
    """Return the world of an engine that died with an order on its way, which did arrive."""
    async with running_world() as world:
        await world.hold()
        world.gateway.gates["exit_market"] = asyncio.Event()
        leaving = asyncio.get_running_loop().create_task(
            world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
        )
        await world.until(lambda: bool(world.gateway.requests))
        leaving.cancel()
    world.gateway.gates.clear()
    world.gateway.publish = lambda report: None
    return world


@pytest.mark.parametrize("arrived", [True, False])
def test_recovery_settles_what_was_in_flight(arrived: bool) -> None:
    """An order that was on its way is looked for, and sent again only once it is proved absent."""

    async def body() -> None:
        dead = await die_while_sending()
        if arrived:
            dead.gateway.fill(dead.gateway.accept(dead.gateway.requests[0]).broker_order_id)
        again = await make_world(store=dead.store, gateway=dead.gateway)
        async with running(again):
            await again.until_status(TRACKER, PositionStatus.EXITED)

            sent = [request.client_order_id for request in dead.gateway.requests]
            assert len(sent) == (1 if arrived else 2)
            assert len(set(sent)) == 1

    run_virtual(body())


def test_nothing_is_sent_before_the_first_comparison() -> None:
    """While the books cannot be read, a claimed exit and a fresh one send nothing at all."""

    async def body() -> None:
        async with running_world() as world:
            world.calendar.opens_in_seconds = 20.0
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.CLAIMED)
            await settle()
        again = await make_world(store=world.store, gateway=world.gateway)
        again.gateway.failures["order_book"] = BrokerUnreachable("down")
        async with running(again, until_ready=False):
            await asyncio.sleep(30.0)
            assert again.gateway.requests == []
            assert "recovery_reconciled" not in again.checkpoints.reached
            del again.gateway.failures["order_book"]

            await again.until_status(TRACKER, PositionStatus.EXITED)
            order = [n for n in again.checkpoints.reached if n.startswith(("recovery", "before_f"))]
            assert order == [
                "recovery_loaded",
                "recovery_told",
                "recovery_reconciled",
                "before_first_byte",
            ]

    run_virtual(body())


def test_status_says_what_is_missing() -> None:
    """Until feed, stream and first comparison are there, the engine says which one it waits for."""

    async def body() -> None:
        world = await make_world()
        world.stream.refusals = [FeedDisconnected("no")] * 3
        world.feed.refusals = [FeedDisconnected("no")] * 3
        assert len(world.engine.status.view().not_ready_because) == 3
        async with running(world):
            await world.hold()
            world.tick("150")
            await asyncio.sleep(2.0)
            status = world.engine.status.view()

            assert status.not_ready_because == ()
            assert status.positions == {"ACTIVE": 1}
            assert status.market_feed == status.order_stream == "connected"
            assert status.last_tick_age_seconds == pytest.approx(2.0)
            assert (status.breaker, status.permits_waiting) == ("closed", 0)

    run_virtual(body())


def test_a_database_that_is_away_is_told() -> None:
    """Readiness looks at the database itself, and says when it is back."""

    async def body() -> None:
        async with running_world() as world:
            assert world.engine.status.view().database == "open"
            world.store.down = StoreUnavailable("disk full")
            await asyncio.sleep(1.0)
            status = world.engine.status.view()

            assert status.database == "away: disk full"
            assert "the database cannot be read" in status.not_ready_because
            world.store.down = None
            await asyncio.sleep(1.0)
            assert world.engine.status.view().is_ready

    run_virtual(body())


def test_an_open_breaker_is_not_ready() -> None:
    """While the broker does not answer order writes, exits would not go out."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.failures["exit_market"] = BrokerUnreachable("away")
            await world.engine.desk.exit(TRACKER, "x", Wait.CLAIMED, 0.0)
            await world.until(lambda: not world.engine.status.view().is_ready)
            status = world.engine.status.view()

            assert status.breaker == "open"
            assert any("circuit breaker" in cause for cause in status.not_ready_because)
            assert set(status.budget_used) == {"second", "minute", "hour", "day"}

    run_virtual(body())


def test_the_feed_follows_what_is_held() -> None:
    """An instrument is watched while a position on it lives, also after a restart."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            name = tracker.instrument.instrument_id
            assert world.feed.watched == {name}
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            assert again.feed.watched == {name}
            await again.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
            await settle()

            assert again.feed.watched == set()

    run_virtual(body())


def test_the_start_asks_for_each_instrument_once() -> None:
    """However many positions on it ended; one that is held speaks for the instrument."""

    async def body() -> None:
        async with running_world() as world:
            for number in range(4):
                await world.hold(tracker_id=TrackerId(f"trk-{number}"))
            for number in (0, 1, 3):
                await world.engine.exit_engine.execute_exit(
                    TrackerId(f"trk-{number}"), "x", wait=Wait.FILLED
                )
        again = await make_world(store=world.store, gateway=world.gateway)
        book = again.engine.exit_engine.book
        asked: list[InstrumentId] = []
        again.feed.watch = lambda instruments: asked.extend(  # type: ignore[method-assign]
            each.instrument_id for each in instruments
        )
        on_instrument = book.on_instrument

        def counted(instrument_id: InstrumentId) -> tuple[PositionActor, ...]:
            asked.append(instrument_id)
            return on_instrument(instrument_id)

        book.on_instrument = counted  # type: ignore[method-assign]
        assert await again.engine.supervisor._load() == 1

        assert asked == [INSTRUMENT.instrument_id]

    run_virtual(body())


def test_a_feed_that_ends_is_connected_again() -> None:
    """Disconnects and garbled packets never end the engine."""

    async def body() -> None:
        async with running_world() as world:
            world.feed.push(FeedGarbled("packet 50"))
            world.feed.cut()
            await settle()
            assert world.engine.status.view().market_feed == "disconnected"

            await world.until(lambda: world.engine.status.view().is_ready)

    run_virtual(body())


def test_a_service_that_dies_takes_the_engine_down() -> None:
    """A defect of a service ends the run with that error; nothing goes on half."""

    async def body() -> None:
        world = await make_world()

        async def broken(publish: object) -> None:
            raise ZeroDivisionError("defect")

        world.stream.run_once = broken  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup) as caught:
            await world.engine.supervisor.run()
        assert caught.group_contains(ZeroDivisionError)

    run_virtual(body())


@pytest.mark.parametrize("seed", range(10))
def test_the_end_is_clean_at_any_moment(seed: int) -> None:
    """An engine that is ended in the middle of exits ends with nothing but the cancel."""

    async def body() -> None:
        world = await make_world()
        world.gateway.fills = False
        async with running(world):
            await world.hold()
            asking = asyncio.get_running_loop().create_task(
                world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
            )
            await settle(seed * 3)
        await asyncio.wait([asking], timeout=20.0)
        await asyncio.sleep(30.0)

        assert asking.done()
        actor = world.engine.exit_engine.book.get(TRACKER)
        assert actor is not None
        assert actor.tracker == await world.store.load(TRACKER)

    run_virtual(body(), seed)


def test_memory_equals_the_database_after_a_stormy_run() -> None:
    """After failures of every kind, what is in memory is what the database holds."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.store.failures.extend([LostAfterCommit("reset")] * 6)
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)

            assert tracker == await world.store.load(TRACKER)

    run_virtual(body())
