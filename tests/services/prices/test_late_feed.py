"""A feed that lags: its prices fire in their order while the connection lives, whatever their age;
what a new connection tells first must be young (docs/decisions/0021)."""

import asyncio
from decimal import Decimal as D

import pytest

from exit_story.values import TRACKER
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import World, running_world
from squareoff.core.state.facts import AlarmCleared, ExitClaimed, Severity
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


def quote(world: World, price: str, ago: float = 0.0) -> None:
    """Let the broker's quotes tell this last trade."""
    world.gateway.quote_price = D(price)
    world.gateway.quote_traded_ns = VirtualClock().now().wall_ns - round(ago * 1e9)


async def falling_behind(world: World, until: float, *, step: float = 0.5) -> None:
    """Tell a price a second, each later than the one before, up to so many seconds after its trade;
    the quotes tell a trade of now."""
    lag = 0.0
    while lag < until:
        lag = min(lag + step, until)
        quote(world, "150")
        await lagging(world, lag, "150")


def blind(world: World) -> tuple[str, ...]:
    """Return what is blind now."""
    return world.engine.status.view().blind_instruments


def told(world: World) -> list[tuple[Severity, str]]:
    """Return the alarms of blindness as people heard them."""
    return [(severity, text) for severity, code, text in world.alarms.heard if code == "blind"]


def test_a_lag_within_the_limit_is_not_blindness() -> None:
    """Six seconds late is in time for the first print of a connection, and so for every other."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.tick("150")
            await falling_behind(world, 6.0)
            await lagging(world, 6.0, *["150"] * 30)

            assert blind(world) == ()
            assert told(world) == []
            assert "squareoff_feed_lag_seconds 6.0" in world.engine.metrics.render().decode()

    run_virtual(body())


def test_a_feed_that_falls_back_little_by_little_is_blind_and_quotes_fire() -> None:
    """It is never silent, so nothing but the age of its new trades tells."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.tick("150")
            await falling_behind(world, 8.0)
            assert blind(world) == ()
            for _ in range(6):
                quote(world, "149")
                await lagging(world, 10.0, "150")

            assert blind(world) == ("NSE_FNO:49081",)
            ((severity, text),) = told(world)
            assert severity is Severity.WARNING
            assert "tells prices of NIFTY" in text
            assert "more than 5 s late" in text
            quote(world, "139")
            await lagging(world, 10.0, "150", "150")

            (claim,) = claims(world)
            assert "the broker's REST quote, traded" in claim.reason
            assert claim.trigger.price == 1_390_000

    run_virtual(body())


def test_a_feed_that_catches_up_is_heard_again() -> None:
    """One trade told in time ends it; the alarm is over after twice the limit."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.tick("150")
            await falling_behind(world, 16.0)
            assert blind(world) == ("NSE_FNO:49081",)
            await lagging(world, 0.5, "150", "151")
            assert blind(world) == ()
            asked = world.gateway.calls.count("quotes")
            await lagging(world, 0.5, *["150", "151"] * 8)

            assert world.gateway.calls.count("quotes") == asked
            assert world.alarms.codes.count("blind") == 1
            facts = [entry.fact for entry in await world.store.entries(limit=1_000)]
            assert [each for each in facts if isinstance(each, AlarmCleared)]

    run_virtual(body())


def test_one_trade_told_late_is_no_lag_once_a_quote_shows_none_after_it() -> None:
    """A quiet option whose trade was joined to a later packet, and whose book moves since."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            quote(world, "150")
            world.tick("150")
            await asyncio.sleep(10.0)
            traded = 8.0
            quote(world, "149", traded)
            asked = world.gateway.calls.count("quotes")
            for _ in range(30):
                world.tick("149", traded_ago=traded)
                await asyncio.sleep(1.0)
                traded += 1.0

            assert blind(world) == ()
            assert told(world) == []
            assert world.gateway.calls.count("quotes") - asked <= 3

    run_virtual(body())


def test_a_lag_without_quotes_is_critical_and_fires_as_late_as_the_feed_tells() -> None:
    """No price is silenced for its age: a stop that fires late is better than none."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.tick("150")
            world.gateway.quote_price = None
            for second in range(32):
                await lagging(world, second / 2, "150")
            ((severity, text),) = told(world)
            assert severity is Severity.CRITICAL
            assert "their price rules fire as late as the feed tells" in text
            await lagging(world, 16.0, "140")

            (claim,) = claims(world)
            assert "REST" not in claim.reason

    run_virtual(body())
