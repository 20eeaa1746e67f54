"""Translate order-update messages into our words.

Source: dhanhq-v2.md 6.2 (keys, mixed casing), 6.3 (status words), 11.3 (letters against words).

The documented spelling is PascalCase, the real one camelCase, samples mix both: keys are compared
in lower case. `tradedQty` is cumulative; the status word of a partial fill varies, so quantities
count and words hint.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from squareoff.adapters.broker.dhan.json_values import (
    Unreadable,
    average_of,
    load_json,
    name_of,
    optional_text_of,
    positive_price_of,
    quantity_of,
    text_of,
    time_of,
    word_of,
)
from squareoff.adapters.broker.dhan.wire import (
    SEGMENTS_BY_LETTER,
    UNFILLED_STATUSES,
    reason_of,
)
from squareoff.adapters.broker.dhan.wire_requests import read_status
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, ReportSource, Side

T = TypeVar("T")

_ORDER_ALERT = "order_alert"
_PRODUCTS = {
    "C": ProductType.CNC,
    "I": ProductType.INTRADAY,
    "M": ProductType.MARGIN,
    "F": ProductType.MTF,
    "V": ProductType.CO,
    "B": ProductType.BO,
} | {product.value: product for product in ProductType}
_SIDES = {"B": Side.BUY, "S": Side.SELL, "BUY": Side.BUY, "SELL": Side.SELL}


def read_update(text: str | bytes) -> OrderReport | None:
    """Read one message of the order-update socket.

    Returns:
        The report, or None for a message of another type, which concerns nobody.

    Raises:
        Unreadable: no JSON object, or an order alert that cannot be read.
    """
    content = load_json(text)
    if not isinstance(content, dict):
        raise Unreadable("no JSON object")
    message = _with_lower_keys(content)
    if word_of(message.get("type")).lower() != _ORDER_ALERT:
        return None
    order = message.get("data")
    if not isinstance(order, dict):
        raise Unreadable("an order alert must hold `data`")
    return _read_order(_with_lower_keys(order))


def _read_order(order: Mapping[str, Any]) -> OrderReport:
    status = read_status(order.get("status"))
    _refuse_contradiction(order, status)
    tag = optional_text_of(order, "correlationid")
    return OrderReport(
        broker_order_id=BrokerOrderId(name_of(order, "orderno")),
        client_order_id=None if tag is None else ClientOrderId(tag),
        status=status,
        instrument_id=InstrumentId(_segment_of(order), text_of(order, "securityid")),
        product_type=_member(_PRODUCTS, order, "product"),
        side=_member(_SIDES, order, "txntype"),
        order_quantity=quantity_of(order, "quantity"),
        cumulative_quantity=_traded_of(order, status),
        average_price=average_of(order, "avgtradedprice"),
        limit_price=positive_price_of(order, "price"),
        reason=reason_of(order, "reasondescription"),
        update_time_ns=time_of(order, "lastupdatedtime") or time_of(order, "exchordertime"),
        source=ReportSource.STREAM,
    )


def _refuse_contradiction(order: Mapping[str, Any], status: BrokerOrderStatus) -> None:
    """An order that ended with nothing traded, at a price at which it traded, is believed in
    neither: taken for an empty end, what it did close would be closed again. The order book tells.
    """
    if status.is_terminal and _traded_of(order, status) == 0:
        average = average_of(order, "avgtradedprice")
        if average is not None and average > 0:
            raise Unreadable(f"{status.value} with nothing traded, at an average of {average}")


def _traded_of(order: Mapping[str, Any], status: BrokerOrderStatus) -> int:
    if order.get("tradedqty") is None and status in UNFILLED_STATUSES:
        return 0
    return quantity_of(order, "tradedqty")


def _segment_of(order: Mapping[str, Any]) -> ExchangeSegment:
    pair = (word_of(order.get("exchange")), word_of(order.get("segment")))
    segment = SEGMENTS_BY_LETTER.get(pair)
    if segment is None:
        raise Unreadable(f"exchange and segment {pair!r:.60} are not known")
    return segment


def _member(members: Mapping[str, T], order: Mapping[str, Any], name: str) -> T:
    word = word_of(text_of(order, name))
    member = members.get(word)
    if member is None:
        raise Unreadable(f"{name} {word!r:.40} is not known")
    return member


def _with_lower_keys(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in content.items()}
