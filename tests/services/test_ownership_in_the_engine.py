"""What an engine does with a send deadline, and with an account that is not its any more."""

import asyncio
from collections.abc import Callable

import pytest

from exit_story.values import TRACKER
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import World, make_world, running_world
from squareoff.core.session.lease import SEND_DEADLINE_SECONDS
from squareoff.core.state.facts import OrderNotSent
from squareoff.domain.errors import BrokerSendForbidden, OwnershipLost, StoreUnavailable
from squareoff.domain.states import BlockReason, IntentStatus, PositionStatus
from squareoff.domain.time import seconds_to_ns
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.circuit_breaker import BreakerState

DEADLINE_NS = seconds_to_ns(SEND_DEADLINE_SECONDS)


def leave(world: World) -> "asyncio.Task[object]":
    """Ask for an exit in the background."""
    work = world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
    return asyncio.get_running_loop().create_task(work)


def test_the_send_deadline_counts_from_before_the_commit() -> None:
    """However long a commit takes, the order's time began with the decision."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.calendar.opens_in_seconds = 5.0
            asking = leave(world)
            await settle()
            gate = world.store.gate = asyncio.Event()
            began_ns = VirtualClock().now().monotonic_ns
            world.calendar.opens_in_seconds = 0.0
            await asyncio.sleep(30.0)
            world.store.gate = None
            gate.set()
            await world.until(lambda: bool(world.gateway.requests))
            send_before_ns = world.gateway.requests[0].send_before_ns
            now_ns = VirtualClock().now().monotonic_ns
            assert send_before_ns is not None
            assert began_ns < send_before_ns <= now_ns + DEADLINE_NS
            await asking

            sent = next(
                change
                for change in world.store.commits
                if any(type(fact).__name__ == "OrderSent" for fact in change.facts)
            )
            order = sent.after.orders[0]
            elapsed_ns = order.sends[0].sent_at_ns - VirtualClock().now().wall_ns
            assert send_before_ns == VirtualClock().now().monotonic_ns + elapsed_ns + DEADLINE_NS

    run_virtual(body())


def test_a_forbidden_send_is_sized_anew_and_tells_nothing_about_the_broker() -> None:
    """Not tried again as it was: the exit waits, sizes anew and goes on; the breaker stays shut."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.failures["exit_market"] = BrokerSendForbidden("late", text="late")
            asking = leave(world)
            for _ in range(10):
                await world.until(lambda: world.tracker(TRACKER).intent is not None)
                await asyncio.sleep(1.0)
            intent = world.tracker(TRACKER).intent
            assert intent is not None
            assert (intent.status, intent.block_reason) == (
                IntentStatus.BLOCKED,
                BlockReason.SEND_FORBIDDEN,
            )
            assert world.engine.status.view().breaker == BreakerState.CLOSED.value
            facts = [fact for change in world.store.commits for fact in change.facts]
            not_sent = [fact for fact in facts if isinstance(fact, OrderNotSent)]
            assert len(not_sent) == len(world.gateway.requests) >= 2, (
                "one try each, sized each time"
            )

            world.gateway.failures.clear()
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await asking

    run_virtual(body())


class LostOwnership:
    """An ownership that is lost when told."""

    takeover_text = "this engine took the account over from process 1"

    def __init__(self) -> None:
        self.is_lost = asyncio.Event()
        self.trouble = ""
        self.tell: Callable[[str], None] = lambda text: None

    def on_trouble(self, listener: Callable[[str], None]) -> None:
        """Keep who is to be told."""
        self.tell = listener

    def note(self, trouble: str) -> None:
        """Begin or end a trouble with the database."""
        self.trouble = trouble
        self.tell(trouble)

    async def keep(self) -> None:
        """Wait for the loss."""
        await self.is_lost.wait()
        raise OwnershipLost("another engine has taken it over")


def test_a_lost_account_ends_the_engine() -> None:
    """The ownership's own word takes everything down, with that one reason."""

    async def body() -> None:
        world = await make_world()
        ownership = LostOwnership()
        world.engine.supervisor._ownership = ownership
        running = asyncio.get_running_loop().create_task(world.engine.supervisor.run())
        await world.until(lambda: world.engine.status.view().is_ready)
        assert world.alarms.codes == ["account_taken_over"]
        ownership.is_lost.set()
        with pytest.raises(ExceptionGroup) as caught:
            await running
        assert [type(each) for each in caught.value.exceptions] == [OwnershipLost]

    run_virtual(body())


def test_a_database_that_takes_nothing_is_told_before_an_exit_needs_it() -> None:
    """A full disk can be read: the engine called itself ready, and no one heard that it was not."""

    async def body() -> None:
        world = await make_world()
        ownership = LostOwnership()
        ownership.takeover_text = ""
        world.engine.supervisor._ownership = world.engine.status._ownership = ownership
        running = asyncio.get_running_loop().create_task(world.engine.supervisor.run())
        await world.until(lambda: world.engine.status.view().is_ready)
        world.store.down = StoreUnavailable("the disk is full")
        ownership.note("the disk is full")
        await settle()
        view = world.engine.status.view()
        assert (view.is_ready, view.database) == (False, "takes nothing: the disk is full")
        assert view.not_ready_because == ("the database takes nothing, so nothing may be sent",)
        assert world.alarms.codes == ["database_takes_nothing"]

        world.store.down = None
        ownership.note("")
        await settle()
        assert world.engine.status.view().is_ready
        assert world.engine.status.view().database == "open"
        running.cancel()
        await asyncio.wait([running])

    run_virtual(body())


def test_a_refused_commit_ends_the_engine_without_a_send() -> None:
    """A writer whose epoch has passed hears it from the store: the engine ends, no position is
    halted by it and nothing leaves."""

    async def body() -> None:
        world = await make_world()
        running = asyncio.get_running_loop().create_task(world.engine.supervisor.run())
        await world.until(lambda: world.engine.status.view().is_ready)
        await world.hold()
        gate = world.gateway.gates["positions"] = asyncio.Event()
        asking = leave(world)
        await settle()
        world.store.down = OwnershipLost("another engine has taken it over")
        gate.set()
        with pytest.raises(ExceptionGroup) as caught:
            await running
        assert caught.group_contains(OwnershipLost)
        assert world.gateway.requests == []
        actor = world.engine.exit_engine.book.get(TRACKER)
        assert actor is not None and not actor.is_halted
        await asyncio.wait([asking], timeout=20.0)

    run_virtual(body())
