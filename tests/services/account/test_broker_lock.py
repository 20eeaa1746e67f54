"""The broker's own lock is asked for only flat, only journalled, and its answer is told."""

import asyncio
from collections.abc import Callable

import pytest

from exit_story.values import TRACKER, new_position
from service_world.broker import ScriptedGateway
from service_world.virtual import run_virtual
from service_world.world import World, running_world
from squareoff.core.state.facts import BrokerLockAnswered, BrokerLockSent
from squareoff.core.state.policy import READING_SPACING_SECONDS
from squareoff.domain.errors import BrokerOutcomeUnknown, BrokerRejected, BrokerUnreachable
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import PositionStatus
from squareoff.services.account.broker_lock import (
    READINGS_FLAT,
    READINGS_MAX,
)


async def lock(world: World) -> tuple[str, str]:
    """Close everything and lock; return what became of the lock."""
    report = await world.engine.desk.exit_all("storm", lock_account=True, wait_seconds=60.0)
    assert report.state is not None
    return report.state.lock_outcome, report.state.note


def test_a_flat_account_is_locked_after_the_last_exit() -> None:
    """The wish is journalled before the call; the call comes after the position is closed."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            assert await lock(world) == (
                "locked",
                "every position under watch is closed; the broker's lock: locked, "
                "the broker takes no more orders today",
            )

            calls = world.gateway.calls
            assert calls.count("lock_account") == 1
            assert calls.index("exit_market") < calls.index("lock_account")
            facts = [e.fact for e in await world.engine.desk.journal()]
            kinds = [type(fact) for fact in facts]
            assert kinds.index(BrokerLockSent) < kinds.index(BrokerLockAnswered)

    run_virtual(body())


def _holds(gateway: ScriptedGateway) -> None:
    gateway.hold(new_position().key, 25)


def _has_order(gateway: ScriptedGateway) -> None:
    gateway.publish = lambda report: None  # whoever reads the book sees it
    for order_id in tuple(gateway.orders):
        gateway.end(order_id, BrokerOrderStatus.PENDING)


def _is_silent(gateway: ScriptedGateway) -> None:
    gateway.failures["order_book"] = BrokerUnreachable("away")


@pytest.mark.parametrize(
    ("hinder", "text"),
    [
        (_holds, "the broker holds 25 of"),
        (_has_order, "orders are open: B1"),
        (_is_silent, "the broker's books cannot be read"),
    ],
)
def test_an_account_that_is_not_flat_is_not_locked(
    hinder: Callable[[ScriptedGateway], None], text: str
) -> None:
    """A position, an order or an unread book keeps the call from being made, and is told."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.desk.exit_all("storm", wait_seconds=20.0)
            hinder(world.gateway)
            outcome, note = await lock(world)

            assert outcome == "refused"
            assert text in note
            assert "lock_account" not in world.gateway.calls
            assert "account_not_locked" in world.alarms.codes

    run_virtual(body())


def test_readings_that_lag_are_waited_for() -> None:
    """A position that is still shown for seconds after its close only delays the lock."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, 25)
            asking = asyncio.get_running_loop().create_task(lock(world))
            await asyncio.sleep(5.0)
            assert "lock_account" not in world.gateway.calls
            world.gateway.hold(new_position().key, 0)
            outcome, _ = await asking

            assert outcome == "locked"
            assert READINGS_FLAT >= 2
            assert READINGS_MAX > 10

    run_virtual(body())


def test_one_flat_reading_is_not_enough() -> None:
    """A broker's reading may lack a position for once; only two flat ones in a row count."""

    async def body() -> None:
        async with running_world() as world:
            key = new_position().key
            asking = asyncio.get_running_loop().create_task(lock(world))
            for _ in range(5):
                world.gateway.hold(key, 0)
                await asyncio.sleep(READING_SPACING_SECONDS)
                world.gateway.hold(key, 25)
                await asyncio.sleep(READING_SPACING_SECONDS)
            assert "lock_account" not in world.gateway.calls
            world.gateway.hold(key, 0)
            outcome, _ = await asking

            assert outcome == "locked"

    run_virtual(body())


def test_what_comes_under_watch_while_the_lock_waits_is_closed_first() -> None:
    """The wish ends when nothing under watch is open, and not before; it closes that at once."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, 25)
            loop = asyncio.get_running_loop()
            asking = loop.create_task(lock(world))
            await asyncio.sleep(5.0)
            begun = loop.time()
            await world.engine.exit_engine.open(new_position(quantity=25))
            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert loop.time() - begun < 5.0
            outcome, _ = await asking

            assert outcome == "locked"
            facts = [e.fact for e in await world.engine.desk.journal()]
            assert sum(isinstance(fact, BrokerLockSent) for fact in facts) == 1
            assert "account_not_locked" not in world.alarms.codes

    run_virtual(body())


def test_what_comes_under_watch_while_the_broker_is_asked_keeps_the_wish_going() -> None:
    """A wish that says `closed` over an open position would be believed."""

    async def body() -> None:
        async with running_world() as world:
            gate = world.gateway.gates["lock_account"] = asyncio.Event()
            asking = asyncio.get_running_loop().create_task(lock(world))
            await world.until(lambda: "lock_account" in world.gateway.calls)
            await world.hold()
            gate.set()
            outcome, _ = await asking

            assert outcome == "locked"
            assert world.tracker(TRACKER).status is PositionStatus.EXITED

    run_virtual(body())


def test_a_wish_that_is_lifted_while_the_lock_waits_locks_nothing() -> None:
    """A person who lifts the switch goes on trading; nobody could take the broker's lock back."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, 25)
            asking = asyncio.get_running_loop().create_task(lock(world))
            await asyncio.sleep(5.0)
            desk = world.engine.desk
            await desk.set_kill_switch(active=False, level="new", reason="go on")
            world.gateway.hold(new_position().key, 0)
            await asking
            report = await desk.exit_all_report(60.0)

            assert report.state is not None
            assert report.state.outcome == "lifted"
            assert "lock_account" not in world.gateway.calls

    run_virtual(body())


def test_a_refusal_is_told_in_the_broker_s_words() -> None:
    """What the broker refuses is not asked for again."""

    async def body() -> None:
        async with running_world() as world:
            refused = BrokerRejected("lock the account: refused", text="close all positions first")
            world.gateway.failures["lock_account"] = refused
            outcome, note = await lock(world)

            assert outcome == "refused"
            assert "close all positions first" in note
            assert world.gateway.calls.count("lock_account") == 1

    run_virtual(body())


def test_an_answer_that_is_lost_is_looked_up() -> None:
    """The lock may be on although the call failed: the broker is asked, and it is tried again."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.failures["lock_account"] = BrokerOutcomeUnknown("no answer")
            outcome, note = await lock(world)

            assert outcome == "unknown"
            assert "no answer" in note
            world.gateway.is_locked = True
            assert (await lock(world))[0] == "locked"

    run_virtual(body())


def test_the_lock_is_gone_on_with_after_a_crash() -> None:
    """A second wish without the lock does not drop the lock of the first."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.fills = False
            await world.engine.desk.exit_all("storm", lock_account=True)
            await world.engine.desk.exit_all("again")
            await world.until(lambda: len(world.gateway.orders) == 1)
            for order_id in tuple(world.gateway.orders):
                world.gateway.fill(order_id)
            report = await world.engine.desk.exit_all_report(60.0)

            assert report.state is not None
            assert (report.state.lock_outcome, report.state.reason) == ("locked", "again")
            assert world.tracker(TRACKER).exited_quantity == 100

    run_virtual(body())
