"""The start of a replica is whole: every fact up to its number, none after it, or nothing."""

import asyncio
from dataclasses import replace

import pytest

from service_world.virtual import VirtualClock, run_virtual
from service_world.world import running_world
from squareoff.core.state.facts import Severity
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.states import PositionStatus


def test_it_holds_what_is_open_and_the_newest_number() -> None:
    """Positions, alarms and the switch as of the journal's head."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            desk = world.engine.desk
            await desk._alarms.raise_alarm(Severity.WARNING, "rehearsal", "look here")
            await desk.set_kill_switch(active=True, level="new", reason="test")
            start = await desk.screen.replica_start()

            assert start.seq == await desk.journal_head()
            assert [t.status for t in start.trackers] == [PositionStatus.ACTIVE]
            assert [a.code for a in start.alarms] == ["rehearsal"]
            assert start.kill_switch.active

    run_virtual(body())


def test_it_waits_for_a_decision_that_is_being_written() -> None:
    """While a position is being decided over the journal may be ahead of memory: read again."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            actor = world.engine.exit_engine.book.get(tracker.tracker_id)
            assert actor is not None
            async with asyncio.TaskGroup() as tasks, actor.lock:
                reading = tasks.create_task(world.engine.desk.screen.replica_start())
                await VirtualClock().sleep(0.5)
                assert not reading.done()
                world.engine.exit_engine.book.replace(actor, replace(tracker, version=7), 0)
                actor.lock.release()
                await reading
                await actor.lock.acquire()

            assert [t.version for t in reading.result().trackers] == [7]

    run_virtual(body())


def test_what_never_comes_to_rest_is_not_told() -> None:
    """Rather nothing than a state that belongs to no number."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            actor = world.engine.exit_engine.book.get(tracker.tracker_id)
            assert actor is not None
            async with actor.lock:
                with pytest.raises(StoreUnavailable, match="too fast"):
                    await world.engine.desk.screen.replica_start()

    run_virtual(body())


@pytest.mark.parametrize(("days", "count"), [(0, 1), (1, 0)], ids=["today", "yesterday"])
def test_what_ended_is_shown_for_the_day(days: int, count: int) -> None:
    """A position that ended is in it until the IST day is over."""

    async def body() -> None:
        async with running_world() as world:
            engine = world.engine.exit_engine
            tracker = await world.hold()
            actor = engine.book.get(tracker.tracker_id)
            assert actor is not None
            ended_ns = VirtualClock().now().wall_ns - days * 86_400 * 1_000_000_000
            ended = replace(tracker, status=PositionStatus.EXITED, exited_at_ns=ended_ns)
            engine.book.replace(actor, ended, 0)
            start = await world.engine.desk.screen.replica_start()

            assert len(start.trackers) == count

    run_virtual(body())
