"""Positions that ended long ago rest in the database, and are answered for all the same."""

from dataclasses import replace

from exit_story.values import TRACKER
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import World, make_world, running
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.results import ExitCode
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import DAY_NS, Now
from squareoff.services.exits.exit_results import Wait

OTHER = TrackerId("trk-2")


class LaterClock(VirtualClock):
    """The virtual clock, which a test can set forward."""

    def __init__(self) -> None:
        self.days_later = 0
        self.wall_ahead_days = 0

    def now(self) -> Now:
        """Return the time so many days later."""
        now, later_ns = super().now(), self.days_later * DAY_NS
        wall_ns = now.wall_ns + later_ns + self.wall_ahead_days * DAY_NS
        return replace(now, wall_ns=wall_ns, monotonic_ns=now.monotonic_ns + later_ns)


async def close(world: World, tracker_id: TrackerId) -> None:
    """Exit a position and wait for its end."""
    await world.engine.exit_engine.execute_exit(tracker_id, "by hand", wait=Wait.FILLED)
    await world.until_status(tracker_id, PositionStatus.EXITED)


def names(world: World) -> set[TrackerId]:
    """Return the positions that are in memory."""
    return {actor.tracker.tracker_id for actor in world.engine.exit_engine.book}


def test_one_that_ended_long_ago_rests_and_is_answered_for() -> None:
    """It leaves every index of the book; whoever names it gets it back as it ended."""

    async def body() -> None:
        clock = LaterClock()
        world = await make_world(clock=clock)
        async with running(world):
            book, past = world.engine.exit_engine.book, world.engine.desk.past
            await world.hold()
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            await close(world, TRACKER)
            ended = world.tracker(TRACKER)
            (order,) = ended.exit_orders
            broker_order_id = order.broker_orders[0].broker_order_id
            past.let_go()
            assert names(world) == {TRACKER, OTHER}  # of today

            clock.days_later = 9
            past.let_go()
            assert names(world) == {OTHER}
            assert ended.key not in book.position_keys()
            assert book.owner_of(None, broker_order_id) is None
            assert book.owner_of(order.client_order_id, broker_order_id) is None

            await past.recall(TRACKER)
            assert world.tracker(TRACKER) == ended
            assert world.engine.desk.tracker(TRACKER).status is PositionStatus.EXITED
            assert book.owner_of(None, broker_order_id) is not None
            result = await world.engine.exit_engine.execute_exit(TRACKER, "again")
            assert result.code is ExitCode.ALREADY_EXITED
            past.let_go()
            assert names(world) == {OTHER}

    run_virtual(body())


def test_what_was_closed_beside_a_held_position_stays_with_it() -> None:
    """Its trades are read for the other one, and are ours."""

    async def body() -> None:
        clock = LaterClock()
        world = await make_world(clock=clock)
        async with running(world):
            past = world.engine.desk.past
            await world.hold()
            await world.hold(tracker_id=OTHER, quantity=50)
            await close(world, TRACKER)
            clock.days_later = 9
            past.let_go()
            assert names(world) == {TRACKER, OTHER}

            await world.engine.desk.untrack(OTHER, "mine", "asha")
            past.let_go()
            assert names(world) == {OTHER}  # which has ended today

    run_virtual(body())


def test_a_start_loads_what_does_not_rest() -> None:
    """Told by the journal's own time: a clock that runs ahead gives nothing of today away."""

    async def body() -> None:
        world = await make_world()
        async with running(world):
            await world.hold()
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            await close(world, TRACKER)

        clock = LaterClock()
        clock.wall_ahead_days = 9
        misled = await make_world(store=world.store, gateway=world.gateway, clock=clock)
        async with running(misled, until_ready=False):
            assert names(misled) == {TRACKER, OTHER}

        again = await make_world(store=world.store, gateway=world.gateway, clock=clock)
        async with running(again, until_ready=False):
            past = again.engine.desk.past
            assert names(again) == {OTHER}
            for nobody in ("nobody", "", "\x00", "\ud800", "trk-é"):
                await past.recall(TrackerId(nobody))
            assert names(again) == {OTHER}
            await past.recall(TRACKER)
            assert again.tracker(TRACKER).status is PositionStatus.EXITED

    run_virtual(body())


def test_what_something_is_under_way_for_stays() -> None:
    """A command that comes back must find its position."""

    async def body() -> None:
        clock = LaterClock()
        world = await make_world(clock=clock)
        async with running(world):
            await world.hold()
            await close(world, TRACKER)
            await settle()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            clock.days_later = 9
            async with actor.lock:
                world.engine.desk.past.let_go()
                assert names(world) == {TRACKER}
            world.engine.desk.past.let_go()
            assert names(world) == set()

    run_virtual(body())
