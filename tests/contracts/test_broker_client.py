"""The contract of the broker ports, on the paper broker and on the Dhan client over the simulator.

One set of rules for both: what the engine learns in paper trading holds in live trading.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from async_body import run_async
from broker_contract import (
    FUTURE,
    PRINT_QUANTITY,
    RIGS,
    BrokerRig,
    Listener,
    change,
    order,
    report_when,
)
from squareoff.domain.errors import BrokerRejected, Sent
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, OrderType, Side

Body = Callable[[BrokerRig], Awaitable[None]]
pytestmark = pytest.mark.parametrize("broker", RIGS)
PENDING, TRADED = BrokerOrderStatus.PENDING, BrokerOrderStatus.TRADED


def on(broker: str, body: Body) -> None:
    """Run a body on a fresh rig of the named broker."""

    async def with_rig() -> None:
        async with RIGS[broker]() as rig:
            await body(rig)

    run_async(with_rig(), within_seconds=60)


def has_status(*statuses: BrokerOrderStatus) -> Callable[[OrderReport], bool]:
    return lambda report: report.status in statuses


def test_an_untouched_account_is_empty_everywhere(broker: str) -> None:
    """Without orders every book is empty, a lookup finds nothing, and funds are there."""

    async def body(rig: BrokerRig) -> None:
        assert await rig.client.order_book() == ()
        assert await rig.client.trade_book() == ()
        assert await rig.client.positions() == ()
        assert await rig.client.orders_by_client_order_id(ClientOrderId("sqx-none")) == ()
        assert (await rig.client.funds()).available_balance > 0
        assert (await rig.client.profile()).client_id == "1100000001"

    on(broker, body)


def test_an_order_fills_and_all_books_agree(broker: str) -> None:
    """A filled exit shows in lookup, order book, trade book and positions with the same numbers."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        await rig.hold(75, "26000.00")
        answer = await rig.client.place_order(order(Side.SELL, 75, "26000.00"))
        assert answer.status in (BrokerOrderStatus.TRANSIT, PENDING)

        report = await report_when(rig.client, answer.broker_order_id, has_status(TRADED))
        assert report.client_order_id == "sqx-contract-1"
        assert (report.cumulative_quantity, report.average_price) == (75, Decimal("26060.00"))
        [found] = await rig.client.orders_by_client_order_id(ClientOrderId("sqx-contract-1"))
        assert found.broker_order_id == report.broker_order_id
        [trade] = await rig.client.trade_book()
        assert trade.broker_order_id == report.broker_order_id
        assert (trade.side, trade.quantity, trade.price) == (Side.SELL, 75, Decimal("26060.00"))
        [row] = await rig.client.positions()
        assert (row.instrument_id, row.product_type) == (FUTURE.instrument_id, ProductType.INTRADAY)
        assert (row.net_quantity, row.sell_quantity) == (0, 75)

    on(broker, body)


def test_the_stream_tells_what_the_books_say(broker: str) -> None:
    """The stream's last word on an order is the order book's, cumulative quantities never fall,
    and our id is on every report."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        async with Listener(rig.updates).listening() as heard:
            answer = await rig.client.place_order(order(Side.BUY, 300, "26100.00"))
            name = answer.broker_order_id
            await report_when(rig.client, name, lambda r: r.cumulative_quantity == PRINT_QUANTITY)
            await rig.push("26070.00")
            await heard.wait_until(lambda: any(r.status is TRADED for r in heard.reports_of(name)))
            reports = heard.reports_of(name)

        [booked] = await rig.client.order_book()
        assert {report.client_order_id for report in reports} == {"sqx-contract-1"}
        quantities = [report.cumulative_quantity for report in reports]
        assert quantities == sorted(quantities)
        assert {0, PRINT_QUANTITY, 300} <= set(quantities)
        assert reports[-1].average_price == booked.average_price == Decimal("26065.00")

    on(broker, body)


def test_a_large_order_rests_with_what_is_left(broker: str) -> None:
    """An order larger than what is offered is PART_TRADED and goes on with the next print."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        answer = await rig.client.place_order(order(Side.SELL, 225, "26000.00"))
        part = await report_when(
            rig.client, answer.broker_order_id, has_status(BrokerOrderStatus.PART_TRADED)
        )
        assert part.cumulative_quantity == PRINT_QUANTITY
        await rig.push("26050.00")
        full = await report_when(rig.client, answer.broker_order_id, has_status(TRADED))

        assert full.cumulative_quantity == 225
        assert sum(trade.quantity for trade in await rig.client.trade_book()) == 225

    on(broker, body)


def test_a_market_order_is_protected(broker: str) -> None:
    """A MARKET order carries a protection price and never fills beyond it."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        request = order(Side.SELL, 225, None, order_type=OrderType.MARKET)
        answer = await rig.client.place_order(request)
        await report_when(
            rig.client, answer.broker_order_id, has_status(BrokerOrderStatus.PART_TRADED)
        )
        await rig.push("25000.00")
        [report] = await rig.client.order_book()

        assert report.cumulative_quantity == PRINT_QUANTITY
        assert report.limit_price == Decimal("25929.70")

    on(broker, body)


def test_a_modification_replaces_the_target(broker: str) -> None:
    """After a modify the order stands at its new price under its old id, and may fill there."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        answer = await rig.client.place_order(order(Side.SELL, 75, "26500.00"))
        name = answer.broker_order_id
        await report_when(rig.client, name, has_status(PENDING))
        await rig.client.modify_order(change(name, 75, "26400.00"))
        await report_when(rig.client, name, lambda r: r.limit_price == Decimal("26400.00"))
        await rig.client.modify_order(change(name, 75, "26050.00"))

        report = await report_when(rig.client, name, has_status(TRADED))
        assert report.client_order_id == "sqx-contract-1"

    on(broker, body)


def test_a_cancel_ends_the_order(broker: str) -> None:
    """After a cancel the order's record says CANCELLED, and a second cancel is refused."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        name = (await rig.client.place_order(order(Side.SELL, 75, "26500.00"))).broker_order_id
        await report_when(rig.client, name, has_status(PENDING))
        await rig.client.cancel_order(name)
        report = await report_when(rig.client, name, has_status(BrokerOrderStatus.CANCELLED))

        assert report.cumulative_quantity == 0
        with pytest.raises(BrokerRejected):
            await rig.client.cancel_order(name)

    on(broker, body)


def test_an_unknown_order_is_refused(broker: str) -> None:
    """A modify or cancel of an order that never was is a decision of the broker, not a fault."""

    async def body(rig: BrokerRig) -> None:
        name = BrokerOrderId("9526010100000")
        with pytest.raises(BrokerRejected) as refused:
            await rig.client.cancel_order(name)
        assert refused.value.sent is Sent.YES
        with pytest.raises(BrokerRejected):
            await rig.client.modify_order(change(name, 75, "26000.00"))

    on(broker, body)


def test_the_broker_refuses_a_broken_lot_at_once(broker: str) -> None:
    """A quantity that is no multiple of the lot is refused by the call and leaves no order."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        with pytest.raises(BrokerRejected):
            await rig.client.place_order(order(Side.SELL, 76, "26000.00"))
        assert await rig.client.order_book() == ()

    on(broker, body)


@pytest.mark.parametrize(
    ("quantity", "price"), [(75, "26000.05"), (1875, "26000.00")], ids=["tick", "freeze"]
)
def test_the_exchange_rejects_with_a_reason(broker: str, quantity: int, price: str) -> None:
    """What the exchange refuses was accepted first; its record ends REJECTED with a reason."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        answer = await rig.client.place_order(order(Side.SELL, quantity, price))
        report = await report_when(
            rig.client, answer.broker_order_id, has_status(BrokerOrderStatus.REJECTED)
        )

        assert report.reason
        assert await rig.client.trade_book() == ()

    on(broker, body)


def test_an_id_used_twice_makes_two_orders(broker: str) -> None:
    """The broker has no idempotency: one id of ours may stand for two orders, both found."""

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        first = await rig.client.place_order(order(Side.SELL, 75, "26500.00"))
        second = await rig.client.place_order(order(Side.SELL, 75, "26500.00"))
        for answer in (first, second):
            await report_when(rig.client, answer.broker_order_id, has_status(PENDING))

        booked = {report.broker_order_id for report in await rig.client.order_book()}
        assert booked == {first.broker_order_id, second.broker_order_id}
        assert len(booked) == 2
        assert await rig.client.orders_by_client_order_id(ClientOrderId("sqx-contract-1"))

    on(broker, body)


def test_quotes_leave_out_what_is_not_known(broker: str) -> None:
    """A quote gives the last price; an instrument without one is missing from the answer."""
    unknown = InstrumentId(ExchangeSegment.NSE_EQ, "999999")

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        quotes = await rig.client.quotes([FUTURE.instrument_id, unknown])

        assert set(quotes) == {FUTURE.instrument_id}
        assert quotes[FUTURE.instrument_id].last_traded_price == Decimal("26060.00")

    on(broker, body)


def test_the_account_is_locked_only_flat(broker: str) -> None:
    """A lock of its own, where the broker has one, is refused over a position or an order."""
    has_lock = broker != "paper"

    async def body(rig: BrokerRig) -> None:
        await rig.push("26060.00")
        answer = await rig.client.place_order(order(Side.SELL, 75, "26500.00"))
        await report_when(rig.client, answer.broker_order_id, has_status(PENDING))
        with pytest.raises(BrokerRejected):
            await rig.client.lock_account()
        assert not await rig.client.is_account_locked()

        await rig.client.cancel_order(answer.broker_order_id)
        cancelled = has_status(BrokerOrderStatus.CANCELLED)
        await report_when(rig.client, answer.broker_order_id, cancelled)
        for _ in range(2 if has_lock else 0):
            await rig.client.lock_account()
        assert await rig.client.is_account_locked() is has_lock
        if has_lock:
            with pytest.raises(BrokerRejected):
                await rig.client.place_order(order(Side.SELL, 75, "26500.00"))

    on(broker, body)
