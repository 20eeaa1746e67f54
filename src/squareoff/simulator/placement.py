"""Check the body of a placement or modification as the broker does (dhanhq-v2.md 2.2, 2.3, 2.5).

Every refusal here is synchronous: nothing was taken. Order of checks as probed by third parties:
quantity present, then static IP, then instrument, then the rest.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypeVar

from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.orders import OrderChange, TimeInForce
from squareoff.exchange.rules import PRICED_TYPES, STOP_TYPES
from squareoff.simulator.catalogue import Listing
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.orders import BrokerOrder, Placement
from squareoff.simulator.wire import WireRefusal, refusal

BAD_INPUT = "Missing required fields, bad values for parameters etc."
TRANSACTION_FAILED = "Transaction has Failed"
QUANTITY_MAX = 2**31 - 1
"""The widest int of the broker's server; a wider one is an ill-typed value to it."""
_DIGITS_MAX = 15
"""Before the point; far above any price, and within what decimals of 28 digits divide exactly."""

_CHARSETS = {
    "safe": re.compile(r"[A-Za-z0-9_-]+"),
    "docs": re.compile(r"[A-Za-z0-9 _-]+"),
    "portal": re.compile(r"[A-Za-z0-9._-]+"),
}
_NULLABLE = {"boProfitValue", "boStopLossValue", "amoTime"}
_AMO_TIMES = ("PRE_OPEN", "OPEN", "OPEN_30", "OPEN_60")
_UNUSED_WORDS = {
    "legName": ("ENTRY_LEG", "TARGET_LEG", "STOP_LOSS_LEG", "NA"),
    "amoTime": _AMO_TIMES,
}
_UNUSED_NUMBERS = ("boProfitValue", "boStopLossValue", "disclosedQuantity")
"""Fields that do nothing here and are read all the same: an ill-typed one is refused."""

EnumType = TypeVar("EnumType", bound=Enum)


def bad_input() -> WireRefusal:
    """Return the broker's catch-all for shape faults, which names no field."""
    return refusal(400, "DH-905", BAD_INPUT)


def parse_placement(
    body: Mapping[str, Any], conduct: BrokerConduct, listings: Mapping[InstrumentId, Listing]
) -> Placement:
    """Return what the body asks for.

    Raises:
        WireRefusal: the broker refuses it; nothing was placed.
    """
    _check_shape(body, conduct)
    quantity = whole_number(body, "quantity", conduct)
    check_static_ip(conduct)
    placement = Placement(
        listing=_listing_of(body, listings),
        side=_word(body, "transactionType", Side),
        product_type=_word(body, "productType", ProductType),
        order_type=_word(body, "orderType", OrderType),
        time_in_force=_word(body, "validity", TimeInForce),
        quantity=quantity,
        disclosed_quantity=whole_number(body, "disclosedQuantity", conduct, default=0),
        price=_price(body, "price", conduct),
        trigger_price=_price(body, "triggerPrice", conduct),
        correlation_id=_correlation_id(body, conduct),
        is_after_market=_after_market(body),
    )
    _check_terms(placement, conduct)
    check_stop_side(placement.order_type, placement.side, placement.price, placement.trigger_price)
    return placement


def parse_change(
    body: Mapping[str, Any], order: BrokerOrder, conduct: BrokerConduct
) -> OrderChange:
    """Return the absolute target a modification asks for.

    Raises:
        WireRefusal: the broker refuses it; the order stands as it was.
    """
    _check_shape(body, conduct)
    if conduct.modify_partial_body == "keep":
        body = _kept_fields(order) | {k: v for k, v in body.items() if v is not None}
    order_type = _word(body, "orderType", OrderType)
    quantity = whole_number(body, "quantity", conduct)
    price = _price(body, "price", conduct)
    trigger = _price(body, "triggerPrice", conduct)
    _check_prices(order_type, price, trigger)
    check_stop_side(order_type, order.side, price, trigger)
    _check_lot(quantity, order.listing, conduct)
    return OrderChange(
        order_id=order.order_id,
        order_type=order_type,
        quantity=quantity,
        limit_price=price if order_type in PRICED_TYPES else None,
        stop_price=trigger if order_type in STOP_TYPES else None,
        time_in_force=_word(body, "validity", TimeInForce),
    )


def whole_number(
    body: Mapping[str, Any], name: str, conduct: BrokerConduct, *, default: int | None = None
) -> int:
    """Return a whole number of the body. Raises WireRefusal: missing, or no whole number."""
    if name not in body and default is not None:
        return default
    number = _number(body.get(name), conduct)
    if number != number.to_integral_value() or abs(number) > QUANTITY_MAX:
        raise bad_input()
    return int(number)


def check_static_ip(conduct: BrokerConduct) -> None:
    """Refuse where the caller's address is not registered (dhanhq-v2.md 1.5)."""
    if not conduct.static_ip_allowed:
        raise refusal(400, conduct.static_ip_code, "Invalid IP")


def check_stop_side(order_type: OrderType, side: Side, price: Decimal, trigger: Decimal) -> None:
    """Refuse a STOP_LOSS whose price is not strictly beyond its trigger."""
    if order_type is not OrderType.STOP_LOSS:
        return
    if side is Side.BUY and price <= trigger:
        raise refusal(400, "DH-906", "Price should be greater than trigger price")
    if side is Side.SELL and trigger <= price:
        raise refusal(400, "DH-906", "Trigger price should be greater than price")


def _kept_fields(order: BrokerOrder) -> dict[str, Any]:
    return {
        "orderType": order.shown_type.value,
        "quantity": order.quantity,
        "price": str(order.price),
        "triggerPrice": str(order.trigger_price),
        "validity": order.time_in_force.value,
    }


def _check_shape(body: Mapping[str, Any], conduct: BrokerConduct) -> None:
    for name, value in body.items():
        if value == "" and conduct.refuse_empty_strings:
            raise bad_input()
        if value is None and name not in _NULLABLE:
            raise bad_input()
    if not isinstance(body.get("dhanClientId"), str):
        raise bad_input()
    for name, words in _UNUSED_WORDS.items():
        if body.get(name, "") not in ("", None, *words):
            raise bad_input()
    for name in _UNUSED_NUMBERS:
        _price(body, name, conduct)


def _listing_of(body: Mapping[str, Any], listings: Mapping[InstrumentId, Listing]) -> Listing:
    segment = _word(body, "exchangeSegment", ExchangeSegment)
    security_id = body.get("securityId")
    if not isinstance(security_id, str) or not segment.is_tradable:
        raise bad_input()
    listing = listings.get(InstrumentId(segment, security_id))
    if listing is None:
        raise refusal(400, "DH-906", TRANSACTION_FAILED)
    return listing


def _check_terms(placement: Placement, conduct: BrokerConduct) -> None:
    if placement.quantity <= 0:
        raise bad_input()
    is_cash = placement.listing.instrument_id.exchange_segment.is_cash
    product = placement.product_type
    if product in (ProductType.CNC, ProductType.MTF) and not is_cash:
        raise bad_input()
    if product is ProductType.MARGIN and is_cash:
        raise bad_input()
    if product in (ProductType.CO, ProductType.BO):
        raise bad_input()
    if placement.order_type is OrderType.STOP_LOSS_MARKET and conduct.stop_loss_market == "refuse":
        raise refusal(400, "DH-906", "Trigger price should be greater than price")
    _check_prices(placement.order_type, placement.price, placement.trigger_price)
    _check_lot(placement.quantity, placement.listing, conduct)
    _check_disclosed(placement, conduct)


def _check_prices(order_type: OrderType, price: Decimal, trigger: Decimal) -> None:
    if order_type in PRICED_TYPES and price <= 0:
        raise bad_input()
    if order_type in STOP_TYPES and trigger <= 0:
        raise bad_input()


def _check_lot(quantity: int, listing: Listing, conduct: BrokerConduct) -> None:
    if conduct.check_lot_size == "refuse" and quantity % listing.instrument.lot_size:
        raise refusal(400, "DH-906", TRANSACTION_FAILED)


def _check_disclosed(placement: Placement, conduct: BrokerConduct) -> None:
    disclosed, tenths = placement.disclosed_quantity, placement.quantity * 3
    if disclosed == 0 or conduct.disclosed_quantity_rule == "off":
        return
    is_below = disclosed * 10 <= tenths
    if is_below == (conduct.disclosed_quantity_rule == "min_30"):
        raise bad_input()


def _correlation_id(body: Mapping[str, Any], conduct: BrokerConduct) -> str | None:
    tag = body.get("correlationId")
    if tag is None or tag == "":
        return None
    if not isinstance(tag, str) or len(tag) > conduct.correlation_id_length_max:
        raise bad_input()
    if not _CHARSETS[conduct.correlation_id_charset].fullmatch(tag):
        raise bad_input()
    return tag


def _after_market(body: Mapping[str, Any]) -> bool:
    flag = body.get("afterMarketOrder", False)
    if not isinstance(flag, bool):
        raise bad_input()
    if flag and body.get("amoTime") not in _AMO_TIMES:
        raise bad_input()
    return flag


def _word(body: Mapping[str, Any], name: str, words: type[EnumType]) -> EnumType:
    try:
        return words(body.get(name))
    except ValueError:
        raise bad_input() from None


def _number(value: Any, conduct: BrokerConduct) -> Decimal:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_text = isinstance(value, str) and conduct.accept_numeric_strings
    if not (is_number or is_text):
        raise bad_input()
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise bad_input() from None
    if not number.is_finite() or number.adjusted() >= _DIGITS_MAX:
        raise bad_input()
    return number


def _price(body: Mapping[str, Any], name: str, conduct: BrokerConduct) -> Decimal:
    value = body.get(name, 0)
    price = _number(0 if value in ("", None) else value, conduct)
    if price < 0:
        raise bad_input()
    return price
