"""The circuit limits of the day: asked for where they are not known, and where the market left."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, TRACKER
from service_world.broker import ScriptedGateway
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.core.prices.watched_instrument import LimitsWanted
from squareoff.domain.errors import BrokerUnreachable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.orders import Quote
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.sessions import Session, TradingDay
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import DAY_NS
from squareoff.services.exits.exit_results import Wait
from squareoff.services.prices import circuit_limit_watch
from squareoff.services.prices.circuit_limit_watch import (
    ASK_AGAIN_SECONDS,
    EARLY_SECONDS,
    LOOK_SECONDS,
)

STOP = RuleSet(stop_loss=PriceRule(points=D(10)))
BOUNDED = replace(INSTRUMENT, lower_circuit=D(145), upper_circuit=D(160))
SOON = ASK_AGAIN_SECONDS[LimitsWanted.DOUBTED] + 2 * LOOK_SECONDS


class Market(ScriptedGateway):
    """A broker whose quotes tell circuit limits, which a test sets; prints come all the time."""

    def __init__(self, lower: str | None = "100", upper: str | None = "200") -> None:
        super().__init__()
        self.lower, self.upper = lower, upper
        self.price = D(150)
        self.traded_ago_ns = 0
        self.asked: list[float] = []

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Answer for every instrument."""
        self.asked.append(asyncio.get_running_loop().time())
        await self._pass("quotes")
        traded_ns = VirtualClock().now().wall_ns - self.traded_ago_ns
        lower, upper = (None if each is None else D(each) for each in (self.lower, self.upper))
        return {
            name: Quote(name, self.price, traded_ns, lower_circuit=lower, upper_circuit=upper)
            for name in instrument_ids
        }


async def see(world: World, *prices: str) -> None:
    """Tell prices, half a second apart."""
    for price in prices:
        world.tick(price)
        await asyncio.sleep(0.5)


def test_absurd_prints_confirm_nothing_once_a_quote_told_the_limits() -> None:
    """The instrument master knew none: two prints in a row beyond the limits are no price."""

    async def body() -> None:
        async with running_world(gateway=Market()) as world:
            await world.hold(rules=STOP)
            await see(world, "150")
            await asyncio.sleep(SOON)

            await see(world, "90", "89", "88")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            await see(world, "139")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_limits_that_the_exchange_moved_keep_a_stop_silent_for_a_moment_only() -> None:
    """A print beyond the limits of the morning is refused, asked about, and the next one fires."""

    async def body() -> None:
        async with running_world(gateway=Market("130", "160")) as world:
            await world.hold(rules=STOP, instrument=BOUNDED)
            await see(world, "150", "139")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            await asyncio.sleep(SOON)

            await see(world, "139")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


@pytest.mark.parametrize("is_master_of_today", [True, False])
@pytest.mark.parametrize("told", [("145", "160"), ("150", "150"), (None, None)])
def test_limits_that_the_market_has_left_are_none(
    told: tuple[str | None, str | None], *, is_master_of_today: bool
) -> None:
    """Feed and quote both tell trades of today beyond the limits, and the quote goes on to tell the
    old ones, or tells none any more: the exchange moved them, and the broker does not know it."""

    async def body() -> None:
        market = Market("145", "160")
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP, instrument=BOUNDED if is_master_of_today else INSTRUMENT)
            await see(world, "150")
            await asyncio.sleep(2.0)
            market.price, (market.lower, market.upper) = D(139), told

            await see(world, "139")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            await asyncio.sleep(SOON)
            await see(world, "139")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


@pytest.mark.parametrize(("is_known", "expected"), [(True, "149.50"), (False, "142.50")])
def test_an_exit_is_priced_inside_the_limits_of_the_day(*, is_known: bool, expected: str) -> None:
    """The position came under watch without limits, as one that is carried over; a quote told
    those of today. Beyond them the exchange would refuse every price."""

    async def body() -> None:
        market = Market("149.50") if is_known else Market(None, None)
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP)
            await see(world, "150")
            await asyncio.sleep(SOON)
            world.tick("150")
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            assert market.requests[0].limit_price == D(expected)

    run_virtual(body())


def test_a_quote_of_a_blind_instrument_is_judged_by_the_limits_that_it_tells() -> None:
    """The feed is silent and the limits were moved: the first quote asked for fires, for the watch
    over limits may find no turn between those of the silence."""

    async def body() -> None:
        market = Market("130", "160")
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP, instrument=BOUNDED)
            await see(world, "150")
            market.price = D(139)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert len(market.asked) == 1

    run_virtual(body())


def test_a_quote_of_a_quiet_instrument_takes_no_limits_of_today_away() -> None:
    """It has not traded today, so what its quote tells may be of an earlier day."""

    async def body() -> None:
        market = Market("100", "200")
        market.traded_ago_ns = DAY_NS
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP, instrument=BOUNDED)
            await asyncio.sleep(20.0)
            assert len(market.asked) > 2

            await see(world, "150", "139", "138")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


def test_a_trade_of_yesterday_says_nothing_against_the_limits_of_today() -> None:
    """It was traded within others: prices beyond those of today stay refused."""

    async def body() -> None:
        market = Market("145", "160")
        market.price, market.traded_ago_ns = D(139), DAY_NS
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP, instrument=BOUNDED)
            for _ in range(20):
                await see(world, "150", "139", "138")

            assert len(market.asked) >= 2
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


def test_limits_in_doubt_are_asked_for_before_those_of_any_number_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More instruments than one call takes, which have not traded today: a stop waits for one."""
    monkeypatch.setattr(circuit_limit_watch, "INSTRUMENTS_MAX", 1)
    names = [InstrumentId(INSTRUMENT.instrument_id.exchange_segment, f"{n}") for n in range(20)]

    async def body() -> None:
        market = Market("130", "160")
        market.traded_ago_ns = DAY_NS
        async with running_world(gateway=market) as world:
            for name in names:
                other = replace(INSTRUMENT, instrument_id=name)
                tracker_id = TrackerId(name.security_id)
                await world.hold(tracker_id=tracker_id, instrument=other)
            await world.hold(rules=STOP, instrument=BOUNDED)
            await see(world, "150", "139")
            await asyncio.sleep(3.0)

            await see(world, "139")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_limits_that_are_known_are_not_asked_for() -> None:
    """Neither those of the master of today, nor those that a quote of today told."""

    async def body() -> None:
        market = Market()
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP)
            for _ in range(60):
                await see(world, "150", "151")

            assert len(market.asked) == 1

    run_virtual(body())


@pytest.mark.parametrize("flaw", ["none told", "of yesterday", "contradicted"])
def test_an_answer_that_proves_nothing_is_asked_for_again_without_haste(flaw: str) -> None:
    """Where a quote tells no limits that are surely of this day, each pause is the long one."""

    async def body() -> None:
        market = Market(*((None, None) if flaw == "none told" else ("100", "200")))
        market.traded_ago_ns = DAY_NS if flaw == "of yesterday" else 0
        market.price = D(90) if flaw == "contradicted" else D(150)
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP)
            for _ in range(130):
                await see(world, "150")

            pause = ASK_AGAIN_SECONDS[LimitsWanted.UNKNOWN]
            assert len(market.asked) == 3
            assert market.asked[1] - market.asked[0] == pytest.approx(pause, abs=2 * LOOK_SECONDS)

    run_virtual(body())


def test_a_call_that_failed_is_made_again_at_the_next_look() -> None:
    """Prices that nothing bounds are a risk for as long as it lasts."""

    async def body() -> None:
        market = Market()
        market.failures["quotes"] = BrokerUnreachable("down")
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP)
            for _ in range(10):
                await see(world, "150")
            del market.failures["quotes"]
            asked = len(market.asked)
            for _ in range(70):
                await see(world, "150")

            assert asked >= 2
            assert len(market.asked) == asked + 1

    run_virtual(body())


def test_limits_of_an_untraded_morning_count_until_better_ones_are_told() -> None:
    """Asked before the first trade of the day: what a quote tells then is believed, and renewed."""

    async def body() -> None:
        market = Market()
        market.traded_ago_ns = DAY_NS
        async with running_world(gateway=market) as world:
            await world.hold(rules=STOP)
            await see(world, "150")
            await asyncio.sleep(SOON)

            await see(world, "90", "89")
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            market.traded_ago_ns, market.lower = 0, "80"
            await see(world, "90")
            await asyncio.sleep(SOON)
            await see(world, "90", "89")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_nobody_is_asked_while_no_session_is_near() -> None:
    """A quarter of an hour before the open the first answer is wanted."""

    async def body() -> None:
        market = Market()
        world = await make_world(gateway=market)
        opens = VirtualClock().now().ist() + timedelta(seconds=EARLY_SECONDS + 60)
        hours = Session(opens.time(), time(23, 30))
        world.calendar.hours = TradingDay((hours,), hours)
        async with running(world):
            await world.hold(rules=RuleSet())
            await asyncio.sleep(58)
            assert market.asked == []
            await asyncio.sleep(5)
            assert len(market.asked) == 1

    run_virtual(body())
