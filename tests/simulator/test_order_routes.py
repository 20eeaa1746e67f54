"""REST writes: what they answer, what they refuse, and what they set in motion."""

from collections.abc import Callable
from typing import Any

import pytest


def test_modify_of_an_order_in_transit_takes_effect(make_bench: Callable[..., Any]) -> None:
    """A modification may overtake the order itself; where that is refused it is 400."""
    bench = make_bench(exchange_delay_ms=100)
    order_id = bench.place()
    body = bench.body(orderId=order_id, price=25990.0)
    assert bench.call("PUT", f"/orders/{order_id}", body)[0] == 200
    bench.run()
    assert bench.row(order_id)["price"] == 25990.0

    strict = make_bench(modify_in_transit="refuse")
    other = strict.place()
    assert strict.call("PUT", f"/orders/{other}", strict.body(orderId=other))[0] == 400


def test_the_26th_modification_is_refused(make_bench: Callable[..., Any]) -> None:
    """An order takes 25 modifications and not one more."""
    bench = make_bench()
    order_id = bench.place()
    bench.run()
    path = f"/orders/{order_id}"
    answers = []
    for number in range(26):
        body = bench.body(orderId=order_id, price=25000.0 + number)
        answers.append(bench.call("PUT", path, body)[0])
        bench.run()

    assert answers == [200] * 25 + [400]
    assert bench.row(order_id)["price"] == 25024.0


def test_partial_modify_bodies(make_bench: Callable[..., Any]) -> None:
    """A modify body that leaves fields out is refused, or keeps what was there."""
    strict, lenient = make_bench(), make_bench(modify_partial_body="keep")
    statuses = {}
    for bench in (strict, lenient):
        order_id = bench.place()
        bench.run()
        body = {"dhanClientId": "1100000001", "orderId": order_id, "price": 25990.0}
        statuses[bench] = bench.call("PUT", f"/orders/{order_id}", body)[0]
        bench.run()

    assert (statuses[strict], statuses[lenient]) == (400, 200)
    assert lenient.row(order_id)["price"] == 25990.0
    assert lenient.row(order_id)["quantity"] == 75


@pytest.mark.parametrize(
    ("knob", "status", "answer"),
    [
        ("200_cancelled", 200, "CANCELLED"),
        ("200_transit", 200, "TRANSIT"),
        ("202_cancelled", 202, "CANCELLED"),
        ("202_empty", 202, None),
    ],
)
def test_delete_answers(
    make_bench: Callable[..., Any], knob: str, status: int, answer: str | None
) -> None:
    """A cancel answers 200 or 202, with or without a body (12.6); the row tells the truth later."""
    bench = make_bench(delete_answer=knob)
    order_id = bench.place()
    bench.run()

    found, body = bench.call("DELETE", f"/orders/{order_id}")

    assert (found, body and body["orderStatus"]) == (status, answer)
    assert bench.row(order_id)["orderStatus"] == "PENDING"
    bench.run()
    assert bench.row(order_id)["orderStatus"] == "CANCELLED"
    assert bench.call("DELETE", f"/orders/{order_id}")[0] == 400


def test_cancel_in_transit(make_bench: Callable[..., Any]) -> None:
    """A cancel may end an order before the exchange had it; where that is refused it is 400."""
    bench = make_bench(exchange_delay_ms=500)
    order_id = bench.place()
    assert bench.call("DELETE", f"/orders/{order_id}")[0] == 202
    bench.run()
    assert bench.row(order_id)["orderStatus"] == "CANCELLED"

    strict = make_bench(cancel_in_transit="refuse")
    assert strict.call("DELETE", f"/orders/{strict.place()}")[0] == 400


@pytest.mark.parametrize(("knob", "kind"), [("array", list), ("object", dict)])
def test_slicing(make_bench: Callable[..., Any], knob: str, kind: type) -> None:
    """A quantity above the freeze quantity becomes several orders under one tag (12.8)."""
    bench = make_bench(slicing_answer=knob)

    _, answer = bench.call("POST", "/orders/slicing", bench.body(quantity=4500))

    assert isinstance(answer, kind)
    rows = bench.call("GET", "/orders")[1]
    assert sorted(row["quantity"] for row in rows) == [900, 1800, 1800]
    assert {row["correlationId"] for row in rows} == {"tag-1"}


@pytest.mark.parametrize(("quantity", "status"), [(1800 * 100, 200), (1800 * 100 + 75, 400)])
def test_a_call_makes_a_bounded_number_of_slices(
    make_bench: Callable[..., Any], quantity: int, status: int
) -> None:
    """A quantity of two thousand million would be a million orders, and nobody else is served."""
    bench = make_bench(fund_start_of_day="100000000000")

    assert bench.call("POST", "/orders/slicing", bench.body(quantity=quantity))[0] == status
    assert len(bench.call("GET", "/orders")[1]) == (100 if status == 200 else 0)


def test_a_slice_can_fail(make_bench: Callable[..., Any]) -> None:
    """One slice can be missing from the answer and from the book."""
    bench = make_bench(slicing_fail_at=2)

    _, answer = bench.call("POST", "/orders/slicing", bench.body(quantity=4500))

    assert len(answer) == len(bench.call("GET", "/orders")[1]) == 2


@pytest.mark.parametrize(("knob", "status"), [("reject", 200), ("refuse", 400)])
def test_insufficient_funds(make_bench: Callable[..., Any], knob: str, status: int) -> None:
    """Too little money is a later rejection, or a synchronous refusal; closing needs none."""
    bench = make_bench(funds_check=knob, fund_start_of_day="1000")
    bench.admin.trade_in_app(
        {"exchangeSegment": "NSE_FNO", "securityId": "49543", "netQty": 75, "price": "26000"},
        bench.now,
    )

    found, answer = bench.call("POST", "/orders", bench.body())
    closing = bench.place(transactionType="SELL")
    bench.run()

    assert found == status
    assert bench.row(closing)["orderStatus"] != "REJECTED"
    if status == 200:
        assert "funds" in bench.row(answer["orderId"])["omsErrorDescription"]


@pytest.mark.parametrize(("quantity", "status"), [(75, "TRADED"), (150, "REJECTED")])
def test_only_what_an_order_opens_needs_funds(
    make_bench: Callable[..., Any], quantity: int, status: str
) -> None:
    """Closing 75 of 75 needs none; what goes beyond opens a short, which has its margin."""
    bench = make_bench(funds_check="reject")
    bench.tick("26000.0")
    bench.place()
    bench.run()
    bench.knobs(fund_start_of_day="1000")

    closing = bench.place(transactionType="SELL", quantity=quantity, price=25990.0)
    bench.run()

    assert bench.row(closing)["orderStatus"] == status


@pytest.mark.parametrize("product", ["CNC", "MTF"])
def test_a_sale_of_delivered_shares_needs_no_funds(
    make_bench: Callable[..., Any], product: str
) -> None:
    """Of 100 delivered and 20 bought today 120 can be sold, in whatever parts; no more."""
    bench = make_bench(funds_check="reject")
    terms = {"exchangeSegment": "NSE_EQ", "securityId": "1333", "productType": product}
    bench.tick("1600.0", "1333", "NSE_EQ")
    for quantity in (100, 20):
        bench.admin.trade_in_app({**terms, "netQty": quantity}, bench.now)
        if quantity == 100:
            bench.admin.begin_next_day(bench.now)
    bench.knobs(fund_start_of_day="1000")
    found = []

    for quantity in (50, 71, 70, 1):
        sale = bench.place(**terms, transactionType="SELL", quantity=quantity, price=1590.0)
        bench.run()
        found.append(bench.row(sale)["orderStatus"])

    assert found == ["TRADED", "REJECTED", "TRADED", "REJECTED"]


def test_market_closed_refuses_modify_and_cancel(make_bench: Callable[..., Any]) -> None:
    """Outside hours modify and cancel are 400 DH-906."""
    bench = make_bench()
    order_id = bench.place()
    bench.run()
    bench.knobs(market_hours="closed")

    for method in ("PUT", "DELETE"):
        status, body = bench.call(method, f"/orders/{order_id}", bench.body(orderId=order_id))
        assert (status, body["errorCode"]) == (400, "DH-906")


def test_exit_all_and_convert(bench: Any) -> None:
    """DELETE /positions cancels every order and flattens; convert moves quantity, 202 and empty."""
    bench.tick("26000.0")
    bench.place()
    resting = bench.place(price=25000.0)
    bench.run()
    body = {
        "dhanClientId": "1100000001", "fromProductType": "INTRADAY", "toProductType": "MARGIN",
        "exchangeSegment": "NSE_FNO", "positionType": "LONG", "securityId": "49543",
        "convertQty": "75",
    }  # fmt: skip
    assert bench.call("POST", "/positions/convert", body) == (202, None)
    rows = {row["productType"]: row["netQty"] for row in bench.call("GET", "/positions")[1]}
    assert rows == {"INTRADAY": 0, "MARGIN": 75}

    assert bench.call("DELETE", "/positions")[1]["status"] == "SUCCESS"
    bench.run()

    assert bench.row(resting)["orderStatus"] == "CANCELLED"
    assert all(row["netQty"] == 0 for row in bench.call("GET", "/positions")[1])


@pytest.mark.parametrize("security_id", ["49543", "77777"])
def test_a_refused_convert_leaves_the_positions_as_they_were(bench: Any, security_id: str) -> None:
    """What is not held, or not even listed, can neither be converted nor be listed by asking."""
    body = {
        "dhanClientId": "1100000001", "fromProductType": "INTRADAY", "toProductType": "MARGIN",
        "exchangeSegment": "NSE_FNO", "securityId": security_id, "convertQty": 75,
    }  # fmt: skip

    status, answer = bench.call("POST", "/positions/convert", body)

    assert (status, answer["errorCode"]) == (400, "DH-906")
    assert bench.call("GET", "/positions") == (200, [])


def test_an_order_that_lacks_funds_lists_no_position(make_bench: Callable[..., Any]) -> None:
    """A rejected order traded nothing, so there is no row of it."""
    bench = make_bench(funds_check="reject", fund_start_of_day=1)
    bench.tick("26000.0")

    order_id = bench.place()
    bench.run()

    assert bench.row(order_id)["orderStatus"] == "REJECTED"
    assert bench.call("GET", "/positions") == (200, [])


@pytest.mark.parametrize("quantity", [float("inf"), 1.5, True, 10**400, None, "1e10"])
def test_only_whole_units_are_converted(bench: Any, quantity: Any) -> None:
    """A quantity that is no whole number of units, or too wide, is DH-905 and moves nothing."""
    bench.tick("25999.0")
    bench.place()
    bench.run()
    before = bench.call("GET", "/positions")
    wish = {
        "dhanClientId": "1100000001", "fromProductType": "INTRADAY", "toProductType": "MARGIN",
        "exchangeSegment": "NSE_FNO", "positionType": "LONG", "securityId": "49543",
        "convertQty": quantity,
    }  # fmt: skip

    status, answer = bench.call("POST", "/positions/convert", wish)

    assert (status, answer["errorCode"]) == (400, "DH-905")
    assert bench.call("GET", "/positions") == before


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"legName": "ENTRY_LEG"}, 200),
        ({"legName": "NA", "disclosedQuantity": 0}, 200),
        ({"legName": "LEFT_LEG"}, 400),
        ({"disclosedQuantity": "few"}, 400),
    ],
    ids=str,
)
def test_a_modify_with_an_ill_typed_field_is_refused(
    bench: Any, changes: dict[str, Any], status: int
) -> None:
    """An unknown word or no number is DH-905, also in a field that changes nothing (2.2, 2.5)."""
    order_id = bench.place()
    bench.run()

    answer = bench.call("PUT", f"/orders/{order_id}", bench.body(orderId=order_id, **changes))

    assert (answer[0], answer[1].get("errorCode")) == (status, "DH-905" if status == 400 else None)
