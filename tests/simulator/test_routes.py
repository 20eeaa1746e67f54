"""REST: identity, rates, reads, and the knobs of dhanhq-v2.md 12 that show there."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from squareoff.simulator.packets import disconnect_packet
from squareoff.simulator.wire import day_first_text

TAG = "/orders/external/tag-1"


def test_order_row_has_every_documented_key(bench: Any) -> None:
    """The row of a filled order has the sheet's keys, spellings and sentinels."""
    bench.tick("25999.0")
    order_id = bench.place()
    bench.run()

    row = bench.row(order_id)

    assert list(row) == [
        "dhanClientId", "orderId", "exchangeOrderId", "correlationId", "orderStatus",
        "transactionType", "exchangeSegment", "productType", "orderType", "validity",
        "tradingSymbol", "securityId", "quantity", "disclosedQuantity", "price", "triggerPrice",
        "afterMarketOrder", "boProfitValue", "boStopLossValue", "legName", "createTime",
        "updateTime", "exchangeTime", "drvExpiryDate", "drvOptionType", "drvStrikePrice",
        "omsErrorCode", "omsErrorDescription", "algoId", "remainingQuantity",
        "averageTradedPrice", "filledQty",
    ]  # fmt: skip
    assert (row["orderStatus"], row["filledQty"], row["averageTradedPrice"]) == (
        "TRADED", 75, 25999.0,
    )  # fmt: skip
    assert row["omsErrorDescription"] == "CONFIRMED"


def test_an_order_on_its_way_shows_sentinels(bench: Any) -> None:
    """Before the exchange has it, an order is TRANSIT with exchange id 0 and no exchange time."""
    row = bench.row(bench.place(correlationId=...))

    assert (row["orderStatus"], row["exchangeOrderId"], row["correlationId"]) == (
        "TRANSIT", "0", "NA",
    )  # fmt: skip
    assert row["exchangeTime"] == "0001-01-01 00:00:00"


@pytest.mark.parametrize(("knob", "kind"), [("array", list), ("object", dict)])
def test_lookup_by_id_shape(make_bench: Callable[..., Any], knob: str, kind: type) -> None:
    """GET /orders/{id} answers an object or an array of one (12.5); an unknown id is `[]`."""
    bench = make_bench(order_by_id_shape=knob)
    order_id = bench.place()

    assert isinstance(bench.call("GET", f"/orders/{order_id}")[1], kind)
    assert bench.call("GET", "/orders/1") == (200, [])


def test_lookup_by_tag_is_404_while_in_transit(bench: Any) -> None:
    """The external lookup knows nothing of a tag before the exchange has the order."""
    bench.place()
    status, body = bench.call("GET", TAG)
    assert (status, body["errorCode"]) == (404, "DH-906")

    bench.run()

    assert bench.call("GET", TAG)[1]["orderStatus"] == "PENDING"


def test_lookup_lag_and_visible_transit(make_bench: Callable[..., Any]) -> None:
    """The lookup can lag behind the truth (12.4), or show orders in transit at once."""
    late = make_bench(lookup_lag_ms=3_000)
    early = make_bench(lookup_hides_transit=False)
    late.place()
    early.place()

    late.run(2_900)
    assert late.call("GET", TAG)[0] == 404
    late.run(200)
    assert late.call("GET", TAG)[0] == 200
    assert early.call("GET", TAG)[1]["orderStatus"] == "TRANSIT"


@pytest.mark.parametrize(("knob", "index"), [("first", 0), ("newest", 1), ("array", None)], ids=str)
def test_duplicate_tags_are_two_orders(
    make_bench: Callable[..., Any], knob: str, index: int | None
) -> None:
    """The same tag twice is two orders (12.3); the lookup gives first, newest, or both."""
    bench = make_bench(duplicate_lookup=knob)
    ids = [bench.place(), bench.place()]
    bench.run()

    _, found = bench.call("GET", TAG)

    expected = ids if index is None else ids[index]
    assert expected == ([r["orderId"] for r in found] if index is None else found["orderId"])


def test_duplicate_tags_can_be_refused(make_bench: Callable[..., Any]) -> None:
    """A broker that refuses a used tag answers 400 and takes nothing."""
    bench = make_bench(duplicate_correlation_id="refuse")
    bench.place()

    assert bench.call("POST", "/orders", bench.body())[0] == 400
    assert len(bench.call("GET", "/orders")[1]) == 1


def test_external_shape_can_be_an_array(make_bench: Callable[..., Any]) -> None:
    """The external lookup may answer an array of one (12.5)."""
    bench = make_bench(external_shape="array")
    bench.place()
    bench.run()

    assert isinstance(bench.call("GET", TAG)[1], list)


def test_books_lag_separately(make_bench: Callable[..., Any]) -> None:
    """Order book, trade book and positions each show the truth of some time ago."""
    bench = make_bench(order_book_lag_ms=1_000, trade_book_lag_ms=3_000, positions_lag_ms=5_000)
    bench.tick("25999.0")
    bench.place()
    seen = []
    for _ in range(4):
        bench.run(2_000)
        answers = [bench.call("GET", path)[1] for path in ("/orders", "/trades", "/positions")]
        seen.append([len(answer) for answer in answers])

    assert seen == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]


def test_average_can_lag_behind_the_filled_quantity(make_bench: Callable[..., Any]) -> None:
    """A row can show a fill before it shows its average."""
    bench = make_bench(average_lags_fill=True)
    bench.tick("25999.0")
    order_id = bench.place()
    bench.run(20)
    assert (bench.row(order_id)["filledQty"], bench.row(order_id)["averageTradedPrice"]) == (75, 0)

    bench.run(2_000)

    assert bench.row(order_id)["averageTradedPrice"] == 25999.0


def test_numbers_can_be_strings_and_times_utc(make_bench: Callable[..., Any]) -> None:
    """Rows can spell numbers as strings (12.14) and times in UTC as the sandbox does (12.37)."""
    plain, odd = make_bench(), make_bench(numbers_as_strings=True, times_in_utc=True)
    rows = [bench.row(bench.place()) for bench in (plain, odd)]

    assert (rows[0]["quantity"], rows[1]["quantity"]) == (75, "75")
    assert rows[1]["price"] == "26000.0"
    assert rows[0]["createTime"] != rows[1]["createTime"]


@pytest.mark.parametrize(("knob", "rest"), [("observed", 0), ("documented", 75)])
def test_remaining_quantity_after_a_cancel(
    make_bench: Callable[..., Any], knob: str, rest: int
) -> None:
    """After a cancel the rest is 0 as observed, or quantity less filled as documented."""
    bench = make_bench(remaining_after_end=knob)
    order_id = bench.place()
    bench.run()
    bench.call("DELETE", f"/orders/{order_id}")
    bench.run()

    assert bench.row(order_id)["remainingQuantity"] == rest


def test_trade_rows(bench: Any) -> None:
    """One row per fill, without correlation id; history rows have trade id 0."""
    bench.tick("25999.0", available_quantity=75)
    order_id = bench.place(quantity=150)
    bench.run()
    bench.tick("25998.0", available_quantity=75)

    status, rows = bench.call("GET", f"/trades/{order_id}")
    _, history = bench.call("GET", "/trades/2000-01-01/2100-01-01/0")

    assert status == 200
    assert [row["tradedPrice"] for row in rows] == [25998.0, 25999.0]
    assert len({row["exchangeTradeId"] for row in rows}) == 2
    assert "correlationId" not in rows[0]
    assert history[0]["exchangeTradeId"] == "0"
    assert bench.call("GET", "/trades/1") == (200, [])


@pytest.mark.parametrize("days", ["today/2100-01-01", "2026-01-01/2026-02-30", "20260101/20260102"])
def test_a_history_between_no_days_is_refused(bench: Any, days: str) -> None:
    """What is no YYYY-MM-DD is a bad parameter, not a time without trades."""
    status, answer = bench.call("GET", f"/trades/{days}/0")

    assert (status, answer["errorCode"]) == (400, "DH-905")


def test_single_trade_can_be_an_object(make_bench: Callable[..., Any]) -> None:
    """GET /trades/{id} of one fill may be an object, as documented."""
    bench = make_bench(trades_by_order_shape="object")
    bench.tick("25999.0")
    order_id = bench.place()
    bench.run()

    assert bench.call("GET", f"/trades/{order_id}")[1]["tradedQuantity"] == 75


def test_positions_funds_and_holdings(make_bench: Callable[..., Any]) -> None:
    """Flat is `[]`; a position moves funds, misspelt keys and all; no holdings is a 500."""
    bench = make_bench()
    assert bench.call("GET", "/positions") == (200, [])
    assert bench.call("GET", "/holdings")[0] == 500
    bench.tick("25999.0")
    bench.place()
    bench.run()

    (row,) = bench.call("GET", "/positions")[1]
    _, funds = bench.call("GET", "/fundlimit")

    assert (row["positionType"], row["netQty"], row["buyAvg"]) == ("LONG", 75, 25999.0)
    assert set(funds) == {
        "dhanClientId", "availabelBalance", "sodLimit", "collateralAmount", "receiveableAmount",
        "utilizedAmount", "blockedPayoutAmount", "withdrawableBalance",
    }  # fmt: skip
    assert funds["availabelBalance"] + funds["utilizedAmount"] == funds["sodLimit"]
    assert make_bench(holdings_empty="array").call("GET", "/holdings") == (200, [])


def test_closed_position_stays_listed(bench: Any) -> None:
    """A position of net zero is CLOSED, with its realized profit, until the day ends."""
    bench.tick("26000.0")
    bench.place()
    bench.run()
    bench.tick("26010.0")
    bench.place(transactionType="SELL", price=26000.0)
    bench.run()

    (row,) = bench.call("GET", "/positions")[1]

    assert (row["positionType"], row["netQty"], row["realizedProfit"]) == ("CLOSED", 0, 750.0)


def test_a_quote_may_be_of_the_past(bench: Any) -> None:
    """A fault with `lag_ms` lets a quote tell the price and the trade time of then."""
    wanted = {"NSE_FNO": [49543]}
    bench.fault(where={"path": "/marketfeed/*"}, what={"lag_ms": 2_000}, until={"count": 2})
    bench.tick("26000.0")
    first = bench.now
    unknown = bench.call("POST", "/marketfeed/quote", wanted)[1]["data"]
    bench.run(3_000)
    bench.tick("26010.0")

    rows = [bench.call("POST", "/marketfeed/quote", wanted)[1]["data"] for _ in range(2)]

    assert unknown == {}
    told = [rows[n]["NSE_FNO"]["49543"] for n in (0, 1)]
    assert [row["last_price"] for row in told] == [26000.0, 26010.0]
    assert [row["last_trade_time"] for row in told] == [
        day_first_text(first),
        day_first_text(bench.now),
    ]


def test_quotes(bench: Any) -> None:
    """Quotes answer per segment and id, leave unknown ids out, and need the client-id header."""
    bench.tick("26000.5", bids=[["26000.0", 75, 2]], asks=[["26001.0", 150, 3]])
    wanted = {"NSE_FNO": [49543, 99], "NSE_EQ": [2885]}

    status, body = bench.call("POST", "/marketfeed/quote", wanted)
    short = bench.call("POST", "/marketfeed/ltp", {"NSE_FNO": [49543]})[1]["data"]
    del bench.headers["client-id"]

    assert status == 200
    assert list(body["data"]) == ["NSE_FNO"]
    row = body["data"]["NSE_FNO"]["49543"]
    assert row["depth"]["buy"][0] == {"quantity": 75, "orders": 2, "price": 26000.0}
    assert len(row["depth"]["sell"]) == 5
    assert short == {"NSE_FNO": {"49543": {"last_price": 26000.5}}}
    assert bench.call("POST", "/marketfeed/ltp", wanted)[0] == 400


def test_profile_and_renewal(make_bench: Callable[..., Any]) -> None:
    """Renewing kills the presented token and gives a new one; POST is refused (12.17)."""
    bench = make_bench()
    _, profile = bench.call("GET", "/profile")
    assert profile["activeSegment"] == "E, D, C, M, "
    assert bench.call("POST", "/RenewToken")[0] == 400

    _, renewed = bench.call("GET", "/RenewToken")

    assert bench.call("GET", "/profile")[0] == 401
    bench.headers["access-token"] = renewed["accessToken"]
    assert bench.call("GET", "/profile")[0] == 200
    assert make_bench(renew_allowed=False).call("GET", "/RenewToken")[0] == 400


@pytest.mark.parametrize(
    ("knob", "status", "code"), [("401", 401, "DH-901"), ("400", 400, "DH-906")]
)
def test_dead_token_answers(
    make_bench: Callable[..., Any], knob: str, status: int, code: str
) -> None:
    """A dead token is 401 DH-901 or 400 DH-906 `Invalid Token` (12.16); quotes say 807."""
    bench = make_bench(dead_token_answer=knob, token_is_alive=False)

    found, body = bench.call("GET", "/orders")

    assert (found, body["errorCode"]) == (status, code)
    assert "807" in bench.call("POST", "/marketfeed/ltp", {})[1]["data"]


@pytest.mark.parametrize("status", [401, 400])
@pytest.mark.parametrize("code", [807, 808, 809, 810])
def test_quotes_refuse_a_dead_token_in_their_own_way(
    make_bench: Callable[..., Any], status: int, code: int
) -> None:
    """Status and code of the data API's refusal are knobs (9.4)."""
    knobs = {"dead_token_quote_status": status, "dead_token_quote_code": code}
    bench = make_bench(token_is_alive=False, **knobs)

    found, body = bench.call("POST", "/marketfeed/ltp", {})

    assert (found, body["status"], list(body["data"])) == (status, "failed", [str(code)])


@pytest.mark.parametrize("status", [401, 400])
def test_an_account_without_a_data_plan_in_the_data_shape(
    make_bench: Callable[..., Any], status: int
) -> None:
    """Quotes are refused with 806, the feed with packet 50; orders are taken as ever (9.4)."""
    bench = make_bench(data_plan=f"806_{status}")

    found, body = bench.call("POST", "/marketfeed/quote", {"NSE_FNO": [49543]})
    viewer, _ = bench.subscribe(17, ("NSE_FNO", "49543"))

    assert (found, list(body["data"])) == (status, ["806"])
    assert bench.call("GET", "/profile")[1]["dataPlan"] == "Deactive"
    assert (viewer.frames, viewer.ended) == ([disconnect_packet(806)], "close")
    assert bench.call("GET", "/orders")[0] == 200


@pytest.mark.parametrize("status", [401, 403])
def test_an_account_without_a_data_plan_in_the_trading_shape(
    make_bench: Callable[..., Any], status: int
) -> None:
    """The same as `DH-902` (9.3); by default the plan is active."""
    bench = make_bench(data_plan=f"DH-902_{status}")

    found, body = bench.call("POST", "/marketfeed/ltp", {"NSE_FNO": [49543]})

    assert (found, body["errorCode"]) == (status, "DH-902")
    assert make_bench().call("GET", "/profile")[1]["dataPlan"] == "Active"


def test_tokens_expire_and_credentials_bind(make_bench: Callable[..., Any]) -> None:
    """A token dies after its hours; with credentials each token sees its own account only."""
    bench = make_bench(token_hours=1)
    assert bench.call("GET", "/orders")[0] == 200
    bench.run(3_600_001)
    assert bench.call("GET", "/orders")[0] == 401

    strict = make_bench(credentials={"one": "1100000001", "two": "1100000002"})
    assert strict.call("GET", "/orders")[0] == 401
    strict.headers["access-token"] = "one"
    strict.place()
    strict.headers |= {"access-token": "two", "client-id": "1100000002"}
    assert strict.call("GET", "/orders") == (200, [])
    strict.headers["client-id"] = "1100000001"
    assert strict.call("GET", "/orders")[0] == 401


def test_rate_limits_answer_dh_904_without_retry_after(make_bench: Callable[..., Any]) -> None:
    """The eleventh order call in a second is 429 DH-904, takes nothing and names no wait."""
    bench = make_bench(rate_limits={"order": {"second": 10}, "quote": {"second": 1}})
    for _ in range(10):
        bench.place()

    response = bench.outcome("POST", "/orders", bench.body()).response

    assert response.status == 429
    assert json.loads(response.body)["errorCode"] == "DH-904"
    assert not {name.lower() for name in response.headers} & {"retry-after"}
    assert len(bench.call("GET", "/orders")[1]) == 10
    bench.call("POST", "/marketfeed/ltp", {})
    assert "805" in bench.call("POST", "/marketfeed/ltp", {})[1]["data"]


def test_kill_switch_needs_a_flat_account(make_bench: Callable[..., Any]) -> None:
    """Activation is refused while something is open; once active, placing is refused."""
    bench = make_bench()
    order_id = bench.place()
    assert bench.call("POST", "/killswitch", killSwitchStatus="ACTIVATE")[0] == 400
    bench.run()
    bench.call("DELETE", f"/orders/{order_id}")
    bench.run()

    _, done = bench.call("POST", "/killswitch", killSwitchStatus="ACTIVATE")

    assert done["killSwitchStatus"] == "Kill Switch has been successfully activated"
    assert bench.call("GET", "/killswitch")[1]["killSwitchStatus"] == "ACTIVATE"
    assert bench.call("POST", "/orders", bench.body())[0] == 400
    header = make_bench(kill_switch_parameter="header")
    assert header.call("POST", "/killswitch", killSwitchStatus="ACTIVATE")[0] == 400


def test_other_paths(make_bench: Callable[..., Any]) -> None:
    """Margin, IP state and the per-segment file answer; what is not served is the gateway's 404."""
    bench = make_bench(static_ip_allowed=False)
    margin = {"exchangeSegment": "NSE_FNO", "securityId": "49543", "quantity": 75}

    assert bench.call("POST", "/margincalculator", margin)[1]["totalMargin"] > 0
    assert bench.call("GET", "/ip/getIP")[1]["ordersAllowed"] is False
    csv = bench.outcome("GET", "/instrument/NSE_FNO").response
    assert csv.body.startswith(b"EXCH_ID,")
    assert b"2885" not in csv.body
    assert bench.call("GET", "/super/orders")[1]["error"] == "Not Found"


@pytest.mark.parametrize("quantity", [..., "x", 1.5, 0, -75, None])
def test_a_margin_without_a_good_quantity_is_bad_input(bench: Any, quantity: Any) -> None:
    """It answers 400 DH-905 like any shape fault, and the call is kept among the received."""
    terms = {"exchangeSegment": "NSE_FNO", "securityId": "49543", "quantity": quantity}
    body = {name: value for name, value in terms.items() if value is not ...}

    status, answer = bench.call("POST", "/margincalculator", body)

    assert (status, answer["errorCode"]) == (400, "DH-905")
    assert [each["status"] for each in bench.broker.received] == [400]
