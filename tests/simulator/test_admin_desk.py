"""What the admin can do to the broker."""

from collections.abc import Callable
from typing import Any

import pytest

from squareoff.domain.errors import ConfigError
from squareoff.simulator.catalogue import master_csv

FUTURE = {"exchange_segment": "NSE_FNO", "security_id": "49543"}


@pytest.mark.parametrize(
    ("action", "body", "status", "filled"),
    [
        ("fill", {"quantity": 75, "price": "25998.5"}, "PART_TRADED", 75),
        ("fill", {}, "TRADED", 150),
        ("cancel", {}, "CANCELLED", 0),
        ("reject", {"text": "by hand"}, "REJECTED", 0),
        ("expire", {}, "EXPIRED", 0),
    ],
    ids=str,
)
def test_orders_can_be_driven_by_hand(
    bench: Any, action: str, body: dict[str, Any], status: str, filled: int
) -> None:
    """A live order fills, ends or is rejected as told, and the books follow."""
    order_id = bench.place(quantity=150)
    bench.run()

    state = bench.admin.act_on_order(order_id, action, body, bench.now)

    assert (state["status"], state["filled_quantity"]) == (status, filled)
    assert sum(t["tradedQuantity"] for t in bench.call("GET", "/trades")[1]) == filled


def test_unknown_actions_and_orders_are_refused(bench: Any) -> None:
    """Only known actions on known orders are done."""
    order_id = bench.place()

    for name, action in ((order_id, "explode"), ("1", "fill")):
        with pytest.raises(ConfigError):
            bench.admin.act_on_order(name, action, {}, bench.now)


@pytest.mark.parametrize(
    ("action", "status", "filled"),
    [("expire", "EXPIRED", 0), ("free", "TRADED", 150), ("cancel", "CANCELLED", 0)],
)
def test_an_order_on_its_way_is_acted_on_too(
    bench: Any, action: str, status: str, filled: int
) -> None:
    """What is done to an order before it reaches the exchange holds once it would be there."""
    bench.tick("25999.0")
    bench.fault(where={"path": "/v2/orders"}, what={"partial_fill": 75})
    order_id = bench.place(quantity=150)

    bench.admin.act_on_order(order_id, action, {}, bench.now)
    bench.run()

    row = bench.row(order_id)
    assert (row["orderStatus"], row["filledQty"]) == (status, filled)
    assert row["omsErrorDescription"] == "CONFIRMED"


def test_an_order_on_its_way_cannot_be_filled(bench: Any) -> None:
    """A fill that the exchange could not do is refused, and the order goes on its way."""
    order_id = bench.place()

    with pytest.raises(ConfigError, match="not at the exchange yet"):
        bench.admin.act_on_order(order_id, "fill", {}, bench.now)

    assert bench.row(order_id)["orderStatus"] == "TRANSIT"


def test_an_order_without_a_price_is_filled_at_the_last(make_bench: Callable[..., Any]) -> None:
    """A plain market order is filled by hand at the last price, never at zero."""
    bench = make_bench(market_orders="plain")
    order_id = bench.place(orderType="MARKET", price=0)
    bench.run()
    with pytest.raises(ConfigError, match="a price is needed"):
        bench.admin.act_on_order(order_id, "fill", {}, bench.now)

    bench.tick("26000.0", available_quantity=0)
    bench.admin.act_on_order(order_id, "fill", {}, bench.now)

    assert bench.row(order_id)["averageTradedPrice"] == 26000.0


def test_app_trades_need_a_price(bench: Any) -> None:
    """A trade in the app takes the given price, or the last one, or is refused."""
    with pytest.raises(ConfigError):
        bench.admin.trade_in_app(FUTURE | {"net_quantity": 75}, bench.now)
    bench.tick("26000.0")

    row = bench.admin.trade_in_app(FUTURE | {"net_quantity": -75}, bench.now)

    assert (row["netQty"], row["sellAvg"]) == (-75, 26000.0)


def test_the_row_of_the_traded_exchange_is_answered(bench: Any) -> None:
    """Two exchanges may use one security id: the answer is of the one that was traded on."""
    for segment in ("BSE_EQ", "NSE_EQ"):
        terms = {"exchange_segment": segment, "security_id": "777"}
        bench.admin.add_instrument(terms)
        bench.admin.trade_in_app(terms | {"net_quantity": 5, "price": 100}, bench.now)

    row = bench.admin.trade_in_app(
        {"exchange_segment": "NSE_EQ", "security_id": "777", "net_quantity": 2, "price": 100},
        bench.now,
    )

    assert (row["exchangeSegment"], row["netQty"]) == ("NSE_EQ", 7)


def test_no_more_is_filled_than_is_open(bench: Any) -> None:
    """A fill by hand beyond the order's quantity is refused."""
    order_id = bench.place(quantity=75)
    bench.run()

    with pytest.raises(ConfigError, match="more than the open 75"):
        bench.admin.act_on_order(order_id, "fill", {"quantity": 150}, bench.now)


def test_carried_positions_have_no_order(bench: Any) -> None:
    """A position of an earlier day stands in the carried columns, without order or trade."""
    row = bench.admin.trade_in_app(
        FUTURE | {"net_quantity": 75, "price": "25000", "product_type": "MARGIN", "carried": True},
        bench.now,
    )

    assert (row["carryForwardBuyQty"], row["dayBuyQty"], row["productType"]) == (75, 0, "MARGIN")
    assert bench.call("GET", "/orders") == (200, [])
    assert bench.call("GET", "/trades") == (200, [])


def test_instruments_are_added_changed_and_halted(bench: Any) -> None:
    """New instruments can be traded at once, terms change, and a halt refuses orders."""
    terms = {
        "exchangeSegment": "NSE_FNO", "securityId": "55", "lotSize": 30, "tickSize": "0.05",
        "freezeQuantity": 900, "instrumentType": "OPTIDX", "tradingSymbol": "BANK-CE",
    }  # fmt: skip
    described = bench.admin.add_instrument(terms)
    assert (described["lot_size"], described["freeze_quantity"]) == (30, 900)
    assert bench.place(securityId="55", quantity=30, price=100.0)

    bench.admin.add_instrument({"exchangeSegment": "NSE_FNO", "securityId": "55", "halted": True})
    order_id = bench.place(securityId="55", quantity=30, price=100.0)
    bench.run()

    assert bench.row(order_id)["orderStatus"] == "REJECTED"


@pytest.mark.parametrize(
    ("given", "in_rows", "in_file"),
    [("CE", "CALL", "CE"), ("CALL", "CALL", "CE"), ("PUT", "PUT", "PE"), ("XX", "NA", "XX")],
)
def test_an_option_is_named_in_either_spelling(
    bench: Any, given: str, in_rows: str, in_file: str
) -> None:
    """Rows say CALL and PUT, the instrument file CE and PE, whichever the admin used."""
    bench.admin.add_instrument(FUTURE | {"option_type": given, "expiry": "2027-09-28"})

    row = bench.row(bench.place())

    assert (row["drvOptionType"], row["drvExpiryDate"]) == (in_rows, "2027-09-28")
    file = master_csv(bench.broker.listings().values(), freeze_is_first_refused=True)
    (line,) = (each for each in file.splitlines() if ",49543," in each)
    assert line.split(",")[14] == in_file


def test_state_tells_everything(bench: Any) -> None:
    """The state holds orders, trades, positions, the log, sockets, faults and knobs."""
    bench.tick("25999.0")
    bench.listen()
    bench.subscribe(21, ("NSE_FNO", "49543"))
    bench.place()
    bench.run()

    state = bench.admin.state(bench.now)

    assert [len(state[name]) for name in ("orders", "trades", "positions")] == [1] * 3
    assert [each["path"] for each in state["received"]] == ["/order-update", "/feed", "/orders"]
    assert len(state["updates_pushed"]) == 3
    assert state["sockets"]["feed_subscriptions"][0]["subscriptions"] == ["NSE_FNO:49543@21"]
    assert state["conduct"]["alert_keys"] == "camel"


def test_the_broker_squares_off_what_is_intraday(make_bench: Callable[..., Any]) -> None:
    """Orders and positions of INTRADAY end in every account; what carries forward stays."""
    bench = make_bench(credentials={"token": "1100000001", "other": "1100000002"})
    bench.tick("26000.0")
    sink = bench.listen()
    bench.place(quantity=150)
    bench.run()
    resting = bench.place(price=25000.0)
    carried = bench.place(price=25000.0, productType="MARGIN")
    future = {"exchange_segment": "NSE_FNO", "security_id": "49543", "net_quantity": -75}
    other = {"dhan_client_id": "1100000002"}
    bench.admin.trade_in_app(future | other, bench.now)
    bench.admin.trade_in_app(future | other | {"product_type": "MARGIN"}, bench.now)
    bench.run()
    bench.tick("25990.0")

    bench.admin.square_off(bench.now)
    bench.run()

    nets = [(row["productType"], row["netQty"]) for row in bench.admin.state(0)["positions"]]
    assert sorted(nets) == [("INTRADAY", 0), ("INTRADAY", 0), ("MARGIN", -75)]
    assert bench.row(resting)["orderStatus"] == "CANCELLED"
    assert bench.row(carried)["orderStatus"] == "PENDING"
    closing = bench.call("GET", "/trades")[1][0]
    assert (closing["tradedQuantity"], closing["tradedPrice"]) == (150, 25990.0)
    assert sink.data()[-1]["source"] == "N"
