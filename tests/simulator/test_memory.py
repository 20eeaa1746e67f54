"""The simulator's memory across restarts."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from squareoff.simulator.memory import load_memory, save_memory


def restarted(make_bench: Callable[..., Any], bench: Any) -> Any:
    """Return a fresh bench that was given the first one's memory, through JSON."""
    fresh = make_bench()
    fresh.now = bench.now + 10**9
    load_memory(fresh.broker, json.loads(json.dumps(save_memory(bench.broker))), fresh.now)
    return fresh


def test_orders_trades_and_positions_survive(make_bench: Callable[..., Any]) -> None:
    """After a restart every read answers as before."""
    bench = make_bench()
    bench.tick("25999.0")
    bench.place()
    bench.run()
    bench.place(price=25000.0, correlationId="rest")
    bench.run()
    paths = ("/orders", "/trades", "/positions", "/orders/external/rest")

    fresh = restarted(make_bench, bench)

    assert [fresh.call("GET", p) for p in paths] == [bench.call("GET", p) for p in paths]


def test_delivered_shares_survive(make_bench: Callable[..., Any]) -> None:
    """Holdings, and the sale of a part of them, are as before after a restart."""
    bench = make_bench()
    body = {"exchange_segment": "NSE_EQ", "security_id": "2885", "product_type": "CNC"}
    bench.admin.trade_in_app({**body, "net_quantity": 100, "price": 1500}, bench.now)
    bench.admin.begin_next_day(bench.now)
    bench.admin.trade_in_app({**body, "net_quantity": -30, "price": 1500}, bench.now)

    fresh = restarted(make_bench, bench)

    for path in ("/positions", "/holdings", "/fundlimit"):
        assert fresh.call("GET", path) == bench.call("GET", path)


def test_what_was_carried_survives(make_bench: Callable[..., Any]) -> None:
    """Positions, profit and the previous close of earlier days are as before after a restart."""
    bench = make_bench()
    body = {"exchange_segment": "NSE_FNO", "security_id": "49543", "product_type": "MARGIN"}
    bench.admin.trade_in_app({**body, "net_quantity": 150, "price": 26000}, bench.now)
    bench.admin.trade_in_app({**body, "net_quantity": -75, "price": 26010}, bench.now)
    bench.tick("26020.0")
    bench.admin.begin_next_day(bench.now)
    bench.tick("26050.0")

    fresh = restarted(make_bench, bench)

    for path in ("/positions", "/fundlimit", "/trades"):
        assert fresh.call("GET", path) == bench.call("GET", path)
    quoted = ("POST", "/marketfeed/ohlc", {"NSE_FNO": [49543]})
    assert fresh.call(*quoted) == bench.call(*quoted)


def test_working_orders_go_on(make_bench: Callable[..., Any]) -> None:
    """A resting, partly filled order fills on; new orders get new ids."""
    bench = make_bench()
    bench.tick("26100.0")
    order_id = bench.place(quantity=150)
    bench.run()
    bench.tick("26000.0", available_quantity=75)

    fresh = restarted(make_bench, bench)
    fresh.tick("25999.0", available_quantity=75)

    row = fresh.row(order_id)
    assert (row["orderStatus"], row["filledQty"]) == ("TRADED", 150)
    assert fresh.place() != order_id
    fresh.run()
    assert len({t["exchangeTradeId"] for t in fresh.call("GET", "/trades")[1]}) == 2


def test_orders_on_their_way_arrive_after_the_restart(make_bench: Callable[..., Any]) -> None:
    """An accepted order is never lost: it reaches the exchange after the restart."""
    bench = make_bench(exchange_delay_ms=60_000)
    bench.tick("25999.0")
    order_id = bench.place()

    fresh = restarted(make_bench, bench)

    assert fresh.row(order_id)["orderStatus"] == "TRADED"


def test_a_modification_on_its_way_is_forgotten(make_bench: Callable[..., Any]) -> None:
    """A restart loses a modification under way; the order stands as it was, not in TRANSIT."""
    bench = make_bench()
    order_id = bench.place()
    bench.run()
    bench.call("PUT", f"/orders/{order_id}", bench.body(orderId=order_id, price=25990.0))

    fresh = restarted(make_bench, bench)

    row = fresh.row(order_id)
    assert (row["orderStatus"], row["price"]) == ("PENDING", 26000.0)


def test_instruments_of_the_admin_survive(make_bench: Callable[..., Any]) -> None:
    """An added instrument is listed as it was, its order and position with it; so are new terms."""
    bench = make_bench()
    added = {"exchange_segment": "BSE_FNO", "security_id": "777"}
    terms = {"lot_size": 20, "freeze_quantity": 1000, "strike": 81000, "option_type": "CE"}
    bench.admin.add_instrument({**added, "previous_close": 100, **terms})
    bench.admin.add_instrument(
        {"exchange_segment": "NSE_EQ", "security_id": "2885", "upper_circuit": "1600.00"}
    )
    bench.tick("101.50", "777", "BSE_FNO")
    bench.admin.trade_in_app({**added, "net_quantity": 40}, bench.now)

    fresh = restarted(make_bench, bench)

    assert fresh.broker.listings() == bench.broker.listings()
    for path in ("/orders", "/trades", "/positions"):
        assert fresh.call("GET", path) == bench.call("GET", path)


def test_a_memory_without_listings_is_loaded(make_bench: Callable[..., Any]) -> None:
    """A state file of before knows the built-in instruments alone."""
    bench = make_bench()
    memory = save_memory(bench.broker)
    del memory["listings"]

    fresh = make_bench()
    built_in = fresh.broker.listings()
    load_memory(fresh.broker, memory, bench.now)

    assert fresh.broker.listings() == built_in
    assert fresh.call("GET", "/orders") == bench.call("GET", "/orders")


def test_foreign_memory_is_refused(bench: Any) -> None:
    """A memory of another version is not loaded."""
    with pytest.raises(ValueError, match="version"):
        load_memory(bench.broker, {"version": 0}, bench.now)
