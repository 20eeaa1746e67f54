"""Stops and targets are held against the market of today, never against the entry price."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import time
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, TRACKER, new_position
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, running_world
from squareoff.domain.errors import DomainError
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import OrderType, PositionSide
from squareoff.domain.rules import NO_RULES, PriceRule, RuleSet, TrailingRule
from squareoff.domain.sessions import Session, TradingDay
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.services.desk.desk_requests import EntryRequest, InvalidRequest, PositionRequest

DAY_NS = 86_400 * NANOSECONDS_PER_SECOND
LOCKS_PROFIT = RuleSet(stop_loss=PriceRule(price=D(155)))
"""Above the entry at 150: right while the market is above it, wrong while it is below."""

POSITION = PositionRequest(
    exchange_segment=ExchangeSegment.NSE_FNO,
    security_id="49081",
    product_type=ProductType.INTRADAY,
    side=PositionSide.LONG,
    quantity=100,
    entry_price=D(150),
    rules=LOCKS_PROFIT,
)
ENTRY = EntryRequest(
    ExchangeSegment.NSE_FNO,
    "49081",
    ProductType.INTRADAY,
    PositionSide.LONG,
    100,
    OrderType.LIMIT,
    limit_price=D(150),
    rules=LOCKS_PROFIT,
)


def quote(world: World, price: D | None, days_ago: int = 0) -> None:
    """Let the broker quote a price that was traded so long ago."""
    world.gateway.quote_price = price
    world.gateway.quote_traded_ns = VirtualClock().now().wall_ns - days_ago * DAY_NS


@pytest.mark.parametrize("silent_seconds", [0.5, 60.0])
@pytest.mark.parametrize(("price", "is_taken"), [("160", True), ("152", False)])
def test_a_stop_is_judged_by_the_newest_tick_of_today_whatever_its_age(
    price: str, is_taken: bool, silent_seconds: float
) -> None:
    """A quiet minute makes no profit-locking stop a fault, and no wrong one right."""

    async def body() -> None:
        async with running_world() as world:
            quote(world, None)
            await world.hold()
            world.tick(price)
            await asyncio.sleep(silent_seconds)
            desk = world.engine.desk
            if is_taken:
                assert (await desk.set_rules(TRACKER, LOCKS_PROFIT)).rules == LOCKS_PROFIT
                return
            with pytest.raises(InvalidRequest) as caught:
                await desk.set_rules(TRACKER, LOCKS_PROFIT)
            assert caught.value.field == "rules.stop_loss.price"

    run_virtual(body())


@pytest.mark.parametrize(
    ("price", "days_ago", "is_taken"),
    [(D(160), 0, True), (D(152), 0, False), (D(152), 1, True), (None, 0, True)],
)
def test_without_a_tick_the_broker_is_asked_and_yesterday_does_not_count(
    price: D | None, days_ago: int, is_taken: bool
) -> None:
    """A position that nobody watches yet has no tick: its first stop is held against a quote."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, 100)
            quote(world, price, days_ago)
            if is_taken:
                await world.engine.desk.track(POSITION)
                return
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.track(POSITION)
            assert caught.value.field == "rules.stop_loss.price"
            assert world.engine.desk.trackers() == ()

    run_virtual(body())


@pytest.mark.parametrize(("later", "is_taken"), [(D(160), True), (D(152), False), (None, True)])
def test_the_price_of_an_exit_does_not_judge_the_next_position(
    later: D | None, is_taken: bool
) -> None:
    """Once it is closed nobody hears its prices: the last tick is that of the exit, and a stop at
    155 is right again where the market has come back meanwhile."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=LOCKS_PROFIT)
            world.tick("154")
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await asyncio.sleep(60.0)
            quote(world, later)
            world.gateway.hold(new_position().key, 100)
            if is_taken:
                view = await world.engine.desk.track(POSITION)
                assert view.rules == LOCKS_PROFIT
                world.gateway.fills = False
                entry = replace(ENTRY, limit_price=D(160))
                assert (await world.engine.desk.enter(entry)).rules == LOCKS_PROFIT
                return
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.track(POSITION)
            assert caught.value.field == "rules.stop_loss.price"

    run_virtual(body())


def test_only_a_rule_that_needs_a_price_asks_the_broker() -> None:
    """Quotes are few; a stop in points is judged without one."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(new_position().key, 100)
            rules = RuleSet(stop_loss=PriceRule(points=D(10)), trailing=TrailingRule(points=D(8)))
            await world.engine.desk.track(replace(POSITION, rules=rules))

            assert "quotes" not in world.gateway.calls

    run_virtual(body())


def test_an_entry_is_held_against_its_limit_and_asks_nobody() -> None:
    """It fills at its limit or better, so a stop above that fires at the fill."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            quote(world, D(160))
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.enter(ENTRY)
            assert caught.value.field == "rules.stop_loss.price"
            below = RuleSet(stop_loss=PriceRule(price=D(140)))
            view = await world.engine.desk.enter(replace(ENTRY, rules=below))

            assert view.rules == below
            assert view.trading_symbol == INSTRUMENT.trading_symbol
            assert "quotes" not in world.gateway.calls

    run_virtual(body())


@pytest.mark.parametrize(
    ("rules", "is_taken"),
    [
        (RuleSet(target=PriceRule(price=D(158))), True),
        (RuleSet(stop_loss=PriceRule(price=D(145))), True),
        (RuleSet(stop_loss=PriceRule(price=D(155))), False),
        (RuleSet(target=PriceRule(price=D(149))), False),
    ],
)
def test_an_entry_below_the_market_is_judged_by_its_limit(rules: RuleSet, is_taken: bool) -> None:
    """Who buys the dip at 150 while 160 is traded means a target of 158, and no stop at 155."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold(rules=RuleSet(stop_loss=PriceRule(price=D(100))))
            world.tick("160")
            desk, entry = world.engine.desk, replace(ENTRY, limit_price=D(150))
            waiting = await desk.enter(replace(entry, rules=NO_RULES))
            if is_taken:
                assert (await desk.enter(replace(entry, rules=rules))).rules == rules
                assert (await desk.set_rules(TrackerId(waiting.id), rules)).rules == rules
                return
            with pytest.raises(InvalidRequest):
                await desk.enter(replace(entry, rules=rules))
            with pytest.raises(InvalidRequest):
                await desk.set_rules(TrackerId(waiting.id), rules)

    run_virtual(body())


NSE_HOURS = TradingDay((Session(time(9, 15), time(15, 30)),), Session(time(9, 15), time(15, 30)))


@pytest.mark.parametrize(("at", "is_taken"), [("03:15", False), ("09:14", False), ("09:15", True)])
def test_a_square_off_before_the_open_is_refused(at: str, is_taken: bool) -> None:
    """It would be due at once, all day long: 03:15 is written for 15:15."""
    rules = RuleSet(square_off_at=time.fromisoformat(at))

    async def body() -> None:
        async with running_world() as world:
            quote(world, None)
            await world.hold()
            world.calendar.hours = NSE_HOURS
            desk = world.engine.desk
            for ask in (
                desk.track(replace(POSITION, rules=rules)),
                desk.enter(replace(ENTRY, rules=rules)),
                desk.set_rules(TRACKER, rules),
            ):
                if is_taken:
                    with suppress(DomainError):  # what is not held is refused later
                        await ask
                    continue
                with pytest.raises(InvalidRequest) as caught:
                    await ask
                (fault,) = caught.value.faults
                assert fault.field == "rules.square_off_at"
                assert "before the exchange opens at 09:15" in fault.message

    run_virtual(body())


@pytest.mark.parametrize(
    ("product", "begins", "is_taken"),
    [
        (ProductType.MARGIN, time(20, 0), False),
        (ProductType.MARGIN, time(15, 20), True),
        (ProductType.MARGIN, time(8, 0), True),
        (ProductType.INTRADAY, time(20, 0), True),
    ],
)
def test_a_square_off_of_tomorrow_is_not_one_at_the_next_open(
    product: ProductType, begins: time, is_taken: bool
) -> None:
    """Given in the evening for a position that is carried, 15:15 has passed today: it would be due
    at once, and the exit would leave as the exchange opens."""
    rules = RuleSet(square_off_at=time(15, 15))

    async def body() -> None:
        async with running_world() as world:
            quote(world, None)
            world.calendar.hours = NSE_HOURS
            await world.hold(product_type=product)
            if is_taken:
                view = await world.engine.desk.set_rules(TRACKER, rules)
                assert view.rules == rules
                return
            with pytest.raises(InvalidRequest) as caught:
                await world.engine.desk.set_rules(TRACKER, rules)
            assert "would go out at the next open" in caught.value.faults[0].message

    run_virtual(body(), begins=begins)
