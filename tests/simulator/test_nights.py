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
