"""The night at the simulated broker: delivered shares, and what their sale does to the holdings."""

from collections.abc import Callable
from typing import Any

import pytest

SHARE = {"exchange_segment": "NSE_EQ", "security_id": "2885"}
FUTURE = {"exchange_segment": "NSE_FNO", "security_id": "49543"}
QUANTITIES = ("totalQty", "dpQty", "t1Qty", "availableQty", "mtf_qty")


def trade(bench: Any, net: int, product: str = "CNC", **changes: Any) -> None:
    """Trade in the broker's app."""
    row = {**SHARE, "product_type": product, "net_quantity": net, "price": 1500}
    bench.admin.trade_in_app({**row, **changes}, bench.now)


def nets(bench: Any) -> dict[str, int]:
    """Return the net of each product in GET /positions."""
    return {row["productType"]: row["netQty"] for row in bench.call("GET", "/positions")[1]}


def quantities(bench: Any) -> list[tuple[int, ...]]:
    """Return the quantities of each row of GET /holdings."""
    status, rows = bench.call("GET", "/holdings")
    assert status == 200, rows
    return [tuple(row[name] for name in QUANTITIES) for row in rows]


def balance(bench: Any) -> float:
    """Return what GET /fundlimit says is to be spent, rupees."""
    return float(bench.call("GET", "/fundlimit")[1]["availabelBalance"])


def test_shares_leave_the_positions_for_the_holdings(bench: Any) -> None:
    """CNC and MTF are delivered overnight, first as bought yesterday; all else is carried."""
    trade(bench, 100)
    trade(bench, 40, "MTF")
    trade(bench, 10, "INTRADAY")
    trade(bench, 75, "MARGIN", **FUTURE)

    bench.admin.begin_next_day(bench.now)

    assert nets(bench) == {"INTRADAY": 10, "MARGIN": 75}
    assert quantities(bench) == [(100, 0, 100, 100, 40)]
    assert bench.call("GET", "/trades") == (200, [])

    bench.admin.begin_next_day(bench.now)

    assert quantities(bench) == [(100, 100, 0, 100, 40)]


def test_a_look_at_the_holdings_lists_no_position(bench: Any) -> None:
    """Delivered shares are in no position, whatever was read before."""
    trade(bench, 100)
    bench.admin.begin_next_day(bench.now)

    assert quantities(bench) == [(100, 0, 100, 100, 0)]
    assert nets(bench) == {}


@pytest.mark.parametrize(
    ("conduct", "row"),
    [
        ("stay", (100, 100, 0, 100, 40)),
        ("available_falls", (100, 100, 0, 70, 15)),
        ("all_fall", (70, 70, 0, 70, 15)),
    ],
)
def test_a_sale_shows_as_a_negative_net(
    make_bench: Callable[..., Any], conduct: str, row: tuple[int, ...]
) -> None:
    """Whether the holdings fall by it on the same day is a knob; after the night they have."""
    bench = make_bench(holdings_after_sale=conduct)
    trade(bench, 100)
    trade(bench, 40, "MTF")
    bench.admin.begin_next_day(bench.now)
    bench.admin.begin_next_day(bench.now)

    trade(bench, -30)
    trade(bench, -25, "MTF")

    assert nets(bench) == {"CNC": -30, "MTF": -25}
    assert quantities(bench) == [row]

    bench.admin.begin_next_day(bench.now)

    assert nets(bench) == {}
    assert quantities(bench) == [(70, 70, 0, 70, 15)]


@pytest.mark.parametrize(
    ("conduct", "code"), [("error", "DH-1111"), ("older_error", "DHOLDING_ERROR")]
)
def test_an_empty_demat_account_answers_500(
    make_bench: Callable[..., Any], conduct: str, code: str
) -> None:
    """Once the last share is gone the answer is the error again."""
    bench = make_bench(holdings_empty=conduct)
    trade(bench, 100)
    bench.admin.begin_next_day(bench.now)
    assert len(quantities(bench)) == 1
    trade(bench, -100)
    bench.admin.begin_next_day(bench.now)

    status, body = bench.call("GET", "/holdings")

    assert (status, body["errorCode"], body["errorType"]) == (500, code, "HOLDING_ERROR")


def test_what_works_ends_with_the_day(bench: Any) -> None:
    """Resting orders expire, those on their way are cancelled, and no book shows them any more."""
    bench.tick("26100.0")
    resting = bench.place(price=25000.0)
    bench.run()
    coming = bench.place(price=25000.0)

    bench.admin.begin_next_day(bench.now)
    bench.run()

    orders = bench.broker.desk.orders
    assert [orders[name].status for name in (resting, coming)] == ["EXPIRED", "CANCELLED"]
    assert bench.call("GET", "/orders") == (200, [])


def test_what_is_open_is_carried_and_what_is_flat_is_gone(bench: Any) -> None:
    """The next day shows the net as carried forward at its cost, and nothing of the day before."""
    trade(bench, 150, "MARGIN", price=26000, **FUTURE)
    trade(bench, -75, "MARGIN", price=26010, **FUTURE)
    trade(bench, -75, "INTRADAY", price=25990, **FUTURE)
    trade(bench, 10, "INTRADAY")
    trade(bench, -10, "INTRADAY")

    bench.admin.begin_next_day(bench.now)

    names = (
        "productType", "positionType", "netQty", "carryForwardBuyQty", "carryForwardBuyValue",
        "carryForwardSellQty", "carryForwardSellValue", "dayBuyQty", "daySellQty",
        "dayBuyValue", "daySellValue", "costPrice", "realizedProfit",
    )  # fmt: skip
    assert [tuple(row[n] for n in names) for row in bench.call("GET", "/positions")[1]] == [
        ("MARGIN", "LONG", 75, 75, 1_950_000, 0, 0, 0, 0, 0, 0, 26000, 0),
        ("INTRADAY", "SHORT", -75, 0, 0, 75, 1_949_250, 0, 0, 0, 0, 25990, 0),
    ]

    trade(bench, -75, "MARGIN", price=26020, **FUTURE)

    [row] = [r for r in bench.call("GET", "/positions")[1] if r["productType"] == "MARGIN"]
    assert [row[n] for n in ("positionType", "carryForwardBuyQty", "daySellQty")] == [
        "CLOSED", 75, 75,
    ]  # fmt: skip
    assert row["realizedProfit"] == 75 * 20


def test_carried_positions_show_in_a_reading_that_lags(make_bench: Callable[..., Any]) -> None:
    """A reading of a moment before the day's begin never lacks what was carried into it."""
    bench = make_bench(positions_lag_ms=5_000)
    trade(bench, 75, "MARGIN", **FUTURE)
    bench.admin.begin_next_day(bench.now)

    assert nets(bench) == {"MARGIN": 75}


def test_the_kill_switch_is_for_its_day(bench: Any) -> None:
    """On the next day it is off and orders are taken again."""
    bench.call("POST", "/killswitch", killSwitchStatus="ACTIVATE")

    bench.admin.begin_next_day(bench.now)

    assert bench.call("GET", "/killswitch")[1]["killSwitchStatus"] == "DEACTIVATE"
    assert bench.place()


def test_the_market_day_begins_afresh(bench: Any) -> None:
    """The last price is the previous close; the figures of the day are those of its own prints."""
    for price, interest in (("26000.0", 1_000), ("26400.0", 3_000), ("25900.0", 2_000)):
        bench.tick(price, quantity=75, open_interest=interest)

    bench.admin.begin_next_day(bench.now)
    body = {"NSE_FNO": [49543]}
    path = "/marketfeed/quote"
    before = bench.call("POST", path, body)[1]["data"]["NSE_FNO"]["49543"]
    bench.tick("26100.0", quantity=150, open_interest=2_500)
    after = bench.call("POST", path, body)[1]["data"]["NSE_FNO"]["49543"]

    assert (before["last_price"], before["net_change"], before["volume"]) == (25900, 0, 0)
    assert before["ohlc"] == {"open": 0, "close": 25900, "high": 0, "low": 0}
    assert after["ohlc"] == {"open": 26100, "close": 25900, "high": 26100, "low": 26100}
    assert (after["net_change"], after["volume"], after["average_price"]) == (200, 150, 26100)
    assert (after["oi_day_high"], after["oi_day_low"]) == (2_500, 2_500)


def test_the_funds_of_earlier_days_stay_spent_and_earned(bench: Any) -> None:
    """Delivered shares are paid for; their sale blocks nothing and is paid the night after."""
    start = balance(bench)

    trade(bench, 100, price=1500)
    trade(bench, 75, "MARGIN", price=26000, **FUTURE)
    trade(bench, -75, "MARGIN", price=26010, **FUTURE)
    assert balance(bench) == start - 150_000 + 750
    bench.admin.begin_next_day(bench.now)
    assert balance(bench) == start - 150_000 + 750
    assert bench.call("GET", "/fundlimit")[1]["sodLimit"] == start - 150_000 + 750

    trade(bench, -60, price=1600)
    assert balance(bench) == start - 150_000 + 750
    bench.admin.begin_next_day(bench.now)
    assert balance(bench) == start - 150_000 + 750 + 96_000


def test_the_average_of_delivered_shares_is_weighted(bench: Any) -> None:
    """Shares of several days cost what was paid for all of them, each."""
    trade(bench, 100, price=1600)
    bench.admin.begin_next_day(bench.now)
    trade(bench, 10, price=1900)
    trade(bench, 20, price=1750)
    bench.admin.begin_next_day(bench.now)
    trade(bench, -30, price=1800)
    bench.admin.begin_next_day(bench.now)

    [row] = bench.call("GET", "/holdings")[1]

    assert (row["totalQty"], row["avgCostPrice"]) == (100, round((160_000 + 54_000) / 130, 4))
