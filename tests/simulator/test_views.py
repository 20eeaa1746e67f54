"""What reads show of the past."""

from collections.abc import Callable
from typing import Any

import pytest

from squareoff.simulator.conduct import conduct_from_json
from squareoff.simulator.views import order_book, positions, seen_row, trade_book


def test_a_lagging_read_shows_each_earlier_stage(bench: Any) -> None:
    """As of any moment the row is the one of that moment, and none before the order was there."""
    bench.tick("26100.0")
    start = bench.now
    order = bench.broker.desk.orders[bench.place()]
    bench.run(100)
    bench.tick("25990.0")

    def status_at(milliseconds: int) -> str | None:
        lag_ns = bench.now - start - milliseconds * 10**6
        row = seen_row(order, bench.broker.conduct, bench.now, lag_ns)
        return None if row is None else row["orderStatus"]

    assert [status_at(ms) for ms in (-1, 1, 50, 100)] == [None, "TRANSIT", "PENDING", "TRADED"]


def test_book_is_newest_first(bench: Any) -> None:
    """The newest order stands first."""
    ids = [bench.place(), bench.place()]

    rows = order_book(bench.broker.account(), bench.broker.conduct, bench.now, 0)

    assert [row["orderId"] for row in rows] == ids[::-1]


def test_lagging_positions_are_rebuilt_from_trades(bench: Any) -> None:
    """Positions of a moment ago hold the trades of then."""
    body = {"exchange_segment": "NSE_EQ", "security_id": "2885", "net_quantity": 5, "price": 1500}
    bench.admin.trade_in_app(body, bench.now)
    bench.run(1_000)
    bench.admin.trade_in_app(body, bench.now)
    account, days = bench.broker.account(), bench.broker.days

    now = positions(account, bench.broker.conduct, days, bench.now, 0)
    then = positions(account, bench.broker.conduct, days, bench.now, 500 * 10**6)

    assert (now[0]["netQty"], then[0]["netQty"]) == (10, 5)


def test_a_book_shows_every_change_of_an_order(bench: Any) -> None:
    """Rows are kept between readings, and made anew once anything of the order changes."""
    order = bench.broker.desk.orders[bench.place()]
    account, conduct = bench.broker.account(), bench.broker.conduct

    [before] = order_book(account, conduct, bench.now, 0)
    [again] = order_book(account, conduct, bench.now, 0)
    order.status, order.client_id = "CANCELLED", "another"
    [after] = order_book(account, conduct, bench.now, 0)

    assert before == again
    assert (after["orderStatus"], after["dhanClientId"]) == ("CANCELLED", "another")
    assert before["orderStatus"] != "CANCELLED"


def test_books_follow_the_conduct(bench: Any) -> None:
    """The same order and trade are shown as the conduct of the reading says."""
    bench.tick("25000.0")
    bench.place()
    bench.run(100)
    account, now = bench.broker.account(), bench.now
    plain = bench.broker.conduct
    odd = conduct_from_json({"numbers_as_strings": True, "times_in_utc": True}, plain)

    orders = [order_book(account, each, now, 0)[0] for each in (plain, odd, plain)]
    trades = [trade_book(account, each, now, 0)[0] for each in (plain, odd, plain)]

    assert [type(row["quantity"]) for row in orders] == [int, str, int]
    assert orders[0] == orders[2]
    assert trades[0] == trades[2]
    assert trades[0]["createTime"] != trades[1]["createTime"]


@pytest.mark.parametrize("path", ["/holdings", "/fundlimit", "/trades/2000-01-01/2100-01-01/0"])
def test_a_fault_s_lag_holds_for_every_book(make_bench: Callable[..., Any], path: str) -> None:
    """Holdings, funds and the history of then: a rule that lags them is not without effect."""
    bench = make_bench(holdings_after_sale="all_fall")
    share = {"exchange_segment": "NSE_EQ", "security_id": "2885", "product_type": "CNC"}
    bench.admin.trade_in_app(share | {"net_quantity": 10, "price": 1500}, bench.now)
    bench.admin.begin_next_day(bench.now)
    bench.run()
    before = bench.call("GET", path)
    bench.run()
    bench.admin.trade_in_app(share | {"net_quantity": -4, "price": 1500}, bench.now)
    bench.admin.trade_in_app(share | {"net_quantity": 1, "price": 1600}, bench.now)
    bench.admin.trade_in_app(
        {"exchange_segment": "NSE_FNO", "security_id": "49543", "net_quantity": 75, "price": 26000},
        bench.now,
    )
    assert bench.call("GET", path) != before

    bench.fault(where={"path": f"/v2{path}"}, what={"lag_ms": 500})

    assert bench.call("GET", path) == before


@pytest.mark.parametrize(("knob", "price"), [("missing", None), ("close", 26060.2), ("zero", 0.0)])
def test_a_quote_of_what_was_never_traded(
    make_bench: Callable[..., Any], knob: str, price: float | None
) -> None:
    """It is left out, or its time is the sheet's sentinel (8.1)."""
    bench = make_bench(quote_never_traded=knob)

    data = bench.call("POST", "/marketfeed/quote", {"NSE_FNO": [49543]})[1]["data"]

    row = data.get("NSE_FNO", {}).get("49543")
    told = None if row is None else (row["last_price"], row["last_trade_time"])
    assert told == (None if price is None else (price, "01/01/1980 00:00:00"))


def test_prices_of_quotes_are_floats(bench: Any) -> None:
    """A whole price has its decimal point, as in the sheet's sample (8.1)."""
    bench.tick(26000, bids=[[25999, 75]], asks=[[26001, 75]])

    row = bench.call("POST", "/marketfeed/quote", {"NSE_FNO": [49543]})[1]["data"]["NSE_FNO"]

    quote = row["49543"]
    prices = [quote[name] for name in ("last_price", "average_price", "net_change")]
    prices += [quote["lower_circuit_limit"], quote["depth"]["buy"][0]["price"]]
    assert {type(each) for each in [*prices, *quote["ohlc"].values()]} == {float}


def test_a_holding_names_its_isin_and_last_price(bench: Any) -> None:
    """What was observed in a row of holdings is told where it is known (3.3)."""
    share = {"exchange_segment": "NSE_EQ", "security_id": "2885", "product_type": "CNC"}
    bench.admin.trade_in_app(share | {"net_quantity": 10, "price": 1500}, bench.now)
    bench.tick("1560.5", "2885", "NSE_EQ")
    bench.admin.begin_next_day(bench.now)

    (row,) = bench.call("GET", "/holdings")[1]

    assert (row["isin"], row["lastTradedPrice"]) == ("INE000002885", 1560.5)
