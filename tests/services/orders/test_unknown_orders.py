"""An old backup was restored: orders that it does not know sell nothing twice.

The engine of before the restore and the one after it meet one broker, each on a database of its
own: the later one's holds what the copy held.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from exit_story.values import TRACKER, new_position, report
from service_world.store import memory_store
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import ACCOUNT, World, make_world, running, running_world
from squareoff.core.state.policy import READING_LAG_SECONDS
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.states import BlockReason, PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.unknown_orders import UnknownOrders


def _after_a_restore(
    before: Callable[[World], Awaitable[None]], after: Callable[[World], Awaitable[None]]
) -> None:
    """Run `before` on an engine whose database is lost, then `after` on one with the copy."""

    async def body() -> None:
        old = await make_world()
        old.gateway.fills = False
        copy = await memory_store(ACCOUNT)
        async with running(old):
            held = await old.hold()
            await _copy(old, copy)
            await before(old)
        new = await make_world(store=copy, gateway=old.gateway)
        async with running(new):
            assert new.tracker(held.tracker_id).status is PositionStatus.ACTIVE
            await after(new)

    run_virtual(body())


async def _copy(old: World, copy: object) -> None:
    """Put what the old database holds of the position into the copy."""
    for change in old.store.commits:
        await copy.commit(change, 1)


async def _rest(old: World) -> None:
    await old.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.ACCEPTED)
    assert len(old.gateway.requests) == 1


def test_nothing_is_sent_beside_a_working_order_of_the_lost_engine() -> None:
    """The exit waits for it, says why, and books its fill as somebody else's."""

    async def after(new: World) -> None:
        order_id = next(iter(new.gateway.orders))
        await new.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.CLAIMED)
        await new.until(lambda: new.tracker(TRACKER).intent.block_reason is not None)

        assert new.tracker(TRACKER).intent.block_reason is BlockReason.UNKNOWN_ORDER
        assert "unknown_own_order" in new.alarms.codes
        new.gateway.fill(order_id)
        exited = await new.until_status(TRACKER, PositionStatus.EXITED)
        assert exited.exited_quantity == 100
        assert len(new.gateway.requests) == 1, "the lost engine's own"
        assert list(new.gateway.nets.values()) == [0]

    _after_a_restore(_rest, after)


def test_an_exit_that_rests_is_chased_beside_an_unknown_order() -> None:
    """That order holds up new ones alone: moving what rests closes no more than it did."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            world.tick("152")
            await world.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.ACCEPTED)
            (request,) = world.gateway.requests
            rival = ClientOrderId("sqx-zzzzzzzzzzzz-001-01")
            world.gateway.publish(world.gateway.accept(replace(request, client_order_id=rival)))
            await world.until(lambda: "unknown_own_order" in world.alarms.codes)
            moved = len(world.gateway.modifications)
            world.tick("150")
            await asyncio.sleep(30)

            assert len(world.gateway.modifications) > moved
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_an_unknown_order_of_an_earlier_day_is_in_the_way_only_while_it_is_shown() -> None:
    """Its end was never read, but orders are for the day: the next day's books lack it."""

    async def body() -> None:
        unknown = UnknownOrders(VirtualClock())
        rival = report(
            BrokerOrderStatus.PENDING, client_order_id=ClientOrderId("sqx-zzzzzzzzzzzz-001-01")
        )
        key = new_position().key
        assert unknown.note(rival)
        await asyncio.sleep(15 * 3600.0)
        assert unknown.hindrance(key) is not None
        await asyncio.sleep(3600.0)
        assert unknown.hindrance(key) is None
        assert unknown.ids() == {rival.client_order_id}

        assert not unknown.note(rival)
        assert unknown.hindrance(key) is not None

    run_virtual(body())


def test_the_rest_goes_out_under_another_id_once_the_unknown_order_has_ended() -> None:
    """What it filled is not sold again, and its id, which the plan would repeat, is not used."""

    async def after(new: World) -> None:
        order_id = next(iter(new.gateway.orders))
        await new.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.CLAIMED)
        await settle()
        new.gateway.fill(order_id, 50)
        await settle()
        new.gateway.fills = True
        new.gateway.end(order_id, BrokerOrderStatus.CANCELLED)
        exited = await new.until_status(TRACKER, PositionStatus.EXITED)
        lost, sent = new.gateway.requests

        assert sent.order_quantity == 50
        assert sent.client_order_id != lost.client_order_id
        assert exited.exited_quantity == 100
        assert list(new.gateway.nets.values()) == [0]
        assert "over_exit" not in new.alarms.codes

    _after_a_restore(_rest, after)


def test_an_order_that_filled_before_the_restore_is_not_repeated() -> None:
    """The broker holds nothing any more: the position ends without an order."""

    async def filled(old: World) -> None:
        await _rest(old)
        old.gateway.fill(next(iter(old.gateway.orders)))
        await old.until_status(TRACKER, PositionStatus.EXITED)

    async def after(new: World) -> None:
        await new.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.CLAIMED)
        await new.until_status(TRACKER, PositionStatus.EXITED)

        assert len(new.gateway.requests) == 1
        assert list(new.gateway.nets.values()) == [0]

    _after_a_restore(filled, after)


def test_an_unknown_order_elsewhere_holds_nothing_up() -> None:
    """Another instrument's order, an entry, and an order that has ended are not in the way."""

    async def after(new: World) -> None:
        order_id = next(iter(new.gateway.orders))
        report = new.gateway.orders[order_id]
        new.gateway.fills = True
        new.gateway.end(order_id, BrokerOrderStatus.CANCELLED)
        other = replace(report.instrument_id, security_id="999")
        new.stream.push(replace(report, broker_order_id="B9", instrument_id=other))
        await settle()
        await new.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.FILLED)

        assert new.tracker(TRACKER).status is PositionStatus.EXITED
        assert list(new.gateway.nets.values()) == [0]

    _after_a_restore(_rest, after)


def test_one_that_shows_while_a_sized_exit_waits_for_its_price_holds_it_up() -> None:
    """Between the sizing and the send it may have come to close the same units."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            gate = world.gateway.gates["quotes"] = asyncio.Event()
            await world.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.CLAIMED)
            await world.until(lambda: "quotes" in world.gateway.calls)
            (planned,) = world.tracker(TRACKER).exit_orders
            assert planned.order_quantity == tracker.quantity
            rival = ClientOrderId("sqx-zzzzzzzzzzzz-001-01")
            world.gateway.publish(report(BrokerOrderStatus.PENDING, client_order_id=rival))
            await settle()
            gate.set()
            await settle()

            assert world.gateway.requests == []
            assert world.tracker(TRACKER).intent.block_reason is BlockReason.UNKNOWN_ORDER

    run_virtual(body())


@pytest.mark.parametrize(("filled", "is_in_the_way"), [(0, False), (1, True)])
def test_what_it_filled_is_in_the_way_until_readings_have_it(
    filled: int, is_in_the_way: bool
) -> None:
    """One unit is enough; an order that ended without any closed nothing."""

    async def body() -> None:
        unknown = UnknownOrders(VirtualClock())
        rival = ClientOrderId("sqx-zzzzzzzzzzzz-001-01")
        unknown.note(report(BrokerOrderStatus.CANCELLED, filled, client_order_id=rival))
        key = new_position().key
        assert (unknown.hindrance(key) is not None) is is_in_the_way
        await asyncio.sleep(READING_LAG_SECONDS)

        assert unknown.hindrance(key) is None

    run_virtual(body())
