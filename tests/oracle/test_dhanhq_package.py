"""The official `dhanhq` package, unmodified, works against the simulator as a process of its own.

Only its addresses are changed. Everything it reads is compared, field by field, with the
simulator's own records (`GET /admin/state`), and the packets it decodes with the prices pushed.
"""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from dhanhq import dhanhq
from dhanhq.dhan_context import DhanContext
from dhanhq.dhan_http import DhanHTTP
from dhanhq.marketfeed import MarketFeed
from dhanhq.orderupdate import OrderUpdate

CLIENT_ID, TOKEN = "1100000042", "oracle-token"
FUTURE, STOCK, INDEX = ("NSE_FNO", "49543"), ("NSE_EQ", "2885"), ("IDX_I", "13")
IST_SECONDS = 19_800
SECONDS_MAX = 15.0
PROGRAM = Path(__file__).with_name("simulator_process.py")


class Simulator:
    """The running process, and its admin."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        url = f"http://{self.address}/admin/{path}"
        response = requests.request(method, url, json=body, timeout=SECONDS_MAX)
        assert response.status_code == 200, response.text
        return response.json()

    def orders(self) -> dict[str, dict[str, Any]]:
        rows = self.admin("GET", "state?parts=orders")["orders"]
        return {row["order_id"]: row for row in rows}

    def tick(self, instrument: tuple[str, str], **more: Any) -> None:
        segment, security_id = instrument
        self.admin(
            "POST", "ticks", {"exchange_segment": segment, "security_id": security_id} | more
        )


def until(check: Callable[[], Any]) -> Any:
    """Return the first true value of `check`, asked until a deadline."""
    deadline = time.monotonic() + SECONDS_MAX
    while not (value := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
    return value


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    port_file = tmp_path / "port"
    process = subprocess.Popen([sys.executable, str(PROGRAM), str(port_file)])
    try:
        until(lambda: port_file.exists() and port_file.read_text().strip())
        yield Simulator(int(port_file.read_text()))
    finally:
        process.terminate()
        assert process.wait(SECONDS_MAX) == 0, "a terminated simulator ends cleanly"


@pytest.fixture
def context(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> DhanContext:
    monkeypatch.setattr(DhanHTTP, "API_BASE_URL", f"http://{simulator.address}/v2")
    monkeypatch.setattr(MarketFeed, "market_feed_wss", f"ws://{simulator.address}/feed")
    return DhanContext(CLIENT_ID, TOKEN)


@pytest.fixture
def dhan(context: DhanContext) -> Any:
    return dhanhq(context)


def taken(answer: dict[str, Any]) -> Any:
    assert answer["status"] == "success", answer
    return answer["data"]


def place(dhan: Any, **changes: Any) -> str:
    terms = {
        "security_id": "49543", "exchange_segment": dhan.NSE_FNO, "transaction_type": dhan.BUY,
        "quantity": 75, "order_type": dhan.LIMIT, "product_type": dhan.INTRA, "price": 26000.0,
        "tag": "oracle-1",
    } | changes  # fmt: skip
    data = taken(dhan.place_order(**terms))
    assert data["orderStatus"] == "TRANSIT"
    return data["orderId"]


def ended(simulator: Simulator, order_id: str, status: str) -> dict[str, Any]:
    """Return the simulator's record once it has reached `status`."""
    until(lambda: simulator.orders()[order_id]["status"] == status)
    return simulator.orders()[order_id]


def ist(time_ns: int | None) -> str:
    if time_ns is None:
        return "0001-01-01 00:00:00"
    shifted = datetime.fromtimestamp(time_ns // 10**9 + IST_SECONDS, UTC)
    return shifted.strftime("%Y-%m-%d %H:%M:%S")


def assert_row_is(row: dict[str, Any], record: dict[str, Any]) -> None:
    """Assert that an order row says what the simulator's record says, field by field."""
    pairs = {
        "dhanClientId": record["client_id"],
        "orderId": record["order_id"],
        "exchangeOrderId": record["exchange_order_id"],
        "correlationId": record["correlation_id"] or "NA",
        "orderStatus": record["status"],
        "transactionType": record["side"],
        "exchangeSegment": record["exchange_segment"],
        "productType": record["product_type"],
        "orderType": record["shown_type"],
        "validity": record["validity"],
        "tradingSymbol": record["trading_symbol"],
        "securityId": record["security_id"],
        "quantity": record["quantity"],
        "filledQty": record["filled_quantity"],
        "price": float(record["price"]),
        "triggerPrice": float(record["trigger_price"]),
        "averageTradedPrice": float(record["average_price"]),
        "createTime": ist(record["created_ns"]),
        "updateTime": ist(record["updated_ns"]),
        "exchangeTime": ist(record["exchange_ns"]),
    }
    assert {name: row[name] for name in pairs} == pairs


def test_place_look_up_modify_cancel(dhan: Any, simulator: Simulator) -> None:
    """The package places, finds by tag and id, modifies and cancels; rows equal the records."""
    simulator.tick(FUTURE, last_price="26100.0")
    order_id = place(dhan)
    record = ended(simulator, order_id, "PENDING")

    by_tag = taken(dhan.get_order_by_correlationID("oracle-1"))
    (by_id,) = taken(dhan.get_order_by_id(order_id))
    assert_row_is(by_tag, record)
    assert_row_is(by_id, record)

    taken(dhan.modify_order(order_id, dhan.LIMIT, "ENTRY_LEG", 150, 25990.5, 0, 0, dhan.DAY))
    until(lambda: simulator.orders()[order_id]["quantity"] == 150)
    (modified,) = taken(dhan.get_order_list())
    assert_row_is(modified, simulator.orders()[order_id])
    assert (modified["quantity"], modified["price"]) == (150, 25990.5)

    assert taken(dhan.cancel_order(order_id))["orderId"] == order_id
    cancelled = ended(simulator, order_id, "CANCELLED")
    assert_row_is(taken(dhan.get_order_by_correlationID("oracle-1")), cancelled)


def test_trades_positions_and_funds(dhan: Any, simulator: Simulator) -> None:
    """Fills, positions and funds that the package reads equal the simulator's books."""
    simulator.tick(FUTURE, last_price="25998.5", available_quantity=75)
    order_id = place(dhan, quantity=150)
    until(lambda: simulator.orders()[order_id]["filled_quantity"] == 75)
    simulator.tick(FUTURE, last_price="25997.5", available_quantity=75)
    market = place(
        dhan, transaction_type=dhan.SELL, order_type=dhan.MARKET, price=0, tag="oracle-2"
    )
    simulator.tick(FUTURE, last_price="25999.0")
    record = ended(simulator, market, "TRADED")
    assert record["shown_type"] == "LIMIT"

    state = simulator.admin("GET", "state")
    trades = taken(dhan.get_trade_book())
    of_order = taken(dhan.get_trade_book(order_id))
    (position,) = taken(dhan.get_positions())
    funds = taken(dhan.get_fund_limits())

    told = {
        (t["exchangeTradeId"], t["orderId"], t["tradedQuantity"], Decimal(str(t["tradedPrice"])))
        for t in trades
    }
    assert told == {
        (t["trade_id"], t["order_id"], t["quantity"], Decimal(t["price"])) for t in state["trades"]
    }
    assert [t["tradedPrice"] for t in of_order] == [25997.5, 25998.5]
    assert position == state["positions"][0]
    assert (position["netQty"], position["buyAvg"], position["positionType"]) == (
        75,
        25998.0,
        "LONG",
    )
    assert funds == state["funds"][0]
    for row in taken(dhan.get_order_list()):
        assert_row_is(row, simulator.orders()[row["orderId"]])


def test_refusals_reach_the_package(dhan: Any, simulator: Simulator) -> None:
    """Errors arrive with code, type and text; a refused order is in no book."""
    answer = dhan.place_order("1", dhan.NSE_FNO, dhan.BUY, 75, dhan.LIMIT, dhan.INTRA, 1.0)
    unknown = dhan.get_order_by_correlationID("nobody")
    holdings = dhan.get_holdings()

    assert answer["status"] == unknown["status"] == holdings["status"] == "failure"
    assert answer["remarks"] == {
        "error_code": "DH-906", "error_type": "Order_Error",
        "error_message": "Transaction has Failed",
    }  # fmt: skip
    assert unknown["remarks"]["error_code"] == "DH-906"
    assert holdings["remarks"]["error_code"] == "DH-1111"
    assert simulator.orders() == {}


def test_slices_kill_switch_and_quotes(dhan: Any, simulator: Simulator) -> None:
    """Slicing answers a list, the kill switch its sentence, and quotes the pushed prices."""
    simulator.tick(STOCK, last_price="1559.6", bids=[["1559.5", 10, 1]], asks=[["1559.7", 20, 2]])
    slices = taken(
        dhan.place_slice_order(
            "49543", dhan.NSE_FNO, dhan.BUY, 3600, dhan.LIMIT, dhan.INTRA, 25000.0, tag="oracle-3"
        )
    )
    assert [simulator.orders()[s["orderId"]]["quantity"] for s in slices] == [1800, 1800]
    for each in slices:
        taken(dhan.cancel_order(each["orderId"]))
        ended(simulator, each["orderId"], "CANCELLED")

    switched = taken(dhan.kill_switch("ACTIVATE"))
    quotes = taken(dhan.quote_data({"NSE_EQ": [2885]}))

    assert switched["killSwitchStatus"] == "Kill Switch has been successfully activated"
    row = quotes["data"]["NSE_EQ"]["2885"]
    assert row["last_price"] == 1559.6
    assert row["depth"]["sell"][0] == {"quantity": 20, "orders": 2, "price": 1559.7}


def test_order_updates_reach_the_package(
    context: DhanContext, dhan: Any, simulator: Simulator
) -> None:
    """The package logs in and receives the story of an order, equal to the records."""
    simulator.tick(FUTURE, last_price="25999.0")
    client = OrderUpdate(context)
    client.order_feed_wss = f"ws://{simulator.address}/order-update"
    seen: list[dict[str, Any]] = []
    client.on_update = lambda message: seen.append(message["Data"])
    thread = threading.Thread(target=client.connect_to_dhan_websocket_sync, daemon=True)
    thread.start()
    until(lambda: simulator.admin("GET", "state?parts=sockets")["sockets"]["order_update"])

    order_id = place(dhan)
    record = ended(simulator, order_id, "TRADED")
    until(lambda: len(seen) == 3)
    simulator.admin("POST", "sockets", {"disconnect": "order_update", "how": "close"})
    thread.join(SECONDS_MAX)

    assert [update["status"] for update in seen] == ["Transit", "Pending", "Traded"]
    last = seen[-1]
    assert {
        "orderNo": record["order_id"], "exchOrderNo": record["exchange_order_id"],
        "tradedQty": record["filled_quantity"], "quantity": record["quantity"],
        "avgTradedPrice": float(record["average_price"]), "price": float(record["price"]),
        "correlationId": record["correlation_id"], "securityId": record["security_id"],
        "lastUpdatedTime": ist(record["updated_ns"]), "clientId": record["client_id"],
    }.items() <= last.items()  # fmt: skip


def packets(context: DhanContext, wanted: list[tuple[int, str, int]], count: int) -> list[Any]:
    """Return the first `count` packets as the package decodes them."""
    feed = MarketFeed(context, wanted, "v2")
    feed.run_forever()
    decoded = [feed.get_data() for _ in range(count)]
    feed.close_connection()
    feed.loop.close()
    asyncio.set_event_loop(None)
    return decoded


def test_packets_are_decoded_to_the_pushed_prices(
    context: DhanContext, simulator: Simulator
) -> None:
    """Ticker, quote and full packets decode to what was pushed, level by level."""
    simulator.tick(FUTURE, last_price="26060.2", open_interest=11000025)
    simulator.admin("POST", "next_day")
    simulator.tick(
        FUTURE, last_price="25974.9", quantity=75, volume=3333675, open_interest=11148150,
        bids=[["25974.8", 525, 7], ["25974.7", 600, 2]], asks=[["25980.0", 300, 3]],
    )  # fmt: skip
    (market,) = [
        m for m in simulator.admin("GET", "state?parts=market")["market"]
        if m["securityId"] == "49543"
    ]  # fmt: skip
    code = MarketFeed.NSE_FNO
    wanted = [
        (code, "49543", mode) for mode in (MarketFeed.Ticker, MarketFeed.Quote, MarketFeed.Full)
    ]

    decoded = packets(context, wanted, 8)

    by_type = {packet["type"]: packet for packet in decoded}
    close, ticker, quote, interest, full = (
        by_type[name]
        for name in ("Previous Close", "Ticker Data", "Quote Data", "OI Data", "Full Data")
    )
    identity = {"exchange_segment": 2, "security_id": 49543}
    traded = ist(market["last_trade_ns"])[11:]
    assert (
        close
        == {"type": "Previous Close", "prev_close": "26060.20", "prev_OI": 11000025} | identity
    )
    assert ticker == {"type": "Ticker Data", "LTP": "25974.90", "LTT": traded} | identity
    assert interest == {"type": "OI Data", "OI": 11148150} | identity
    day = {
        "LTP": "25974.90", "LTQ": 75, "LTT": traded, "avg_price": "25974.90", "volume": 3333675,
        "total_sell_quantity": 300, "total_buy_quantity": 1125, "open": "25974.90",
        "close": "26060.20", "high": "25974.90", "low": "25974.90",
    } | identity  # fmt: skip
    assert quote == {"type": "Quote Data"} | day
    depth = full.pop("depth")
    assert full == {"type": "Full Data"} | day | {
        "OI": 11148150, "oi_day_high": 11148150, "oi_day_low": 11148150,
    }  # fmt: skip
    assert depth[0] == {
        "bid_quantity": 525, "ask_quantity": 300, "bid_orders": 7, "ask_orders": 3,
        "bid_price": "25974.80", "ask_price": "25980.00",
    }  # fmt: skip
    assert (depth[1]["bid_price"], depth[1]["ask_quantity"], len(depth)) == ("25974.70", 0, 5)


def test_index_ticker_is_decoded(context: DhanContext, simulator: Simulator) -> None:
    """An index is subscribed and decoded like anything else."""
    simulator.tick(INDEX, last_price="26042.3")

    decoded = packets(context, [(MarketFeed.IDX, "13", MarketFeed.Ticker)], 2)

    assert [packet["type"] for packet in decoded] == ["Previous Close", "Ticker Data"]
    assert (decoded[1]["LTP"], decoded[1]["exchange_segment"]) == ("26042.30", 0)
