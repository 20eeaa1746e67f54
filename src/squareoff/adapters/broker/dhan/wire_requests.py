"""Write our requests in the broker's words, and read what it answers to a write.

Source: dhanhq-v2.md 2.2 (placement), 2.5 (modification), 8.1 (quotes), 6.1 and 7.2 (sockets).

Invariants:
1. Numbers are JSON numbers made from `Decimal` digits: no float, no exponent, no text.
2. Unused keys are left out; an empty string is refused by the broker (2.2).
3. A correlation id is 1 to 25 of `[A-Za-z0-9_-]` or nothing is sent (2.3).
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from squareoff.adapters.broker.dhan.json_values import (
    Unreadable,
    load_json,
    name_of,
    only_object,
    word_of,
)
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import AccountId, BrokerOrderId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderModification,
    OrderRequest,
    OrderType,
    PlacementAnswer,
)
from squareoff.domain.prices import decimal_text

QUOTE_INSTRUMENTS_MAX = 1_000
"""Most instruments of one quote request (dhanhq-v2.md 8.1)."""

SUBSCRIBE_FULL = 21
SUBSCRIBE_QUOTE = 17
SUBSCRIBE_TICKER = 15
"""Feed request codes (7.2); the code that undoes one is the next higher."""

_CORRELATION_ID = re.compile(r"[A-Za-z0-9_-]{1,25}\Z")
_LIMIT_PRICED = (OrderType.LIMIT, OrderType.STOP_LOSS)
_STOP_PRICED = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_MARKET)
_LOGIN_MESSAGE_CODE = 42
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_STATUS_ALIASES = {"PARTIALLY_TRADED": "PART_TRADED", "CANCELED": "CANCELLED"}


def placement_body(account_id: AccountId, request: OrderRequest) -> bytes:
    """Return the body of `POST /orders`.

    Raises:
        InvariantBroken: the request cannot be written; nothing was sent.
    """
    key = request.key.instrument_id
    body: dict[str, Any] = {
        "dhanClientId": account_id,
        "correlationId": checked_correlation_id(request.client_order_id),
        "transactionType": request.side.value,
        "exchangeSegment": key.exchange_segment.value,
        "productType": request.key.product_type.value,
        "orderType": request.order_type.value,
        "validity": "DAY",
        "securityId": key.security_id,
        "quantity": _checked_quantity(request.order_quantity, request.client_order_id),
    }
    body |= _prices(request)
    body["afterMarketOrder"] = False
    return _ENCODER.encode(body)


def modification_body(account_id: AccountId, modification: OrderModification) -> bytes:
    """Return the body of `PUT /orders/{id}`: the whole order as it shall be, total quantity.

    Raises:
        InvariantBroken: the modification cannot be written; nothing was sent.
    """
    who = modification.client_order_id
    body: dict[str, Any] = {
        "dhanClientId": account_id,
        "orderId": modification.broker_order_id,
        "orderType": modification.order_type.value,
        "validity": "DAY",
        "quantity": _checked_quantity(modification.order_quantity, who),
    }
    return _ENCODER.encode(body | _prices(modification))


def quote_body(instrument_ids: Sequence[InstrumentId]) -> bytes:
    """Return the body of `POST /marketfeed/quote`: segment -> whole ids."""
    by_segment: dict[str, list[int]] = {}
    for instrument_id in instrument_ids:
        ids = by_segment.setdefault(instrument_id.exchange_segment.value, [])
        ids.append(int(instrument_id.security_id))
    return _ENCODER.encode(by_segment)


def login_text(account_id: AccountId, token: str) -> str:
    """Return the first frame of the order-update socket. It holds the token: never log it."""
    login = {"MsgCode": _LOGIN_MESSAGE_CODE, "ClientId": account_id, "Token": token}
    return _ENCODER.encode({"LoginReq": login, "UserType": "SELF"}).decode()


def subscription_text(request_code: int, instrument_ids: Sequence[InstrumentId]) -> str:
    """Return one subscribe or unsubscribe message of the market feed."""
    entries = [
        {"ExchangeSegment": one.exchange_segment.value, "SecurityId": one.security_id}
        for one in instrument_ids
    ]
    message = {
        "RequestCode": request_code,
        "InstrumentCount": len(entries),
        "InstrumentList": entries,
    }
    return _ENCODER.encode(message).decode()


def read_placement(body: bytes) -> PlacementAnswer:
    """Read the answer to a placement or modification; the object may come in an array of one.

    Raises:
        Unreadable: there is no single object with an order id, so nothing is proved.
    """
    content = only_object(load_json(body))
    if content is None:
        raise Unreadable("the answer must be one object")
    order_id = name_of(content, "orderId")
    if not order_id.strip("0"):
        raise Unreadable("orderId must name an order")
    return PlacementAnswer(BrokerOrderId(order_id), read_status(content.get("orderStatus")))


def read_status(value: Any) -> BrokerOrderStatus:
    """Return the status a word means; any case, `-` and blanks as `_`; else UNKNOWN (2.9)."""
    word = word_of(value)
    try:
        return BrokerOrderStatus(_STATUS_ALIASES.get(word, word))
    except ValueError:
        return BrokerOrderStatus.UNKNOWN


def checked_correlation_id(client_order_id: str) -> str:
    """Return the id if the broker can hold it.

    Raises:
        InvariantBroken: too long or outside the charset.
    """
    if _CORRELATION_ID.match(client_order_id) is None:
        raise InvariantBroken(
            f"a client order id must be 1-25 of [A-Za-z0-9_-], was {client_order_id!r}; not sent"
        )
    return client_order_id


def _checked_quantity(quantity: int, who: str) -> int:
    if quantity <= 0:
        raise InvariantBroken(f"{who}: quantity must be above zero, was {quantity}; not sent")
    return quantity


def _prices(order: OrderRequest | OrderModification) -> dict[str, Decimal]:
    prices: dict[str, Decimal] = {}
    for name, price, is_needed in (
        ("price", order.limit_price, order.order_type in _LIMIT_PRICED),
        ("triggerPrice", order.stop_price, order.order_type in _STOP_PRICED),
    ):
        if not is_needed and price is None:
            continue
        if not is_needed or price is None or not price.is_finite() or price <= 0:
            raise InvariantBroken(
                f"{order.client_order_id}: {order.order_type.value} with {name} {price}; not sent"
            )
        prices[name] = Decimal(decimal_text(price))
    return prices
