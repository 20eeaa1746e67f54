"""What earlier days did is found in the history: our own last fills, and who else closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from exit_story.values import TRACKER, new_position
from service_world import virtual
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, running_world
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.errors import BrokerUnreachable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import BrokerOrderStatus, ReportSource, Side, TradeReport
from squareoff.domain.results import ExitCode
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait

DAY_NS = 86_400_000_000_000
SECOND = TrackerId("trk-2")
NO_RULES = RuleSet()
STOP = RuleSet(stop_loss=PriceRule(price=Decimal(140)))


@asynccontextmanager
async def the_day_after(
    monkeypatch: pytest.MonkeyPatch, *, has_history: bool = True
) -> AsyncIterator[World]:
    """Yield an engine started on the day after its exit filled and was not confirmed."""
    with monkeypatch.context() as yesterday:
        yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
        async with running_world() as world:
            await world.hold()
            world.gateway.failures["trade_book"] = BrokerUnreachable("away")
            result = await world.engine.exit_engine.execute_exit(
                TRACKER, "by hand", wait=Wait.FILLED, wait_seconds=1.0
            )
            assert result.code is not ExitCode.EXITED
            world.gateway.end_day(VirtualClock().now().ist().date())
    del world.gateway.failures["trade_book"]
    if not has_history:
        world.gateway.failures["trade_history"] = BrokerUnreachable("away")
    async with running_world(store=world.store, gateway=world.gateway) as restarted:
        yield restarted


def test_fills_of_yesterday_are_confirmed_by_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """The price is the history's; nothing is sent again."""

    async def body() -> None:
        async with the_day_after(monkeypatch) as world:
            await world.until_status(TRACKER, PositionStatus.EXITED)

            (fills,) = world.gateway.history.values()
            assert world.tracker(TRACKER).exit_price == fills[0].price
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_a_history_that_cannot_be_read_confirms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The position is not called closed on the stream's word alone, and asking goes on."""

    async def body() -> None:
        async with the_day_after(monkeypatch, has_history=False) as world:
            await asyncio.sleep(60.0)
            assert world.tracker(TRACKER).status is PositionStatus.EXITING

            del world.gateway.failures["trade_history"]
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_clock_that_is_a_day_ahead_counts_no_fill_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in today's trade book is not taken from the history as well."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.on_write = lambda _operation: monkeypatch.setattr(
                virtual, "START_WALL_NS", virtual.START_WALL_NS + DAY_NS
            )
            asked: list[date] = []

            async def history(first: date, last: date) -> tuple[TradeReport, ...]:
                asked.append(last)
                return tuple(replace(trade, exec_id="") for trade in world.gateway.trades)

            monkeypatch.setattr(world.gateway, "trade_history", history)
            await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.FILLED)

            assert asked
            assert world.tracker(TRACKER).status is PositionStatus.EXITED
            assert world.tracker(TRACKER).exited_quantity == 100

    run_virtual(body())


def test_fills_of_today_need_no_history() -> None:
    """The history is read for earlier days alone."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.FILLED)

            assert world.tracker(TRACKER).status is PositionStatus.EXITED
            assert "trade_history" not in world.gateway.calls

    run_virtual(body())


@asynccontextmanager
async def held_since_yesterday(
    monkeypatch: pytest.MonkeyPatch,
    product_type: ProductType,
    *sold_by_hand: int,
    rules: RuleSet = NO_RULES,
    buys_again: int = 0,
) -> AsyncIterator[World]:
    """Yield an engine started on the day after it took 100 units under watch; so many were sold by
    hand meanwhile, the first of them while it ran, and bought again that day before its start."""
    key = new_position(product_type=product_type).key
    with monkeypatch.context() as yesterday:
        yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
        async with running_world() as world:
            await world.hold(product_type=product_type, rules=rules)
            for quantity in sold_by_hand[:1]:
                world.gateway.trade_by_hand(key, Side.SELL, quantity)
                await asyncio.sleep(60.0)
        for quantity in sold_by_hand[1:]:
            world.gateway.trade_by_hand(key, Side.SELL, quantity)
        world.gateway.end_day(VirtualClock().now().ist().date())
    if buys_again:
        world.gateway.trade_by_hand(key, Side.BUY, buys_again)
    async with running_world(store=world.store, gateway=world.gateway) as restarted:
        yield restarted


def test_units_sold_by_hand_on_two_days_are_both_booked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today's trades are not used up by what was booked of yesterday's."""

    async def body() -> None:
        async with held_since_yesterday(monkeypatch, ProductType.MARGIN, 50) as world:
            assert world.tracker(TRACKER).open_quantity == 50
            world.gateway.trade_by_hand(world.tracker(TRACKER).key, Side.SELL, 50)

            ended = await world.until_status(TRACKER, PositionStatus.EXITED)
            assert ended.exit_reason == "closed_externally"

    run_virtual(body())


def test_what_was_closed_while_the_engine_was_down_is_booked_on_the_next_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The broker squared off at 15:20; its trades are in the history alone."""

    async def body() -> None:
        async with held_since_yesterday(monkeypatch, ProductType.INTRADAY, 0, 100) as world:
            ended = await world.until_status(TRACKER, PositionStatus.EXITED)
            assert ended.exit_reason == "closed_externally"
            assert "trade_history" in world.gateway.calls

    run_virtual(body())


@pytest.mark.parametrize("has_history", [True, False])
def test_what_yesterdays_square_off_lost_fires_no_rule_of_today(
    monkeypatch: pytest.MonkeyPatch, *, has_history: bool
) -> None:
    """An intraday position ended with its day, whenever that is booked: it is no part of today."""

    async def body() -> None:
        with monkeypatch.context() as yesterday:
            yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
            async with running_world() as world:
                await world.hold(product_type=ProductType.INTRADAY, entry_price=Decimal(170))
            world.gateway.trade_by_hand(world.tracker(TRACKER).key, Side.SELL, 100)
            world.gateway.end_day(VirtualClock().now().ist().date())
        if not has_history:
            world.gateway.failures["trade_history"] = BrokerUnreachable("away")
        rules = AccountRules(max_loss=Decimal(1000))
        async with running_world(
            store=world.store, gateway=world.gateway, account_rules=rules
        ) as restarted:
            restarted.tick("150")
            await asyncio.sleep(60.0)
            is_booked = restarted.tracker(TRACKER).status is PositionStatus.EXITED
            assert is_booked is has_history

            assert restarted.engine.desk.status().account.pnl == 0
            assert restarted.engine.desk.status().account.fired == ()
            assert not restarted.engine.desk.status().kill_switch_active

    run_virtual(body())


def test_what_others_closed_yesterday_is_no_loss_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carried position counts on the day of its trades, whenever they are booked; so it does
    after another start."""

    async def body() -> None:
        with monkeypatch.context() as yesterday:
            yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
            async with running_world() as world:
                await world.hold(product_type=ProductType.MARGIN, entry_price=Decimal(170))
            world.gateway.trade_by_hand(world.tracker(TRACKER).key, Side.SELL, 100)
            (trade,) = world.gateway.trades
            made = replace(trade, exchange_time_ns=virtual.START_WALL_NS + 60_000_000_000)
            world.gateway.trades = [made]
            world.gateway.end_day(VirtualClock().now().ist().date())
        rules = AccountRules(max_loss=Decimal(1000))
        for _ in range(2):
            async with running_world(
                store=world.store, gateway=world.gateway, account_rules=rules
            ) as restarted:
                ended = await restarted.until_status(TRACKER, PositionStatus.EXITED)
                assert ended.realized_pnl == -1850
                await asyncio.sleep(5.0)

                status = restarted.engine.desk.status()
                assert (status.account.realized_pnl, status.account.fired) == (0, ())
                assert not status.kill_switch_active

    run_virtual(body())


@pytest.mark.parametrize("filled", [100, 60])
def test_a_resting_exit_that_filled_while_the_engine_was_down_is_not_sold_again(
    filled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new day's order book lacks the order, and somebody else's units on the key hide its
    fills: the history has them, and no more than the rest is sold."""

    async def body() -> None:
        with monkeypatch.context() as yesterday:
            yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
            async with running_world() as world:
                world.gateway.fills = False
                await world.hold(product_type=ProductType.MARGIN)
                await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
                gateway, key = world.gateway, world.tracker(TRACKER).key
            gateway.publish = lambda report: None
            gateway.fill(next(iter(gateway.orders)), filled)
            gateway.hold(key, gateway.net(key) + 200)
            gateway.end_day(VirtualClock().now().ist().date())
        gateway.fills = True
        async with running_world(store=world.store, gateway=gateway) as restarted:
            ended = await restarted.until_status(TRACKER, PositionStatus.EXITED)

            assert ended.exited_quantity == 100
            sold = [request.order_quantity for request in gateway.requests]
            assert sold == [100] if filled == 100 else sold == [100, 40]

    run_virtual(body())


@pytest.mark.parametrize("of_others", [0, 200])
def test_an_end_that_the_stream_told_too_small_is_put_right_by_the_history(
    of_others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day ended, the stream told less than was filled, and the engine stopped before it read
    the order book: the history tells the rest before any more is sold."""

    async def body() -> None:
        with monkeypatch.context() as yesterday:
            yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
            async with running_world() as world:
                gateway = world.gateway
                gateway.fills = False
                await world.hold(product_type=ProductType.MARGIN)
                await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
                (order_id,) = gateway.orders
                gateway.gates["order_book"] = asyncio.Event()
                gateway.publish = lambda report: None
                gateway.fill(order_id, 60)
                gateway.end(order_id, BrokerOrderStatus.EXPIRED)
                told = gateway.orders[order_id]
                world.stream.push(replace(told, cumulative_quantity=40, source=ReportSource.STREAM))
                await world.until(lambda: world.tracker(TRACKER).exited_quantity == 40)
                key = world.tracker(TRACKER).key
            del gateway.gates["order_book"]
            gateway.hold(key, gateway.net(key) + of_others)
            gateway.end_day(VirtualClock().now().ist().date())
        gateway.fills = True
        async with running_world(store=world.store, gateway=gateway) as restarted:
            ended = await restarted.until_status(TRACKER, PositionStatus.EXITED)

            assert ended.exited_quantity == 100
            assert sum(request.order_quantity for request in gateway.requests[1:]) == 40
            assert gateway.net(key) == of_others

    run_virtual(body())


@asynccontextmanager
async def sold_yesterday_and_bought_today(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """Yield an engine that slept over a person's sale of its intraday position, and over the same
    quantity bought again the next morning."""
    key = new_position().key
    with monkeypatch.context() as yesterday:
        yesterday.setattr(virtual, "START_WALL_NS", virtual.START_WALL_NS - DAY_NS)
        async with running_world() as world:
            await world.hold(rules=STOP)
            world.gateway.trade_by_hand(key, Side.SELL, 100)
            world.gateway.end_day(VirtualClock().now().ist().date())
            world.gateway.trade_by_hand(key, Side.BUY, 100)
            yesterday.undo()
            yield world


def test_an_intraday_position_of_today_does_not_pass_for_one_of_yesterday(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sold by hand while the engine was down, and bought again today before its start: the stop of
    yesterday sells nothing, and the price is that of yesterday's sale."""

    async def body() -> None:
        async with held_since_yesterday(
            monkeypatch, ProductType.INTRADAY, 0, 100, rules=STOP, buys_again=100
        ) as world:
            world.tick("150")
            await asyncio.sleep(1.0)
            world.tick("120")
            ended = await world.until_status(TRACKER, PositionStatus.EXITED)

            assert ended.exit_reason == "closed_externally"
            assert world.gateway.requests == []
            assert world.gateway.net(ended.key) == 100

    run_virtual(body())


def test_an_exit_right_after_a_night_asleep_sells_nothing_of_today(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No comparison was made yet: the exit itself asks who closed what it is to close."""

    async def body() -> None:
        async with sold_yesterday_and_bought_today(monkeypatch) as world:
            result = await world.engine.exit_engine.execute_exit(
                TRACKER, "by hand", wait=Wait.FILLED
            )

            assert result.code is ExitCode.CLOSED_EXTERNALLY
            assert world.gateway.requests == []

    run_virtual(body())


def test_a_tracker_of_today_keeps_what_was_bought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the tracker of yesterday has lost its units; the exit of today's sells its own."""

    async def body() -> None:
        async with sold_yesterday_and_bought_today(monkeypatch) as world:
            await world.engine.exit_engine.open(new_position(tracker_id=SECOND))
            result = await world.engine.exit_engine.execute_exit(
                SECOND, "by hand", wait=Wait.FILLED, wait_seconds=30.0
            )
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert result.code is ExitCode.EXITED
            assert world.tracker(SECOND).externally_closed_quantity == 0
            assert [request.order_quantity for request in world.gateway.requests] == [100]

    run_virtual(body())


def test_an_intraday_position_is_exited_where_no_trade_of_yesterday_tells_of_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clock that is a day ahead makes one of today look old: it is sold as ever."""

    async def body() -> None:
        async with held_since_yesterday(monkeypatch, ProductType.INTRADAY) as world:
            await world.engine.exit_engine.execute_exit(TRACKER, "by hand", wait=Wait.FILLED)

            assert world.tracker(TRACKER).status is PositionStatus.EXITED
            assert [request.order_quantity for request in world.gateway.requests] == [100]

    run_virtual(body())
