"""The entry order that a new tracker names must be an order that opens this position."""

import asyncio
from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from exit_story.values import ACCOUNT, INSTRUMENT, report
from service_world.virtual import run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.domain.errors import BrokerUnreachable, DomainError
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, PositionKey, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderReport,
    OrderType,
    PositionSide,
    Side,
)
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.services.desk.desk_requests import (
    EntryRequest,
    InvalidRequest,
    NotHeld,
    PositionRequest,
)
from squareoff.services.exits.exit_results import Wait

ORDER = "9525091500001"
POSITION = PositionRequest(
    exchange_segment=ExchangeSegment.NSE_FNO,
    security_id="49081",
    product_type=ProductType.INTRADAY,
    side=PositionSide.LONG,
    quantity=100,
    entry_price=D("150"),
    entry_order_id=ORDER,
)
PENDING, TRADED = BrokerOrderStatus.PENDING, BrokerOrderStatus.TRADED
CANCELLED = BrokerOrderStatus.CANCELLED
OTHER = InstrumentId(ExchangeSegment.NSE_FNO, "49082")
OTHER_SEGMENT = InstrumentId(ExchangeSegment.BSE_FNO, "49081")
OWN_TAG = ClientOrderId("sqe-000000000000-001-01")


def manual_order(world: World, **changes: Any) -> OrderReport:
    """Let an order stand that was placed in the broker's app; a BUY of 100 by default."""
    default = report(PENDING, broker_order_id=ORDER, side=Side.BUY)
    order = replace(default, **changes)
    world.gateway.orders[order.broker_order_id] = order
    return order


async def refusal_of(world: World, request: PositionRequest = POSITION) -> DomainError:
    """Return what a request is refused with; nothing may have come of it."""
    before = len(world.engine.desk.trackers())
    with pytest.raises(DomainError) as caught:
        await world.engine.desk.track(request)
    assert len(world.engine.desk.trackers()) == before
    assert caught.value.field == "entry_order_id"
    return caught.value


def test_an_order_of_ones_own_hand_is_waited_for() -> None:
    """The tracker is PENDING, needs no position yet, and holds what the order fills."""

    async def body() -> None:
        async with running_world() as world:
            order = manual_order(world)
            view = await world.engine.desk.track(replace(POSITION, entry_order_id=f" {ORDER} "))
            assert (view.status, view.quantity) == (PositionStatus.PENDING, 0)

            world.gateway.fill(order.broker_order_id)
            tracker = await world.until_status(TrackerId(view.id), PositionStatus.ACTIVE)
            assert tracker.quantity == 100
            result = await world.engine.desk.exit(tracker.tracker_id, "x", Wait.FILLED, 8.0)

            assert result.exited_quantity == 100
            assert world.gateway.net(tracker.key) == 0
            assert world.alarms.codes == []

    run_virtual(body())


@pytest.mark.parametrize("is_restarted", [False, True])
def test_an_entry_that_waited_is_held_from_its_first_fill(*, is_restarted: bool) -> None:
    """Placed an hour before it filled: the holding time begins with the fill, and a restart in
    between takes nothing of it away and adds nothing to it."""

    async def until_exit(world: World) -> float:
        name = next(iter(world.engine.exit_engine.book)).tracker.tracker_id
        began = asyncio.get_running_loop().time()
        await world.until_status(name, PositionStatus.EXITED)
        return asyncio.get_running_loop().time() - began

    async def body() -> None:
        async with running_world() as world:
            order = manual_order(world)
            rules = RuleSet(max_holding_minutes=2)
            request = replace(POSITION, entry_order_id=ORDER, rules=rules)
            view = await world.engine.desk.track(request)
            await asyncio.sleep(3_600.0)
            world.gateway.fill(order.broker_order_id)
            await world.until_status(TrackerId(view.id), PositionStatus.ACTIVE)
            await asyncio.sleep(60.0)
            assert world.tracker(TrackerId(view.id)).status is PositionStatus.ACTIVE
            if not is_restarted:
                assert 55.0 <= await until_exit(world) <= 65.0
                return
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            assert 50.0 <= await until_exit(again) <= 65.0

    run_virtual(body())


@pytest.mark.parametrize("text", ["", "   ", "../positions", "95 25", "952509150000１", "a/b"])
def test_what_is_no_order_id_is_refused(text: str) -> None:
    """Blank, with blanks inside, or more than a word: refused by field, nothing is asked."""

    async def body() -> None:
        async with running_world() as world:
            calls = len(world.gateway.calls)
            error = await refusal_of(world, replace(POSITION, entry_order_id=text))

            assert isinstance(error, InvalidRequest)
            assert len(world.gateway.calls) == calls

    run_virtual(body())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"instrument_id": OTHER}, id="another instrument"),
        pytest.param({"instrument_id": OTHER_SEGMENT}, id="another segment"),
        pytest.param({"product_type": ProductType.MARGIN}, id="another product"),
        pytest.param({"side": Side.SELL}, id="the other side"),
        pytest.param({"side": Side.SELL, "status": TRADED, "cumulative_quantity": 100}, id="sold"),
        pytest.param({"status": CANCELLED}, id="ended unfilled"),
        pytest.param({"status": BrokerOrderStatus.REJECTED}, id="rejected"),
    ],
)
def test_an_order_that_is_not_the_entry_is_refused(changes: dict[str, Any]) -> None:
    """What would never open this position is not watched, and an exit of all cancels none of it."""

    async def body() -> None:
        async with running_world() as world:
            manual_order(world, **changes)
            error = await refusal_of(world)
            await world.engine.desk.exit_all("x", wait_seconds=5.0)

            assert error.code == "entry_order_unfit"
            assert world.gateway.cancels == []

    run_virtual(body())


def test_an_order_that_the_broker_lacks_is_waited_for_and_then_refused() -> None:
    """One placed this moment may show late; one that never shows is told."""

    async def body() -> None:
        async with running_world() as world:
            assert (await refusal_of(world)).code == "entry_order_not_found"
            tracking = asyncio.get_running_loop().create_task(world.engine.desk.track(POSITION))
            await asyncio.sleep(2.0)
            manual_order(world)

            assert (await tracking).status is PositionStatus.PENDING

    run_virtual(body())


def test_an_order_book_that_cannot_be_read_refuses_for_now() -> None:
    """Nothing is watched unseen; asked again once the book can be read, it is taken."""

    async def body() -> None:
        async with running_world() as world:
            manual_order(world)
            world.gateway.failures["order_book"] = BrokerUnreachable("away")
            with pytest.raises(BrokerUnreachable, match="ask again"):
                await world.engine.desk.track(POSITION)
            assert world.engine.desk.trackers() == ()
            del world.gateway.failures["order_book"]

            assert (await world.engine.desk.track(POSITION)).status is PositionStatus.PENDING

    run_virtual(body())


@pytest.mark.parametrize("is_filled", [False, True], ids=["open", "filled"])
def test_one_order_is_the_entry_of_one_tracker(is_filled: bool) -> None:
    """A second tracker of it is refused, also when both come at once, and later for ever."""

    async def body() -> None:
        async with running_world() as world:
            order = manual_order(world)
            if is_filled:
                world.gateway.fill(order.broker_order_id)
            desk = world.engine.desk
            both = await asyncio.gather(
                desk.track(POSITION), desk.track(POSITION), return_exceptions=True
            )
            (refused,) = [each for each in both if isinstance(each, DomainError)]
            assert refused.code == "entry_order_taken"
            await asyncio.sleep(60.0)
            assert world.alarms.codes == []
            if not is_filled:
                world.gateway.fill(order.broker_order_id)
            (mine,) = desk.trackers()
            await world.until_status(TrackerId(mine.id), PositionStatus.ACTIVE)
            await desk.exit(TrackerId(mine.id), "x", Wait.FILLED, 8.0)

            assert (await refusal_of(world)).code == "entry_order_taken"
            key = PositionKey(ACCOUNT, INSTRUMENT.instrument_id, ProductType.INTRADAY)
            assert world.gateway.net(key) == 0

    run_virtual(body())


def test_an_order_of_the_engine_itself_is_nobody_s_entry() -> None:
    """Its own entries and exits are refused, and what another engine placed."""

    async def body() -> None:
        async with running_world() as world:
            entry = EntryRequest(
                POSITION.exchange_segment,
                POSITION.security_id,
                POSITION.product_type,
                POSITION.side,
                100,
                OrderType.MARKET,
            )
            await world.engine.desk.enter(entry)
            await world.until(lambda: bool(world.gateway.orders))
            own = str(next(iter(world.gateway.orders)))
            manual_order(world, client_order_id=OWN_TAG)
            errors = [
                await refusal_of(world, replace(POSITION, entry_order_id=name))
                for name in (own, ORDER)
            ]

            assert [error.code for error in errors] == ["entry_order_taken"] * 2

    run_virtual(body())


def test_what_a_filled_order_brought_must_be_free() -> None:
    """Units that another tracker claims already are not claimed by way of their order again."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fill(manual_order(world).broker_order_id)
            await world.engine.desk.track(replace(POSITION, entry_order_id=None))
            with pytest.raises(NotHeld) as caught:
                await world.engine.desk.track(POSITION)

            assert caught.value.details["free_quantity"] == 0
            assert len(world.engine.desk.trackers()) == 1

    run_virtual(body())


def test_a_watched_order_that_turns_out_another_is_let_go() -> None:
    """A tracker of before, bound to another's order: told once, nothing counted or cancelled."""

    async def body() -> None:
        async with running_world() as world:
            order = manual_order(world, side=Side.SELL)
            tracker = await world.hold(entry_order_id=BrokerOrderId(ORDER))
            await world.until_status(tracker.tracker_id, PositionStatus.CANCELLED)
            await world.engine.desk.exit_all("x", wait_seconds=5.0)
            world.gateway.fill(order.broker_order_id)
            await asyncio.sleep(30.0)

            assert world.tracker(tracker.tracker_id).quantity == 0
            assert world.gateway.cancels == []
            assert world.alarms.codes == ["entry_order_mismatch"]

    run_virtual(body())
