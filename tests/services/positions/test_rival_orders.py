"""Orders of somebody else that would close what is under watch are told of while they rest."""

from dataclasses import replace

import pytest

from exit_story.values import TRACKER
from service_world.virtual import run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import InstrumentId, ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, OrderRequest, OrderType, Side
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait

CODE = "rival_order_resting"


def rest(world: World, tracker: PositionTracker, quantity: int = 100, **changes: object) -> str:
    """Let somebody's order rest at the broker; return its name there."""
    side = tracker.side.exit_order_side
    request = OrderRequest(None, tracker.key, side, OrderType.LIMIT, quantity, None)  # type: ignore[arg-type]
    report: OrderReport = replace(world.gateway.accept(request), **changes)  # type: ignore[arg-type]
    world.gateway.orders[report.broker_order_id] = report
    return report.broker_order_id


async def open_alarms(world: World) -> list[str]:
    """Return the messages of the alarms of this code that stand."""
    found = await world.engine.desk.alarms()
    return [each.message for each in found if each.is_open and each.code == CODE]


def test_an_order_that_would_close_ours_is_told_once_while_it_rests() -> None:
    """It is named with the position that it would close; with its end the alarm is over."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            order_id = rest(world, tracker)
            for _ in range(3):
                await world.engine.desk.reconcile()

            assert world.alarms.codes == [CODE]
            (message,) = await open_alarms(world)
            assert message.startswith(f"Order {order_id} of somebody else (SELL 100 ")
            assert f"squareoff untrack {TRACKER}" in message

            world.gateway.end(BrokerOrderId(order_id), BrokerOrderStatus.CANCELLED)
            await world.engine.desk.reconcile()
            assert await open_alarms(world) == []
            assert world.gateway.requests == []

    run_virtual(body())


@pytest.mark.parametrize(
    ("shown", "quantity", "is_told"),
    [(100, 1, True), (200, 100, False), (200, 101, True), (150, 60, True)],
)
def test_what_would_close_only_units_beside_ours_is_no_rival(
    shown: int, quantity: int, *, is_told: bool
) -> None:
    """The broker shows more than our tracker's 100: the rest is somebody's to close."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.hold(tracker.key, shown)
            rest(world, tracker, quantity)
            await world.engine.desk.reconcile()

            assert bool(await open_alarms(world)) is is_told

    run_virtual(body())


@pytest.mark.parametrize(
    "change",
    [
        {"side": Side.BUY},
        {"status": BrokerOrderStatus.CANCELLED},
        {"product_type": ProductType.CNC},
        {"instrument_id": "other"},
    ],
)
def test_other_orders_are_no_rivals(change: dict[str, object]) -> None:
    """Of another key, on the other side, or ended."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            if "instrument_id" in change:
                segment = tracker.instrument.instrument_id.exchange_segment
                change["instrument_id"] = InstrumentId(segment, "77")
            rest(world, tracker, **change)  # type: ignore[arg-type]
            await world.engine.desk.reconcile()

            assert await open_alarms(world) == []

    run_virtual(body())


def test_our_own_exit_is_no_rival() -> None:
    """It rests under our id."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            world.tick("152")
            await world.engine.exit_engine.execute_exit(TRACKER, "stop", wait=Wait.ACCEPTED)
            await world.engine.desk.reconcile()

            assert await open_alarms(world) == []

    run_virtual(body())


def test_the_end_of_the_position_ends_the_alarm() -> None:
    """What is under watch no more cannot be closed twice."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.tick("152")
            rest(world, tracker)
            await world.engine.desk.reconcile()
            assert await open_alarms(world)
            await world.engine.exit_engine.execute_exit(TRACKER, "stop")
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await world.engine.desk.reconcile()

            assert await open_alarms(world) == []

    run_virtual(body())


def test_the_next_process_ends_what_the_last_one_told() -> None:
    """By its own first comparison, where the order has ended in between."""

    async def body() -> None:
        first = await make_world()
        async with running(first):
            rest(first, await first.hold())
            await first.engine.desk.reconcile()
            assert await open_alarms(first)
        first.gateway.orders.clear()
        second = await make_world(store=first.store, gateway=first.gateway)
        async with running(second):
            assert await open_alarms(second) == []

    run_virtual(body())
