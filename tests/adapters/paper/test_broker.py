"""The paper broker over its port: life cycle, durability, stream, books."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from async_body import run_async
from squareoff.adapters.calendar import ExchangeCalendar
from squareoff.adapters.paper.broker import UPDATES_WAITING_MAX
from squareoff.domain.errors import (
    BrokerOutcomeUnknown,
    BrokerRejected,
    BrokerUnreachable,
    FeedDisconnected,
    StoreError,
)
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import BrokerOrderStatus, OrderType, Quote, ReportSource, Side
from squareoff.ports import StreamConnected


def test_an_order_goes_from_transit_over_pending_to_traded(world: Any, listen: Any) -> None:
    """An order is TRANSIT in the answer, PENDING at the exchange, TRADED by the tick it waited for,
    each told by the stream in order and with our id."""
    stream = listen()

    async def body() -> None:
        broker = await world.boot()

        async def trade() -> None:
            broker.on_tick(world.tick("24000.00"))
            answer = await broker.place_order(world.request(Side.SELL, 75, "25000.00"))
            assert answer.status is BrokerOrderStatus.TRANSIT
            world.arrive()
            await broker.order_book()
            broker.on_tick(world.tick("25010.00"))

        await stream.during(broker, trade())

    run_async(body())

    assert stream.events[0] == StreamConnected()
    assert [report.status.value for report in stream.reports] == ["TRANSIT", "PENDING", "TRADED"]
    assert {report.client_order_id for report in stream.reports} == {"sqx-1"}
    assert stream.reports[-1].average_price == Decimal("25000")
    assert stream.reports[-1].source is ReportSource.STREAM


def test_nothing_is_published_within_place_order(world: Any, listen: Any) -> None:
    """No update leaves while the call that places the order is running."""
    stream = listen()

    async def body() -> None:
        broker = await world.boot()

        async def place() -> None:
            seen = len(stream.events)
            placing = broker.place_order(world.request()).__await__()
            next(placing)  # runs until the save waits
            assert len(stream.events) == seen
            placing.close()

        await stream.during(broker, place())

    run_async(body())


def test_the_stream_lets_orders_ripen_by_itself(world: Any, listen: Any, let_run: Any) -> None:
    """An order reaches the exchange and fills while nobody calls anything but the stream."""
    world.settings = replace(world.settings, exchange_delay_seconds=0.0)
    stream = listen()

    async def body() -> None:
        broker = await world.boot()

        async def trade() -> None:
            broker.on_tick(world.tick("25000.00"))
            await broker.place_order(world.request(Side.SELL, 75, "24900.00"))
            await let_run()

        await stream.during(broker, trade())

    run_async(body())

    assert stream.reports[-1].status is BrokerOrderStatus.TRADED


def test_a_tick_that_offers_less_fills_in_part(world: Any) -> None:
    """Each tick gives what it offers; the rest stands as PART_TRADED."""

    async def body() -> None:
        broker = await world.offering(75).boot()
        broker.on_tick(world.tick("25000.00"))
        await broker.place_order(world.request(Side.SELL, 225, "24900.00"))
        world.arrive()

        for expected in (75, 150, 225):
            [report] = await broker.order_book()
            assert report.cumulative_quantity == expected
            assert report.status.value == ("TRADED" if expected == 225 else "PART_TRADED")
            broker.on_tick(world.tick("25000.00"))

        trades = await broker.trade_book()
        assert [trade.quantity for trade in trades] == [75, 75, 75]
        assert len({trade.exec_id for trade in trades}) == 3

    run_async(body())


def test_a_market_order_becomes_a_protected_limit_that_may_rest(world: Any) -> None:
    """A MARKET order shows as LIMIT at a protection price and stays open beyond what is offered."""

    async def body() -> None:
        broker = await world.offering(75).boot()
        broker.on_tick(world.tick("25000.00"))
        request = world.request(Side.SELL, 150, None, order_type=OrderType.MARKET)
        await broker.place_order(request)
        world.arrive()

        [report] = await broker.order_book()
        assert report.status is BrokerOrderStatus.PART_TRADED
        assert report.limit_price == Decimal("24875.00")

    run_async(body())


def test_bid_and_ask_of_a_tick_are_what_orders_meet(world: Any) -> None:
    """A sell takes the bid and a buy the ask, not the last price."""

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("25000.00", "24999.00", "25001.50"))
        await broker.place_order(world.request(Side.SELL, 75, "24000.00", name="sqx-s"))
        await broker.place_order(world.request(Side.BUY, 75, "26000.00", name="sqx-b"))
        world.arrive()

        prices = [report.average_price for report in await broker.order_book()]
        assert prices == [Decimal("24999"), Decimal("25001.5")]

    run_async(body())


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no quantity": ({"quantity": 0}, "DH-905"),
    "no price": ({"price": None}, "DH-905"),
    "broken lot": ({"quantity": 76}, "DH-906"),
    "stop without trigger": ({"order_type": OrderType.STOP_LOSS}, "DH-905"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_broker_refuses_in_its_answer(world: Any, name: str) -> None:
    """What the broker itself checks is refused by the call and leaves no order."""
    terms, code = REFUSED[name]

    async def body() -> None:
        broker = await world.boot()
        with pytest.raises(BrokerRejected) as refused:
            await broker.place_order(world.request(**terms))

        assert refused.value.code == code
        assert await broker.order_book() == ()

    run_async(body())


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "off the tick": ({"price": "25000.05"}, "tick size"),
    "above the freeze quantity": ({"quantity": 1875}, "freeze quantity"),
    "outside the circuit": ({"price": "30000.10"}, "circuit limits"),
    "market without a price": ({"order_type": OrderType.MARKET, "price": None}, "No last price"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_the_exchange_rejects_later(world: Any, name: str) -> None:
    """What the exchange checks is accepted first and ends REJECTED with its reason."""
    terms, reason = REJECTED[name]

    async def body() -> None:
        broker = await world.boot()
        answer = await broker.place_order(world.request(**terms))
        world.arrive()

        [report] = await broker.order_book()
        assert (report.broker_order_id, report.status.value) == (
            answer.broker_order_id,
            "REJECTED",
        )
        assert reason in report.reason

    run_async(body())


def test_an_unknown_instrument_is_refused_until_it_is_listed(world: Any) -> None:
    """An instrument outside the master trades once its owner has listed its terms."""
    world.master = type(world.master)()

    async def body() -> None:
        broker = await world.boot()
        with pytest.raises(BrokerRejected):
            await broker.place_order(world.request())
        broker.list_instrument(world.instrument)

        assert (await broker.place_order(world.request())).broker_order_id

    run_async(body())


def test_a_closed_exchange_refuses_every_write(world: Any) -> None:
    """Outside the session the broker says that the market is closed, as the live one does."""
    world.calendar = ExchangeCalendar()

    async def body() -> None:
        broker = await world.boot()
        answer = await broker.place_order(world.request())
        world.clock.advance(6 * 3600)  # 16:00 IST
        order_id = answer.broker_order_id

        for call in (
            broker.place_order(world.request()),
            broker.modify_order(world.change(order_id, "24900.00")),
            broker.cancel_order(order_id),
        ):
            with pytest.raises(BrokerRejected, match="Market is closed"):
                await call

    run_async(body())


def test_modify_and_cancel_act_after_their_answer(world: Any) -> None:
    """A modify and a cancel succeed as requests; the order's own record tells what came of them."""

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("24000.00"))
        order_id = (await broker.place_order(world.request())).broker_order_id
        world.arrive()
        await broker.modify_order(world.change(order_id, "24900.00"))
        assert (await broker.order_book())[0].limit_price == Decimal("25000")
        world.arrive()
        assert (await broker.order_book())[0].limit_price == Decimal("24900")

        await broker.cancel_order(order_id)
        assert (await broker.order_book())[0].status is BrokerOrderStatus.PENDING
        world.arrive()
        assert (await broker.order_book())[0].status is BrokerOrderStatus.CANCELLED
        with pytest.raises(BrokerRejected, match="already cancelled"):
            await broker.cancel_order(order_id)
        with pytest.raises(BrokerRejected, match="Incorrect order id"):
            await broker.cancel_order(BrokerOrderId("PAPER-0"))

    run_async(body())


def test_a_cancel_that_meets_a_fill_changes_nothing(world: Any) -> None:
    """A fill on the way of a cancel stands."""

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("24000.00"))
        order_id = (await broker.place_order(world.request())).broker_order_id
        world.arrive()
        await broker.cancel_order(order_id)
        broker.on_tick(world.tick("25000.00"))
        world.arrive()

        assert (await broker.order_book())[0].status is BrokerOrderStatus.TRADED

    run_async(body())


def test_the_26th_modification_is_refused(world: Any) -> None:
    """An order takes 25 modifications."""

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("24000.00"))
        order_id = (await broker.place_order(world.request())).broker_order_id
        for _ in range(25):
            await broker.modify_order(world.change(order_id, "25100.00"))
        with pytest.raises(BrokerRejected, match="Maximum modification"):
            await broker.modify_order(world.change(order_id, "25100.00"))

    run_async(body())


def test_a_killed_broker_finds_its_orders_again(world: Any) -> None:
    """After a kill, orders, fills, positions and what was on its way are as the last answer said,
    and new ids repeat no old one."""

    async def body() -> None:
        broker = await world.offering(75).boot()
        broker.declare_position(world.position(225))
        broker.on_tick(world.tick("25000.00"))
        await broker.place_order(world.request(Side.SELL, 150, "24900.00", name="sqx-1"))
        world.arrive()
        before = await broker.order_book(), await broker.trade_book(), await broker.positions()
        await broker.place_order(world.request(Side.SELL, 75, "25100.00", name="sqx-2"))

        again = await world.offering(75).boot()
        [first, second] = await again.order_book()
        assert ((first,), await again.trade_book(), await again.positions()) == before
        assert second.client_order_id == "sqx-2"
        assert second.status is BrokerOrderStatus.PENDING  # it arrived with the start

        again.on_tick(world.tick("25200.00"))
        await again.place_order(world.request(name="sqx-3"))
        world.arrive()
        again.on_tick(world.tick("25200.00"))
        reports = await again.order_book()
        trades = await again.trade_book()
        assert len({report.broker_order_id for report in reports}) == 3
        assert len({trade.exec_id for trade in trades}) == len(trades)
        assert sum(trade.quantity for trade in trades) == sum(
            report.cumulative_quantity for report in reports
        )

    run_async(body())


def test_a_restored_order_waits_for_a_new_price(world: Any) -> None:
    """After a restart nothing fills against a price of the earlier run."""

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("25000.00"))
        await broker.place_order(world.request(Side.SELL, 75, "24900.00"))

        again = await world.boot()
        world.arrive()
        assert (await again.order_book())[0].status is BrokerOrderStatus.PENDING
        again.on_tick(world.tick("24950.00"))
        assert (await again.order_book())[0].status is BrokerOrderStatus.TRADED

    run_async(body())


def test_an_answer_is_given_only_when_it_is_saved(world: Any, let_run: Any) -> None:
    """While the store has not kept an order, neither its answer nor a reading of it is given."""

    async def body() -> None:
        broker = await world.boot()
        await broker.order_book()
        gate = world.store.gate = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            placing = tasks.create_task(broker.place_order(world.request()))
            reading = tasks.create_task(broker.order_book())
            await let_run()
            assert not placing.done()
            assert not reading.done()
            gate.set()

        assert placing.result().broker_order_id == reading.result()[0].broker_order_id
        assert placing.result().broker_order_id.encode() in world.store.ledger

    run_async(body())


def test_callers_at_the_same_time_share_one_save(world: Any) -> None:
    """Ten orders at once are two saves at most: one under way, one for all who waited."""

    async def body() -> None:
        broker = await world.boot()
        await broker.order_book()
        before = world.store.save_count
        requests = [world.request(name=f"sqx-{number}") for number in range(10)]
        await asyncio.gather(*(broker.place_order(request) for request in requests))

        assert world.store.save_count - before <= 2

    run_async(body())


def test_a_failing_store_makes_writes_unknown_and_reads_fail(world: Any, listen: Any) -> None:
    """What could not be saved is not shown, and comes to light once the store works again."""

    async def body() -> None:
        broker = await world.boot()
        await broker.order_book()
        world.store.is_failing = True
        with pytest.raises(BrokerOutcomeUnknown):
            await broker.place_order(world.request())
        with pytest.raises(BrokerUnreachable):
            await broker.orders_by_client_order_id(world.request().client_order_id)
        with pytest.raises(FeedDisconnected):
            await broker.run_once(listen().events.append)

        world.store.is_failing = False
        [report] = await broker.orders_by_client_order_id(world.request().client_order_id)
        assert report.source is ReportSource.LOOKUP

    run_async(body())


def test_a_damaged_ledger_is_not_started_from(world: Any) -> None:
    """A ledger that cannot be read stops the start instead of losing orders."""
    world.store.ledger = b'{"version": 1, "orders": [{}]}'

    with pytest.raises(StoreError, match="cannot be read"):
        run_async(world.boot())


def test_the_stream_ends_when_the_broker_is_closed(world: Any, listen: Any, let_run: Any) -> None:
    """Closing ends the stream as a disconnect, saves, and refuses later calls as not sent."""
    stream = listen()

    async def body() -> None:
        broker = await world.boot()

        async def run() -> None:
            with pytest.raises(FeedDisconnected, match="closed"):
                await broker.run_once(stream.events.append)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run())
            await let_run()
            broker.declare_position(world.position(75))
            await broker.close()
        with pytest.raises(BrokerUnreachable):
            await broker.place_order(world.request())
        assert b"declared-1" in world.store.ledger

    run_async(body())


def test_a_stream_too_far_behind_is_cut(world: Any, listen: Any, let_run: Any) -> None:
    """More waiting updates than the limit end the connection; the books are read instead."""
    stream = listen()

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("25000.00"))
        await broker.place_order(world.request(Side.SELL, 75, "25100.00"))
        world.arrive()
        await broker.order_book()
        order = next(iter(broker._desk.orders.values()))

        async def run() -> None:
            with pytest.raises(FeedDisconnected, match="too many"):
                await broker.run_once(stream.events.append)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run())
            await let_run()
            for _ in range(UPDATES_WAITING_MAX + 1):
                broker._announce(order)

    run_async(body())

    assert stream.reports == []


def test_declared_positions_can_be_closed_and_add_up(world: Any) -> None:
    """A declared position is held without a trade, adds up on its key, and closes by a trade."""

    async def body() -> None:
        broker = await world.boot()
        broker.declare_position(world.position(75, "24900.00"))
        broker.declare_position(world.position(75, "25000.00"))
        [row] = await broker.positions()
        assert (row.net_quantity, row.buy_average) == (150, Decimal("24950"))
        assert row.trading_symbol == "NIFTY-FUT"
        assert await broker.trade_book() == ()

        broker.on_tick(world.tick("25050.00"))
        await broker.place_order(world.request(Side.SELL, 150, "25000.00"))
        world.arrive()
        [row] = await broker.positions()
        assert (row.net_quantity, row.sell_average) == (0, Decimal("25050"))
        wallet = await broker.funds()
        assert wallet.start_of_day_limit == Decimal(500_000)
        assert wallet.available_balance == Decimal(500_000) + 150 * 100

    run_async(body())


def test_quotes_come_from_fresh_ticks_only(world: Any) -> None:
    """A quote is the newest tick while it is fresh; later the instrument is missing."""
    name = world.instrument.instrument_id

    async def body() -> None:
        broker = await world.boot()
        assert await broker.quotes([name]) == {}
        broker.on_tick(world.tick("25000.00", "24999.00", "25001.00"))
        quote = (await broker.quotes([name]))[name]
        assert (quote.last_traded_price, quote.best_bid, quote.best_ask) == (25000, 24999, 25001)
        assert quote.upper_circuit == Decimal("30000")
        world.clock.advance(5.1)
        assert await broker.quotes([name]) == {}

    run_async(body())


def test_the_profile_names_the_account(world: Any) -> None:
    """The profile is the account's, with no token that could end."""

    async def body() -> None:
        profile = await (await world.boot()).profile()
        assert (profile.client_id, profile.token_expires_ns) == ("1100000001", None)

    run_async(body())


def test_carried_shares_stay_positions(world: Any) -> None:
    """Nothing is delivered here: what is held overnight stays among the positions."""

    async def body() -> None:
        broker = await world.boot()

        assert await broker.holdings() == ()

    run_async(body())


def test_the_history_holds_the_fills_of_earlier_days(world: Any) -> None:
    """What filled in a day's last moments is confirmed on the next one, also after a kill."""

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("25000.00"))
        placed = await broker.place_order(world.request(Side.BUY, 75, "25000.00"))
        world.arrive()
        (filled,) = await broker.trade_book()
        first = world.clock.now().ist().date()

        world.clock.advance(24 * 3600)
        broker = await world.boot()
        assert await broker.trade_book() == ()
        assert filled.broker_order_id == placed.broker_order_id
        assert await broker.trade_history(first, first) == (filled,)
        assert await broker.trade_history(first + timedelta(1), first + timedelta(1)) == ()

        world.clock.advance(24 * 3600)
        broker = await world.boot()
        assert await broker.trade_history(first, first + timedelta(1)) == (filled,)

    run_async(body())


@pytest.mark.parametrize("hours", [-0.9, 5.6])  # 09:06 and 15:36 IST
def test_nothing_fills_at_a_price_of_a_closed_exchange(world: Any, hours: float) -> None:
    """Prices of the auctions before the open and after the close are none to trade at."""
    world.calendar = ExchangeCalendar()

    async def body() -> None:
        broker = await world.boot()
        await broker.place_order(world.request(Side.SELL, 75, "25000.00"))
        world.arrive()
        await broker.order_book()
        world.clock.advance(hours * 3600)
        broker.on_tick(world.tick("25100.00"))
        assert (await broker.order_book())[0].status is BrokerOrderStatus.PENDING

        world.clock.advance(-hours * 3600)
        broker.on_tick(world.tick("25000.00"))
        (filled,) = await broker.order_book()
        assert (filled.status, filled.average_price) == (BrokerOrderStatus.TRADED, Decimal(25000))

    run_async(body())


def test_a_quote_is_traded_at_where_the_feed_is_silent(world: Any) -> None:
    """With the feed gone the real broker's quotes show the market; a fresh tick goes before."""

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("25000.00"))
        world.clock.advance(600)
        name = world.instrument.instrument_id
        broker.on_quote(Quote(name, Decimal(24000), None, Decimal(23990), Decimal(24010)))
        await broker.place_order(world.request(Side.SELL, 75, "23000.00"))
        world.arrive()
        (sold,) = await broker.order_book()
        assert sold.average_price == Decimal(23990)

        broker.on_tick(world.tick("24500.00"))
        broker.on_quote(Quote(name, Decimal(24000), None))
        await broker.place_order(world.request(Side.SELL, 75, "23000.00", name="sqx-2"))
        world.arrive()
        assert (await broker.order_book())[1].average_price == Decimal(24500)

    run_async(body())


@pytest.mark.parametrize("traded_seconds_ago", [None, 3_600.0])
def test_a_quote_that_offers_nothing_is_not_traded_at(
    world: Any, traded_seconds_ago: float | None
) -> None:
    """With an empty book and no trade of this moment, its price is one that nobody could get."""

    async def body() -> None:
        broker = await world.boot()
        broker.on_tick(world.tick("25000.00"))
        world.clock.advance(600)
        name, now_ns = world.instrument.instrument_id, world.clock.now().wall_ns
        ago = traded_seconds_ago
        traded_ns = None if ago is None else now_ns - round(ago * 10**9)
        broker.on_quote(Quote(name, Decimal(24000), traded_ns))
        await broker.place_order(world.request(Side.SELL, 75, "23000.00"))
        world.arrive()
        assert (await broker.order_book())[0].status is BrokerOrderStatus.PENDING

        now_ns = world.clock.now().wall_ns
        broker.on_quote(Quote(name, Decimal(24100), now_ns - 10**9))
        (sold,) = await broker.order_book()
        assert (sold.status, sold.average_price) == (BrokerOrderStatus.TRADED, Decimal(24100))

    run_async(body())
