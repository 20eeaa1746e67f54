"""Every broker record finds its owner by our own order row; strangers are told apart."""

import asyncio
from dataclasses import replace

from exit_story.values import TRACKER, report
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import running_world
from squareoff.core.exits.client_order_ids import is_ours
from squareoff.domain.orders import BrokerOrderStatus, PositionSide, ReportSource, Side
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.order_update_handler import OrderUpdateHandler
from squareoff.services.orders.unknown_orders import UnknownOrders


def test_foreign_orders_are_ignored() -> None:
    """An order of another program neither changes a position nor raises an alarm."""

    async def body() -> None:
        async with running_world() as world:
            before = await world.hold()
            world.stream.push(report(BrokerOrderStatus.TRADED, 100, broker_order_id="X1"))
            await settle()

            assert world.tracker(TRACKER) == before
            assert world.alarms.heard == []

    run_virtual(body())


def test_a_refused_modify_that_sounds_like_a_rejection_lets_no_second_exit_out() -> None:
    """The stream calls the order rejected, the order book goes on showing it alive: both would
    close the same units, so nothing is sent beside it, and what it fills closes the position."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            world.tick("150.00")
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.CLAIMED)
            await world.until(lambda: bool(world.gateway.orders))
            resting = next(iter(world.gateway.orders.values()))
            told = replace(resting, status=BrokerOrderStatus.REJECTED, source=ReportSource.STREAM)
            world.stream.push(told)
            await asyncio.sleep(60.0)
            assert list(world.gateway.orders) == [resting.broker_order_id]
            assert "order_end_denied" in world.alarms.codes

            world.gateway.fill(resting.broker_order_id)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_an_unknown_order_under_our_id_is_alarmed_once() -> None:
    """An order of our shape that the database does not know calls a person, once (I5)."""

    async def body() -> None:
        async with running_world() as world, running_world() as elsewhere:
            await elsewhere.hold()
            await elsewhere.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
            stranger = elsewhere.gateway.orders[next(iter(elsewhere.gateway.orders))]
            assert is_ours(stranger.client_order_id)
            for _ in range(3):
                world.stream.push(stranger)
                await settle()

            assert world.alarms.codes == ["unknown_own_order"]

    run_virtual(body())


def test_an_entry_that_sells_opens_a_short_and_its_fill_is_no_exit() -> None:
    """SELL means nothing by itself: the watched entry of a short activates it."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(side=PositionSide.SHORT, entry_order_id="B77")
            fill = report(BrokerOrderStatus.TRADED, 100, broker_order_id="B77", side=Side.SELL)
            world.stream.push(fill)
            await settle()

            tracker = world.tracker(TRACKER)
            assert (tracker.status, tracker.quantity) == (PositionStatus.ACTIVE, 100)
            assert tracker.exited_quantity == 0

    run_virtual(body())


def test_an_entry_that_ends_unfilled_cancels_the_position() -> None:
    """A watched entry that was cancelled without a fill ends its position as cancelled."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(entry_order_id="B77")
            ended = report(BrokerOrderStatus.CANCELLED, broker_order_id="B77", side=Side.BUY)
            world.stream.push(ended)
            await settle()

            assert world.tracker(TRACKER).status is PositionStatus.CANCELLED

    run_virtual(body())


def test_repeated_and_late_reports_add_nothing() -> None:
    """A repeated fill counts once, and a stale reading takes nothing back."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            world.gateway.fill(next(iter(world.gateway.orders)), 40)
            newest = world.gateway.orders[next(iter(world.gateway.orders))]
            late = report(BrokerOrderStatus.PENDING, broker_order_id="B1", order_quantity=100)
            for each in (newest, newest, late, newest):
                world.stream.push(each)
            await settle()

            assert world.tracker(TRACKER).exited_quantity == 40

    run_virtual(body())


def test_a_record_of_an_ended_order_is_decided_on_once() -> None:
    """Books that are read every second cost no decision for what they said before."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
            (ended,) = world.gateway.orders.values()
            world.stream.push(ended)
            await settle()
            told = []
            tell = world.engine.exit_engine.tell

            async def listen(actor, event):
                told.append(event)
                return await tell(actor, event)

            world.engine.exit_engine.tell = listen
            for _ in range(5):
                world.stream.push(ended)
                await settle()
            assert told == []

            changed = replace(ended, average_price=ended.average_price + 1)
            world.stream.push(changed)
            await settle()
            assert [event.report for event in told] == [changed]

    run_virtual(body())


def test_a_reading_that_many_share_is_told_once() -> None:
    """Whoever comes while it is told waits for its end; where the teller goes away, the next one
    tells it."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.fills = False
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            (resting,) = world.gateway.orders.values()
            told, may_go_on = [], asyncio.Event()

            async def listen(actor, event):
                told.append(event)
                await may_go_on.wait()

            engine, nobody = world.engine.exit_engine, None
            engine.tell = listen
            strangers = UnknownOrders(VirtualClock())
            handler, reading = OrderUpdateHandler(engine, nobody, Metrics(), strangers), (resting,)
            first, *others = [asyncio.create_task(handler.handle_book(reading)) for _ in range(4)]
            await settle()
            assert len(told) == 1 and not any(task.done() for task in others)

            first.cancel()
            await settle()
            assert len(told) == 2 and not any(task.done() for task in others)

            may_go_on.set()
            assert [await task for task in others] == [1, 1, 1]
            assert await handler.handle_book(reading) == 1
            assert len(told) == 2
            assert await handler.handle_book([resting]) == 1
            assert len(told) == 3

    run_virtual(body())
