"""An order's life at the broker: delays, races, conversions, rejections."""

from collections.abc import Callable
from typing import Any

import pytest


def test_transit_then_pending_then_traded(bench: Any) -> None:
    """An accepted order is TRANSIT, reaches the exchange after its delay, and fills there."""
    bench.tick("26100.0")
    order_id = bench.place()
    assert bench.row(order_id)["orderStatus"] == "TRANSIT"
    bench.run(20)
    assert bench.row(order_id)["orderStatus"] == "PENDING"

    bench.tick("25990.0")

    row = bench.row(order_id)
    assert (row["orderStatus"], row["averageTradedPrice"]) == ("TRADED", 26000.0)


def test_partial_fill_shows_part_traded(bench: Any) -> None:
    """A thin market fills in parts; the average is weighted by quantity."""
    order_id = bench.place(quantity=150)
    bench.run(20)
    bench.tick("26000.0", available_quantity=75)
    assert bench.row(order_id)["orderStatus"] == "PART_TRADED"

    bench.tick("25999.0", available_quantity=75)

    row = bench.row(order_id)
    assert (row["orderStatus"], row["filledQty"]) == ("TRADED", 150)
    assert row["averageTradedPrice"] == 25999.5


@pytest.mark.parametrize(("knob", "shown"), [("LIMIT", "LIMIT"), ("MARKET", "MARKET")])
def test_market_order_is_protected_and_may_rest(
    make_bench: Callable[..., Any], knob: str, shown: str
) -> None:
    """A MARKET order becomes a LIMIT by the slabs, its row says so or not (12.10), and may rest."""
    bench = make_bench(converted_row_shows=knob, quantity_per_print=75)
    bench.tick("26000.0")
    order_id = bench.place(orderType="MARKET", price=0, quantity=150)
    bench.run()

    row = bench.row(order_id)

    assert (row["orderType"], row["price"], row["orderStatus"]) == (shown, 26130.0, "PART_TRADED")


@pytest.mark.parametrize("shown", ["LIMIT", "MARKET"])
def test_an_order_modified_to_market_is_shown_as_one_placed_so(
    make_bench: Callable[..., Any], shown: str
) -> None:
    """Its row says what the conversion made of it, or what was asked for (12.10)."""
    bench = make_bench(converted_row_shows=shown, quantity_per_print=75)
    bench.tick("26000.0")
    order_id = bench.place(price=25000.0, quantity=150)
    bench.run()
    body = bench.body(orderId=order_id, orderType="MARKET", price=0, quantity=150)

    bench.call("PUT", f"/orders/{order_id}", body)
    bench.run()

    row = bench.row(order_id)
    assert (row["orderType"], row["price"], row["orderStatus"]) == (shown, 26130.0, "PART_TRADED")


def test_protection_slabs_are_knobs(make_bench: Callable[..., Any]) -> None:
    """The protection percentages can be set (12.9); plain and banned market orders too (2.4)."""
    slabs = make_bench(protection_slabs_others=[[None, "1"]], quantity_per_print=0)
    plain, banned = make_bench(market_orders="plain"), make_bench(market_orders="reject")
    rows = []
    for bench in (slabs, plain, banned):
        bench.tick("26000.0")
        order_id = bench.place(orderType="MARKET", price=0)
        bench.run()
        rows.append(bench.row(order_id))

    assert rows[0]["price"] == 26260.0
    assert (rows[1]["orderType"], rows[1]["orderStatus"]) == ("MARKET", "TRADED")
    assert rows[2]["orderStatus"] == "REJECTED"


def test_stop_loss_market_behaviours(make_bench: Callable[..., Any]) -> None:
    """STOP_LOSS_MARKET waits for its trigger, or fills at once as seen live (12.11)."""
    body = {"orderType": "STOP_LOSS_MARKET", "transactionType": "SELL", "price": 0,
            "triggerPrice": 25900.0}  # fmt: skip
    waiting, immediate = make_bench(), make_bench(stop_loss_market="immediate")
    ids = {}
    for bench in (waiting, immediate):
        bench.tick("26000.0")
        ids[bench] = bench.place(**body)
        bench.run()

    assert waiting.row(ids[waiting])["orderStatus"] == "PENDING"
    assert immediate.row(ids[immediate])["orderStatus"] == "TRADED"
    waiting.tick("25890.0")
    assert waiting.row(ids[waiting])["orderStatus"] == "TRADED"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"price": 40000.0}, "circuit"),
        ({"price": 26000.05}, "tick size"),
        ({"quantity": 1875}, "freeze"),
        ({"orderType": "MARKET", "price": 0}, "last price"),
    ],
    ids=["circuit", "tick", "freeze", "no_price"],
)
def test_risk_rejections_come_later(bench: Any, changes: dict[str, Any], text: str) -> None:
    """What the risk system or the exchange refuses was accepted first: 200, then REJECTED."""
    if changes.get("orderType") == "MARKET":
        changes = changes | {"securityId": "49081"}
    order_id = bench.place(**changes)
    bench.run()

    row = bench.row(order_id)

    assert row["orderStatus"] == "REJECTED"
    assert row["omsErrorDescription"].startswith(f"RMS:{order_id}:")
    assert text in row["omsErrorDescription"].lower()
    assert row["remainingQuantity"] == row["quantity"]


@pytest.mark.parametrize("word", ["MODIFIED", "INACTIVE"])
def test_a_modified_order_may_show_a_word_nobody_defines(
    make_bench: Callable[..., Any], word: str
) -> None:
    """The row of a live order says so from its modification on, and its end is told plainly."""
    bench = make_bench(modified_row_word=word)
    bench.tick("26100.0")
    order_id = bench.place(price=25000.0)
    bench.run()
    assert bench.row(order_id)["orderStatus"] == "PENDING"
    target = bench.body(orderId=order_id, price=25990.0)
    assert bench.call("PUT", f"/orders/{order_id}", target)[0] == 200
    bench.run()

    assert bench.row(order_id)["orderStatus"] == word
    bench.tick("25990.0")
    assert bench.row(order_id)["orderStatus"] == "TRADED"


def test_unused_fields_may_be_null(make_bench: Callable[..., Any]) -> None:
    """The reason of a healthy order and the option type of a future come as null too (2.7)."""
    bench = make_bench(healthy_reason=None, missing_option_type=None, placement_status="REJECTED")
    order_id = bench.place()
    bench.run()

    row = bench.row(order_id)
    assert (row["omsErrorDescription"], row["drvOptionType"]) == (None, None)
    assert row["orderStatus"] == "PENDING", "the word of a placement decides nothing"


def test_the_fields_of_a_derivative_may_be_null_in_every_row(
    make_bench: Callable[..., Any],
) -> None:
    """Orders, trades and positions of a share show null where a derivative has its terms (3.1)."""
    bench = make_bench(missing_option_type=None, missing_expiry=None, healthy_error_code=None)
    bench.tick("1560", "2885", "NSE_EQ")
    terms = {"exchangeSegment": "NSE_EQ", "securityId": "2885", "quantity": 1, "price": 1560}
    bench.place(**terms)
    bench.place(**terms, orderType="MARKET", productType="CNC")
    bench.place(**(terms | {"price": 9_999}))
    bench.run()

    books = {path: bench.call("GET", path)[1] for path in ("/orders", "/trades", "/positions")}

    for rows in books.values():
        assert {(row["drvOptionType"], row["drvExpiryDate"]) for row in rows} == {(None, None)}
    codes = {row["orderStatus"]: row["omsErrorCode"] for row in books["/orders"]}
    assert codes == {"TRADED": None, "REJECTED": "16387"}


def test_modify_goes_through_transit_and_keeps_the_id(bench: Any) -> None:
    """A modification shows TRANSIT, then PENDING with the new absolute target."""
    order_id = bench.place(quantity=150)
    bench.run()
    body = bench.body(orderId=order_id, quantity=75, price=25990.0)

    assert bench.call("PUT", f"/orders/{order_id}", body) == (
        200, {"orderId": order_id, "orderStatus": "TRANSIT"},
    )  # fmt: skip
    assert bench.row(order_id)["orderStatus"] == "TRANSIT"
    bench.run()

    row = bench.row(order_id)
    assert (row["orderStatus"], row["quantity"], row["price"]) == ("PENDING", 75, 25990.0)


def test_a_fill_can_overtake_a_cancel(bench: Any) -> None:
    """A fill on the cancel's way wins: the order ends TRADED although the cancel was accepted."""
    order_id = bench.place()
    bench.run()
    bench.call("DELETE", f"/orders/{order_id}")

    bench.tick("25999.0")
    bench.run()

    assert bench.row(order_id)["orderStatus"] == "TRADED"


def test_partly_filled_order_ends_cancelled_with_its_fills(bench: Any) -> None:
    """A cancel ends the rest and keeps what has filled."""
    order_id = bench.place(quantity=150)
    bench.run()
    bench.tick("26000.0", available_quantity=75)
    bench.call("DELETE", f"/orders/{order_id}")
    bench.run()

    row = bench.row(order_id)
    assert (row["orderStatus"], row["filledQty"]) == ("CANCELLED", 75)


@pytest.mark.parametrize("word", ["EXPIRED", "CANCELLED"])
def test_ioc_rest_word(make_bench: Callable[..., Any], word: str) -> None:
    """What an IOC order leaves open is EXPIRED or CANCELLED."""
    bench = make_bench(ioc_rest_status=word)
    bench.tick("26000.0", available_quantity=75)
    order_id = bench.place(validity="IOC", quantity=150)
    bench.run()

    row = bench.row(order_id)
    assert (row["orderStatus"], row["filledQty"]) == (word, 75)


def test_sandbox_habits(make_bench: Callable[..., Any]) -> None:
    """The sandbox filled everything at 100, or never filled at all (12.36)."""
    at_100, never = make_bench(fills="at_100"), make_bench(fills="never")
    rows = []
    for bench in (at_100, never):
        bench.tick("25000.0")
        order_id = bench.place(price=21000.0)
        bench.run()
        rows.append(bench.row(order_id))

    assert (rows[0]["orderStatus"], rows[0]["averageTradedPrice"]) == ("TRADED", 100.0)
    assert rows[1]["orderStatus"] == "PENDING"


@pytest.mark.parametrize(
    ("price", "offered", "status", "filled"),
    [(26000.0, 1_000, "EXPIRED", 0), (26050.0, 75, "EXPIRED", 75), (26050.0, 150, "TRADED", 150)],
)
def test_a_modify_to_ioc_leaves_nothing_open(
    bench: Any, price: float, offered: int, status: str, filled: int
) -> None:
    """A validity that is modified shows in the row, and holds: the rest ends at once."""
    order_id = bench.place(quantity=150)
    bench.run()
    bench.tick("26050.0", available_quantity=offered)
    wish = bench.body(orderId=order_id, quantity=150, price=price, validity="IOC")

    bench.call("PUT", f"/orders/{order_id}", wish)
    bench.run()

    row = bench.row(order_id)
    assert (row["orderStatus"], row["filledQty"], row["validity"]) == (status, filled, "IOC")


@pytest.mark.parametrize("changes", [{}, {"validity": "IOC"}, {"orderType": "MARKET", "price": 0}])
def test_the_sandbox_fills_at_100_whatever_the_market_offers(
    make_bench: Callable[..., Any], changes: dict[str, Any]
) -> None:
    """An order that the market would take at once is filled at 100 all the same."""
    bench = make_bench(fills="at_100")
    bench.tick("25999.0")
    order_id = bench.place(**changes)
    bench.run()

    row = bench.row(order_id)
    assert (row["orderStatus"], row["averageTradedPrice"]) == ("TRADED", 100.0)


def test_after_market_orders_wait_for_the_open(make_bench: Callable[..., Any]) -> None:
    """An AMO is PENDING while the market is closed and goes out when it opens."""
    bench = make_bench(market_hours="closed")
    bench.tick("25999.0")
    order_id = bench.place(afterMarketOrder=True, amoTime="OPEN")
    bench.run()
    row = bench.row(order_id)
    assert (row["orderStatus"], row["exchangeOrderId"], row["afterMarketOrder"]) == (
        "PENDING", "0", True,
    )  # fmt: skip

    bench.knobs(market_hours="open")

    assert bench.row(order_id)["orderStatus"] == "TRADED"


def test_same_seed_same_bytes(make_bench: Callable[..., Any]) -> None:
    """Two brokers with one seed and the same calls answer and push the same bytes."""
    runs = []
    for _ in range(2):
        bench = make_bench(exchange_delay_ms=[5, 500], update_delay_ms=[1, 300])
        sink = bench.listen()
        bench.tick("25999.0")
        for number in range(5):
            bench.place(correlationId=f"t-{number}")
            bench.run(50)
        bench.run()
        runs.append((sink.frames, bench.call("GET", "/orders")))

    assert runs[0] == runs[1]
