"""Positions of CNC and MTF that were delivered overnight: held, exited, told, taken under watch."""

import asyncio
from dataclasses import replace
from decimal import Decimal as D
from typing import Any, cast

import pytest

from exit_story.values import INSTRUMENT, TRACKER, held, new_position
from service_world.broker import PRICE, ScriptedGateway
from service_world.virtual import VirtualClock, run_virtual
from service_world.world import World, running_world
from squareoff.core.state.facts import JournalEntry
from squareoff.domain.errors import BrokerOutcomeUnknown, StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import (
    ExchangeSegment,
    InstrumentId,
    PositionKey,
    ProductType,
)
from squareoff.domain.orders import BrokerOrderStatus, BrokerPosition, Holding, Side
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.services.desk.desk_requests import NotHeld, PositionRequest
from squareoff.services.exits.exit_results import Wait
from squareoff.services.positions.delivered_shares import DeliveredShares
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.positions.reconciler import ReconcilePace

SHARE = replace(
    INSTRUMENT,
    instrument_id=InstrumentId(ExchangeSegment.NSE_EQ, "2885"),
    trading_symbol="RELIANCE",
    lot_size=1,
    instrument_type="EQUITY",
)
SECOND = TrackerId("trk-2")
CNC = new_position(instrument=SHARE, product_type=ProductType.CNC).key
MTF = new_position(instrument=SHARE, product_type=ProductType.MTF).key
STOP = RuleSet(stop_loss=PriceRule(price=D(140)))
REQUEST = PositionRequest(
    exchange_segment=ExchangeSegment.NSE_EQ,
    security_id="2885",
    product_type=ProductType.CNC,
    side=new_position().side,
    quantity=100,
    entry_price=D(150),
    lot_size=1,
    tick_size=D("0.05"),
)
EVERY_SECOND = ReconcilePace(interval_seconds=1.0)
FAILS = BrokerOutcomeUnknown("read holdings: HTTP 502")
falls_or_not = pytest.mark.parametrize("falls", [False, True])


def overnight(*, falls: bool = False) -> ScriptedGateway:
    """Return a gateway that will let its holdings fall by each sale, or not before the night."""
    gateway = ScriptedGateway()
    gateway.holdings_fall = falls
    return gateway


async def carry(world: World, **changes: Any) -> None:
    """Buy for delivery, take it under watch, and let the night pass."""
    await world.hold(**{"instrument": SHARE, "product_type": ProductType.CNC, **changes})
    world.gateway.deliver()
    await asyncio.sleep(2.0)  # the morning's first comparison


def sold(gateway: ScriptedGateway) -> int:
    """Return what orders of ours closed."""
    return sum(each.cumulative_quantity for each in gateway.orders.values())


async def exit_now(world: World, tracker_id: TrackerId = TRACKER) -> None:
    """Claim an exit."""
    await world.engine.exit_engine.execute_exit(tracker_id, "by hand", wait=Wait.CLAIMED)


@falls_or_not
@pytest.mark.parametrize("product", [ProductType.CNC, ProductType.MTF])
def test_a_carried_position_is_sold_once_when_its_stop_fires(
    product: ProductType, falls: bool
) -> None:
    """Shares that were delivered overnight are held; the stop closes them all, and only once."""

    async def body() -> None:
        async with running_world(gateway=overnight(falls=falls), pace=EVERY_SECOND) as world:
            await carry(world, product_type=product, rules=STOP)
            world.tick("150", instrument=SHARE)
            await asyncio.sleep(1.0)
            world.tick("139", instrument=SHARE)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await asyncio.sleep(120.0)

            assert [r.order_quantity for r in world.gateway.requests] == [100]
            assert "over_exit" not in world.alarms.codes
            assert "position_mismatch" not in world.alarms.codes

    run_virtual(body())


@falls_or_not
def test_a_partly_done_exit_goes_on_after_a_restart(falls: bool) -> None:
    """Forty of a hundred were sold by a process that is gone: the next one sells just the rest."""

    async def body() -> None:
        gateway = overnight(falls=falls)
        async with running_world(gateway=gateway, pace=EVERY_SECOND) as world:
            await carry(world)
            gateway.fills = False
            await exit_now(world)
            await world.until(lambda: bool(gateway.orders))
            (order_id,) = gateway.orders
            gateway.fill(order_id, 40)
            await asyncio.sleep(1.0)
        gateway.publish = lambda report: None
        gateway.end(order_id, BrokerOrderStatus.CANCELLED)
        gateway.fills = True
        async with running_world(store=world.store, gateway=gateway) as later:
            await later.until_status(TRACKER, PositionStatus.EXITED)
            await asyncio.sleep(30.0)

            assert sold(gateway) == 100
            assert later.alarms.codes == []

    run_virtual(body())


@falls_or_not
def test_the_second_tracker_of_a_key_is_sold_after_a_restart(falls: bool) -> None:
    """What was seen as the first was sized proves what was there before it was sold."""

    async def body() -> None:
        gateway = overnight(falls=falls)
        async with running_world(gateway=gateway, pace=EVERY_SECOND) as world:
            await world.hold(instrument=SHARE, product_type=ProductType.CNC, tracker_id=SECOND)
            await carry(world)
            await exit_now(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            world.calendar.opens_in_seconds = 60.0
            await exit_now(world, SECOND)
        async with running_world(store=world.store, gateway=gateway) as later:
            await later.until_status(SECOND, PositionStatus.EXITED)
            await asyncio.sleep(30.0)

            assert sold(gateway) == 200
            assert later.alarms.codes == []

    run_virtual(body())


@falls_or_not
def test_what_a_person_sells_of_it_is_not_sold_again(falls: bool) -> None:
    """Thirty of a hundred are sold in the broker's app: the exit sells the seventy that are left,
    and the thirty are booked as closed by somebody else."""

    async def body() -> None:
        gateway = overnight(falls=falls)
        async with running_world(gateway=gateway, pace=EVERY_SECOND) as world:
            await carry(world)
            gateway.trade_by_hand(CNC, Side.SELL, 30)
            await world.until(lambda: world.tracker(TRACKER).externally_closed_quantity == 30)
            await exit_now(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await asyncio.sleep(30.0)

            assert sold(gateway) == 70
            assert "over_exit" not in world.alarms.codes

    run_virtual(body())


@pytest.mark.parametrize(("falls", "sells"), [(False, 100), (True, 0)])
def test_a_sale_that_nobody_saw_begin_closes_no_position(falls: bool, sells: int) -> None:
    """Of two hundred, a person sold a hundred that no tracker holds before the engine started.

    Where the holdings fell by it, the readings fit both two hundred and one hundred: nothing is
    sold that may not be there, and the sale is not taken for the tracker's.
    """

    async def body() -> None:
        gateway = overnight(falls=falls)
        async with running_world(gateway=gateway) as world:
            await world.hold(instrument=SHARE, product_type=ProductType.CNC)
            gateway.hold(CNC, 200)
            gateway.deliver()
        gateway.trade_by_hand(CNC, Side.SELL, 100)
        async with running_world(store=world.store, gateway=gateway, pace=EVERY_SECOND) as later:
            await asyncio.sleep(30.0)
            await exit_now(later)
            await asyncio.sleep(60.0)
            tracker = later.tracker(TRACKER)

            assert sold(gateway) == sells
            assert tracker.externally_closed_quantity == 0
            assert ("exit_blocked_positions_unreadable" in later.alarms.codes) is falls

    run_virtual(body())


def test_a_sale_that_the_positions_show_late_is_counted_once() -> None:
    """The holdings fall at once and the positions lag behind: the sale is counted once."""

    async def body() -> None:
        gateway = overnight(falls=False)
        async with running_world(gateway=gateway, pace=EVERY_SECOND) as world:
            await carry(world)
            name = (SHARE.instrument_id, ProductType.CNC)
            gateway.delivered[name] = 60  # a person sold 40; the positions do not show it yet
            await asyncio.sleep(3.0)
            gateway.delivered[name] = 100
            gateway.holdings_fall = True
            gateway.trade_by_hand(CNC, Side.SELL, 40)
            await exit_now(world)
            await asyncio.sleep(60.0)

            assert sold(gateway) == 60
            assert world.tracker(TRACKER).status is PositionStatus.EXITED

    run_virtual(body())


def test_holdings_that_cannot_be_read_hold_up_only_who_needs_them() -> None:
    """The exit of delivered shares waits for a reading; one of derivatives goes as ever."""

    async def body() -> None:
        gateway = overnight()
        gateway.failures["holdings"] = FAILS
        async with running_world(gateway=gateway, pace=EVERY_SECOND) as world:
            await carry(world)
            await world.hold(tracker_id=SECOND)
            await exit_now(world)
            await exit_now(world, SECOND)
            await world.until_status(SECOND, PositionStatus.EXITED)
            await asyncio.sleep(30.0)

            assert "exit_blocked_positions_unreadable" in world.alarms.codes
            assert [r.key.product_type for r in gateway.requests] == [ProductType.INTRADAY]

            del gateway.failures["holdings"]
            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert sold(gateway) == 200

    run_virtual(body())


def test_shares_bought_today_need_no_holdings() -> None:
    """On the day they are bought the positions alone show them."""

    async def body() -> None:
        gateway = overnight()
        gateway.failures["holdings"] = FAILS
        async with running_world(gateway=gateway) as world:
            await world.hold(instrument=SHARE, product_type=ProductType.CNC)
            await exit_now(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert sold(gateway) == 100

    run_virtual(body())


@pytest.mark.parametrize(
    ("instrument", "product"),
    [(SHARE, ProductType.INTRADAY), (INSTRUMENT, ProductType.MARGIN)],
)
def test_holdings_are_read_only_where_shares_are_delivered(
    instrument: Any, product: ProductType
) -> None:
    """No call is spent on intraday positions nor on derivatives."""

    async def body() -> None:
        async with running_world(pace=EVERY_SECOND) as world:
            await world.hold(instrument=instrument, product_type=product)
            await asyncio.sleep(5.0)
            await exit_now(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert "holdings" not in world.gateway.calls

    run_virtual(body())


def test_more_in_the_demat_account_is_no_difference() -> None:
    """Shares that no tracker claims are theirs who hold them; too few are told."""

    async def body() -> None:
        async with running_world(pace=EVERY_SECOND) as world:
            world.gateway.hold(CNC, 300)
            await carry(world)
            await asyncio.sleep(5.0)
            assert await world.engine.desk.reconcile() == ()

            world.gateway.delivered[SHARE.instrument_id, ProductType.CNC] = 60
            (difference,) = await world.engine.desk.reconcile()
            assert "our trackers hold 100, the broker shows 60" in difference

            world.gateway.failures["holdings"] = FAILS
            (difference,) = await world.engine.desk.reconcile()
            assert "our trackers hold 100, the broker surely shows only 0" in difference

    run_virtual(body())


@pytest.mark.parametrize("product", [ProductType.CNC, ProductType.MTF])
def test_an_older_holding_can_be_taken_under_watch(product: ProductType) -> None:
    """A holding that no tracker knows is held; more than it is refused, with the quantity."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.hold(PositionKey(CNC.account_id, SHARE.instrument_id, product), 120)
            world.gateway.deliver()
            request = replace(REQUEST, product_type=product)
            await world.engine.desk.track(request)
            with pytest.raises(NotHeld, match="the broker shows LONG 120"):
                await world.engine.desk.track(request)

    run_virtual(body())


def test_a_holding_that_cannot_be_read_is_taken_unchecked() -> None:
    """As with positions: what cannot be read refuses nobody, and a person is told."""

    async def body() -> None:
        gateway = overnight()
        gateway.failures["holdings"] = FAILS
        async with running_world(gateway=gateway) as world:
            await world.engine.desk.track(REQUEST)

            assert world.alarms.codes == ["position_not_checked"]

    run_virtual(body())


def test_holdings_are_never_adopted() -> None:
    """`adopt` takes what was bought today; neither older shares, nor a sale of them as a short."""

    async def body() -> None:
        gateway = overnight()
        gateway.hold(CNC, 200)
        gateway.deliver()
        gateway.hold(MTF, 50)
        gateway.trade_by_hand(CNC, Side.SELL, 80)
        async with running_world(
            gateway=gateway, adopt_rules=STOP, instruments=(SHARE,), pace=EVERY_SECOND
        ) as world:
            await asyncio.sleep(5.0)
            (taken,) = world.engine.desk.trackers()

            assert (taken.product_type, taken.quantity) == (ProductType.MTF, 50)

    run_virtual(body())


def test_a_sale_that_goes_too_far_is_an_over_exit() -> None:
    """A person sells all of it while our exit is on its way: both together sold what was not
    there."""

    async def body() -> None:
        gateway = overnight()
        async with running_world(gateway=gateway, pace=EVERY_SECOND) as world:
            await carry(world)
            gateway.on_write = lambda operation: gateway.trade_by_hand(CNC, Side.SELL, 100)
            await exit_now(world)
            await world.until(lambda: "over_exit" in world.alarms.codes)

    run_virtual(body())


def test_the_broker_is_locked_when_only_holdings_are_left() -> None:
    """Once everything is closed, shares that nobody watches are no open position, nor is the sale
    of the others."""

    async def body() -> None:
        async with running_world(pace=EVERY_SECOND) as world:
            world.gateway.hold(CNC, 300)
            await carry(world)
            await world.engine.desk.exit_all("enough", lock_account=True)
            await world.until(lambda: world.gateway.is_locked)

            assert sold(world.gateway) == 100
            report = await world.engine.desk.exit_all_report()
            assert report.nothing_remains

    run_virtual(body())


def test_a_journal_that_cannot_be_read_leaves_it_unsure() -> None:
    """Nothing is made up where the proof of an earlier process is away; it is asked for again."""

    class Journal:
        """Away, then there and empty."""

        calls = 0

        async def entries(self, **asked: Any) -> tuple[JournalEntry, ...]:
            self.calls += 1
            if self.calls == 1:
                raise StoreUnavailable("away")
            return ()

    async def body() -> None:
        book, journal = PositionBook(), Journal()
        book.add(held(instrument=SHARE, product_type=ProductType.CNC))
        delivered = DeliveredShares(book, cast("Any", journal), VirtualClock())
        sale = BrokerPosition(SHARE.instrument_id, ProductType.CNC, -40, 0, 40, PRICE, PRICE)
        left = (Holding(None, "2885", 60, 0),)

        for _ in range(3):
            rows, unsure = await delivered.counted_in((sale,), left, delivered.keys())

            assert [row.net_quantity for row in rows] == [20]
            assert unsure == {CNC}
        assert journal.calls == 2

    run_virtual(body())


def test_one_row_is_never_counted_for_two_instruments() -> None:
    """The holdings name an id for all exchanges: of two instruments that share it, both are
    unsure."""

    async def body() -> None:
        delivered = DeliveredShares(PositionBook(), cast("Any", None), VirtualClock())
        other = replace(CNC, instrument_id=InstrumentId(ExchangeSegment.BSE_EQ, "2885"))
        row = (Holding(None, "2885", 100, 0),)

        assert (await delivered.counted_in((), row, {CNC}))[1] == frozenset()
        assert await delivered.counted_in((), row, {CNC, other}) == ((), {CNC, other})

    run_virtual(body())
