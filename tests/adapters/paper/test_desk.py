"""The paper desk: turn of the day, requests on their way, what a tick offers."""

from decimal import Decimal
from typing import Any

from squareoff.adapters.paper.desk import HISTORY_TRADES_MAX, PaperDesk, trading_day
from squareoff.adapters.paper.orders import PaperOrder
from squareoff.domain.orders import Side
from squareoff.domain.time import ns_from_iso, seconds_to_ns
from squareoff.exchange.rules import MatchingRules

DELAY_NS = 50_000_000


def make_desk(world: Any, offered: int | None = None) -> tuple[PaperDesk, list[str]]:
    told: list[str] = []

    def tell(order: PaperOrder) -> None:
        told.append(order.status.value)

    desk = PaperDesk(MatchingRules(quantity_per_print=offered), DELAY_NS, tell)
    desk.list_instrument(world.instrument)
    desk.advance(world.clock.now())
    return desk, told


def test_the_day_turns_at_three_in_the_morning() -> None:
    """The trading day of an instant changes at 03:00 IST."""
    assert trading_day(ns_from_iso("2026-09-16T02:59:59+05:30")) == "2026-09-15"
    assert trading_day(ns_from_iso("2026-09-16T03:00:00+05:30")) == "2026-09-16"


def test_a_new_day_expires_forgets_and_carries(world: Any) -> None:
    """On a new day working orders end EXPIRED, ended ones leave the books, positions are carried
    without a trade, and flat positions are gone."""
    desk, told = make_desk(world, offered=75)
    desk.on_tick(world.tick("25000.00"))
    done = desk.place(world.request(Side.BUY, 75, "25000.00"), world.clock.now())
    world.arrive()
    desk.advance(world.clock.now())
    working = desk.place(world.request(Side.SELL, 75, "26000.00"), world.clock.now())
    world.arrive()
    desk.advance(world.clock.now())
    on_its_way = desk.place(world.request(Side.SELL, 75, "26000.00"), world.clock.now())
    assert done.status.value == "TRADED"

    world.clock.advance(24 * 3600)
    desk.advance(world.clock.now())

    assert list(desk.orders) == [working.broker_order_id, on_its_way.broker_order_id]
    assert [order.status.value for order in desk.orders.values()] == ["EXPIRED", "EXPIRED"]
    assert told[-2:] == ["EXPIRED", "EXPIRED"]
    [position] = desk.ledger.positions()
    assert (position.net_quantity, position.cost_price) == (75, Decimal(25000))
    assert all(trade.is_carried for trade in desk.ledger.trades())
    assert desk.next_due_ns() is None

    world.clock.advance(24 * 3600)
    desk.advance(world.clock.now())
    assert desk.orders == {}


def test_a_clock_set_back_does_not_turn_the_day(world: Any) -> None:
    """A wall clock that jumps to yesterday ends no order."""
    desk, _ = make_desk(world)
    order = desk.place(world.request(), world.clock.now())
    world.clock.elapsed_ns -= 24 * 3600 * 1_000_000_000
    desk.advance(world.clock.now())

    assert not order.is_terminal


def test_a_ticks_liquidity_is_offered_once(world: Any) -> None:
    """Two orders that arrive between two ticks share what the one tick offers."""
    desk, _ = make_desk(world, offered=75)
    desk.on_tick(world.tick("25000.00"))
    first = desk.place(world.request(Side.SELL, 75, "24900.00"), world.clock.now())
    second = desk.place(world.request(Side.SELL, 75, "24900.00"), world.clock.now())
    world.arrive()
    desk.advance(world.clock.now())

    assert (first.cumulative_quantity, second.cumulative_quantity) == (75, 0)


def test_requests_arrive_in_order_of_taking(world: Any) -> None:
    """A cancel taken right after its order meets the order at the exchange, not before it."""
    desk, told = make_desk(world)
    order = desk.place(world.request(), world.clock.now())
    desk.request_cancel(order, world.clock.now())
    world.arrive()
    desk.advance(world.clock.now())

    assert told == ["TRANSIT", "PENDING", "CANCELLED"]


def test_ticks_alone_leave_nothing_to_save(world: Any) -> None:
    """A tick that fills nothing does not grow the version."""
    desk, _ = make_desk(world)
    desk.place(world.request(Side.SELL, 75, "26000.00"), world.clock.now())
    world.arrive()
    desk.advance(world.clock.now())
    version = desk.version
    for price in ("25000.00", "25001.00", "25999.90"):
        desk.on_tick(world.tick(price))

    assert desk.version == version


def test_the_books_balance_through_a_dump(world: Any) -> None:
    """A desk that loads a dump holds the same ledger, balanced, and the same working orders."""
    desk, _ = make_desk(world, offered=75)
    desk.declare(world.position(-150), world.clock.now().wall_ns)
    desk.on_tick(world.tick("25000.00"))
    desk.place(world.request(Side.BUY, 150, "25100.00"), world.clock.now())
    world.arrive()
    desk.advance(world.clock.now())

    again, _ = make_desk(world, offered=75)
    again.load(desk.dump())

    again.ledger.check()
    assert again.ledger.trades() == desk.ledger.trades()
    again.on_tick(world.tick("25000.00"))
    [position] = again.ledger.positions()
    assert position.net_quantity == 0


def test_the_history_is_bounded(world: Any) -> None:
    """Every save writes all of it, so the oldest fills leave it."""
    desk, _ = make_desk(world)
    half = HISTORY_TRADES_MAX // 2
    lengths = []
    for _ in range(3):
        for _ in range(half):
            desk.on_tick(world.tick("25000.00"))
            desk.place(world.request(Side.BUY, 75, "25000.00"), world.clock.now())
        world.arrive()
        desk.advance(world.clock.now())
        world.clock.advance(24 * 3600)
        desk.advance(world.clock.now())
        lengths.append(len(desk.history))

    assert lengths == [half, 2 * half, 2 * half]
    assert len({trade.trade_id for trade in desk.history}) == 2 * half
    assert world.clock.now().wall_ns - desk.history[0].time_ns < seconds_to_ns(49 * 3600)
