"""Listeners hear of every commit once, in the order of the commits, after the order that leaves."""

import asyncio
from dataclasses import replace

import pytest

from exit_story.values import TRACKER
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import running_world
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.change_listeners import ChangeListeners
from squareoff.services.exits.exit_results import Wait


@pytest.mark.parametrize("seed", range(20))
def test_what_is_told_at_once_does_not_overtake(seed: int) -> None:
    """A state that is told soon is told before a newer one, whichever turn comes first."""

    async def body() -> None:
        async with running_world() as world, asyncio.TaskGroup() as tasks:
            tracker = await world.hold()
            versions: list[int] = []
            listeners = ChangeListeners(VirtualClock())
            listeners.add(on_change=lambda told: versions.append(told.version))
            listeners.tell_soon(replace(tracker, version=1), (), tasks)
            listeners.tell_soon(replace(tracker, version=2), (), tasks)
            assert versions == []
            listeners.tell(replace(tracker, version=3))
            assert versions == [1, 2, 3]
            listeners.tell_soon(replace(tracker, version=4), (), tasks)
            await asyncio.sleep(0.1)
            assert versions == [1, 2, 3, 4]

    run_virtual(body(), seed)


def test_listeners_hear_when_the_commit_was_not_when_they_are_told() -> None:
    """Steps are timed by their commits: what the order did before they are told is not in it."""

    async def body() -> None:
        async with running_world() as world, asyncio.TaskGroup() as tasks:
            tracker = await world.hold()
            told_ns: list[int] = []
            listeners = ChangeListeners(VirtualClock())
            listeners.add(on_facts=lambda tracker, facts, at_ns: told_ns.append(at_ns))
            committed_ns = VirtualClock().now().wall_ns
            listeners.tell_soon(tracker, (), tasks)
            assert told_ns == []
            await asyncio.sleep(1.0)
            assert told_ns == [committed_ns]

    run_virtual(body())


def test_a_listener_that_fails_ends_the_group() -> None:
    """A defect that nobody sees would leave a service behind for good."""

    def fail(tracker: PositionTracker) -> None:
        raise RuntimeError("a defect")

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            listeners = ChangeListeners(VirtualClock())
            listeners.add(on_change=fail)
            with pytest.raises(ExceptionGroup, match="unhandled"):
                async with asyncio.TaskGroup() as tasks:
                    listeners.tell_soon(tracker, (), tasks)

    run_virtual(body())


def test_an_exit_tells_of_every_version_in_order() -> None:
    """Through a whole exit no state is left out, told twice or told after a newer one."""

    async def body() -> None:
        async with running_world() as world:
            versions: list[int] = []
            world.engine.exit_engine.on_change(lambda told: versions.append(told.version))
            await world.hold()
            world.tick("151.50")
            await asyncio.sleep(1.0)
            await world.engine.exit_engine.execute_exit(TRACKER, "asked", wait=Wait.FILLED)
            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)
            await asyncio.sleep(1.0)
            assert versions == sorted(set(versions))
            assert versions[-1] == world.tracker(TRACKER).version >= tracker.version

    run_virtual(body())
