"""The matching engine: price, time, triggers, conversions, changes, and its invariants."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.book import Depth, DepthLevel
from squareoff.exchange.engine import MatchingEngine
from squareoff.exchange.events import (
    Acknowledged,
    Cancelled,
    Expired,
    Filled,
    Modified,
    Rejected,
    RequestRejected,
    Triggered,
)
from squareoff.exchange.orders import NewOrder, OrderChange, TimeInForce, WorkingOrder
from squareoff.exchange.rules import MarketPolicy, MatchingRules, StopMarketPolicy

FUTURE = InstrumentId(ExchangeSegment.NSE_FNO, "49543")
INSTRUMENT = Instrument(
    FUTURE, "NIFTY-FUT", 75, Decimal("0.10"), 1800, Decimal("90"), Decimal("110"), "FUTIDX"
)


def engine_with(last_price: str | None = "100.00", **rules: object) -> MatchingEngine:
    engine = MatchingEngine(MatchingRules(**rules))  # type: ignore[arg-type]
    engine.list_instrument(INSTRUMENT)
    if last_price is not None:
        engine.on_tick(FUTURE, Decimal(last_price), 1)
    return engine


def order(name: str, side: Side, price: str | None, quantity: int = 75, **more: object) -> NewOrder:
    terms: dict[str, object] = {
        "order_type": OrderType.LIMIT if price is not None else OrderType.MARKET,
        "limit_price": None if price is None else Decimal(price),
    }
    return NewOrder(name, FUTURE, side, quantity=quantity, **(terms | more))  # type: ignore[arg-type]


def depth(bids: list[tuple[str, int]], asks: list[tuple[str, int]]) -> Depth:
    return Depth(
        tuple(DepthLevel(Decimal(p), q) for p, q in bids),
        tuple(DepthLevel(Decimal(p), q) for p, q in asks),
    )


def fills(events: list[object]) -> list[tuple[str, int, str]]:
    return [(e.order_id, e.quantity, str(e.price)) for e in events if isinstance(e, Filled)]


def test_marketable_limit_fills_at_market() -> None:
    """An order that takes what is offered gets the market's price, not its own."""
    engine = engine_with()

    events = engine.submit(order("a", Side.BUY, "101.00"), 2)

    assert isinstance(events[0], Acknowledged)
    assert fills(events) == [("a", 75, "100.00")]
    assert engine.working_order("a") is None


def test_resting_limit_fills_at_its_own_price() -> None:
    """When the market comes to a waiting order, the trade is at the order's price."""
    engine = engine_with()
    assert fills(engine.submit(order("a", Side.SELL, "101.00"), 2)) == []

    events = engine.on_tick(FUTURE, Decimal("102.00"), 3)

    assert fills(events) == [("a", 75, "101.00")]


def test_leftover_of_aggressive_order_fills_at_the_next_print() -> None:
    """What an aggressive order could not take at once fills at the next print, not at its limit."""
    engine = engine_with(quantity_per_print=75)
    assert fills(engine.submit(order("a", Side.BUY, "105.00", 150), 2)) == [("a", 75, "100.00")]

    events = engine.on_tick(FUTURE, Decimal("100.50"), 3)

    assert fills(events) == [("a", 75, "100.50")]


def test_depth_is_consumed_until_the_next_update() -> None:
    """Levels taken by one order are gone for the next until the market speaks again."""
    engine = engine_with(None)
    engine.on_depth(FUTURE, depth([], [("100.00", 75), ("100.50", 150)]), 1, Decimal("100"))

    first = engine.submit(order("a", Side.BUY, "101.00", 150), 2)
    second = engine.submit(order("b", Side.BUY, "100.00", 75), 3)
    third = engine.on_depth(FUTURE, depth([], [("100.00", 75)]), 4)

    assert fills(first) == [("a", 75, "100.00"), ("a", 75, "100.50")]
    assert fills(second) == []
    assert fills(third) == [("b", 75, "100.00")]


def test_price_then_time_priority() -> None:
    """The keener price fills first, and at one price the earlier order."""
    engine = engine_with(quantity_per_print=0)
    for name, price in (("late_low", "100.00"), ("early_high", "101.00"), ("later_high", "101.00")):
        engine.submit(order(name, Side.BUY, price), 2)

    events = engine.on_tick(FUTURE, Decimal("99.00"), 3, quantity=150)

    assert [name for name, _, _ in fills(events)] == ["early_high", "later_high"]


def test_market_order_becomes_a_protected_limit_and_may_rest() -> None:
    """MARKET is a LIMIT at the slab's protection price and waits when the market is thin."""
    engine = engine_with(quantity_per_print=75)

    events = engine.submit(order("a", Side.SELL, None, 150), 2)

    acknowledged = events[0]
    assert isinstance(acknowledged, Acknowledged)
    assert (acknowledged.order_type, acknowledged.limit_price) == (OrderType.LIMIT, Decimal("98.0"))
    assert fills(events) == [("a", 75, "100.00")]
    working = engine.working_order("a")
    assert working is not None
    assert working.leaves_quantity == 75


def test_market_policies() -> None:
    """A plain MARKET takes any price; where market orders are banned it is rejected."""
    plain = engine_with(market_policy=MarketPolicy.PLAIN)
    banned = engine_with(market_policy=MarketPolicy.REJECT)
    unknown = engine_with(None)

    assert fills(plain.submit(order("a", Side.BUY, None), 2)) == [("a", 75, "100.00")]
    for engine, code in ((banned, "market_order"), (unknown, "no_reference_price")):
        (event,) = engine.submit(order("a", Side.BUY, None), 2)
        assert isinstance(event, Rejected)
        assert event.code == code


@pytest.mark.parametrize(
    ("side", "stop", "limit", "quiet", "reached"),
    [
        (Side.SELL, "98.00", "97.00", "98.10", "98.00"),
        (Side.BUY, "102.00", "103.00", "101.90", "102.00"),
    ],
    ids=["sell_stop", "buy_stop"],
)
def test_stop_waits_for_its_trigger(
    side: Side, stop: str, limit: str, quiet: str, reached: str
) -> None:
    """A stop order does nothing until the last price reaches its trigger, then it is a limit."""
    engine = engine_with()
    stop_order = order("a", side, limit, order_type=OrderType.STOP_LOSS, stop_price=Decimal(stop))
    assert fills(engine.submit(stop_order, 2)) == []
    assert engine.on_tick(FUTURE, Decimal(quiet), 3) == []

    events = engine.on_tick(FUTURE, Decimal(reached), 4)

    assert isinstance(events[0], Triggered)
    assert fills(events) == [("a", 75, reached)]


def test_stop_market_policies() -> None:
    """STOP_LOSS_MARKET waits for its trigger, or loses it and acts at once, as the policy says."""
    terms = {"order_type": OrderType.STOP_LOSS_MARKET, "stop_price": Decimal("98.00")}
    waiting = engine_with()
    immediate = engine_with(stop_market_policy=StopMarketPolicy.IMMEDIATE)

    assert fills(waiting.submit(order("a", Side.SELL, None, **terms), 2)) == []
    triggered = waiting.on_tick(FUTURE, Decimal("97.50"), 3)
    at_once = immediate.submit(order("a", Side.SELL, None, **terms), 2)

    assert fills(triggered) == [("a", 75, "97.50")]
    assert fills(at_once) == [("a", 75, "100.00")]


def test_ioc_rest_expires_at_once() -> None:
    """What an IOC order cannot take on arrival expires."""
    engine = engine_with(quantity_per_print=75)

    events = engine.submit(order("a", Side.BUY, "100.00", 150, time_in_force=TimeInForce.IOC), 2)

    assert fills(events) == [("a", 75, "100.00")]
    assert isinstance(events[-1], Expired)
    assert engine.working_order("a") is None


def test_modify_names_the_total_and_may_fill_at_once() -> None:
    """A modification sets total quantity and price, and an aggressive price takes the market."""
    engine = engine_with(quantity_per_print=75)
    engine.submit(order("a", Side.SELL, "101.00", 150), 2)
    change = OrderChange("a", OrderType.LIMIT, 150, Decimal("99.00"))

    events = engine.modify(change, 3)

    assert isinstance(events[0], Modified)
    assert fills(events) == [("a", 75, "100.00")]


def test_modify_below_the_filled_part_is_refused() -> None:
    """A total below what has filled is refused; a total equal to it ends the order."""
    engine = engine_with(quantity_per_print=75)
    engine.submit(order("a", Side.BUY, "100.00", 225), 2)
    engine.on_tick(FUTURE, Decimal("100.00"), 3)

    (refused,) = engine.modify(OrderChange("a", OrderType.LIMIT, 75, Decimal("100.00")), 4)
    (accepted,) = engine.modify(OrderChange("a", OrderType.LIMIT, 150, Decimal("100.00")), 5)

    assert isinstance(refused, RequestRejected)
    assert isinstance(accepted, Modified)
    assert engine.working_order("a") is None


def test_reducing_keeps_time_priority_and_repricing_loses_it() -> None:
    """A smaller quantity keeps the place in the queue; a new price goes to its end."""
    engine = engine_with(quantity_per_print=0)
    for name in ("a", "b", "c"):
        engine.submit(order(name, Side.BUY, "100.00", 150), 2)
    engine.modify(OrderChange("a", OrderType.LIMIT, 75, Decimal("100.00")), 3)
    engine.modify(OrderChange("b", OrderType.LIMIT, 150, Decimal("99.00")), 4)
    engine.modify(OrderChange("b", OrderType.LIMIT, 150, Decimal("100.00")), 5)

    events = engine.on_tick(FUTURE, Decimal("99.00"), 6, quantity=375)

    assert [name for name, _, _ in fills(events)] == ["a", "c", "b"]


def test_resting_stop_becomes_a_marketable_limit() -> None:
    """A resting stop can be modified into a limit that fills at once."""
    engine = engine_with()
    engine.submit(
        order("a", Side.SELL, "95.00", order_type=OrderType.STOP_LOSS, stop_price=Decimal("96")), 2
    )

    events = engine.modify(OrderChange("a", OrderType.LIMIT, 75, Decimal("99.00")), 3)

    assert fills(events) == [("a", 75, "100.00")]


def test_cancel_and_unknown_orders() -> None:
    """A cancel ends a working order; anything asked of an order that is not working is refused."""
    engine = engine_with()
    engine.submit(order("a", Side.SELL, "101.00"), 2)

    (cancelled,) = engine.cancel("a", 3)
    again = engine.cancel("a", 4)
    changed = engine.modify(OrderChange("a", OrderType.LIMIT, 75, Decimal("99.00")), 5)

    assert isinstance(cancelled, Cancelled)
    assert isinstance(again[0], RequestRejected)
    assert isinstance(changed[0], RequestRejected)


def test_expire_ends_all_or_the_named() -> None:
    """At the end of the day everything still working expires."""
    engine = engine_with()
    for name in ("a", "b"):
        engine.submit(order(name, Side.SELL, "101.00"), 2)

    assert [e.order_id for e in engine.expire(3, ["a"])] == ["a"]
    assert [e.order_id for e in engine.expire(4)] == ["b"]


def test_halted_instrument_neither_matches_nor_takes_orders() -> None:
    """While an instrument is halted its orders rest and new ones are rejected."""
    engine = engine_with()
    engine.submit(order("a", Side.SELL, "101.00"), 2)
    engine.set_halted(FUTURE, True)

    assert engine.on_tick(FUTURE, Decimal("105.00"), 3) == []
    assert isinstance(engine.submit(order("b", Side.SELL, "101.00"), 4)[0], Rejected)
    engine.set_halted(FUTURE, False)
    assert fills(engine.on_tick(FUTURE, Decimal("105.00"), 5)) == [("a", 75, "101.00")]


def test_fill_cap_bounds_fills_until_freed() -> None:
    """A rehearsed partial fill stops at its cap and goes on when freed."""
    engine = engine_with()
    events = engine.submit(order("a", Side.BUY, "100.00", 150, fill_cap=75), 2)
    assert fills(events) == [("a", 75, "100.00")]
    assert engine.on_tick(FUTURE, Decimal("99.00"), 3) == []

    assert fills(engine.set_fill_cap("a", None, 4)) == [("a", 75, "99.00")]


def test_restore_brings_an_order_back_with_its_fills() -> None:
    """An order of an earlier run goes on where it stood, announced to nobody."""
    engine = engine_with()
    working = WorkingOrder(
        "a", "12", FUTURE, Side.SELL, OrderType.LIMIT, 150, Decimal("101.00"), None,
        TimeInForce.DAY, 7, filled_quantity=75,
    )  # fmt: skip

    engine.restore(working)

    assert fills(engine.on_tick(FUTURE, Decimal("101.00"), 3)) == [("a", 75, "101.00")]
    assert engine.sequence > 7


PRICES = st.integers(min_value=900, max_value=1100).map(lambda n: Decimal(n) / 10)
LOTS = st.integers(min_value=1, max_value=6).map(lambda n: n * 75)
STEPS = st.one_of(
    st.tuples(st.just("order"), st.sampled_from(list(Side)), PRICES, LOTS),
    st.tuples(st.just("tick"), PRICES, LOTS),
    st.tuples(st.just("depth"), PRICES, LOTS),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("modify"), st.integers(0, 20), PRICES, LOTS),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_conservation_and_limits_under_any_sequence(steps: list[tuple]) -> None:
    """Fills add up to the filled quantity, stay within quantity, and are never beyond the limit."""
    engine = engine_with(None, quantity_per_print=150)
    limits: dict[str, Decimal] = {}
    sides: dict[str, Side] = {}
    quantities: dict[str, int] = {}
    filled: dict[str, int] = {}
    trade_ids: list[str] = []
    for number, step in enumerate(steps):
        name = str(number)
        match step:
            case ("order", side, price, quantity):
                limits[name], sides[name], quantities[name] = price, side, quantity
                events = engine.submit(order(name, side, str(price), quantity), number)
            case ("tick", price, quantity):
                events = engine.on_tick(FUTURE, price, number, quantity)
            case ("depth", price, quantity):
                book = depth(
                    [(str(price), quantity), (str(price - 1), quantity)],
                    [(str(price + 1), quantity)],
                )
                events = engine.on_depth(FUTURE, book, number, price)
            case ("cancel", target):
                events = engine.cancel(str(target), number)
            case ("modify", target, price, quantity):
                before = engine.working_order(str(target))
                events = engine.modify(
                    OrderChange(str(target), OrderType.LIMIT, quantity, price), number
                )
                if before is not None and isinstance(events[0], Modified):
                    limits[str(target)], quantities[str(target)] = price, quantity
        for event in events:
            if isinstance(event, Filled):
                owner = event.order_id
                filled[owner] = filled.get(owner, 0) + event.quantity
                trade_ids.append(event.trade_id)
                is_buy = sides[owner] is Side.BUY
                assert event.price <= limits[owner] if is_buy else event.price >= limits[owner]
        for owner, total in filled.items():
            assert total <= quantities[owner]
            working = engine.working_order(owner)
            assert working is None or working.filled_quantity == total
    assert len(trade_ids) == len(set(trade_ids))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(PRICES, LOTS), min_size=2, max_size=8), LOTS, PRICES)
def test_nobody_fills_before_a_better_or_earlier_order(
    book: list[tuple[Decimal, int]], offered: int, price: Decimal
) -> None:
    """An order fills only when every order ahead of it on its side is done."""
    engine = engine_with(None, quantity_per_print=0)
    for number, (limit, quantity) in enumerate(book):
        engine.submit(order(str(number), Side.BUY, str(limit), quantity), 1)

    engine.on_tick(FUTURE, price, 2, offered)

    ahead = sorted(range(len(book)), key=lambda n: (-book[n][0], n))
    eligible = [n for n in ahead if book[n][0] >= price]
    seen_open = False
    for number in eligible:
        working = engine.working_order(str(number))
        left = 0 if working is None else working.leaves_quantity
        assert not (seen_open and left < book[number][1])
        seen_open = seen_open or left > 0
