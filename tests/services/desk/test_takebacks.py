"""A person takes back: only what is there, never behind an order that may still fill."""

import asyncio
from collections.abc import Awaitable

import pytest

from exit_story.values import TRACKER
from service_world.virtual import run_virtual, settle
from service_world.world import running_world
from squareoff.core.state.facts import OrderSent, fact_kind
from squareoff.domain.errors import BrokerOutcomeUnknown, DomainError
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import IntentStatus, PositionStatus
from squareoff.services.desk.desk_requests import InvalidRequest, UnknownTracker
from squareoff.services.exits.exit_results import Wait


def test_a_working_exit_is_cancelled_before_it_is_withdrawn() -> None:
    """The position is ACTIVE again only after the broker has ended the order."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.fills = False
            await world.engine.desk.exit(TRACKER, "x", Wait.ACCEPTED, 8.0)
            view = await world.engine.desk.withdraw(TRACKER, "a mistake", "asha", 8.0)

            (order,) = world.gateway.orders.values()
            assert order.status is BrokerOrderStatus.CANCELLED
            assert view.status is PositionStatus.ACTIVE
            assert view.intent is not None
            assert view.intent.status is IntentStatus.WITHDRAWN
            await asyncio.sleep(60.0)
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_a_fill_that_comes_first_closes_the_position() -> None:
    """Withdrawing races the fill, and the fill is real."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.fills = False
            await world.engine.desk.exit(TRACKER, "x", Wait.ACCEPTED, 8.0)
            (order_id,) = world.gateway.orders
            world.gateway.gates["cancel_order"] = asyncio.Event()
            withdrawing = asyncio.get_running_loop().create_task(
                world.engine.desk.withdraw(TRACKER, "a mistake", "asha", 30.0)
            )
            await asyncio.sleep(0.5)
            world.gateway.fill(order_id)
            world.gateway.gates.pop("cancel_order").set()
            await withdrawing

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_an_unknown_order_keeps_the_exit_until_it_is_settled() -> None:
    """While nobody knows whether the order lives, nothing is withdrawn; then it is."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            await world.engine.desk.exit(TRACKER, "x", Wait.ACCEPTED, 1.0)
            view = await world.engine.desk.withdraw(TRACKER, "a mistake", "asha", 2.0)
            assert view.status is PositionStatus.EXITING

            await world.until_status(TRACKER, PositionStatus.ACTIVE)
            assert asyncio.get_running_loop().time() > 10.0
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_what_cannot_be_taken_back_is_refused_with_its_own_code() -> None:
    """No exit, no position, no over-exit, no reason: each says so and changes nothing."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            desk = world.engine.desk
            for asked, code in (
                (desk.withdraw(TRACKER, "x", "asha", 0.0), "nothing_to_withdraw"),
                (desk.resolve_over_exit(TRACKER, "x", "asha"), "no_over_exit"),
            ):
                with pytest.raises(DomainError) as caught:
                    await asked
                assert caught.value.code == code
            with pytest.raises(InvalidRequest):
                await desk.untrack(TRACKER, "  ", "asha")
            with pytest.raises(UnknownTracker):
                await desk.untrack(TrackerId("nobody"), "x", "asha")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


def test_a_position_whose_order_leaves_at_that_instant_is_not_said_to_be_let_go() -> None:
    """The order's commit came first: the answer is a refusal, for the exit goes on."""

    async def body() -> None:
        async with running_world() as world:
            desk, gate = world.engine.desk, asyncio.Event()
            world.gateway.fills = False
            await world.hold()

            def on_checkpoint(name: str) -> None:
                if name == f"before_commit_{fact_kind(OrderSent)}":
                    world.store.gate = gate

            world.checkpoints.reach = on_checkpoint  # type: ignore[method-assign]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(desk.exit(TRACKER, "x", Wait.CLAIMED, 1.0))
                await world.until(lambda: world.store.gate is gate)
                asking = tasks.create_task(_refusal_of(desk.untrack(TRACKER, "mine", "asha")))
                await settle()
                world.store.gate = None
                gate.set()

            assert asking.result() == "cannot_untrack"
            assert world.tracker(TRACKER).status is PositionStatus.EXITING

    run_virtual(body())


async def _refusal_of(asking: Awaitable[object]) -> str:
    """Return the code by which a wish is refused, "" for none."""
    try:
        await asking
    except DomainError as error:
        return error.code
    return ""


def test_a_position_is_let_go_only_without_a_live_order() -> None:
    """While its exit works at the broker a position cannot be let go; without one it ends."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.fills = False
            desk = world.engine.desk
            await desk.exit(TRACKER, "x", Wait.ACCEPTED, 8.0)
            with pytest.raises(DomainError) as caught:
                await desk.untrack(TRACKER, "mine", "asha")
            assert caught.value.code == "cannot_untrack"
            await desk.withdraw(TRACKER, "first", "asha", 8.0)

            assert (await desk.untrack(TRACKER, "mine", "asha")).status is PositionStatus.UNTRACKED
            assert len(world.gateway.requests) == 1

    run_virtual(body())
