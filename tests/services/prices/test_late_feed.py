"""A feed that lags: its prices fire in their order while the connection lives, whatever their age;
what a new connection tells first must be young (docs/decisions/0021)."""

import asyncio
from decimal import Decimal as D

import pytest

from exit_story.values import TRACKER
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import World, running_world
from squareoff.core.state.facts import ExitClaimed
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.domain.states import PositionStatus
from squareoff.ports import FeedConnected

STOP = RuleSet(stop_loss=PriceRule(points=D(10)))


async def lagging(world: World, lag: float, *prices: str) -> None:
    """Tell prices a second apart, each so many seconds after it was traded."""
    for price in prices:
        await asyncio.sleep(1.0)
        world.tick(price, traded_ago=lag)
        await settle()


def claims(world: World) -> list[ExitClaimed]:
    """Return every claim that was committed."""
    return [f for c in world.store.commits for f in c.facts if isinstance(f, ExitClaimed)]


@pytest.mark.parametrize("lag", [2.5, 2.6, 5.0, 5.1, 6.0, 6.1, 30.0])
def test_a_late_print_of_a_living_connection_fires(lag: float) -> None:
    """The stop was reached: the claim says when that was, and when we were told."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.tick("150")
            await asyncio.sleep(lag)
            await lagging(world, lag, "145", "140.05")
            assert claims(world) == []
            await lagging(world, lag, "140")

            (claim,) = claims(world)
            told_ns, traded_ns = claim.trigger.received_time_ns, claim.trigger.exchange_time_ns
            assert told_ns is not None
            assert traded_ns is not None
            assert told_ns - traded_ns == round(lag * 1e9)

    run_virtual(body())


def test_late_prints_move_a_trailing_stop_in_their_order() -> None:
    """160 is told before 152, both half a minute late: the stop at 152 was reached."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(trailing=TrailingRule(points=D(8))))
            world.tick("150")
            await asyncio.sleep(30.0)
            await lagging(world, 30.0, "160", "152.05")
            assert claims(world) == []
            await lagging(world, 30.0, "152")

            (claim,) = claims(world)
            assert claim.trigger.level == 1_520_000

    run_virtual(body())


@pytest.mark.parametrize(("lag", "fires"), [(5.0, True), (6.0, True), (6.1, False), (30.0, False)])
def test_a_connection_that_lags_from_its_start_fires_up_to_the_limit(
    lag: float, *, fires: bool
) -> None:
    """The first print may be five seconds and one old; while none is younger, none counts."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.gateway.quote_price = D(150)
            world.gateway.quote_traded_ns = VirtualClock().now().wall_ns
            world.tick("150")
            world.feed.push(FeedConnected())
            await asyncio.sleep(lag)
            await lagging(world, lag, "145", "140", "139", "138")

            assert bool(claims(world)) is fires

    run_virtual(body())


def test_a_connection_that_lags_from_its_start_is_blind_and_quotes_fire() -> None:
    """No price of it is valid, so the broker's quotes are asked for, and the rules go on."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.tick("150")
            world.feed.push(FeedConnected())
            for _ in range(12):
                world.gateway.quote_price = D(149)
                world.gateway.quote_traded_ns = VirtualClock().now().wall_ns
                await lagging(world, 10.0, "150")
            assert world.engine.status.view().blind_instruments == ("NSE_FNO:49081",)
            world.gateway.quote_price = D(139)
            world.gateway.quote_traded_ns = VirtualClock().now().wall_ns
            await world.until_status(TRACKER, PositionStatus.EXITED)

            (claim,) = claims(world)
            assert "REST quote" in claim.reason

    run_virtual(body())


def test_a_lag_of_a_living_connection_is_not_blindness() -> None:
    """Growing to ten seconds: prices are valid and in order, and the feed's lag is a figure."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.tick("150")
            for second in range(40):
                await lagging(world, min(second / 2, 10.0), "150")

            assert world.engine.status.view().blind_instruments == ()
            assert "blind" not in world.alarms.codes
            figures = world.engine.metrics.render().decode()
            assert "squareoff_feed_lag_seconds 10.0" in figures

    run_virtual(body())
