"""The REST client over a scripted transport: shapes in, classified answers out."""

import asyncio
import json
import random
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from squareoff.adapters.broker.dhan.trade_history import SAME_PAGES_MAX
from squareoff.adapters.broker.dhan.transport import NoAnswer, NotSent
from squareoff.domain.errors import (
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerProtocolError,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSendForbidden,
    BrokerSessionExpired,
    BrokerUnreachable,
    InvariantBroken,
    Sent,
)
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import (
    ExchangeSegment,
    InstrumentId,
    PositionKey,
    ProductType,
)
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderModification,
    OrderRequest,
    OrderType,
    ReportSource,
    Side,
)

OURS = ClientOrderId("sqx-abcdefghijkl-001-01")
OPTION = InstrumentId(ExchangeSegment.NSE_FNO, "49081")
KEY = PositionKey(AccountId("1100000001"), OPTION, ProductType.INTRADAY)


def request(order_type=OrderType.LIMIT, limit="152.35", stop=None, quantity=75, cid=OURS):
    return OrderRequest(
        client_order_id=cid,
        key=KEY,
        side=Side.SELL,
        order_type=order_type,
        order_quantity=quantity,
        limit_price=None if limit is None else Decimal(limit),
        stop_price=None if stop is None else Decimal(stop),
    )


def row(**changes):
    """A part-traded order row as of dhanhq-v2.md 2.7."""
    plain = {
        "dhanClientId": "1100000001",
        "orderId": "9525091500001",
        "exchangeOrderId": "1200000011223344",
        "correlationId": OURS,
        "orderStatus": "PART_TRADED",
        "transactionType": "SELL",
        "exchangeSegment": "NSE_FNO",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "validity": "DAY",
        "tradingSymbol": "NIFTY-Sep2026-25000-CE",
        "securityId": "49081",
        "quantity": 150,
        "price": 152.35,
        "triggerPrice": 0.0,
        "updateTime": "2026-09-15 10:02:14",
        "exchangeTime": "2026-09-15 10:02:11",
        "omsErrorCode": "0",
        "omsErrorDescription": "CONFIRMED",
        "remainingQuantity": 75,
        "averageTradedPrice": 152.2,
        "filledQty": 75,
    }
    return {**plain, **changes}


def without(name, **changes):
    return {key: value for key, value in row(**changes).items() if key != name}


def trade(**changes):
    plain = {
        "orderId": "9525091500001",
        "exchangeTradeId": "15112345",
        "transactionType": "SELL",
        "exchangeSegment": "NSE_FNO",
        "productType": "INTRADAY",
        "securityId": "49081",
        "tradedQuantity": 75,
        "tradedPrice": 152.2,
        "exchangeTime": "2026-09-15 10:02:11",
    }
    return {**plain, **changes}


def position(**changes):
    plain = {
        "tradingSymbol": "NIFTY",
        "securityId": "49081",
        "positionType": "SHORT",
        "exchangeSegment": "NSE_FNO",
        "productType": "INTRADAY",
        "buyAvg": 0.0,
        "sellAvg": 150.5,
        "buyQty": 0,
        "sellQty": 75,
        "netQty": -75,
    }
    return {**plain, **changes}


def call(client, method, *arguments):
    return asyncio.run(getattr(client, method)(*arguments))


def failure(client, method, *arguments):
    with pytest.raises(BrokerError) as caught:
        call(client, method, *arguments)
    return caught.value


# Placement


def test_a_placement_is_one_request_with_exact_numbers(fakes):
    """A limit order goes out once, with JSON numbers of the exact digits and no unused key."""
    http = fakes.http(fakes.answer(200, {"orderId": "9525091500001", "orderStatus": "TRANSIT"}))

    result = call(fakes.client(http), "place_order", request())

    assert (result.broker_order_id, result.status) == ("9525091500001", BrokerOrderStatus.TRANSIT)
    assert [(one.method, one.path) for one in http.requests] == [("POST", "/orders")]
    assert http.sent_json() == {
        "dhanClientId": "1100000001",
        "correlationId": OURS,
        "transactionType": "SELL",
        "exchangeSegment": "NSE_FNO",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "validity": "DAY",
        "securityId": "49081",
        "quantity": "75",
        "price": "152.35",
        "afterMarketOrder": False,
    }
    assert http.requests[0].headers["access-token"] == fakes.token
    assert http.timeouts == [3.0]


@pytest.mark.parametrize(
    ("order", "price", "trigger"),
    [
        (request(limit="0.05"), "0.05", None),
        (request(limit="83.0025"), "83.0025", None),
        (request(limit="1E+2"), "100.00", None),
        (request(limit="25974.900000"), "25974.90", None),
        (request(OrderType.MARKET, None), None, None),
        (request(OrderType.STOP_LOSS, "140", "140.5"), "140.00", "140.50"),
        (request(OrderType.STOP_LOSS_MARKET, None, "140.5"), None, "140.50"),
    ],
)
def test_prices_are_written_by_order_type(fakes, order, price, trigger):
    """Each order type carries exactly the prices it needs, as plain decimal numbers."""
    http = fakes.http(fakes.answer(200, {"orderId": "1"}))

    call(fakes.client(http), "place_order", order)

    body = http.sent_json()
    assert (body.get("price"), body.get("triggerPrice")) == (price, trigger)
    assert "" not in body.values()


@pytest.mark.parametrize(
    "order",
    [
        request(cid="x" * 26),
        request(cid=""),
        request(cid="sq x"),
        request(cid="sqx-1\n"),
        request(cid="sqx.1"),
        request(quantity=0),
        request(quantity=-75),
        request(limit=None),
        request(limit="0"),
        request(limit="-1"),
        request(limit="NaN"),
        request(OrderType.MARKET, "152"),
        request(OrderType.LIMIT, "152", "151"),
        request(OrderType.STOP_LOSS, "152", None),
    ],
)
def test_a_request_that_cannot_be_written_is_not_sent(fakes, order):
    """A bad id, quantity or price stops before the network."""
    http = fakes.http()

    with pytest.raises(InvariantBroken):
        call(fakes.client(http), "place_order", order)
    assert http.requests == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"orderId": "95", "orderStatus": "PENDING"}),
        (200, [{"orderId": "95", "orderStatus": "transit"}]),
        (201, {"orderId": 95}),
        (202, {"orderId": "95", "orderStatus": None, "more": [1]}),
    ],
)
def test_any_success_with_an_order_id_is_accepted(fakes, status, body):
    """An object, or an array of one, that names an order proves that the broker has it."""
    http = fakes.http(fakes.answer(status, body))

    assert call(fakes.client(http), "place_order", request()).broker_order_id == "95"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"orderId":""}',
        b'{"orderId":null}',
        b'{"orderId":"0"}',
        b'{"orderId":"NA"}',
        b'{"orderId":true}',
        b'{"orderId":"95',
        b"<html>ok</html>",
        b'[{"orderId":"1"},{"orderId":"2"}]',
        b'"95"',
        b'{"orderId":["95"]}',
        b"\xff\xfe",
    ],
)
def test_a_success_without_an_order_id_may_have_been_placed(fakes, body):
    """A 200 that names no order is a protocol error with sent = MAYBE, its raw text kept."""
    error = failure(fakes.client(fakes.http(fakes.answer(200, body))), "place_order", request())

    assert type(error) is BrokerProtocolError
    assert error.sent is Sent.MAYBE
    assert error.text == body.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (NotSent("POST /orders: timed out"), BrokerUnreachable),
        (NoAnswer("POST /orders: timed out"), BrokerOutcomeUnknown),
    ],
)
def test_a_transport_failure_is_not_repeated(fakes, given, kind):
    """One failed send is one request and one error; nothing tries again."""
    http = fakes.http(given)

    error = failure(fakes.client(http), "place_order", request())

    assert type(error) is kind
    assert len(http.requests) == 1


def test_a_refusal_of_a_placement_carries_the_brokers_code(fakes):
    """A 400 with the broker's error body is a decision: sent = YES, code and text kept."""
    refusal = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "Closed"}
    error = failure(fakes.client(fakes.http(fakes.answer(400, refusal))), "place_order", request())

    assert type(error) is BrokerRejected
    assert (error.code, error.text, error.http_status) == ("DH-906", "Closed", 400)


def test_a_dead_token_is_replaced_but_the_call_is_not_repeated(fakes):
    """The token source is told which token died; the next call, not this one, uses the new one."""
    dead = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "Invalid Token"}
    http = fakes.http(fakes.answer(400, dead), fakes.answer(200, {"orderId": "1"}))
    tokens = fakes.tokens("fresh-token")
    client = fakes.client(http, tokens)

    error = failure(client, "place_order", request())
    assert type(error) is BrokerSessionExpired
    assert (tokens.dead, len(http.requests)) == ([fakes.token], 1)

    call(client, "place_order", request())
    assert http.requests[1].headers["access-token"] == "fresh-token"


def test_no_error_shows_the_token(fakes):
    """Whatever fails, the token is in no message, text or repr."""
    echo = b'{"errorCode":"DH-905","errorMessage":"canary-token-7f3a is odd"}'
    for status in (200, 302, 400, 401, 429, 500):
        for method, arguments in (("place_order", (request(),)), ("positions", ())):
            http = fakes.http(fakes.answer(status, echo))
            error = failure(fakes.client(http), method, *arguments)
            shown = f"{error} {error!r} {error.text} {http.requests[0]!r}"
            assert fakes.token not in shown


# Modify and cancel


def modification(**changes):
    plain = {
        "broker_order_id": BrokerOrderId("9525091500001"),
        "client_order_id": OURS,
        "order_type": OrderType.LIMIT,
        "order_quantity": 150,
        "limit_price": Decimal("150.05"),
    }
    return OrderModification(**{**plain, **changes})


def test_a_modification_restates_the_whole_order(fakes):
    """The total quantity and the new price go out under the order's own id."""
    http = fakes.http(fakes.answer(200, {"orderId": "9525091500001", "orderStatus": "TRANSIT"}))

    call(fakes.client(http), "modify_order", modification())

    assert (http.requests[0].method, http.requests[0].path) == ("PUT", "/orders/9525091500001")
    assert http.sent_json() == {
        "dhanClientId": "1100000001",
        "orderId": "9525091500001",
        "orderType": "LIMIT",
        "validity": "DAY",
        "quantity": "150",
        "price": "150.05",
    }


def test_a_modification_answered_for_another_order_makes_no_sense(fakes):
    """An answer that names another order is a protocol error."""
    http = fakes.http(fakes.answer(200, {"orderId": "9999", "orderStatus": "TRANSIT"}))

    assert type(failure(fakes.client(http), "modify_order", modification())) is BrokerProtocolError


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"orderId": "9525091500001", "orderStatus": "CANCELLED"}),
        (200, {"orderId": "9525091500001", "orderStatus": "TRANSIT"}),
        (202, b""),
        (200, b""),
        (204, b""),
        (202, b" \n"),
        (202, {"orderId": "9525091500001"}),
    ],
)
def test_a_cancel_is_taken_with_or_without_a_body(fakes, status, body):
    """200, 202 and 204 mean that the cancel was asked for."""
    http = fakes.http(fakes.answer(status, body))

    call(fakes.client(http), "cancel_order", BrokerOrderId("9525091500001"))

    assert (http.requests[0].method, http.requests[0].path) == ("DELETE", "/orders/9525091500001")
    assert http.requests[0].body is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>", BrokerProtocolError),
        (301, b"", BrokerProtocolError),
        (200, b'{"errorCode":"DH-906","errorMessage":"x"}', BrokerProtocolError),
        (400, b'{"errorCode":"DH-906","errorMessage":"already traded"}', BrokerRejected),
        (500, b"", BrokerOutcomeUnknown),
    ],
)
def test_a_cancel_that_was_not_taken_says_how(fakes, status, body, kind):
    """Anything but a plain success of a cancel raises."""
    http = fakes.http(fakes.answer(status, body))

    assert type(failure(fakes.client(http), "cancel_order", BrokerOrderId("9"))) is kind


def test_an_order_id_cannot_leave_its_place_in_the_path(fakes):
    """Odd characters in a broker's id are escaped."""
    http = fakes.http(fakes.answer(202))

    call(fakes.client(http), "cancel_order", BrokerOrderId("9/../x?y"))

    assert http.requests[0].path == "/orders/9%2F..%2Fx%3Fy"


# Order reads


def test_an_order_row_is_translated(fakes):
    """Words, numbers, sentinels and IST times of a row become our report."""
    http = fakes.http(fakes.answer(200, [row()]))

    (report,) = call(fakes.client(http), "order_book")

    assert report.client_order_id == OURS
    assert report.instrument_id == OPTION
    assert report.side is Side.SELL
    assert (report.order_quantity, report.cumulative_quantity) == (150, 75)
    assert (report.average_price, report.limit_price) == (Decimal("152.2"), Decimal("152.35"))
    assert report.status is BrokerOrderStatus.PART_TRADED
    assert report.source is ReportSource.ORDER_BOOK
    assert report.reason == ""
    assert report.update_time_ns == 1_789_446_734_000_000_000  # 04:32:14 UTC
    assert http.timeouts == [5.0]


def test_numbers_as_text_and_sentinels_are_read(fakes):
    """Numeric strings count as numbers; NA, zero averages and year-one times are none."""
    odd = row(
        quantity="150",
        filledQty="0",
        price="0.0",
        averageTradedPrice=0,
        correlationId="NA",
        updateTime="0001-01-01 00:00:00",
        exchangeTime="NA",
        securityId=49081,
        omsErrorDescription=None,
        orderStatus="part traded",
    )
    (report,) = call(fakes.client(fakes.http(fakes.answer(200, [odd]))), "order_book")

    assert report.client_order_id is None
    assert (report.order_quantity, report.cumulative_quantity) == (150, 0)
    assert (report.average_price, report.limit_price) == (None, None)
    assert report.update_time_ns is None
    assert report.instrument_id == OPTION
    assert report.status is BrokerOrderStatus.PART_TRADED


def test_an_unknown_status_word_decides_nothing(fakes):
    """A new word is UNKNOWN; quantities are read all the same."""
    http = fakes.http(fakes.answer(200, [row(orderStatus="MODIFIED")]))

    (report,) = call(fakes.client(http), "order_book")

    assert report.status is BrokerOrderStatus.UNKNOWN
    assert report.cumulative_quantity == 75


def test_a_rejection_keeps_its_reason(fakes):
    """The broker's text is the reason of a rejected order, which needs no filled quantity."""
    body = [row(orderStatus="REJECTED", filledQty=None, omsErrorDescription="RMS:95:circuit")]
    (report,) = call(fakes.client(fakes.http(fakes.answer(200, body))), "order_book")

    assert (report.reason, report.cumulative_quantity) == ("RMS:95:circuit", 0)


UNREADABLE = [
    {"exchangeSegment": "NSE_COMM"},
    {"productType": "XYZ"},
    {"transactionType": "HOLD"},
    {"quantity": None},
    {"quantity": "many"},
    {"quantity": 75.5},
    {"filledQty": None},
    {"filledQty": -1},
    {"orderId": ""},
    {"securityId": None},
    {"quantity": 1e30},
    {"filledQty": True},
    {"exchangeSegment": None},
]


@pytest.mark.parametrize("fault", UNREADABLE)
def test_an_unreadable_row_of_a_stranger_does_not_blind_us(fakes, fault):
    """A row without our tag that cannot be read is skipped and counted; the others are read."""
    body = [row(correlationId="manual", **fault), row(), row(correlationId=None, **fault)]
    client = fakes.client(fakes.http(fakes.answer(200, body)))

    reports = call(client, "order_book")

    assert [one.client_order_id for one in reports] == [OURS]
    assert client.skipped_row_count == 2


@pytest.mark.parametrize("fault", UNREADABLE)
def test_an_unreadable_row_of_ours_never_vanishes(fakes, fault):
    """A row with our tag that cannot be read fails the whole read."""
    client = fakes.client(fakes.http(fakes.answer(200, [row(orderId="1"), row(**fault)])))

    assert type(failure(client, "order_book")) is BrokerProtocolError


@pytest.mark.parametrize("method", ["order_book", "trade_book", "positions", "holdings"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ([{"message": "Failed", "status": "ERROR"}], BrokerProtocolError),
        ({"message": "Failed", "status": "ERROR"}, BrokerProtocolError),
        ([{"errorType": "Order_Error", "errorCode": "DH-908"}], BrokerProtocolError),
        ([{"errorCode": "DH-906", "errorMessage": "Invalid Token"}], BrokerSessionExpired),
        ([{}], BrokerProtocolError),
        ([{}, {}], BrokerProtocolError),
        ([{"orderId": "", "orderStatus": None, "errorCode": "x"}], BrokerProtocolError),
    ],
)
def test_an_error_is_never_an_empty_book(fakes, method, body, kind):
    """An error that comes as HTTP 200, also in an array, is no book that lacks our order."""
    client = fakes.client(fakes.http(fakes.answer(200, body)))

    assert type(failure(client, method)) is kind
    assert client.skipped_row_count == 0


@pytest.mark.parametrize("method", ["order_book", "trade_book", "positions"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"null",
        b"{}",
        b'"x"',
        b"0",
        b"<html>",
        b"[{",
        b'[{"a":1}',
        b"[null]",
        b'["x"]',
        b'{"data":[]}',
        b"[[]]",
        b"[" * 100_000,
    ],
)
def test_a_list_that_is_no_list_is_never_empty(fakes, method, body):
    """Only a JSON array is an answer; an empty body is not an empty list, least of all flat."""
    error = failure(fakes.client(fakes.http(fakes.answer(200, body))), method)

    assert type(error) is BrokerProtocolError


@pytest.mark.parametrize("method", ["order_book", "trade_book", "positions", "holdings"])
def test_an_empty_array_is_an_empty_list(fakes, method):
    """`[]` is the broker's word for none."""
    assert call(fakes.client(fakes.http(fakes.answer(200, b" [] "))), method) == ()


@pytest.mark.parametrize(
    "method", ["order_book", "trade_book", "positions", "holdings", "funds", "profile"]
)
@pytest.mark.parametrize("status", [202, 204, 206, 302, 400, 404, 429, 500, 502])
def test_a_read_with_another_status_fails(fakes, method, status):
    """A status other than 200 is no reading, even with an empty array as its body."""
    failure(fakes.client(fakes.http(fakes.answer(status, b"[]"))), method)


# Lookup


@pytest.mark.parametrize("body", [row(), [row()]])
def test_a_lookup_takes_an_object_or_an_array(fakes, body):
    """Both documented shapes give the order."""
    http = fakes.http(fakes.answer(200, body))

    (report,) = call(fakes.client(http), "orders_by_client_order_id", OURS)

    assert report.source is ReportSource.LOOKUP
    assert http.requests[0].path == f"/orders/external/{OURS}"


def test_a_lookup_may_find_two_orders_under_one_id(fakes):
    """After a resend one id may stand for two orders; both are told."""
    http = fakes.http(fakes.answer(200, [row(orderId="1"), row(orderId="2")]))

    reports = call(fakes.client(http), "orders_by_client_order_id", OURS)

    assert [one.broker_order_id for one in reports] == ["1", "2"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"errorCode": "DH-906", "errorMessage": "incorrect request"}),
        (404, b""),
        (400, {"errorCode": "DH-906", "errorMessage": "incorrect request for order"}),
        (400, {"errorCode": "DH-907", "errorMessage": "no data"}),
        (200, []),
    ],
)
def test_an_unknown_id_is_an_empty_lookup(fakes, status, body):
    """The broker's own 404, the same words under 400 and an empty array mean that it knows no such
    order now."""
    http = fakes.http(fakes.answer(status, body))

    assert call(fakes.client(http), "orders_by_client_order_id", OURS) == ()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"timestamp": 1, "status": 404, "error": "x", "path": "/v2"}, BrokerOutcomeUnknown),
        (404, b"<html>", BrokerOutcomeUnknown),
        (404, {"errorCode": "DH-908", "errorMessage": "internal"}, BrokerRejected),
        (404, [{"status": "ERROR", "message": "Failed"}], BrokerRejected),
        (200, [{"status": "ERROR", "message": "Failed"}], BrokerProtocolError),
        (200, [{"errorCode": "DH-908", "errorMessage": "internal"}], BrokerProtocolError),
        (404, {"errorCode": "DH-906", "errorMessage": "Invalid Token"}, BrokerSessionExpired),
        (400, {"errorCode": "DH-906", "errorMessage": "Invalid Token"}, BrokerSessionExpired),
        (400, {"errorCode": "DH-905", "errorMessage": "bad values"}, BrokerRejected),
        (400, b"", BrokerOutcomeUnknown),
        (429, {"errorCode": "DH-904", "errorMessage": "slow"}, BrokerRateLimited),
        (200, {}, BrokerProtocolError),
        (200, row(correlationId="sqx-other"), BrokerProtocolError),
        (200, row(correlationId="NA"), BrokerProtocolError),
        (200, [row(), row(correlationId="sqx-other")], BrokerProtocolError),
        (200, without("correlationId"), BrokerProtocolError),
        (200, without("filledQty"), BrokerProtocolError),
    ],
)
def test_a_lookup_never_mistakes_rubbish_for_absence(fakes, status, body, kind):
    """A gateway's 404, an answer about another order and an unreadable row all raise."""
    http = fakes.http(fakes.answer(status, body))

    assert type(failure(fakes.client(http), "orders_by_client_order_id", OURS)) is kind


# Trades, positions, funds, quotes, profile


def test_a_trade_row_is_translated(fakes):
    """A fill keeps the exchange's trade id, exact price and UTC time."""
    (fill,) = call(fakes.client(fakes.http(fakes.answer(200, [trade()]))), "trade_book")

    assert (fill.exec_id, fill.quantity, fill.price) == ("15112345", 75, Decimal("152.2"))
    assert fill.exchange_time_ns == 1_789_446_731_000_000_000


@pytest.mark.parametrize(
    ("method", "good", "strange", "broken"),
    [
        ("trade_book", trade(), trade(exchangeSegment="NSE_COMM"), trade(tradedQuantity=None)),
        ("trade_book", trade(), trade(productType="ARBITRAGE"), trade(tradedPrice=0)),
        ("trade_book", trade(), trade(exchangeSegment="NSE_COMM"), trade(transactionType="?")),
        ("positions", position(), position(exchangeSegment="NSE_COMM"), position(netQty=None)),
        ("positions", position(), position(productType="ARBITRAGE"), position(netQty="x")),
        ("positions", position(), position(exchangeSegment="NSE_COMM"), position(buyQty=0.5)),
    ],
)
def test_rows_that_may_be_ours_must_be_readable(fakes, method, good, strange, broken):
    """An unknown segment or product is skipped; any other unreadable row fails the read."""
    client = fakes.client(
        fakes.http(fakes.answer(200, [strange, good]), fakes.answer(200, [good, broken]))
    )

    assert len(call(client, method)) == 1
    assert client.skipped_row_count == 1
    assert type(failure(client, method)) is BrokerProtocolError


def test_the_history_is_read_page_by_page(fakes):
    """Trade id 0 tells no fills apart; an empty page is the end."""
    row = trade(exchangeTradeId="0")
    http = fakes.http(
        fakes.answer(200, [row, row]), fakes.answer(200, [row]), fakes.answer(200, [])
    )

    read = call(fakes.client(http), "trade_history", date(2026, 9, 11), date(2026, 9, 14))

    assert [each.exec_id for each in read] == ["", "", ""]
    assert [sent.path for sent in http.requests] == [
        f"/trades/2026-09-11/2026-09-14/{page}" for page in range(3)
    ]


def test_equal_fills_fill_equal_pages(fakes):
    """45 lots of one order at one price are three pages, the first two alike; none is lost."""
    row = trade(exchangeTradeId="0")
    pages = [fakes.answer(200, [row] * count) for count in (20, 20, 5, 0)]

    read = call(
        fakes.client(fakes.http(*pages)), "trade_history", date(2026, 9, 11), date(2026, 9, 14)
    )

    assert sum(each.quantity for each in read) == 45 * 75


def test_a_page_of_strangers_rows_does_not_end_the_history(fakes):
    """A page of which nothing could be read is not an empty one."""
    strange = trade(exchangeSegment="NSE_COMM")
    pages = [fakes.answer(200, rows) for rows in ([strange] * 20, [trade()], [])]
    client = fakes.client(fakes.http(*pages))

    assert len(call(client, "trade_history", date(2026, 9, 11), date(2026, 9, 14))) == 1
    assert client.skipped_row_count == 20


def test_a_history_that_repeats_its_page_for_ever_is_none(fakes):
    """A broker that cannot count pages gives neither a short history nor a long one."""
    http = fakes.http(*[fakes.answer(200, [trade()])] * (SAME_PAGES_MAX + 1))

    error = failure(fakes.client(http), "trade_history", date(2026, 9, 11), date(2026, 9, 14))

    assert type(error) is BrokerProtocolError
    assert len(http.requests) == SAME_PAGES_MAX + 1


def test_a_position_told_twice_is_one_position(fakes):
    """A gateway that repeats a row does not double what is held; two different rows both count."""
    row, other = position(), position(productType="MARGIN")
    body = [row, other, row]

    read = call(fakes.client(fakes.http(fakes.answer(200, body))), "positions")

    assert [each.product_type for each in read] == [ProductType.INTRADAY, ProductType.MARGIN]


@pytest.mark.parametrize(
    "body",
    [
        {"errorType": "HOLDING_ERROR", "errorCode": "DH-1111", "errorMessage": "No holdings"},
        {"errorCode": "DHOLDING_ERROR", "errorMessage": "No holdings available"},
        {"errorCode": "500", "internalErrorCode": "DHOLDING_ERROR", "httpStatus": "x"},
    ],
)
def test_an_empty_demat_account_is_an_error_in_form(fakes, body):
    """The broker's 500 for no holdings is the empty list, and nothing else is."""
    assert call(fakes.client(fakes.http(fakes.answer(500, body))), "holdings") == ()
    failure(fakes.client(fakes.http(fakes.answer(502, body))), "holdings")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"errorType": "HOLDING_ERROR", "errorCode": "DH-908", "errorMessage": "x"}),
        (500, b"<html>DH-1111</html>"),
        (500, b""),
        (401, {"errorCode": "DH-901", "errorMessage": "x"}),
        (200, {"errorCode": "DH-1111", "errorMessage": "x"}),
    ],
)
def test_another_failure_is_no_empty_demat_account(fakes, status, body):
    """Whatever does not say in so many words that nothing is held is no reading."""
    failure(fakes.client(fakes.http(fakes.answer(status, body))), "holdings")


def test_a_holding_told_twice_is_one_holding(fakes):
    """A gateway that repeats a row does not double what is held."""
    row = {"exchange": "ALL", "securityId": "2885", "totalQty": 5, "dpQty": 5, "t1Qty": 0,
           "availableQty": 5, "collateralQty": 0}  # fmt: skip
    read = call(fakes.client(fakes.http(fakes.answer(200, [row, row]))), "holdings")

    assert [each.cnc_quantity for each in read] == [5]


def test_positions_are_signed_units(fakes):
    """A short is below zero; averages of zero stay zero."""
    body = [position(), position(securityId="1", netQty=0, positionType="CLOSED")]
    short, closed = call(fakes.client(fakes.http(fakes.answer(200, body))), "positions")

    assert (short.net_quantity, short.sell_average) == (-75, Decimal("150.5"))
    assert short.buy_average == 0
    assert closed.net_quantity == 0


def test_funds_are_read_in_the_wires_spelling_and_the_right_one(fakes):
    """The misspelt key and, should it be cured, the right one both give the balance."""
    for name in ("availabelBalance", "availableBalance"):
        body = {name: 98440.0, "utilizedAmount": 15202, "sodLimit": "113642.5"}
        wallet = call(fakes.client(fakes.http(fakes.answer(200, body))), "funds")
        assert wallet.available_balance == Decimal(98440)
        assert wallet.start_of_day_limit == Decimal("113642.5")


def test_funds_without_a_balance_are_no_funds(fakes):
    """A missing figure raises instead of reading as zero."""
    http = fakes.http(fakes.answer(200, {"utilizedAmount": 1, "sodLimit": 1}))

    assert type(failure(fakes.client(http), "funds")) is BrokerProtocolError


def test_quotes_are_read_per_instrument(fakes):
    """Prices, circuits, best levels and time come from the quote; unknown ids are missing."""
    entry = {
        "last_price": 152.2,
        "ohlc": {"open": 148.0, "close": 150.1, "high": 160.0, "low": 141.5},
        "last_trade_time": "15/09/2026 10:02:14",
        "lower_circuit_limit": 0.05,
        "upper_circuit_limit": 410.0,
        "depth": {"buy": [{"quantity": 1, "price": 152.15}], "sell": [{"price": 0.0}]},
    }
    data = {"NSE_FNO": {"49081": entry, "1": {}}, "NSE_EQ": {"1333": {"last_price": 0}}}
    http = fakes.http(fakes.answer(200, {"data": data, "status": "success"}))
    wanted = [
        OPTION,
        InstrumentId(ExchangeSegment.NSE_FNO, "1"),
        InstrumentId(ExchangeSegment.NSE_EQ, "1333"),
        InstrumentId(ExchangeSegment.MCX_COMM, "7"),
        InstrumentId(ExchangeSegment.NSE_EQ, "ODD"),
    ]

    quotes = call(fakes.client(http), "quotes", wanted)

    assert list(quotes) == [OPTION]
    quote = quotes[OPTION]
    assert (quote.last_traded_price, quote.best_bid) == (Decimal("152.2"), Decimal("152.15"))
    assert quote.best_ask is None
    assert quote.upper_circuit == Decimal("410.0")
    assert (quote.day_high, quote.day_low) == (Decimal("160.0"), Decimal("141.5"))
    assert quote.last_trade_time_ns == 1_789_446_734_000_000_000
    assert json.loads(http.requests[0].body) == {
        "NSE_FNO": [49081, 1],
        "NSE_EQ": [1333],
        "MCX_COMM": [7],
    }
    assert http.requests[0].headers["client-id"] == "1100000001"


def test_no_quotes_are_asked_for_without_ids(fakes):
    """An empty question is answered without a call."""
    http = fakes.http()

    assert call(fakes.client(http), "quotes", []) == {}
    assert http.requests == []


def test_a_full_read_of_quotes_is_asked_and_a_fuller_one_is_a_defect(fakes):
    """A thousand instruments are what one call may name."""
    full = [InstrumentId(ExchangeSegment.NSE_FNO, str(number)) for number in range(1_000)]
    http = fakes.http(fakes.answer(200, {"data": {}, "status": "success"}))

    assert call(fakes.client(http), "quotes", full) == {}
    assert len(json.loads(http.requests[0].body)["NSE_FNO"]) == 1_000
    with pytest.raises(InvariantBroken, match="1001"):
        call(fakes.client(http), "quotes", [*full, OPTION])


@pytest.mark.parametrize("body", [{}, {"data": []}, [], {"status": "failed", "data": {"806": "x"}}])
def test_a_quote_answer_without_data_fails(fakes, body):
    """An answer that is no quote answer raises instead of giving no prices."""
    failure(fakes.client(fakes.http(fakes.answer(200, body))), "quotes", [OPTION])


@pytest.mark.parametrize(
    ("status", "code"), [(401, "810"), (400, "809"), (400, "807"), (401, "808"), (401, "DH-901")]
)
def test_refused_quotes_make_the_token_suspect_only(fakes, status, code):
    """The data side proves no death (invariant 3): orders go on leaving with the same token."""
    is_data_code = code.isdigit()
    data = {"status": "failed", "data": {code: "refused"}}
    body = data if is_data_code else {"errorCode": code, "errorMessage": "refused"}
    tokens = fakes.tokens("fresh-token")
    http = fakes.http(fakes.answer(status, body), fakes.answer(200, {"orderId": "1"}))
    client = fakes.client(http, tokens)

    error = failure(client, "quotes", [OPTION])
    call(client, "place_order", request())

    assert type(error) is BrokerSessionExpired and not error.has_new_token
    assert (tokens.suspected, tokens.dead) == ([fakes.token], [])
    assert http.requests[1].headers["access-token"] == fakes.token


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("code", ["DH-902", "806"])
def test_quotes_that_the_account_may_not_use_say_nothing_of_the_token(fakes, status, code):
    """No data plan is a refusal like any other, and no cause to ask about the token."""
    data = {"status": "failed", "data": {code: "Data APIs not subscribed"}}
    body = data if code.isdigit() else {"errorCode": code, "errorMessage": "no Data APIs"}
    tokens = fakes.tokens()

    error = failure(
        fakes.client(fakes.http(fakes.answer(status, body)), tokens), "quotes", [OPTION]
    )

    assert type(error) is BrokerRejected and error.code == code
    assert (tokens.suspected, tokens.dead) == ([], [])


def test_a_quote_refused_for_a_token_replaced_meanwhile_may_be_asked_again(fakes):
    """The refusal of an old token comes late: the caller's retry has the new one."""

    class Replaced(fakes.tokens):
        async def suspect(self, token):
            self.token = "fresh-token"

    body = {"status": "failed", "data": {"807": "expired"}}
    client = fakes.client(fakes.http(fakes.answer(401, body)), Replaced())

    assert failure(client, "quotes", [OPTION]).has_new_token


def test_the_profile_tells_when_the_token_ends(fakes):
    """The validity is IST; an unreadable one is None, not a failure."""
    body = {
        "dhanClientId": "1100000001",
        "tokenValidity": "16/09/2026 09:05",
        "activeSegment": "E, D, C, M, ",
        "dataPlan": "Active",
    }
    http = fakes.http(fakes.answer(200, body), fakes.answer(200, {**body, "tokenValidity": "?"}))
    client = fakes.client(http)

    profile = call(client, "profile")
    assert profile.token_expires_ns == 1_789_529_700_000_000_000
    assert call(client, "profile").token_expires_ns is None


def test_close_closes_the_transport(fakes):
    """Closing the client releases its connections."""
    http = fakes.http()
    call(fakes.client(http), "close")

    assert http.closed


def test_mutated_answers_never_escape_as_another_error(fakes):
    """Any broken order book is rows or a BrokerError; an unread row of ours never goes missing."""
    seed = 95250915
    print("seed", seed)
    chance = random.Random(seed)
    whole = json.dumps([row(), row(orderId="2", correlationId="manual")]).encode()
    for _ in range(3_000):
        body = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(body))
            match chance.randrange(3):
                case 0:
                    body[place] = chance.randrange(256)
                case 1:
                    del body[place : place + chance.randrange(1, 30)]
                case _:
                    body[place:place] = chance.choice([b"-", b"9999999999", b"null", b"1e99", b"{"])
        client = fakes.client(fakes.http(fakes.answer(chance.choice([200, 400, 500]), bytes(body))))
        try:
            reports = call(client, "order_book")
        except BrokerError:
            continue
        # Damage may rename keys (losing our tag), but then the row is read or counted.
        assert len(reports) + client.skipped_row_count >= 1


# The fence


class NotedFence:
    """Refuses with a text, and keeps what it was asked."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.asked: list[int | None] = []

    def refusal(self, send_before_ns: int | None) -> str | None:
        self.asked.append(send_before_ns)
        return self.text


WRITES = {
    "place": lambda: ("place_order", replace(request(), send_before_ns=5)),
    "modify": lambda: ("modify_order", modification(send_before_ns=5)),
    "cancel": lambda: ("cancel_order", BrokerOrderId("1")),
    "lock": lambda: ("lock_account",),
}


@pytest.mark.parametrize("name", WRITES)
def test_the_fence_is_asked_at_the_first_byte_of_every_write(fakes, name):
    """What it refuses was not sent, by proof, and the reason is the fence's own."""
    http, fence = fakes.http(), NotedFence("the lease ran out")

    error = failure(fakes.client(http, fence=fence), *WRITES[name]())

    assert type(error) is BrokerSendForbidden
    assert (error.sent, error.text) == (Sent.NO, "the lease ran out")
    assert fence.asked == [5 if name in ("place", "modify") else None]


def test_reads_are_not_fenced(fakes):
    """An engine that may not send may still look."""
    fence = NotedFence("no")

    assert call(fakes.client(fakes.http(fakes.answer(200, [])), fence=fence), "positions") == ()
    assert fence.asked == []
