"""The order stream is kept alive at growing pauses, and every connect asks for a backfill."""

import asyncio
from itertools import pairwise

from exit_story.values import TRACKER, report
from service_world.virtual import run_virtual, settle
from service_world.world import Stream, make_world, running, running_world
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import PositionStatus
from squareoff.ports import StreamConnected, StreamGarbled
from squareoff.services.exits.exit_results import Wait


def pauses(stream: Stream) -> list[float]:
    """Return the pauses between connects."""
    times = stream.connects_at
    return [round(b - a, 6) for a, b in pairwise(times)]


def test_refused_connects_are_tried_at_growing_pauses() -> None:
    """The pause doubles from half a second up to thirty, with jitter."""

    async def body() -> None:
        world = await make_world()
        world.stream.refusals = [FeedDisconnected("refused") for _ in range(9)]
        async with running(world, until_ready=False):
            await asyncio.sleep(200.0)
            assert pauses(world.stream) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]

    run_virtual(body())


def test_too_many_requests_cool_down_for_a_minute() -> None:
    """After HTTP 429 at least a minute passes before the next connect."""

    async def body() -> None:
        world = await make_world()
        world.stream.refusals = [FeedDisconnected("429", 429)]
        async with running(world):
            assert pauses(world.stream)[0] >= 60.0

    run_virtual(body())


def test_a_stream_that_hangs_up_at_once_is_called_ever_less_often() -> None:
    """A broker that accepts and hangs up counts as failing: the pauses go on growing."""

    async def body() -> None:
        world = await make_world()
        world.stream.lives_seconds = 0.5
        async with running(world, until_ready=False):
            await asyncio.sleep(120.0)

            assert len(world.stream.connects_at) < 12

    run_virtual(body())


def test_every_connect_backfills() -> None:
    """A fill that happened while the stream was away is found by the backfill at once."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            world.gateway.publish = lambda report: None
            world.gateway.fill(next(iter(world.gateway.orders)))
            world.stream.cut()

            await world.until_status(TRACKER, PositionStatus.EXITED)
            causes = world.engine.metrics.render().decode()
            assert 'cause="order stream connected"' in causes

    run_virtual(body())


def test_the_state_of_the_stream_is_shown() -> None:
    """Connected and disconnected are told apart in status and metrics."""

    async def body() -> None:
        async with running_world() as world:
            assert world.engine.status.view().order_stream == "connected"
            assert 'squareoff_socket_up{socket="order_updates"} 1.0' in (
                world.engine.metrics.render().decode()
            )
            world.stream.refusals = [FeedDisconnected("refused") for _ in range(3)]
            world.stream.cut()
            await settle()

            status = world.engine.status.view()
            assert status.order_stream == "disconnected"
            assert not status.is_ready
            assert 'squareoff_socket_up{socket="order_updates"} 0.0' in (
                world.engine.metrics.render().decode()
            )

    run_virtual(body())


def test_garbled_frames_and_foreign_orders_change_nothing() -> None:
    """A frame that is no update is ignored, and the stream goes on."""

    async def body() -> None:
        async with running_world() as world:
            world.stream.push(StreamGarbled("not json"))
            world.stream.push(report(BrokerOrderStatus.TRADED, 100, broker_order_id="X1"))
            await settle()

            assert world.alarms.heard == []
            assert isinstance(world.stream._hello, StreamConnected)

    run_virtual(body())
