"""Rules fire once, on good prices only, and each exit is seen through to its durable claim."""

import asyncio
from dataclasses import replace
from datetime import time
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, TRACKER
from service_world.session import ScriptedTimes
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.state.facts import ExitClaimed, OrderSent, StopMoved
from squareoff.core.state.inputs import RulesSet
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import (
    BreakEvenRule,
    PeakDrawdownRule,
    PriceRule,
    RuleName,
    RuleSet,
    Tier,
    TrailingRule,
)
from squareoff.domain.sessions import Session, TradingDay
from squareoff.domain.states import PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.domain.time import ns_from_iso
from squareoff.ports import FeedConnected
from squareoff.services.exits.exit_results import Wait

STOP = RuleSet(stop_loss=PriceRule(points=D(10)))
SESSIONS = (Session(time(8, 10), time(8, 20)),)
"""Virtual time begins at 08:10."""


def claims(world: World) -> list[ExitClaimed]:
    """Return every claim that was committed."""
    return [f for c in world.store.commits for f in c.facts if isinstance(f, ExitClaimed)]


def test_only_a_good_price_is_handed_on() -> None:
    """Other processes price their exits by it, and a chart is drawn of it."""
    shared: list[Tick] = []

    async def body() -> None:
        async with running_world(on_good_price=(shared.append,)) as world:
            await world.hold(rules=STOP)
            for price in ("150", "70", "151"):
                world.tick(price)
            world.tick("152", traded_ago=3600.0)

    run_virtual(body())
    assert [tick.last_traded_price for tick in shared] == [1_500_000, 1_510_000]


def test_the_last_trade_of_yesterday_fires_nothing_when_it_is_told_again() -> None:
    """A connection that lived overnight brings it once more as the book moves before the open."""

    async def body() -> None:
        async with running_world() as world:
            hours = Session(time(1, 10), time(23, 59, 50))  # a short night: each second is played
            world.calendar.hours = TradingDay((hours,), hours)
            await world.hold(product_type=ProductType.MARGIN)
            traded_ns = VirtualClock().now().wall_ns
            world.tick("150")
            await asyncio.sleep(62 * 60)
            await world.engine.desk.set_rules(TRACKER, RuleSet(stop_loss=PriceRule(price=D(155))))
            world.tick("150", traded_ago=(VirtualClock().now().wall_ns - traded_ns) / 1e9)
            await asyncio.sleep(1.0)

            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            assert 'cause="of_an_earlier_day"} 1.0' in world.engine.metrics.render().decode()
            await asyncio.sleep(10 * 60)
            world.tick("150")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body(), begins=time(23, 59))


@pytest.mark.parametrize(
    ("rules", "prices", "rule", "level"),
    [
        (STOP, ["145", "140.05", "140"], RuleName.STOP_LOSS, 1_400_000),
        (RuleSet(target=PriceRule(percent=D(5))), ["157.45", "157.5"], RuleName.TARGET, 1_575_000),
        (RuleSet(stop_loss=PriceRule(rupees=D(500))), ["145"], RuleName.STOP_LOSS, 1_450_000),
        (
            RuleSet(trailing=TrailingRule(points=D(8))),
            ["160", "152.05", "152"],
            RuleName.TRAILING,
            1_520_000,
        ),
        (
            RuleSet(break_even=BreakEvenRule(at_profit_points=D(12), lock_points=D(1))),
            ["149", "162", "151"],
            RuleName.BREAK_EVEN,
            1_510_000,
        ),
        (
            RuleSet(tiers=(Tier(D(10), D(2)),)),
            ["165", "153"],
            RuleName.TIERS,
            1_530_000,
        ),
        (
            RuleSet(peak_drawdown=PeakDrawdownRule(D(40), D(10))),
            ["170", "162"],
            RuleName.PEAK_DRAWDOWN,
            1_620_000,
        ),
    ],
    ids=lambda value: value.value if isinstance(value, RuleName) else None,
)
def test_each_price_rule_fires_at_its_level(
    rules: RuleSet, prices: list[str], rule: RuleName, level: int
) -> None:
    """A rule fires on the first price at its level, and the claim names rule, level and price."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=rules)
            for price in prices[:-1]:
                world.tick(price)
                await settle()
                assert claims(world) == []
            world.tick(prices[-1])

            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)
            trigger = claims(world)[0].trigger
            assert (trigger.rule, trigger.level) == (rule, level)
            assert trigger.price == int(D(prices[-1]) * 10_000)
            assert rule.value in (tracker.exit_reason or "")

    run_virtual(body())


def test_a_short_position_stops_on_a_rising_price() -> None:
    """For a short the stop is above the entry, and the exit buys."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(side=PositionSide.SHORT, rules=STOP)
            world.tick("159.95")
            await settle()
            assert claims(world) == []
            world.tick("160")
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert world.gateway.requests[0].side.value == "BUY"

    run_virtual(body())


@pytest.mark.parametrize("seed", range(5))
def test_a_trigger_is_latched_once(seed: int) -> None:
    """Many ticks beyond the level, and prices that come back, make one claim and one order."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold(rules=replace(STOP, target=PriceRule(points=D(20))))
            for price in ("140", "139", "155", "139.5", "165", "150"):
                world.tick(price)
            await settle()
            world.tick("138")
            await settle()

            assert len(claims(world)) == 1
            assert len(world.gateway.requests) == 1
            assert world.tracker(TRACKER).status is PositionStatus.EXITING

    run_virtual(body(), seed)


def test_a_store_that_is_away_delays_the_claim_and_alarms() -> None:
    """A latched trigger is claimed once the store is back, though the price has left."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.store.down = StoreUnavailable("away")
            world.tick("139")
            await asyncio.sleep(3.0)
            world.tick("155")
            assert "exit_not_claimed" in world.alarms.codes
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            world.store.down = None

            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert claims(world)[0].trigger.price == 1_390_000

    run_virtual(body())


@pytest.mark.parametrize(
    ("prices", "ago"),
    [(["139"], 30.0), (["150", "100"], 0.0), (["150", "200"], 0.0)],
    ids=["stale", "spike down", "spike up"],
)
def test_a_bad_price_fires_nothing(prices: list[str], ago: float) -> None:
    """A stale first print and a lone spike fire no rule, and are counted."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=replace(STOP, target=PriceRule(points=D(20))))
            for price in prices:
                world.tick(price, traded_ago=ago)
            await settle()

            assert claims(world) == []
            assert "squareoff_ticks_refused_total" in world.engine.metrics.render().decode()

    run_virtual(body())


def test_a_confirmed_spike_is_a_price() -> None:
    """A second print near the spike confirms it."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            for price in ("150", "100", "101"):
                world.tick(price)

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_fast_fall_fires_at_the_print_that_is_confirmed() -> None:
    """Every print is far from the one before it: the reason names the price that surely was."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            for price in ("150", "120", "95"):
                world.tick(price)
                await settle()

            (claim,) = claims(world)
            assert claim.reason == "stop_loss 140.00 reached at 120.00"

    run_virtual(body())


def test_a_price_beyond_the_circuit_fires_nothing() -> None:
    """A price outside the circuit limits is no price."""

    async def body() -> None:
        terms = replace(INSTRUMENT, lower_circuit=D("120"), upper_circuit=D("180"))
        async with running_world() as world:
            await world.hold(instrument=terms, rules=RuleSet(stop_loss=PriceRule(points=D(25))))
            world.tick("119.95")
            await settle()
            assert claims(world) == []
            world.tick("120")  # far from the entry price: the first print needs a second one
            await asyncio.sleep(1.0)
            world.tick("120")

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_nothing_of_before_a_reconnect_vouches_for_a_price_after_it() -> None:
    """The first print after a connect is the last trade: an old one fires nothing, and a spike
    seen before the reconnect confirms none after it."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.tick("150")
            await asyncio.sleep(60.0)
            world.feed.push(FeedConnected())
            world.tick("139", traded_ago=30.0)
            world.tick("120")
            world.feed.push(FeedConnected())
            world.tick("121")
            await settle()
            assert claims(world) == []
            await asyncio.sleep(1.0)
            world.tick("121")

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


@pytest.mark.parametrize(("offset", "source"), [(0.0, "quote"), (-8.0, "memory")])
def test_a_price_of_the_future_prices_no_exit(offset: float, source: str) -> None:
    """Trade times eight seconds ahead are of the future, unless our clock is seen to be behind."""

    async def body() -> None:
        times = ScriptedTimes()
        times.offset_seconds = offset
        async with running_world(broker_time=times) as world:
            await world.hold(rules=STOP)
            await asyncio.sleep(30.0)
            world.tick("150", traded_ago=-8.0)
            await settle()
            await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.CLAIMED)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            sends = [f for c in world.store.commits for f in c.facts if isinstance(f, OrderSent)]
            assert [send.price_source for send in sends] == [source]

    run_virtual(body())


def test_an_instrument_that_was_let_go_is_judged_afresh() -> None:
    """The feed had dropped it: the first packet of the new subscription tells a trade of before."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(stop_loss=PriceRule(points=D(40))))
            world.tick("150")
            await settle()
            await world.engine.desk.untrack(TRACKER, "other rules", "me")
            await asyncio.sleep(7_200)
            world.gateway.nets.clear()
            again = TrackerId("trk-2")
            await world.hold(tracker_id=again, rules=STOP)
            world.tick("139", traded_ago=5_400)
            await asyncio.sleep(2)
            assert world.tracker(again).status is PositionStatus.ACTIVE
            world.tick("139")
            await world.until_status(again, PositionStatus.EXITED)

    run_virtual(body())


def test_a_moved_stop_is_durable_and_survives_a_restart() -> None:
    """The stop that a peak has reached stands after a restart, whatever the first price is."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(trailing=TrailingRule(points=D(8))))
            world.tick("165")
            await settle()
            assert world.tracker(TRACKER).stop_level == 1_570_000
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            again.tick("156.95")

            await again.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_stop_that_rules_tightened_for_a_while_reached_still_fires() -> None:
    """Put from 8 points to 3 and back to 8, at the best price 160: 157 stands."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(trailing=TrailingRule(points=D(8))))
            for price in ("150", "160"):
                world.tick(price)
                await settle()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            for points in (3, 8):
                rules = RuleSet(trailing=TrailingRule(points=D(points)))
                await world.engine.exit_engine.tell(actor, RulesSet(rules))
                await settle()
            world.tick("157.05")
            await settle()
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            world.tick("157")

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_stop_that_new_rules_reach_at_once_survives_a_restart() -> None:
    """The best price that moved no stop of the old rules counts for the new ones, durably."""

    async def body() -> None:
        async with running_world() as world:
            old = RuleSet(
                break_even=BreakEvenRule(at_profit_points=D(12), lock_points=D(1)),
            )
            await world.hold(rules=old)
            for price in ("150", "162", "170", "180"):
                world.tick(price)
                await settle()
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            await world.engine.exit_engine.tell(
                actor, RulesSet(RuleSet(trailing=TrailingRule(points=D(8))))
            )
            await settle()

            assert world.tracker(TRACKER).stop_level == 1_720_000
        again = await make_world(store=world.store, gateway=world.gateway)
        async with running(again):
            again.tick("178")
            await settle()
            again.tick("171.95")
            await again.until_status(TRACKER, PositionStatus.EXITED)

            (claim,) = claims(again)
            assert claim.trigger.level == 1_720_000

    run_virtual(body())


def test_peaks_during_an_outage_wait_for_one_commit() -> None:
    """While the store is away a rally piles up nothing: one commit follows, with the best peak."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(trailing=TrailingRule(points=D(8))))
            world.store.down = StoreUnavailable("away")
            before = len(asyncio.all_tasks())
            for step in range(200):
                world.tick(str(D(150) + D(step) / 10))
                await settle(2)
            assert len(asyncio.all_tasks()) < before + 10
            world.store.down = None
            await asyncio.sleep(1.0)

            moves = [f for c in world.store.commits for f in c.facts if isinstance(f, StopMoved)]
            assert moves[-1].stop_level == 1_619_000
            assert len(moves) <= 2
            assert world.tracker(TRACKER).stop_level == 1_619_000

    run_virtual(body())


@pytest.mark.parametrize(
    ("rules", "after_seconds", "rule"),
    [
        (RuleSet(max_holding_minutes=2), 120, "max_holding_minutes"),
        (RuleSet(square_off_at=time(8, 11)), 60, "square_off_at"),
    ],
)
def test_time_rules_fire_without_any_price(rules: RuleSet, after_seconds: int, rule: str) -> None:
    """Rules about time go on while the feed says nothing."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=rules)
            await asyncio.sleep(after_seconds - 2)
            assert claims(world) == []
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert claims(world)[0].trigger.rule.value == rule
            assert len(claims(world)) == 1

    run_virtual(body())


def test_new_rules_arm_and_old_ones_are_gone() -> None:
    """After a change only the new levels fire."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=STOP)
            actor = world.engine.exit_engine.book.get(TRACKER)
            assert actor is not None
            rules = RuleSet(stop_loss=PriceRule(points=D(20)))
            await world.engine.exit_engine.tell(actor, RulesSet(rules))
            world.tick("139")
            await settle()
            assert claims(world) == []
            world.tick("130")

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_one_tick_exits_every_position_that_it_reaches() -> None:
    """A crash through many stops claims each position once, and no other."""

    async def body() -> None:
        async with running_world() as world:
            for number in range(12):
                rules = RuleSet(stop_loss=PriceRule(points=D(number + 1)))
                await world.hold(tracker_id=TrackerId(f"trk-{number}"), rules=rules)
            world.tick("142")
            await asyncio.sleep(20.0)

            exited = [
                a.tracker.tracker_id
                for a in world.engine.exit_engine.book
                if a.tracker.status is PositionStatus.EXITED
            ]
            assert exited == [f"trk-{number}" for number in range(8)]
            assert len(claims(world)) == 8
            assert sum(r.order_quantity for r in world.gateway.requests) == 800

    run_virtual(body())


OUTSIDE = {"a second before the open": "08:09:59", "at the close": "08:20:00"}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_print_from_outside_the_session_fires_nothing(name: str) -> None:
    """Pre-open prints jump about and nobody can trade at them; nor does one move a stop."""

    async def body() -> None:
        async with running_world() as world:
            world.calendar.hours = TradingDay(SESSIONS, SESSIONS[0])
            await world.hold(rules=replace(STOP, trailing=TrailingRule(points=D(8))))
            traded_ns = ns_from_iso(f"2026-09-15T{OUTSIDE[name]}+05:30")
            for price in ("170", "1", "139"):
                world.tick(price, traded_ago=(VirtualClock().now().wall_ns - traded_ns) / 1e9)
            await settle()

            assert claims(world) == []
            assert world.tracker(TRACKER).peak_price is None
            assert b'cause="out_of_session"} 3.0' in world.engine.metrics.render()
            assert world.alarms.codes == []

    run_virtual(body())


def test_trades_on_a_day_without_a_session_are_told_once() -> None:
    """A special session that the calendar lacks must not pass in silence: no rule can fire."""

    async def body() -> None:
        async with running_world() as world:
            world.calendar.hours = TradingDay((), SESSIONS[0])
            await world.hold(rules=STOP)
            for price in ("150", "139", "138"):
                world.tick(price)
            await settle()

            assert claims(world) == []
            assert world.alarms.codes == ["trades_on_a_closed_day"]

    run_virtual(body())


def test_the_first_print_of_the_session_fires() -> None:
    """From the first second of the session on a price is a price."""

    async def body() -> None:
        async with running_world() as world:
            world.calendar.hours = TradingDay(SESSIONS, SESSIONS[0])
            await world.hold(rules=STOP)
            world.tick("139")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_no_square_off_is_due_on_a_day_without_trading() -> None:
    """A position that is carried over a holiday waits for the next trading day."""

    async def body() -> None:
        async with running_world() as world:
            world.calendar.hours = TradingDay((), SESSIONS[0])
            await world.hold(rules=RuleSet(square_off_at=time(7, 0)))
            await asyncio.sleep(60)

            assert claims(world) == []

    run_virtual(body())


def test_prices_are_judged_after_a_restart_in_mid_exit() -> None:
    """The exit that goes on takes no spike for a price."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(stop_loss=PriceRule(points=D(10))))
            world.tick("150")
            await settle()
            world.calendar.opens_in_seconds = 3600.0
            await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.CLAIMED)
            await settle()
        again = await make_world(store=world.store, gateway=world.gateway)
        again.calendar.opens_in_seconds = 3600.0
        async with running(again, until_ready=False):
            await asyncio.sleep(1)
            assert again.tracker(TRACKER).status is PositionStatus.EXITING
            again.tick("150")
            again.tick("60")
            await settle()

            view = again.engine.desk.tracker(TRACKER)
            assert view.last_traded_price == D(150)

    run_virtual(body())
