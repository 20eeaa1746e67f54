"""An exit that waits long for its turn says so, and goes on by itself."""

import asyncio

from exit_story.values import TRACKER, new_position
from service_world.virtual import run_virtual, settle
from service_world.world import World, running_world
from squareoff.core.state.facts import ExitBlocked, ExitResumed, OrderPlanned
from squareoff.domain.errors import BrokerOutcomeUnknown
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import OrderType
from squareoff.domain.results import ExitCode
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason, IntentStatus, PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.circuit_breaker import BreakerState
from squareoff.services.orders.permit_queue import PermitQueue
from squareoff.services.orders.rate_budget import RateLimits, WriteKind

OTHER = TrackerId("trk-other")


def queue_of(world: World) -> PermitQueue:
    """Return the engine's queue."""
    return world.engine.supervisor._router.queue


async def open_long(world: World) -> None:
    """Open the breaker for its longest pause."""
    queue = queue_of(world)
    for _ in range(11):
        await queue.permit(Urgency.KILL_SWITCH)
        queue.end_failed(queue.begin(WriteKind.PLACE))
    assert queue.breaker_state() is BreakerState.OPEN


async def leave(world: World, tracker_id: TrackerId = TRACKER) -> ExitCode:
    """Ask for an exit and wait until something is known of it."""
    engine = world.engine.exit_engine
    return (await engine.execute_exit(tracker_id, "x", wait=Wait.FILLED)).code


def test_an_open_breaker_shows_and_ends_by_itself() -> None:
    """A long wait shows BLOCKED (breaker_open) with one alarm; the order keeps its place, goes as
    the probe, and the alarm is cleared."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await open_long(world)

            assert await leave(world) is ExitCode.BLOCKED
            intent = world.tracker(TRACKER).intent
            assert intent is not None
            assert intent.block_reason is BlockReason.BREAKER_OPEN
            await settle()
            assert world.alarms.codes == ["order_breaker_open"]
            assert world.gateway.requests == []
            await world.until_status(TRACKER, PositionStatus.EXITED)

            facts = [e.fact for e in await world.store.entries(tracker_id=TRACKER)]
            kinds = [type(fact) for fact in facts]
            assert kinds.count(ExitBlocked) == kinds.count(ExitResumed) == 1
            assert kinds.count(OrderPlanned) == 1
            assert len(world.gateway.requests) == 1
            await asyncio.sleep(1.0)
            assert not [a for a in await world.store.alarms() if a.is_open]

    run_virtual(body())


def test_a_short_pause_of_the_breaker_is_not_worth_a_block() -> None:
    """The first pause of a second delays the exit and tells nobody."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            queue = queue_of(world)
            while queue.breaker_state() is BreakerState.CLOSED:
                await queue.permit(Urgency.STOP)
                queue.end_failed(queue.begin(WriteKind.PLACE))

            assert await leave(world) is ExitCode.EXITED
            assert world.alarms.codes == []

    run_virtual(body())


def test_the_exit_is_the_probe_even_where_an_entry_waited_first() -> None:
    """An entry asked before the exit; the half-open breaker lets the exit ask the broker."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await open_long(world)
            entry = new_position(
                tracker_id=OTHER,
                product_type=ProductType.MARGIN,
                entry_order_type=OrderType.LIMIT,
            )
            await world.engine.exit_engine.open(entry)
            await asyncio.sleep(1.0)
            await leave(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await world.until_status(OTHER, PositionStatus.ACTIVE)

            writes = [c for c in world.gateway.calls if c in ("exit_market", "place_market")]
            assert writes == ["exit_market", "place_market"]

    run_virtual(body())


def test_an_outage_of_minutes_loses_no_exit() -> None:
    """While the broker answers nothing the exit stays latched and open; then it ends, once."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            lost = BrokerOutcomeUnknown("no answer")
            world.gateway.failures["exit_market"] = lost
            for tracker_id in (TRACKER, OTHER):
                await world.engine.exit_engine.execute_exit(tracker_id, "x", wait=Wait.CLAIMED)
            await asyncio.sleep(300.0)
            for tracker_id in (TRACKER, OTHER):
                intent = world.tracker(tracker_id).intent
                assert intent is not None and intent.status is not IntentStatus.WITHDRAWN
                assert world.tracker(tracker_id).open_quantity == 100
            del world.gateway.failures["exit_market"]
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await world.until_status(OTHER, PositionStatus.EXITED)

            assert set(world.gateway.nets.values()) == {0}

    run_virtual(body())


def test_a_slow_queue_is_told_once_and_cleared() -> None:
    """An exit that waits ten seconds raises one alarm, which ends with the queue."""

    async def body() -> None:
        async with running_world(limits=RateLimits(per_minute=1)) as world:
            await world.hold()
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            await leave(world)
            await leave(world, OTHER)
            await world.until_status(OTHER, PositionStatus.EXITED)
            await asyncio.sleep(1.0)

            assert world.alarms.codes == ["exit_queue_slow"]
            assert not [a for a in await world.store.alarms() if a.is_open]

    run_virtual(body())
