"""Rules of the account: judged on known prices only, latched once, carried out whatever happens."""

import asyncio
from datetime import date, time
from decimal import Decimal as D
from typing import Any

import pytest

from exit_story.values import INSTRUMENT, TRACKER
from service_world import virtual
from service_world.virtual import START_WALL_NS, run_virtual, settle
from service_world.world import World, make_world, running, running_world
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.prices.quiet_prices import LoudFeed, QuietPrices
from squareoff.core.session.trusted_time import DOUBT_SECONDS
from squareoff.core.state.facts import (
    AccountPeakReached,
    AccountRuleFired,
    ExitAllAsked,
    KillSwitchSet,
)
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.account_rules import AccountRuleName, AccountRules, AccountTrailingRule
from squareoff.domain.copies import replace
from squareoff.domain.errors import CommitOutcomeUnknown, StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import OrderType, PositionSide, Side
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.sessions import Session, TradingDay
from squareoff.domain.states import PositionStatus
from squareoff.services.account.account_guard import LOSS_STANDS_SECONDS, UNSEEN_SECONDS
from squareoff.services.account.account_view import AccountView
from squareoff.services.exits.exit_results import Wait

LOSS = AccountRules(max_loss=D(1000))
"""Of 100 units from 150.00: at 140.00."""

OTHER = replace(
    INSTRUMENT,
    instrument_id=InstrumentId(ExchangeSegment.NSE_FNO, "49082"),
    trading_symbol="NIFTY-Sep2026-25000-PE",
)
SECOND = TrackerId("trk-2")
DAY_NS = 86_400_000_000_000


def judged(rules: AccountRules) -> Any:
    """Return a running world with these rules; no price is a spike."""
    return running_world(account_rules=rules, hygiene=HygieneLimits(spike_percent=D(90)))


async def facts_of(world: World, kind: type[Any]) -> list[Any]:
    """Return every fact of a kind in the journal."""
    entries = await world.engine.desk.journal(limit=100_000)
    return [entry.fact for entry in entries if isinstance(entry.fact, kind)]


def account(world: World) -> AccountView:
    """Return how the account stands."""
    return world.engine.desk.status().account


async def begun(world: World) -> None:
    """Let the guard take a turn."""
    await world.until(lambda: bool(account(world).day))


async def closed_by_loss(world: World) -> None:
    """Let the rule of the account close the one position."""
    await begun(world)
    await world.hold()
    world.tick("139")
    await world.until_status(TRACKER, PositionStatus.EXITED)


@pytest.mark.parametrize(
    ("rules", "prices", "rule", "level", "pnl"),
    [
        (LOSS, ["140.05", "140"], "max_loss", "-1000.00", "-1000.00"),
        (AccountRules(target=D(500)), ["154.95", "155.1"], "target", "500.00", "510.00"),
        (
            AccountRules(trailing=AccountTrailingRule(D(300), D(500))),
            ["154", "151", "156", "153.05", "153"],
            "trailing",
            "300.00",
            "300.00",
        ),
        (
            AccountRules(trailing=AccountTrailingRule(D(300))),
            ["152", "149.05", "149"],
            "trailing",
            "-100.00",
            "-100.00",
        ),
    ],
)
def test_a_rule_fires_at_its_level_and_closes_everything(
    rules: AccountRules, prices: list[str], rule: str, level: str, pnl: str
) -> None:
    """The first price that brings the P&L to a level closes all; reason and journal name it."""

    async def body() -> None:
        async with judged(rules) as world:
            await begun(world)
            await world.hold()
            for price in prices[:-1]:
                world.tick(price)
                await settle()
                assert await facts_of(world, AccountRuleFired) == []
            world.tick(prices[-1])

            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)
            (fired,) = await facts_of(world, AccountRuleFired)
            assert (fired.rule, fired.level, fired.pnl) == (rule, D(level), D(pnl))
            assert fired.price == int(D(prices[-1]) * 10_000)
            assert fired.instrument_id == "NSE_FNO:49081"
            assert f"account {rule} {level} reached" in (tracker.exit_reason or "")
            assert account(world).fired == (AccountRuleName(rule),)
            assert (await world.engine.desk.kill_switch()).level == "new"
            assert world.engine.desk.status().kill_switch_active
            assert "account_rule_fired" in world.alarms.codes

    run_virtual(body())


def test_what_fired_is_one_transaction_with_switch_and_wish() -> None:
    """No crash comes between the latch and the wish that carries it out."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await closed_by_loss(world)

            entries = await world.engine.desk.journal(limit=100_000)
            (place,) = [n for n, e in enumerate(entries) if isinstance(e.fact, AccountRuleFired)]
            assert isinstance(entries[place - 1].fact, KillSwitchSet)
            assert isinstance(entries[place + 1].fact, ExitAllAsked)
            assert len({entry.time_ns for entry in entries[place - 1 : place + 2]}) == 1

    run_virtual(body())


def test_all_positions_count_together_and_shorts_are_bought_back_first() -> None:
    """The P&L is that of every instrument and side; closing goes as exit-all does."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold()
            await world.hold(
                tracker_id=SECOND,
                instrument=OTHER,
                side=PositionSide.SHORT,
                product_type=ProductType.MARGIN,
            )
            world.tick("144")
            world.tick("153.95", instrument=OTHER)
            await settle()
            assert account(world).pnl == D("-995.00")
            world.tick("154", instrument=OTHER)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert [request.side for request in world.gateway.requests] == [Side.BUY, Side.SELL]
            (fired,) = await facts_of(world, AccountRuleFired)
            assert fired.instrument_id == "NSE_FNO:49082"

    run_virtual(body())


def test_what_was_closed_today_counts() -> None:
    """The day's P&L is what was realised and what is open."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold(entry_price=D("159"))
            world.tick("159")
            await world.engine.desk.exit(TRACKER, "by hand", Wait.FILLED, 5)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert account(world).realized_pnl == account(world).pnl == D("-750.00")
            await world.hold(tracker_id=SECOND)
            world.tick("147.55")
            await settle()
            assert account(world).pnl == D("-995.00")
            world.tick("147.5")
            await world.until_status(SECOND, PositionStatus.EXITED)

            (fired,) = await facts_of(world, AccountRuleFired)
            assert fired.pnl == D("-1000.00")

    run_virtual(body())


def test_a_price_that_is_not_good_fires_nothing() -> None:
    """A stale print and a spike are no part of the P&L."""

    async def body() -> None:
        async with running_world(account_rules=LOSS) as world:
            await begun(world)
            await world.hold()
            world.tick("120", traded_ago=60.0)
            world.tick("149")
            world.tick("100")
            await settle()

            assert account(world).pnl == D("-100.00")
            assert await facts_of(world, AccountRuleFired) == []
            assert world.tracker(TRACKER).intent is None

    run_virtual(body())


class AskedFeed(LoudFeed):
    """Remembers for which instruments somebody wanted to keep quiet prices."""

    def __init__(self) -> None:
        self.asked: list[InstrumentId] = []

    def quiet_prices(self, instrument_id: InstrumentId) -> QuietPrices | None:
        """Note the question."""
        self.asked.append(instrument_id)
        return super().quiet_prices(instrument_id)


@pytest.mark.parametrize(
    ("rules", "is_quiet"), [(LOSS, False), (AccountRules(square_off_at=time(15, 15)), True)]
)
def test_no_price_is_quiet_to_rules_over_the_pnl(rules: AccountRules, is_quiet: bool) -> None:
    """The feed keeps none of them; where no rule looks at prices it may."""

    async def body() -> None:
        feed = AskedFeed()
        async with running_world(account_rules=rules, quiet_feed=feed) as world:
            await world.hold()
            world.tick("150")
            await settle()

            assert bool(feed.asked) == is_quiet

    run_virtual(body())


def test_a_rule_of_a_position_and_one_of_the_account_make_one_exit() -> None:
    """Both are reached by one tick: one claim, one order."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold(rules=RuleSet(stop_loss=PriceRule(points=D(10))))
            world.tick("139")
            tracker = await world.until_status(TRACKER, PositionStatus.EXITED)
            await world.until(lambda: bool(account(world).fired_reason))

            assert len(world.gateway.requests) == 1
            assert len([o for o in tracker.exit_orders if o.cumulative_quantity]) == 1
            assert (await world.engine.desk.kill_switch()).active

    run_virtual(body())


def test_a_resting_entry_is_ended_too() -> None:
    """Nothing is left that could open anew."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold()
            world.gateway.fills = False
            await world.hold(tracker_id=SECOND, entry_order_type=OrderType.LIMIT)
            await world.until(lambda: len(world.gateway.orders) == 1)
            world.gateway.fills = True
            world.tick("139")
            await world.until_status(TRACKER, PositionStatus.EXITED)

            await world.until_status(SECOND, PositionStatus.CANCELLED)

    run_virtual(body())


def test_a_missing_price_keeps_target_and_trailing_silent() -> None:
    """A profit that is not wholly seen is none."""

    async def body() -> None:
        rules = AccountRules(target=D(500), trailing=AccountTrailingRule(D(5000), D(300)))
        async with judged(rules) as world:
            await begun(world)
            await world.hold()
            await world.hold(tracker_id=SECOND, instrument=OTHER)
            world.tick("158")
            await asyncio.sleep(LOSS_STANDS_SECONDS * 2)
            assert account(world).pnl is None
            assert account(world).unseen == ("NSE_FNO:49082",)
            assert account(world).peak is None
            world.tick("149", instrument=OTHER)
            await world.until_status(SECOND, PositionStatus.EXITED)

            (fired,) = await facts_of(world, AccountRuleFired)
            assert (fired.rule, fired.pnl) == (AccountRuleName.TARGET, D("700.00"))

    run_virtual(body())


def test_a_loss_of_the_known_part_waits_for_the_missing_price_and_no_longer() -> None:
    """A person hears at once; after the wait everything is closed."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold()
            await world.hold(tracker_id=SECOND, instrument=OTHER)
            world.tick("139")
            await asyncio.sleep(LOSS_STANDS_SECONDS - 2)
            assert "account_pnl_unknown" in world.alarms.codes
            assert await facts_of(world, AccountRuleFired) == []
            await asyncio.sleep(4)

            (fired,) = await facts_of(world, AccountRuleFired)
            assert (fired.rule, fired.pnl) == (AccountRuleName.MAX_LOSS, D("-1100.00"))
            await world.until_status(SECOND, PositionStatus.EXITED)

    run_virtual(body())


def test_what_was_realised_fires_nothing_while_no_price_is_known() -> None:
    """After a restart the open profit that makes up for it may only not be seen yet."""

    async def body() -> None:
        world = await make_world(account_rules=LOSS, hygiene=HygieneLimits(spike_percent=D(90)))
        async with running(world):
            await begun(world)
            await world.hold(entry_price=D("180"), tracker_id=SECOND, instrument=OTHER)
            await world.hold(entry_price=D("120"))
            world.tick("150")
            world.tick("170", instrument=OTHER)
            await world.engine.desk.exit(SECOND, "by hand", Wait.FILLED, 5)
            await world.until_status(SECOND, PositionStatus.EXITED)
            assert account(world).pnl == D("150.00")
        again = await make_world(
            store=world.store,
            gateway=world.gateway,
            account_rules=LOSS,
            hygiene=HygieneLimits(spike_percent=D(90)),
        )
        async with running(again):
            await begun(again)
            assert account(again).realized_pnl == D("-2850.00")
            await asyncio.sleep(LOSS_STANDS_SECONDS * 2)
            assert await facts_of(again, AccountRuleFired) == []
            again.tick("150")
            await asyncio.sleep(2)
            assert account(again).pnl == D("150.00")

    run_virtual(body())


def test_nothing_is_judged_before_the_books_agree() -> None:
    """What was closed while no engine ran would still be counted."""

    async def body() -> None:
        limits = HygieneLimits(spike_percent=D(90))
        world = await make_world(account_rules=LOSS, hygiene=limits)
        async with running(world):
            await world.hold()
        again = await make_world(
            store=world.store, gateway=world.gateway, account_rules=LOSS, hygiene=limits
        )
        again.gateway.gates["positions"] = asyncio.Event()
        async with running(again, until_ready=False):
            await asyncio.sleep(2)
            again.tick("139")
            await asyncio.sleep(5)
            assert await facts_of(again, AccountRuleFired) == []
            assert not again.engine.desk.status().kill_switch_active
            again.tick("149")
            again.gateway.gates["positions"].set()
            await begun(again)
            await asyncio.sleep(2)

            assert account(again).pnl == D("-100.00")
            assert await facts_of(again, AccountRuleFired) == []

    run_virtual(body())


def test_a_hedge_that_is_seen_in_time_saves_the_account() -> None:
    """The wait begins anew with every loss."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold()
            await world.hold(tracker_id=SECOND, instrument=OTHER)
            world.tick("139")
            await asyncio.sleep(LOSS_STANDS_SECONDS - 2)
            world.tick("155", instrument=OTHER)
            await asyncio.sleep(LOSS_STANDS_SECONDS * 2)

            assert account(world).pnl == D("-600.00")
            assert await facts_of(world, AccountRuleFired) == []

    run_virtual(body())


def test_prices_of_a_lost_connection_are_none() -> None:
    """After a reconnect the old price of a hedge keeps a loss from firing, and makes none."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold()
            await world.hold(tracker_id=SECOND, instrument=OTHER)
            world.tick("145")
            world.tick("154", instrument=OTHER)
            await settle()
            assert account(world).pnl == D("-100.00")
            world.feed.cut()
            await settle()
            assert account(world).pnl is None
            await world.until(lambda: world.engine.desk.status().market_feed == "connected")
            world.tick("138")
            await asyncio.sleep(LOSS_STANDS_SECONDS * 2)
            assert await facts_of(world, AccountRuleFired) == []
            world.tick("151.95", instrument=OTHER)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            (fired,) = await facts_of(world, AccountRuleFired)
            assert fired.pnl == D("-1005.00")

    run_virtual(body())


def test_the_price_of_a_position_long_closed_is_none_for_the_next() -> None:
    """It came between the last fill and the end; the feed dropped the instrument after that."""

    async def body() -> None:
        async with judged(AccountRules(max_loss=D(5_000))) as world:
            await begun(world)
            await world.hold(rules=RuleSet(stop_loss=PriceRule(points=D(50))))
            await asyncio.sleep(3)

            def tell_a_price(tracker: PositionTracker) -> None:
                is_flat = not tracker.signed_quantity
                if tracker.status is PositionStatus.EXITING and is_flat:
                    asyncio.get_running_loop().call_soon(world.tick, "152")

            world.engine.exit_engine.on_change(tell_a_price)
            confirming = world.gateway.gates["trade_book"] = asyncio.Event()
            exit_engine = world.engine.exit_engine
            leaving = asyncio.create_task(exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED))
            await asyncio.sleep(1)
            confirming.set()
            assert (await leaving).success
            await asyncio.sleep(7_200)

            await world.hold(tracker_id=SECOND, entry_price=D(250))
            await asyncio.sleep(30)

            assert await facts_of(world, AccountRuleFired) == []
            assert world.tracker(SECOND).status is PositionStatus.ACTIVE

    run_virtual(body())


def test_a_price_that_stays_away_is_told_once() -> None:
    """A person hears that target and trailing are mute, and that it is over."""

    async def body() -> None:
        async with judged(AccountRules(target=D(500))) as world:
            await begun(world)
            await world.hold()
            await asyncio.sleep(UNSEEN_SECONDS - 2)
            assert "account_pnl_unknown" not in world.alarms.codes
            await asyncio.sleep(10)
            assert world.alarms.codes.count("account_pnl_unknown") == 1
            world.tick("150")
            await asyncio.sleep(3)

            (alarm,) = [a for a in await world.engine.desk.alarms() if "pnl" in a.code]
            assert alarm.cleared_at_ns is not None

    run_virtual(body())


@pytest.mark.parametrize("is_other_open", [True, False])
def test_a_price_of_a_closed_market_is_missed_while_another_trades(is_other_open: bool) -> None:
    """On a holiday's evening, carried shares without a price mute the rules of what trades; with
    every market closed there is nothing to miss."""
    crude = replace(
        INSTRUMENT,
        instrument_id=InstrumentId(ExchangeSegment.MCX_COMM, "430000"),
        trading_symbol="CRUDE",
    )

    async def body() -> None:
        world = await make_world(
            instruments=(INSTRUMENT, crude), account_rules=AccountRules(target=D(500))
        )
        usual = Session(time(0, 0), time(23, 59, 59))

        def trading_day(segment: ExchangeSegment, day: date) -> TradingDay:
            is_open = is_other_open and segment is ExchangeSegment.MCX_COMM
            return TradingDay((usual,) if is_open else (), usual, None)

        world.calendar.trading_day = trading_day  # type: ignore[method-assign]
        async with running(world):
            await begun(world)
            await world.hold(product_type=ProductType.MARGIN)
            await world.hold(tracker_id=SECOND, instrument=crude, product_type=ProductType.MARGIN)
            world.tick("150", instrument=crude)
            await asyncio.sleep(UNSEEN_SECONDS + 2)

            told = [text for _, code, text in world.alarms.heard if code == "account_pnl_unknown"]
            assert len(told) == is_other_open
            assert not is_other_open or str(INSTRUMENT.instrument_id) in told[0]

    run_virtual(body())


def test_a_crash_between_latch_and_exits_is_gone_on_with() -> None:
    """The next process closes what the last one had only promised, and fires nothing anew."""

    async def body() -> None:
        world = await make_world(account_rules=LOSS)
        async with running(world):
            await begun(world)
            await world.hold()
            world.gateway.gates["positions"] = asyncio.Event()
            world.gateway.gates["exit_market"] = asyncio.Event()
            world.tick("139")
            await world.until(lambda: account(world).fired_reason is not None)
        world.gateway.gates.clear()
        again = await make_world(store=world.store, gateway=world.gateway, account_rules=LOSS)
        async with running(again, until_ready=False):
            tracker = await again.until_status(TRACKER, PositionStatus.EXITED)
            await begun(again)

            assert "account max_loss -1000.00" in (tracker.exit_reason or "")
            assert len(await facts_of(again, AccountRuleFired)) == 1
            assert account(again).fired == (AccountRuleName.MAX_LOSS,)
            assert (await again.engine.desk.kill_switch()).active

    run_virtual(body())


def test_a_store_that_is_away_delays_the_latch_and_loses_nothing() -> None:
    """It is tried until it is durable, though the price has come back; a person hears of it."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold()
            world.store.down = StoreUnavailable("away")
            world.tick("139")
            await settle()
            assert world.engine.desk.status().kill_switch_active
            world.tick("150")
            await asyncio.sleep(5)
            assert "account_rule_not_latched" in world.alarms.codes
            world.store.down = None
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert len(world.gateway.requests) == 1
            assert len(await facts_of(world, AccountRuleFired)) == 1
            await asyncio.sleep(10)
            standing = [alarm for alarm in await world.store.alarms() if alarm.is_open]
            assert [alarm.code for alarm in standing] == ["account_rule_fired"]

    run_virtual(body())


def test_a_commit_whose_answer_is_lost_makes_no_second_exit() -> None:
    """The wish may be written twice; each position is closed once."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await begun(world)
            await world.hold()
            world.store.record_failures.append(CommitOutcomeUnknown("cut"))
            world.tick("139")
            await world.until_status(TRACKER, PositionStatus.EXITED)

            await settle()
            assert len(world.gateway.requests) == 1
            assert account(world).fired == (AccountRuleName.MAX_LOSS,)
            await world.until(lambda: account(world).fired_reason is not None)
            assert "account_rule_fired" in world.alarms.codes

    run_virtual(body())


def test_lifted_by_a_person_the_rule_stays_spent_and_the_others_hold() -> None:
    """The same rule does not fire again that day, also after a restart; another one does."""

    async def body() -> None:
        rules = AccountRules(max_loss=D(1000), target=D(200))
        limits = HygieneLimits(spike_percent=D(90))
        world = await make_world(account_rules=rules, hygiene=limits)
        async with running(world):
            await begun(world)
            await world.hold(entry_price=D("160"))
            world.tick("149")
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await world.engine.desk.set_kill_switch(active=False, level="new", reason="go on")
            await world.hold(tracker_id=SECOND)
            world.tick("145")
            await settle()
            assert world.tracker(SECOND).intent is None
        again = await make_world(
            store=world.store, gateway=world.gateway, account_rules=rules, hygiene=limits
        )
        async with running(again):
            await begun(again)
            again.tick("144")
            await settle()
            assert again.tracker(SECOND).intent is None
            again.tick("160.5")
            await again.until(lambda: len(account(again).fired) == 2)
            await again.until(lambda: again.engine.desk.status().kill_switch_active)

            rules_fired = [fact.rule for fact in await facts_of(again, AccountRuleFired)]
            assert rules_fired == [AccountRuleName.MAX_LOSS, AccountRuleName.TARGET]

    run_virtual(body())


def test_the_peak_is_durable_and_written_at_most_once_a_second() -> None:
    """A restart goes on with the trailing stop where it stood."""

    async def body() -> None:
        rules = AccountRules(trailing=AccountTrailingRule(D(300), D(500)))
        world = await make_world(account_rules=rules, hygiene=HygieneLimits(spike_percent=D(90)))
        async with running(world):
            await begun(world)
            await world.hold()
            for step in range(100):
                world.tick(str(155 + D(step) / 20))
                await settle()
            await asyncio.sleep(2)
            assert account(world).peak == D("995.00")
            assert len(await facts_of(world, AccountPeakReached)) <= 2
        again = await make_world(
            store=world.store,
            gateway=world.gateway,
            account_rules=rules,
            hygiene=HygieneLimits(spike_percent=D(90)),
        )
        async with running(again):
            await begun(again)
            assert account(again).trailing_stop == D("695.00")
            again.tick("157")
            await settle()
            assert await facts_of(again, AccountRuleFired) == []
            again.tick("156.95")
            await again.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_new_day_begins_afresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was realised and fired yesterday holds nothing back; a person's own switch stays."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await closed_by_loss(world)
            first = account(world).day
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS + DAY_NS)
            await world.until(lambda: account(world).day != first)

            assert account(world).pnl == account(world).realized_pnl == D(0)
            assert account(world).fired == ()
            await world.until(lambda: not world.engine.desk.status().kill_switch_active)
            await world.hold(tracker_id=SECOND)
            world.tick("139")
            await world.until_status(SECOND, PositionStatus.EXITED)
            assert len(await facts_of(world, AccountRuleFired)) == 2

    run_virtual(body())


def test_a_clock_that_is_set_back_begins_no_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fired stays latched, in this process and in the next one."""

    async def body() -> None:
        world = await make_world(account_rules=LOSS, hygiene=HygieneLimits(spike_percent=D(90)))
        async with running(world):
            await closed_by_loss(world)
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS - DAY_NS)
            await asyncio.sleep(DOUBT_SECONDS + 3)  # then the wall clock counts again
            assert account(world).fired == (AccountRuleName.MAX_LOSS,)
            assert account(world).realized_pnl == D("150.00")
        again = await make_world(store=world.store, gateway=world.gateway, account_rules=LOSS)
        async with running(again, until_ready=False):
            await begun(again)
            await asyncio.sleep(3)

            assert account(again).fired == (AccountRuleName.MAX_LOSS,)
            assert again.engine.desk.status().kill_switch_active

    run_virtual(body())


def test_a_switch_that_a_person_set_meanwhile_stays_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what a rule held back is let go by itself."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await closed_by_loss(world)
            await world.engine.desk.set_kill_switch(active=True, level="new", reason="holiday")
            first = account(world).day
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS + DAY_NS)
            await world.until(lambda: account(world).day != first)
            await asyncio.sleep(3)

            assert (await world.engine.desk.kill_switch()).reason == "holiday"

    run_virtual(body())


def test_a_switch_that_a_person_is_setting_as_the_day_begins_stays_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not stored yet when the switch of yesterday's rule is let go."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await closed_by_loss(world)
            await asyncio.sleep(1)
            read_now, store_now = world.store.exit_all, world.store.record
            settings: list[asyncio.Task[Any]] = []

            async def store_slowly(*record: Any) -> Any:
                await asyncio.sleep(1.0)
                return await store_now(*record)

            async def set_meanwhile() -> Any:
                wish = await read_now()
                setting = world.engine.desk.set_kill_switch(
                    active=True, level="new", reason="holiday"
                )
                settings.append(asyncio.create_task(setting))
                await settle()
                return wish

            monkeypatch.setattr(world.store, "record", store_slowly)
            monkeypatch.setattr(world.store, "exit_all", set_meanwhile, raising=False)
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS + DAY_NS)
            await world.until(lambda: bool(settings))
            await asyncio.sleep(10)

            switch = await world.engine.desk.kill_switch()
            assert (switch.active, switch.reason) == (True, "holiday")

    run_virtual(body())


def test_a_persons_exit_all_keeps_the_switch_of_a_rule_on_over_the_night(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever closes everything keeps entries blocked until a person lifts that."""

    async def body() -> None:
        async with judged(LOSS) as world:
            await closed_by_loss(world)
            await asyncio.sleep(1)
            await world.engine.desk.exit_all("going on holiday", wait_seconds=10.0)
            first = account(world).day
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS + DAY_NS)
            await world.until(lambda: account(world).day != first)
            await asyncio.sleep(3)

            switch = await world.engine.desk.kill_switch()
            assert (switch.active, switch.reason) == (True, "exit-all: going on holiday")

    run_virtual(body())


def test_a_persons_own_switch_keeps_its_reason_under_exit_all() -> None:
    """Only the switch of an earlier wish stands for the new one."""

    async def body() -> None:
        async with running_world() as world:
            desk = world.engine.desk
            await desk.set_kill_switch(active=True, level="new", reason="holiday")
            await desk.exit_all("storm")

            assert (await desk.kill_switch()).reason == "holiday"

    run_virtual(body())


def test_a_rule_that_fires_right_after_a_wish_was_lifted_closes_everything() -> None:
    """A wish that a person has ended carries nothing out, whether that is noted yet or not."""

    async def body() -> None:
        async with judged(LOSS) as world:
            world.gateway.fills = False
            await begun(world)
            await world.hold()
            await world.hold(
                tracker_id=SECOND,
                instrument=OTHER,
                side=PositionSide.SHORT,
                product_type=ProductType.MARGIN,
            )
            world.tick("150")
            world.tick("150", instrument=OTHER)
            await world.engine.desk.exit_all("storm")
            assert world.tracker(TRACKER).intent is None  # it waits for the short
            desk = world.engine.desk
            await desk.set_kill_switch(active=False, level="new", reason="calm")
            world.tick("139")
            await world.until(lambda: account(world).fired_reason is not None, 2.0)
            world.gateway.fills = True
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert (await desk.kill_switch()).active
            assert "account_rule_fired" in world.alarms.codes

    run_virtual(body())


def test_the_switch_of_several_rules_of_a_day_is_lifted_on_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The switch stands for the newest of them: the first one's reason must not outlive its day."""

    async def body() -> None:
        async with judged(AccountRules(max_loss=D(1000), target=D(500))) as world:
            await begun(world)
            await world.hold()
            world.tick("156")
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await asyncio.sleep(3)
            await world.hold(tracker_id=SECOND, entry_price=D("156"))
            world.tick("139")
            await world.until_status(SECOND, PositionStatus.EXITED)
            assert len(account(world).fired) == 2
            assert "max_loss" in (await world.engine.desk.kill_switch()).reason
            first = account(world).day
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS + DAY_NS)
            await world.until(lambda: account(world).day != first)
            await asyncio.sleep(3)

            assert not (await world.engine.desk.kill_switch()).active

    run_virtual(body())


def test_a_restart_while_the_wish_still_runs_lifts_the_switch_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is to be lifted is durable, also once the new day has written facts of its own."""

    async def body() -> None:
        rules = AccountRules(max_loss=D(1000), trailing=AccountTrailingRule(D(5000)))
        world = await make_world(account_rules=rules, hygiene=HygieneLimits(spike_percent=D(90)))
        world.gateway.fills = False
        async with running(world):
            await begun(world)
            await world.hold(product_type=ProductType.MARGIN)
            world.tick("139")
            await world.until(lambda: bool(world.gateway.requests))
            first = account(world).day
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS + DAY_NS)
            await world.until(lambda: account(world).day != first)
            world.tick("151")
            await world.until(lambda: account(world).peak is not None)
            await asyncio.sleep(3)
            assert world.engine.desk.status().kill_switch_active
        again = await make_world(store=world.store, gateway=world.gateway, account_rules=rules)
        async with running(again):
            await begun(again)
            await asyncio.sleep(3)
            assert again.engine.desk.status().kill_switch_active
            again.gateway.fill(next(iter(again.gateway.orders)))
            await again.until_status(TRACKER, PositionStatus.EXITED)
            await asyncio.sleep(3)

            assert not (await again.engine.desk.kill_switch()).active

    run_virtual(body())


def test_a_rule_that_fires_beside_an_earlier_days_wish_holds_entries_back_today(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of yesterday's wish lifts no switch that stands for today's rule."""

    async def body() -> None:
        rules = AccountRules(max_loss=D(1000), target=D(500))
        async with judged(rules) as world:
            world.gateway.fills = False
            await begun(world)
            await world.hold(product_type=ProductType.MARGIN)
            world.tick("139")
            await world.until(lambda: bool(world.gateway.requests))
            first = account(world).day
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS + DAY_NS)
            await world.until(lambda: account(world).day != first)
            world.tick("156")
            await world.until(lambda: account(world).fired == (AccountRuleName.TARGET,))
            world.gateway.fill(next(iter(world.gateway.orders)))
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await asyncio.sleep(3)

            switch = await world.engine.desk.kill_switch()
            assert switch.active
            assert "account target" in switch.reason
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_what_was_realised_before_today_is_no_part_of_today(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A position carried over with a part closed adds its open part, after a restart too."""

    async def body() -> None:
        rules = AccountRules(max_loss=D(5000))
        limits = HygieneLimits(spike_percent=D(90))
        world = await make_world(account_rules=rules, hygiene=limits)
        async with running(world):
            await begun(world)
            await world.hold(product_type=ProductType.MARGIN)
            world.gateway.fills = False
            await world.engine.exit_engine.execute_exit(TRACKER, "half")
            await world.until(lambda: len(world.gateway.orders) == 1)
            (order,) = world.gateway.orders
            world.gateway.fill(order, 50)
            await world.until(lambda: world.tracker(TRACKER).exited_quantity == 50)
            assert account(world).realized_pnl == D("75.00")
            first = account(world).day
            monkeypatch.setattr(virtual, "START_WALL_NS", START_WALL_NS + DAY_NS)
            await world.until(lambda: account(world).day != first)
            assert account(world).realized_pnl == D(0)
        again = await make_world(
            store=world.store, gateway=world.gateway, account_rules=rules, hygiene=limits
        )
        async with running(again, until_ready=False):
            await begun(again)
            again.tick("149")
            await settle()

            assert account(again).realized_pnl == D(0)
            assert account(again).pnl == D("-50.00")

    run_virtual(body())


def test_square_off_closes_what_is_intraday_and_spares_what_is_carried() -> None:
    """At its time, once; entries stay blocked."""

    async def body() -> None:
        async with judged(AccountRules(square_off_at=time(8, 12))) as world:
            await begun(world)
            await world.hold()
            await world.hold(tracker_id=SECOND, instrument=OTHER, product_type=ProductType.MARGIN)
            await asyncio.sleep(100)
            assert world.tracker(TRACKER).intent is None
            await world.until_status(TRACKER, PositionStatus.EXITED)

            (fired,) = await facts_of(world, AccountRuleFired)
            assert fired.reason.startswith("account square_off_at 08:12:00 reached at 08:12:0")
            (asked,) = await facts_of(world, ExitAllAsked)
            assert asked.intraday_only
            await asyncio.sleep(10)
            assert world.tracker(SECOND).status is PositionStatus.ACTIVE
            assert world.tracker(SECOND).intent is None
            report = await world.engine.desk.exit_all_report()
            assert report.state is not None
            assert report.state.outcome == "closed"
            assert (await world.engine.desk.kill_switch()).active

    run_virtual(body())


def test_a_start_after_the_square_off_time_closes_at_once() -> None:
    """Starting late is no reason to hold on."""

    async def body() -> None:
        async with judged(AccountRules(square_off_at=time(8, 0))) as world:
            await world.hold()
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert "square_off_at" in (world.tracker(TRACKER).exit_reason or "")

    run_virtual(body())


def test_a_loss_during_square_off_closes_the_carried_ones_too() -> None:
    """A wish for everything takes the place of the narrower one."""

    async def body() -> None:
        rules = AccountRules(max_loss=D(1000), square_off_at=time(8, 0))
        async with judged(rules) as world:
            world.gateway.fills = False
            await world.hold()
            await world.hold(tracker_id=SECOND, instrument=OTHER, product_type=ProductType.MARGIN)
            await world.until(lambda: world.tracker(TRACKER).intent is not None)
            world.tick("150")
            world.tick("139", instrument=OTHER)
            await world.until(lambda: world.tracker(SECOND).intent is not None)

            assert [fact.intraday_only for fact in await facts_of(world, ExitAllAsked)] == [
                True,
                False,
            ]

    run_virtual(body())


def test_without_rules_the_pnl_is_shown_and_nothing_fires() -> None:
    """The figures are for everybody."""

    async def body() -> None:
        async with running_world() as world:
            await begun(world)
            await world.hold()
            world.tick("140")
            await settle()

            assert account(world).pnl == account(world).unrealized_pnl == D("-1000.00")
            text = world.engine.desk.metrics_text().decode()
            assert "squareoff_account_pnl_rupees -1000.0" in text
            assert await facts_of(world, AccountRuleFired) == []

    run_virtual(body())
