"""Prices that go missing: told once and in time, and the broker's quotes stand in for them."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import time
from decimal import Decimal as D
from itertools import pairwise

import pytest

from exit_story.values import INSTRUMENT, TRACKER
from service_world.broker import ScriptedGateway
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, make_world, running, running_world
from squareoff.core.prices.feed_lag import TOLD_FOR_SECONDS
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.state.facts import (
    AccountRuleFired,
    AlarmCleared,
    AlarmRaised,
    ExitClaimed,
    Severity,
)
from squareoff.domain.account_rules import AccountRules, AccountTrailingRule
from squareoff.domain.errors import BrokerUnreachable, FeedDisconnected
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import Quote
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.domain.sessions import Session, TradingDay
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.prices.blind_watch import LOOK_SECONDS
from squareoff.services.prices.quote_turns import QUOTE_SPACING_SECONDS

STOP = RuleSet(stop_loss=PriceRule(points=D(10)))
LIMIT = HygieneLimits().stale_after_seconds
BOUNDED = replace(INSTRUMENT, lower_circuit=D("0.05"), upper_circuit=D(1_000))
"""With circuit limits of today: nobody asks for them."""


class Market(ScriptedGateway):
    """A broker whose quotes tell what was traded: price and second, which a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.price = D(150)
        self.high = self.low = D(150)
        self.trades_always = False
        self.traded_ns: int | None = None
        self.asked: list[tuple[float, int]] = []
        self.takes_seconds = 0.2

    def trade(self, price: str) -> None:
        """Let a trade happen now."""
        self.price, self.traded_ns = D(price), whole_second_ns()
        self.high, self.low = max(self.high, self.price), min(self.low, self.price)

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Answer with the last trade of every instrument."""
        self.asked.append((asyncio.get_running_loop().time(), len(instrument_ids)))
        await asyncio.sleep(self.takes_seconds)
        await self._pass("quotes")
        traded_ns = whole_second_ns() if self.trades_always else self.traded_ns
        return {
            name: Quote(
                name,
                self.price,
                traded_ns,
                self.price - 1,
                self.price + 1,
                day_high=self.high,
                day_low=self.low,
            )
            for name in instrument_ids
        }


@asynccontextmanager
async def quoted_world() -> AsyncIterator[tuple[World, Market]]:
    """Run an engine at a broker whose quotes tell what was traded."""
    market = Market()
    async with running_world(gateway=market) as world:
        yield world, market


def whole_second_ns() -> int:
    """Return now as the exchange tells it."""
    return VirtualClock().now().wall_ns // 10**9 * 10**9


def print_price(world: World, price: str, instrument: Instrument = INSTRUMENT) -> None:
    """Let a trade happen that the feed and the quotes tell."""
    market = world.gateway
    assert isinstance(market, Market)
    market.trade(price)
    ago = (VirtualClock().now().wall_ns - whole_second_ns()) / 1e9
    world.tick(price, traded_ago=ago, instrument=instrument)


def told(world: World) -> list[tuple[Severity, str]]:
    """Return the alarms of this kind as people heard them."""
    return [(severity, text) for severity, code, text in world.alarms.heard if code == "blind"]


async def blind_facts(world: World) -> list[str]:
    """Return what the journal tells of blindness, in words."""
    words, raised = [], set()
    for entry in await world.store.entries(limit=1_000):
        if isinstance(entry.fact, AlarmRaised) and entry.fact.code == "blind":
            raised.add(entry.seq)
            words.append("raised")
        elif isinstance(entry.fact, AlarmCleared) and entry.fact.alarm_seq in raised:
            words.append("cleared")
    return words


async def seconds_to_alarm(world: World, within_seconds: float = 30) -> float:
    """Let time pass until an alarm is told; return how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await world.until(lambda: bool(told(world)), within_seconds)
    return loop.time() - began


def test_a_dead_feed_is_told_within_a_second_of_the_limit() -> None:
    """The instrument trades on, the feed is silent: one alarm, a warning, since quotes stand in."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP)
            print_price(world, "150")
            market.trades_always = True
            took = await seconds_to_alarm(world)
            await asyncio.sleep(60)

            assert LIMIT < took <= LIMIT + 1
            assert [severity for severity, _ in told(world)] == [Severity.WARNING]
            assert world.engine.status.view().blind_instruments == ("NSE_FNO:49081",)
            assert await blind_facts(world) == ["raised"]

    run_virtual(body())


def test_a_stop_fires_by_a_quote_while_the_feed_is_silent() -> None:
    """The quote takes the way of a tick; the claim says where the price came from."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP)
            print_price(world, "150")
            await asyncio.sleep(10)
            market.trade("139")
            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)

            claims = [f for c in world.store.commits for f in c.facts if isinstance(f, ExitClaimed)]
            assert [claim.trigger.price for claim in claims] == [1_390_000]
            assert "REST quote" in (tracker.exit_reason or "")
            assert world.gateway.requests[0].limit_price == D(138) * D("0.95"), (
                "off the quote's bid"
            )

    run_virtual(body())


@pytest.mark.parametrize(
    ("account_rules", "rules"),
    [
        (AccountRules(), RuleSet(trailing=TrailingRule(points=D(4)))),
        (AccountRules(trailing=AccountTrailingRule(D(400), D(500))), STOP),
    ],
    ids=["a position's", "the account's"],
)
def test_prices_that_come_late_fire_nothing_that_newer_quotes_moved(
    account_rules: AccountRules, rules: RuleSet
) -> None:
    """The socket stalls while the price rises and quotes trail; then its packets come at once."""

    async def body() -> None:
        market = Market()
        async with running_world(gateway=market, account_rules=account_rules) as world:
            if account_rules.judges_prices:
                await world.until(lambda: bool(world.engine.desk.status().account.day))
            await world.hold(rules=rules)
            print_price(world, "150")
            stalled = []
            for price in range(151, 163):
                await asyncio.sleep(1)
                market.trade(str(price))
                stalled.append((str(price), whole_second_ns()))
            for price, traded_ns in stalled:
                now_ns = VirtualClock().now().wall_ns
                world.tick(price, traded_ago=(now_ns - traded_ns) / 1e9)
            await asyncio.sleep(2)
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            assert not world.engine.desk.status().kill_switch_active
            print_price(world, "157")

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_low_between_two_quotes_fires_the_stop() -> None:
    """The quotes' day range tells what was traded between them."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP)
            print_price(world, "150")
            await asyncio.sleep(10)
            print_price(world, "150")
            await asyncio.sleep(10)
            market.trade("139")
            market.trade("149")
            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)

            assert "139.00 (the day's new low" in (tracker.exit_reason or "")

    run_virtual(body())


def test_prices_that_come_back_end_it() -> None:
    """Nothing more is asked, the row says so at once, and the alarm is over a little later."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP)
            print_price(world, "150")
            market.trades_always = True
            await seconds_to_alarm(world)
            for _ in range(30):
                print_price(world, "150.5")
                await asyncio.sleep(0.5)
                if world.engine.status.view().blind_instruments == ():
                    asked = len(market.asked)
            print_price(world, "150.5")

            assert len(market.asked) == asked
            assert await blind_facts(world) == ["raised", "cleared"]

    run_virtual(body())


def test_an_instrument_that_does_not_trade_is_quiet() -> None:
    """The quote shows no trade that the feed did not tell: nobody is told anything."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP)
            print_price(world, "150")
            await asyncio.sleep(600)

            assert told(world) == []
            assert 100 <= len(market.asked) <= 200

    run_virtual(body())


def test_an_instrument_that_never_traded_today_is_quiet() -> None:
    """The feed tells nothing of it since it was subscribed, and there was nothing to tell."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            market.traded_ns = whole_second_ns() - 3_600 * 10**9
            await world.hold(rules=STOP)
            await asyncio.sleep(60)

            assert told(world) == []

    run_virtual(body())


def lag(world: World) -> float | None:
    """Return what the gauge says now, None for not a number."""
    world.engine.metrics.render()
    found = world.engine.metrics.registry.get_sample_value("squareoff_feed_lag_seconds")
    return None if found is None or math.isnan(found) else found


def test_a_quiet_option_is_not_late() -> None:
    """Its last trade is told again with each change of its book, ever older: no lag is seen."""

    async def body() -> None:
        async with running_world(gateway=Market()) as world:
            assert lag(world) is None
            await world.hold(rules=STOP)
            for second in range(90):
                world.tick("150.00", traded_ago=3.0 + second)
                await asyncio.sleep(1)
                assert lag(world) is None

    run_virtual(body())


@pytest.mark.parametrize("late", [0.5, 4.0, 12.0])
def test_a_feed_that_tells_trades_late_is_measured(late: float) -> None:
    """Each trade comes so much after it was made, also too late to be judged: the gauge says it,
    within a quarter of a second, until no trade came for half a minute."""

    async def body() -> None:
        async with running_world(gateway=Market()) as world:
            await world.hold(rules=STOP)
            for _ in range(60):
                world.tick("150.00", traded_ago=late)
                await asyncio.sleep(1)
            found = lag(world)
            await asyncio.sleep(TOLD_FOR_SECONDS)

            assert found == pytest.approx(late, abs=LOOK_SECONDS)
            assert lag(world) is None

    run_virtual(body())


def test_a_quiet_instrument_whose_feed_died_goes_blind_when_it_trades() -> None:
    """Blind within the limit and a second of the last instant at which nothing was missing."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP)
            print_price(world, "150")
            await asyncio.sleep(62)
            market.trade("151")
            took = await seconds_to_alarm(world)

            assert took <= LIMIT + 1

    run_virtual(body())


def test_without_quotes_it_is_critical() -> None:
    """Neither the feed nor a quote: whether anything is missing cannot be known."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            market.failures["quotes"] = BrokerUnreachable("away")
            await world.hold(rules=STOP)
            print_price(world, "150")
            took = await seconds_to_alarm(world)

            assert LIMIT < took <= LIMIT + 1
            assert [severity for severity, _ in told(world)] == [Severity.CRITICAL]

    run_virtual(body())


def test_quotes_that_fail_later_make_it_critical() -> None:
    """What was a warning while quotes stood in becomes critical without them; both end."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP)
            print_price(world, "150")
            market.trades_always = True
            await seconds_to_alarm(world)
            market.failures["quotes"] = BrokerUnreachable("away")
            await world.until(lambda: len(told(world)) == 2, 30)
            for _ in range(60):
                print_price(world, "150")
                await asyncio.sleep(0.5)

            assert [s for s, _ in told(world)[:2]] == [Severity.WARNING, Severity.CRITICAL]
            assert await blind_facts(world) == ["raised", "raised", "cleared", "cleared"]

    run_virtual(body())


def test_a_feed_that_is_away_blinds_quiet_instruments_too() -> None:
    """What does not trade may trade any moment, and nobody would tell."""

    async def body() -> None:
        async with running_world(gateway=Market()) as world:
            await world.hold(rules=STOP)
            print_price(world, "150")
            world.feed.refusals = [FeedDisconnected("away") for _ in range(10)]
            world.feed.cut()
            took = await seconds_to_alarm(world)

            assert LIMIT < took <= LIMIT + 1
            assert "not connected" in told(world)[0][1]

    run_virtual(body())


def test_many_that_go_blind_at_once_are_one_alarm() -> None:
    """500 instruments: one alarm, five of them by name, and one call a turn for all."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            for number in range(500):
                name = InstrumentId(INSTRUMENT.instrument_id.exchange_segment, str(number + 1))
                instrument = replace(INSTRUMENT, instrument_id=name, trading_symbol=f"OPT-{number}")
                tracker_id = TrackerId(f"trk-{number}")
                await world.hold(tracker_id=tracker_id, instrument=instrument, rules=STOP)
            for number in range(500):
                name = InstrumentId(INSTRUMENT.instrument_id.exchange_segment, str(number + 1))
                print_price(world, "150", replace(INSTRUMENT, instrument_id=name))
            market.trades_always = True
            await asyncio.sleep(60)

            [(_, text)] = told(world)
            assert "and 495 more" in text
            assert len(world.engine.status.view().blind_instruments) == 500
            times = [at for at, _ in market.asked]
            assert all(b - a >= QUOTE_SPACING_SECONDS for a, b in pairwise(times))
            assert {count for _, count in market.asked[2:]} == {500}

    run_virtual(body())


def test_prices_that_come_now_and_then_are_one_alarm() -> None:
    """A feed that lags tells each instrument every seven seconds: nobody is told each time."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            market.trades_always = True
            await world.hold(rules=STOP)
            for _ in range(20):
                print_price(world, "150")
                await asyncio.sleep(7)

            assert len(told(world)) == 1

    run_virtual(body())


def test_quotes_that_stand_still_while_prices_are_refused_are_no_comfort() -> None:
    """The feed tells prices beyond the limits, the quotes repeat an older trade: a person looks."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP, instrument=replace(BOUNDED, lower_circuit=D(145)))
            print_price(world, "150")
            await asyncio.sleep(2)
            for _ in range(120):
                world.tick("139")
                await asyncio.sleep(0.5)

            assert market.traded_ns is not None
            assert [severity for severity, _ in told(world)][-1] is Severity.CRITICAL
            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE

    run_virtual(body())


@pytest.mark.parametrize(
    "rules", [RuleSet(), RuleSet(max_holding_minutes=600)], ids=["none", "time"]
)
def test_a_position_without_price_rules_waits_for_no_price(rules: RuleSet) -> None:
    """Nothing is asked, and nobody is told."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=rules, instrument=BOUNDED)
            await asyncio.sleep(60)

            assert (told(world), market.asked) == ([], [])

    run_virtual(body())


@pytest.mark.parametrize("is_exiting", [False, True])
def test_rules_of_the_account_wait_for_all_that_is_held(is_exiting: bool) -> None:
    """A position without rules goes blind and is quoted, one whose exit is open too, and the
    account's `max_loss` fires by what the quotes tell."""

    async def body() -> None:
        market = Market()
        rules = AccountRules(max_loss=D(1_000))
        async with running_world(gateway=market, account_rules=rules) as world:
            await world.until(lambda: bool(world.engine.desk.status().account.day))
            await world.hold(rules=RuleSet())
            print_price(world, "150")
            if is_exiting:
                world.calendar.opens_in_seconds = 3600.0
                await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.CLAIMED)
                assert world.tracker(TRACKER).status is PositionStatus.EXITING
            market.trades_always = True
            market.price = D(141)
            await seconds_to_alarm(world)
            assert await facts_of(world) == []
            market.price = D(140)

            await world.until(lambda: world.engine.desk.status().kill_switch_active)
            [fact] = await facts_of(world)
            assert (fact.rule.value, fact.pnl) == ("max_loss", D("-1000.00"))

    run_virtual(body())


async def facts_of(world: World) -> list[AccountRuleFired]:
    """Return which rules of the account fired."""
    entries = await world.store.entries(limit=1_000)
    return [each.fact for each in entries if isinstance(each.fact, AccountRuleFired)]


def test_silence_counts_only_while_the_exchange_trades() -> None:
    """Before the open and after the close nothing is missing; from the open on it is counted."""

    async def body() -> None:
        world = await make_world(gateway=Market())
        hours = Session(time(8, 11), time(8, 12))
        world.calendar.hours = TradingDay((hours,), hours)
        async with running(world):
            market = world.gateway
            assert isinstance(market, Market)
            market.failures["quotes"] = BrokerUnreachable("away")
            await world.hold(rules=STOP)
            took = await seconds_to_alarm(world, 90)
            await asyncio.sleep(90)

            assert 60 + LIMIT < took <= 60 + LIMIT + 1
            assert await blind_facts(world) == ["raised", "cleared"]

    run_virtual(body())


def test_a_slow_quote_holds_up_no_exit_and_is_not_waited_for() -> None:
    """While a spare call hangs, an exit that needs a quote asks for its own, a turn later."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            market.takes_seconds = 2.0
            await world.hold(rules=STOP, instrument=BOUNDED)
            print_price(world, "150")
            await world.until(lambda: len(market.asked) == 1, 30)
            await asyncio.sleep(1.05)
            result = await world.engine.exit_engine.execute_exit(TRACKER, "by hand")
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert result.success
            first, second = (at for at, _ in market.asked[:2])
            assert second - first == pytest.approx(QUOTE_SPACING_SECONDS, abs=0.3)

    run_virtual(body())


def test_a_price_of_the_feed_is_not_replaced_by_an_older_quote() -> None:
    """What the feed told while the quote was under way counts."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            market.takes_seconds = 1.0
            await world.hold(rules=STOP)
            print_price(world, "150")
            await world.until(lambda: bool(market.asked), 30)
            market.price, market.traded_ns = D(139), whole_second_ns() - 10**9
            await asyncio.sleep(0.5)
            world.tick("151")
            await asyncio.sleep(2)

            assert world.tracker(TRACKER).status is PositionStatus.ACTIVE
            assert world.engine.desk.tracker(TRACKER).last_traded_price == D(151)

    run_virtual(body())


def test_an_alarm_that_a_dead_process_left_is_ended_by_the_next() -> None:
    """Nobody else would: the next process knows only what is blind now."""

    async def body() -> None:
        async with quoted_world() as (world, market):
            await world.hold(rules=STOP)
            print_price(world, "150")
            market.trades_always = True
            await seconds_to_alarm(world)
            await asyncio.sleep(1)
        market.trades_always = False
        again = await make_world(store=world.store, gateway=market)
        async with running(again):
            for _ in range(60):
                print_price(again, "150")
                await asyncio.sleep(0.5)

            assert await blind_facts(again) == ["raised", "cleared"]

    run_virtual(body())
