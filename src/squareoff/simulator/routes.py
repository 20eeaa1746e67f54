"""REST under `/v2`: recognise the caller, keep the rates, find the handler, read the books."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.exchange.ledger import ZERO
from squareoff.simulator import identity_routes, order_routes, views
from squareoff.simulator.calls import BrokerParts, Call
from squareoff.simulator.catalogue import master_csv
from squareoff.simulator.conduct import QUOTE_CLASS, BrokerConduct
from squareoff.simulator.faults import FaultDecision
from squareoff.simulator.market import InstrumentDay
from squareoff.simulator.orders import Account
from squareoff.simulator.placement import TRANSACTION_FAILED, bad_input, whole_number
from squareoff.simulator.rates import rate_class
from squareoff.simulator.wire import (
    WireRefusal,
    WireRequest,
    WireResponse,
    data_refusal,
    decode_object,
    gateway_not_found,
    json_response,
    refusal,
)

QUOTED_INSTRUMENTS_MAX = 1_000
RATE_TEXT = "Too many requests on server from single user breaching rate limits. Try throttling"
UNKNOWN_TAG = "Incorrect request for order and cannot be processed"
_DEAD_TOKEN_TEXTS = {
    807: "Access token is expired",
    808: "Authentication failed: client id or access token is invalid",
    809: "Access token is invalid",
    810: "Client ID is invalid",
}
_NO_DATA_PLAN_TEXT = "Data APIs not subscribed"
_NO_LAG = (0.0, 0.0)
Handler = Callable[..., WireResponse]


def answer(
    broker: BrokerParts, request: WireRequest, now_ns: int, decision: FaultDecision
) -> WireResponse:
    """Return the true answer to one request."""
    handler, arguments = _find(request)
    if handler is None and request.path != identity_routes.LOGIN_PATH:
        return gateway_not_found(f"/v2{request.path}", now_ns)
    try:
        if handler is None:
            return identity_routes.log_in(broker, request, now_ns)
        account = _authenticated(broker, request, now_ns)
        _check_rate(broker, account, request, now_ns)
        return handler(Call(broker, account, request, now_ns, decision), *arguments)
    except WireRefusal as refused:
        return refused.response


def _find(request: WireRequest) -> tuple[Handler | None, tuple[str, ...]]:
    path = request.path.rstrip("/")  # the official package asks for `/trades/`
    for method, pattern, handler in _ROUTES:
        found = pattern.fullmatch(path) if method == request.method else None
        if found is not None:
            return handler, found.groups()
    return None, ()


def _authenticated(broker: BrokerParts, request: WireRequest, now_ns: int) -> Account:
    token = request.headers.get("access-token", "")
    conduct = broker.conduct
    client_id = broker.identity.client_of_request(request)
    is_alive = conduct.token_is_alive and client_id is not None
    if is_alive:
        is_alive = now_ns < broker.identity.expires_ns(token, conduct.token_hours, now_ns)
    account = broker.adopt(client_id) if is_alive else None
    if account is not None:
        return account
    if request.path.startswith("/marketfeed"):
        code = conduct.dead_token_quote_code
        raise data_refusal(conduct.dead_token_quote_status, str(code), _DEAD_TOKEN_TEXTS[code])
    match conduct.dead_token_answer:
        case "400":
            raise refusal(400, "DH-906", "Invalid Token")
        case "807":
            raise data_refusal(400, "807", _DEAD_TOKEN_TEXTS[807])
        case "809":
            raise data_refusal(400, "809", _DEAD_TOKEN_TEXTS[809])
    raise refusal(401, "DH-901", "Client ID or user generated access token is invalid or expired.")


def _check_rate(broker: BrokerParts, account: Account, request: WireRequest, now_ns: int) -> None:
    name = rate_class(request.method, request.path)
    if account.limiter.take(name, broker.conduct.rate_limits, now_ns) is None:
        return
    if name == QUOTE_CLASS:
        raise data_refusal(429, "805", RATE_TEXT)
    raise refusal(429, "DH-904", RATE_TEXT)


def _order_book(call: Call) -> WireResponse:
    lag_ns = call.lag_ns(call.conduct.order_book_lag_ms)
    return json_response(200, views.order_book(call.account, call.conduct, call.now_ns, lag_ns))


def _order_by_id(call: Call, order_id: str) -> WireResponse:
    lag_ns = call.lag_ns(call.conduct.order_book_lag_ms)
    order = call.account.orders.get(order_id)
    row = None if order is None else views.seen_row(order, call.conduct, call.now_ns, lag_ns)
    if row is None:
        return json_response(200, [])
    return json_response(200, row if call.conduct.order_by_id_shape == "object" else [row])


def _order_by_tag(call: Call, correlation_id: str) -> WireResponse:
    conduct = call.conduct
    lag_ns = call.lag_ns(conduct.lookup_lag_ms)
    rows = []
    for order in call.account.orders_tagged(correlation_id):
        row = views.seen_row(order, conduct, call.now_ns, lag_ns)
        if row is None:
            continue
        is_on_its_way = row["orderStatus"] == "TRANSIT" and row["exchangeOrderId"] == "0"
        if not (conduct.lookup_hides_transit and is_on_its_way):
            rows.append(row)
    if not rows:
        raise refusal(404, "DH-906", UNKNOWN_TAG)
    if conduct.duplicate_lookup == "array" and len(rows) > 1:
        return json_response(200, rows)
    row = rows[0] if conduct.duplicate_lookup == "first" else rows[-1]
    return json_response(200, [row] if conduct.external_shape == "array" else row)


def _trade_book(call: Call) -> WireResponse:
    lag_ns = call.lag_ns(call.conduct.trade_book_lag_ms)
    return json_response(200, views.trade_book(call.account, call.conduct, call.now_ns, lag_ns))


def _trades_of_order(call: Call, order_id: str) -> WireResponse:
    lag_ns = call.lag_ns(call.conduct.trade_book_lag_ms)
    book = views.trade_book(call.account, call.conduct, call.now_ns, lag_ns)
    rows = [row for row in book if row["orderId"] == order_id]
    if call.conduct.trades_by_order_shape == "object" and len(rows) == 1:
        return json_response(200, rows[0])
    return json_response(200, rows)


def _trade_history(call: Call, first: str, last: str, page: str) -> WireResponse:
    """Earlier days are kept as long as the process lives; history rows carry trade id `0`."""
    if not (_is_day(first) and _is_day(last)):
        raise bad_input()
    book = views.trade_history(call.account, call.conduct, call.now_ns, call.lag_ns(_NO_LAG))
    rows = [row for row in book if first <= row["exchangeTime"][:10] <= last]
    start = int(page) * 20
    return json_response(200, [_history_row(row) for row in rows[start : start + 20]])


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _history_row(row: dict[str, Any]) -> dict[str, Any]:
    charges = (
        "sebiTax", "stt", "brokerageCharges", "serviceTax", "exchangeTransactionCharges",
        "stampDuty",
    )  # fmt: skip
    unknown = {"exchangeTradeId": "0", "createTime": "NA", "updateTime": "NA"}
    added = {"drvExpiryDate": "NA", "isin": "NA", "instrument": "NA"} | dict.fromkeys(charges, 0.0)
    kept = {name: value for name, value in row.items() if name != "tradingSymbol"}
    return kept | unknown | added


def _positions(call: Call) -> WireResponse:
    lag_ns = call.lag_ns(call.conduct.positions_lag_ms)
    rows = views.positions(call.account, call.conduct, call.broker.days, call.now_ns, lag_ns)
    return json_response(200, rows)


def _holdings(call: Call) -> WireResponse:
    seen = views.ledger_seen(call.account, call.now_ns, call.lag_ns(_NO_LAG))
    rows = views.holdings(call.account, call.conduct, call.broker.days, seen)
    match call.conduct.holdings_empty:
        case "error" if not rows:
            raise refusal(500, "DH-1111", "No holdings available")
        case "older_error" if not rows:
            raise refusal(500, "DHOLDING_ERROR", "No holdings available")
    return json_response(200, rows)


def _funds(call: Call) -> WireResponse:
    seen = views.ledger_seen(call.account, call.now_ns, call.lag_ns(_NO_LAG))
    return json_response(200, views.funds(call.account, call.conduct, call.broker.days, seen))


def _kill_switch_state(call: Call) -> WireResponse:
    word = "ACTIVATE" if call.account.kill_switch_is_on else "DEACTIVATE"
    row = {"dhanClientId": call.account.client_id, "killSwitchStatus": word}
    return json_response(200, row)


def _set_kill_switch(call: Call) -> WireResponse:
    """Activation needs a flat account without open orders (dhanhq-v2.md 4)."""
    by_query = call.request.query.get("killSwitchStatus")
    by_header = call.request.headers.get("killswitchstatus")
    allowed = {"query": [by_query], "header": [by_header], "both": [by_query, by_header]}
    word = next((w for w in allowed[call.conduct.kill_switch_parameter] if w), None)
    if word not in ("ACTIVATE", "DEACTIVATE"):
        raise bad_input()
    account = call.account
    is_open = any(p.net_quantity for p in account.ledger.positions()) or account.open_orders()
    if word == "ACTIVATE" and is_open:
        raise refusal(400, "DH-906", "Close all positions and cancel all pending orders first")
    account.kill_switch_is_on = word == "ACTIVATE"
    text = f"Kill Switch has been successfully {word.lower()}d"
    return json_response(200, {"dhanClientId": account.client_id, "killSwitchStatus": text})


def _quotes(call: Call, kind: str) -> WireResponse:
    if not call.request.headers.get("client-id"):
        raise data_refusal(400, "810", "Client ID is invalid")
    if call.conduct.data_plan != "active":
        raise _no_data_plan(call.conduct.data_plan)
    found: dict[str, dict[str, Any]] = {}
    count, as_of_ns = 0, call.now_ns - (call.decision.lag_ns or 0)
    for segment, ids in decode_object(call.request.body).items():
        if segment == "dhanClientId" or not isinstance(ids, list):
            continue
        for security_id in ids:
            count += 1
            day = _day_of(call, segment, security_id)
            newest = None if day is None else _newest_print(day, as_of_ns, call.conduct)
            if day is not None and newest is not None:
                found.setdefault(segment, {})[str(security_id)] = views.quote(day, kind, newest)
    if count > QUOTED_INSTRUMENTS_MAX:
        raise data_refusal(400, "804", "Requested number of instruments exceeds limit")
    return json_response(200, {"data": found, "status": "success"})


def _newest_print(
    day: InstrumentDay, as_of_ns: int, conduct: BrokerConduct
) -> tuple[int | None, Decimal] | None:
    """Return the last trade of a quote, None where the quote leaves the instrument out."""
    newest = day.print_at(as_of_ns)
    if newest is not None:
        return newest
    match conduct.quote_never_traded:
        case "missing":
            return None
        case "close":
            return None, day.listing.previous_close
        case "zero":
            return None, ZERO


def _no_data_plan(knob: str) -> WireRefusal:
    code, _, status = knob.partition("_")
    shape = data_refusal if code.isdigit() else refusal
    return shape(int(status), code, _NO_DATA_PLAN_TEXT)


def _day_of(call: Call, segment: str, security_id: Any) -> Any:
    if segment not in ExchangeSegment.__members__:
        return None
    return call.broker.days.get(InstrumentId(ExchangeSegment(segment), str(security_id)))


def _margin(call: Call) -> WireResponse:
    body = decode_object(call.request.body)
    quantity = whole_number(body, "quantity", call.conduct)
    if quantity <= 0:
        raise bad_input()
    day = _day_of(call, str(body.get("exchangeSegment")), body.get("securityId"))
    if day is None:
        raise refusal(400, "DH-906", TRANSACTION_FAILED)
    price = day.last_price or day.listing.previous_close
    total = float(views.margin(day.listing, quantity, price))
    available = views.funds(call.account, call.conduct, call.broker.days)["availabelBalance"]
    return json_response(
        200,
        {
            "totalMargin": total,
            "spanMargin": total,
            "exposureMargin": 0.0,
            "availableBalance": available,
            "variableMargin": 0.0,
            "insufficientBalance": max(0.0, total - available),
            "brokerage": 20.0,
            "leverage": "1X",
        },
    )


def _instrument_file(call: Call, segment: str) -> WireResponse:
    listings = [
        day.listing
        for day in call.broker.days.values()
        if day.listing.instrument_id.exchange_segment.value == segment
    ]
    is_first_refused = call.conduct.freeze_file_value == "first_refused"
    text = master_csv(listings, freeze_is_first_refused=is_first_refused)
    return WireResponse(200, text.encode(), {"content-type": "text/csv"})


_NAME = r"([^/]+)"
_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = [
    (method, re.compile(pattern), handler)
    for method, pattern, handler in (
        ("POST", "/orders", order_routes.place),
        ("POST", "/orders/slicing", order_routes.place_sliced),
        ("PUT", f"/orders/{_NAME}", order_routes.modify),
        ("DELETE", f"/orders/{_NAME}", order_routes.cancel),
        ("GET", "/orders", _order_book),
        ("GET", f"/orders/external/{_NAME}", _order_by_tag),
        ("GET", f"/orders/{_NAME}", _order_by_id),
        ("GET", "/trades", _trade_book),
        ("GET", f"/trades/{_NAME}", _trades_of_order),
        ("GET", rf"/trades/{_NAME}/{_NAME}/(\d+)", _trade_history),
        ("GET", "/positions", _positions),
        ("DELETE", "/positions", order_routes.exit_all),
        ("POST", "/positions/convert", order_routes.convert_position),
        ("GET", "/holdings", _holdings),
        ("GET", "/fundlimit", _funds),
        ("POST", "/margincalculator", _margin),
        ("GET", "/profile", identity_routes.profile),
        ("GET", "/RenewToken", identity_routes.renew),
        ("POST", "/RenewToken", identity_routes.renew_by_post),
        ("GET", "/killswitch", _kill_switch_state),
        ("POST", "/killswitch", _set_kill_switch),
        ("POST", "/marketfeed/(ltp|ohlc|quote)", _quotes),
        ("GET", "/ip/getIP", identity_routes.address_state),
        ("GET", f"/instrument/{_NAME}", _instrument_file),
    )
]
