"""What an engine does whose database comes back without commits that it had confirmed."""

import asyncio

import pytest

from exit_story.values import ACCOUNT, TRACKER
from service_world.store import FaultyStore, LostAfterCommit, memory_store
from service_world.virtual import START_WALL_NS, run_virtual
from service_world.world import World, make_world, running
from squareoff.core.state.facts import Severity
from squareoff.core.state.inputs import Woke
from squareoff.domain.errors import CommitLost
from squareoff.domain.states import BlockReason, PositionStatus
from squareoff.services.exits.exit_results import Wait


async def _older(store: FaultyStore, commits: int) -> FaultyStore:
    """Return a replica that has only the first `commits`."""
    replica = await memory_store(ACCOUNT)
    for change in store.commits[:commits]:
        await replica.commit(change, START_WALL_NS)
    return replica


async def _started() -> tuple[World, "asyncio.Task[None]"]:
    """Return an engine that holds a position and whose exits rest, and what runs it."""
    world = await make_world()
    world.gateway.fills = False
    run = asyncio.get_running_loop().create_task(world.engine.supervisor.run())
    await world.until(lambda: world.engine.status.view().is_ready)
    await world.hold()
    return world, run


async def _ended(run: "asyncio.Task[None]") -> CommitLost:
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(60):
            await run
    lost, rest = caught.value.split(CommitLost)
    assert lost is not None
    assert rest is None
    first = lost.exceptions[0]
    assert isinstance(first, CommitLost)
    return first


def test_no_second_exit_leaves_where_the_database_forgot_the_first() -> None:
    """The engine ends with a critical alarm, by itself; the next one holds the exit back while the
    forgotten order can fill, names that order, and books its fill as somebody else's."""

    async def body() -> None:
        world, run = await _started()
        held = len(world.store.commits)
        await world.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.ACCEPTED)
        replica = await _older(world.store, held)
        world.store.turn_to(replica)
        error = await _ended(run)
        (forgotten,) = world.gateway.orders
        assert "came back older" in str(error)
        assert [heard[:2] for heard in world.alarms.heard] == [
            (Severity.CRITICAL, "database_went_back")
        ]

        new = await make_world(store=replica, gateway=world.gateway)
        async with running(new):
            assert new.tracker(TRACKER).status is PositionStatus.ACTIVE
            told = [text for _, code, text in new.alarms.heard if code == "unknown_own_order"]
            assert [forgotten in text for text in told] == [True]
            await new.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.CLAIMED)
            await asyncio.sleep(60)
            assert f"exit_blocked_{BlockReason.UNKNOWN_ORDER.value}" in new.alarms.codes
            assert len(new.gateway.requests) == 1
            new.gateway.fill(forgotten)
            await new.until_status(TRACKER, PositionStatus.EXITED)
        assert len(world.gateway.requests) == 1, "the first engine's own"
        assert list(world.gateway.nets.values()) == [0]

    run_virtual(body())


@pytest.mark.parametrize("commits_left", [0, 1])
def test_a_caller_who_is_refused_by_it_does_not_keep_it_to_himself(commits_left: int) -> None:
    """Also where the row is gone, and where only a caller of the engine met the loss: it ends."""

    async def body() -> None:
        world, run = await _started()
        await world.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.ACCEPTED)
        world.store.turn_to(await _older(world.store, commits_left))
        actor = world.engine.exit_engine.book.get(TRACKER)
        assert actor is not None
        actor.is_in_doubt = True
        with pytest.raises(CommitLost):
            await world.engine.exit_engine.tell(actor, Woke())

        assert not run.done()
        await _ended(run)
        assert world.tracker(TRACKER).status is PositionStatus.EXITING, "memory was kept"
        assert "position_halted" not in world.alarms.codes
        assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_a_commit_that_took_place_unanswered_is_no_loss() -> None:
    """The database then holds one state more than memory, or as much: the engine goes on."""

    async def body() -> None:
        world, run = await _started()
        unknown = LostAfterCommit("the connection broke in COMMIT")
        world.store.failures.append(unknown)
        world.store.load_errors.extend([unknown, unknown])
        await world.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.CLAIMED)
        await world.until(lambda: bool(world.gateway.orders))
        world.gateway.fill(next(iter(world.gateway.orders)))
        await world.until_status(TRACKER, PositionStatus.EXITED)

        assert not run.done()
        assert len(world.gateway.requests) == 1
        assert "database_went_back" not in world.alarms.codes
        run.cancel()

    run_virtual(body())
