"""What is taken under watch must be held at the broker, beyond what is under watch already."""

import asyncio
from dataclasses import replace
from decimal import Decimal as D

import pytest

from exit_story.values import TRACKER, new_position
from service_world.virtual import run_virtual
from service_world.world import running_world
from squareoff.domain.errors import BrokerUnreachable, DomainError
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import OrderType, PositionSide
from squareoff.services.desk.desk_requests import EntryRequest, NotHeld, PositionRequest

POSITION = PositionRequest(
    exchange_segment=ExchangeSegment.NSE_FNO,
    security_id="49081",
    product_type=ProductType.INTRADAY,
    side=PositionSide.LONG,
    quantity=100,
    entry_price=D("150"),
)
KEY = new_position().key
ENTRY_SHORT = EntryRequest(
    ExchangeSegment.NSE_FNO, "49081", ProductType.INTRADAY, PositionSide.SHORT, 25, OrderType.MARKET
)


@pytest.mark.parametrize(
    ("net", "side", "text"),
    [
        (0, PositionSide.LONG, "the broker shows none"),
        (75, PositionSide.LONG, "the broker shows LONG 75"),
        (-100, PositionSide.LONG, "the broker shows SHORT 100"),
        (100, PositionSide.SHORT, "the broker shows LONG 100"),
    ],
)
def test_what_is_not_held_is_refused(net: int, side: PositionSide, text: str) -> None:
    """Another side, nothing or too little: refused with both quantities, nothing is tracked."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(KEY, net)
            with pytest.raises(NotHeld) as caught:
                await world.engine.desk.track(replace(POSITION, side=side))

            assert caught.value.code == "not_held"
            assert text in str(caught.value)
            assert caught.value.details["broker_net_quantity"] == net
            assert caught.value.details["quantity"] == 100
            assert world.engine.desk.trackers() == ()

    run_virtual(body())


def test_trackers_share_what_is_held() -> None:
    """The second of two trackers gets only what the first left, also where both come at once."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(KEY, 150)
            desk = world.engine.desk
            both = await asyncio.gather(
                desk.track(POSITION), desk.track(POSITION), return_exceptions=True
            )

            (refused,) = [each for each in both if isinstance(each, NotHeld)]
            assert refused.details == {
                "quantity": 100,
                "broker_net_quantity": 150,
                "under_watch": 100,
                "free_quantity": 50,
            }
            assert (await desk.track(replace(POSITION, quantity=50))).quantity == 50

    run_virtual(body())


def test_a_position_that_shows_late_is_waited_for() -> None:
    """The broker's positions lag its fills: a position just bought is not refused for it."""

    async def body() -> None:
        async with running_world() as world:
            tracking = asyncio.get_running_loop().create_task(world.engine.desk.track(POSITION))
            await asyncio.sleep(2.0)
            world.gateway.hold(KEY, 100)

            assert (await tracking).quantity == 100

    run_virtual(body())


def test_positions_that_cannot_be_read_refuse_nobody() -> None:
    """The tracker is taken and a person is told: an exit will look again."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.failures["positions"] = BrokerUnreachable("away")

            assert (await world.engine.desk.track(POSITION)).quantity == 100
            assert world.alarms.codes == ["position_not_checked"]

    run_virtual(body())


def test_both_sides_of_one_position_are_refused() -> None:
    """The broker nets both sides: a tracker or an entry on the other side names the first."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            desk = world.engine.desk
            short = replace(POSITION, side=PositionSide.SHORT)
            for asked in (desk.track(short), desk.enter(ENTRY_SHORT)):
                with pytest.raises(DomainError) as caught:
                    await asked
                assert caught.value.code == "opposite_side"
                assert TRACKER in str(caught.value)
            assert world.gateway.requests == []

    run_virtual(body())


def test_a_side_that_came_meanwhile_is_seen() -> None:
    """An entry on the other side, taken while a tracker still waited for its units, stands."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            desk = world.engine.desk
            tracking = asyncio.get_running_loop().create_task(desk.track(POSITION))
            await asyncio.sleep(1.0)
            short = await desk.enter(ENTRY_SHORT)
            world.gateway.hold(KEY, 100)
            with pytest.raises(DomainError) as caught:
                await tracking

            assert caught.value.code == "opposite_side"
            assert [view.id for view in desk.trackers()] == [short.id]

    run_virtual(body())


def test_two_sides_at_one_instant_are_one() -> None:
    """Of an entry and a tracker whose commits would overlap the second sees the first."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            world.gateway.hold(KEY, 100)
            desk = world.engine.desk
            world.store.gate = asyncio.Event()
            loop = asyncio.get_running_loop()
            both = [
                loop.create_task(desk.track(POSITION)),
                loop.create_task(desk.enter(ENTRY_SHORT)),
            ]
            await asyncio.sleep(1.0)
            world.store.gate.set()
            answers = await asyncio.gather(*both, return_exceptions=True)

            (refused,) = [each for each in answers if isinstance(each, DomainError)]
            assert refused.code == "opposite_side"
            assert len(desk.trackers()) == 1

    run_virtual(body())


@pytest.mark.parametrize(
    ("entry_price", "side", "is_told"),
    [
        ("15", PositionSide.LONG, True),
        ("1520", PositionSide.SHORT, True),
        ("100", PositionSide.LONG, False),
        ("210", PositionSide.SHORT, False),
    ],
)
def test_an_entry_price_far_from_the_broker_s_average_is_told(
    entry_price: str, side: PositionSide, is_told: bool
) -> None:
    """A lost or added digit is taken, and a person hears of it; the average is 152."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(KEY, 100 * side.sign)
            await world.engine.desk.track(replace(POSITION, side=side, entry_price=D(entry_price)))

            assert ("entry_price_doubtful" in world.alarms.codes) == is_told

    run_virtual(body())


@pytest.mark.parametrize("side", list(PositionSide))
def test_what_was_let_go_may_be_taken_again(side: PositionSide) -> None:
    """A tracker that ended takes up none of what the broker holds, and stands in no side's way."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            desk = world.engine.desk
            await desk.untrack(TRACKER, "watched elsewhere", "asha")
            world.gateway.hold(KEY, side.sign * 100)

            assert (await desk.track(replace(POSITION, side=side))).quantity == 100

    run_virtual(body())
