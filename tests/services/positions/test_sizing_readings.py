"""Readings for sizing: begun with the claim, never used late, never made up."""

import asyncio
from dataclasses import replace

import pytest

from exit_story.values import TRACKER, report
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, running_world
from squareoff.domain.errors import BrokerUnreachable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, Side
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.unknown_orders import UnknownOrders
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.read_pace import ReadPace
from squareoff.services.positions.sizing_readings import AHEAD_SECONDS_MAX, SizingReadings
from squareoff.services.positions.stranger_watch import StrangerWatch
from squareoff.services.positions.warm_positions import WarmPositions


async def made(world: World) -> SizingReadings:
    """Return readings over the world's broker, for the one position it holds."""
    await world.hold()
    book = world.engine.exit_engine.book
    clock = VirtualClock()
    reads = BrokerReads(world.gateway, book, ReadPace(clock, reads_per_second=16))
    strangers = StrangerWatch(book, clock)
    warm = WarmPositions(book, reads, strangers, clock, can_read=lambda: False)
    settle = world.engine.reconciler.foreign_closes.settle_ended_days
    unknown = UnknownOrders(clock)
    return SizingReadings(book, reads, clock, lambda key: 1.0, warm, unknown, settle, strangers)


def test_a_reading_begun_with_the_claim_is_the_sizings() -> None:
    """It is read once: whoever sizes takes what was begun."""

    async def body() -> None:
        async with running_world() as world, asyncio.TaskGroup() as tasks:
            readings, tracker = await made(world), world.tracker(TRACKER)
            world.gateway.calls.clear()
            readings.begin(tracker, tasks)
            reading = await readings.read(tracker)

            assert reading.positions is not None
            assert world.gateway.calls.count("positions") == 1

    run_virtual(body())


def test_the_claims_of_one_tick_begin_one_reading_between_them() -> None:
    """One task reads for all who claim meanwhile; a claim after its end begins another."""

    async def body() -> None:
        async with running_world() as world, asyncio.TaskGroup() as tasks:
            readings, tracker = await made(world), world.tracker(TRACKER)
            other = await world.hold(tracker_id=TrackerId("trk-2"))
            await asyncio.sleep(1.0)
            world.gateway.calls.clear()
            before = len(asyncio.all_tasks())
            for claimed in (tracker, other):
                readings.begin(claimed, tasks)
            assert len(asyncio.all_tasks()) == before + 1
            found = [await readings.read(claimed) for claimed in (tracker, other)]
            assert all(reading.positions is not None for reading in found)
            assert world.gateway.calls.count("positions") == 1
            readings.begin(tracker, tasks)
            await readings.read(tracker)
            assert world.gateway.calls.count("positions") == 2

    run_virtual(body())


def test_a_reading_begun_long_ago_is_not_used() -> None:
    """Where the sizing was put off, the positions of then say nothing of now."""

    async def body() -> None:
        async with running_world() as world, asyncio.TaskGroup() as tasks:
            readings, tracker = await made(world), world.tracker(TRACKER)
            readings.begin(tracker, tasks)
            await asyncio.sleep(AHEAD_SECONDS_MAX + 0.1)
            world.gateway.hold(tracker.key, 0)
            reading = await readings.read(tracker)

            assert reading.positions is not None
            assert [row.net_quantity for row in reading.positions.rows if row.net_quantity] == []

    run_virtual(body())


def test_a_failed_reading_ahead_is_read_again() -> None:
    """What failed ahead is asked for anew, and what fails to the end is no reading of zero."""

    async def body() -> None:
        async with running_world() as world, asyncio.TaskGroup() as tasks:
            readings, tracker = await made(world), world.tracker(TRACKER)
            world.gateway.failures["positions"] = BrokerUnreachable("away")
            readings.begin(tracker, tasks)
            await asyncio.sleep(0)
            failed = await readings.read(tracker)
            del world.gateway.failures["positions"]

            assert failed.positions is None
            assert (await readings.read(tracker)).positions is not None

    run_virtual(body())


def test_a_missing_row_reads_like_zero() -> None:
    """An empty list of positions is a flat reading, no more; and other keys' rows say nothing."""

    async def body() -> None:
        async with running_world() as world:
            readings, tracker = await made(world), world.tracker(TRACKER)
            other = replace(tracker.key, product_type=ProductType.MARGIN)
            shown = []
            for kept in (tracker.key, other, None):
                world.gateway.nets.clear()
                if kept is not None:
                    world.gateway.hold(kept, 75)
                reading = await readings.read(tracker)
                shown.append(readings.input_of(tracker, reading).net_quantity)

            assert shown == [75, 0, 0]

    run_virtual(body())


@pytest.mark.parametrize(("side", "is_sent"), [(Side.SELL, False), (Side.BUY, True), (None, True)])
def test_our_own_word_ends_where_somebody_else_was_heard(side: Side | None, is_sent: bool) -> None:
    """The positions cannot be read; the stream told that the owner closed by hand since the books
    agreed: to sell once more would open a short."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            await world.engine.desk.reconcile()
            await asyncio.sleep(10.0)
            world.gateway.failures["positions"] = BrokerUnreachable("away")
            if side is not None:
                told = report(BrokerOrderStatus.TRADED, 100, side=side, broker_order_id="stranger")
                world.gateway.publish(replace(told, instrument_id=tracker.instrument.instrument_id))
            await asyncio.sleep(5.0)
            result = await world.engine.exit_engine.execute_exit(
                TRACKER, "stop", wait=Wait.ACCEPTED, wait_seconds=20.0
            )

            assert result.success is is_sent
            assert bool(world.gateway.requests) is is_sent

    run_virtual(body())


@pytest.mark.parametrize("slow", ["positions", "trade_book"])
def test_a_reading_that_was_long_in_coming_is_asked_for_once_more(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that stood still finds answers of before; a broker that is always slow holds no
    exit up."""

    async def body() -> None:
        async with running_world() as world:
            readings, tracker = await made(world), world.tracker(TRACKER)
            answer_of, waits = getattr(world.gateway, slow), [6.0]

            async def late() -> object:
                answer = await answer_of()
                await asyncio.sleep(waits.pop(0) if waits else 0.0)
                return answer

            monkeypatch.setattr(world.gateway, slow, late)

            async def read_while_closed_by_hand(left: int) -> int:
                now_ns = VirtualClock().now().monotonic_ns
                world.engine.exit_engine.book.note_closed(tracker.key, 1, now_ns)
                reading = asyncio.create_task(readings.read(tracker))
                await asyncio.sleep(3.0)
                world.gateway.hold(tracker.key, left)
                positions = (await reading).positions
                assert positions is not None
                return positions.net_of(tracker.key)

            assert await read_while_closed_by_hand(40) == 40
            world.gateway.calls.clear()
            waits += [6.0, 6.0]
            assert await read_while_closed_by_hand(30) == 30  # of the second, as late as the first
            assert world.gateway.calls.count("positions") == 2

    run_virtual(body())
