"""Order-update messages (dhanhq-v2.md 6.2, 6.3), in every casing and wording seen."""

from decimal import Decimal
from typing import Any

from squareoff.domain.orders import OrderType
from squareoff.simulator.catalogue import NO_EXPIRY
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.orders import BrokerOrder
from squareoff.simulator.rows import remaining_quantity
from squareoff.simulator.wire import clock_text

_PRODUCT_LETTERS = {
    "CNC": "C", "INTRADAY": "I", "MARGIN": "M", "MTF": "F", "CO": "V", "BO": "B",
}  # fmt: skip
_TYPE_WORDS = {
    OrderType.LIMIT: "LMT",
    OrderType.MARKET: "MKT",
    OrderType.STOP_LOSS: "SL",
    OrderType.STOP_LOSS_MARKET: "SLM",
}
# Keys that the documented sample leaves in camelCase while others are PascalCase.
_MIXED_CAMEL = frozenset({"orderNo", "status", "tradedQty", "correlationId"})


def order_alert(
    order: BrokerOrder, conduct: BrokerConduct, last_price: Decimal | None, word: str = ""
) -> dict[str, Any]:
    """Return one `order_alert` message of the order as it stands; `word` overrides the status."""
    values = _identity_part(order) | _quantity_part(order, conduct) | _time_part(order)
    values |= _instrument_part(order, last_price)
    values["status"] = status_word(word or order.status, conduct)
    values["reasonDescription"] = order.reason or conduct.healthy_reason
    if conduct.alert_correlation_id:
        values["correlationId"] = order.correlation_id or ""
    match conduct.alert_algo_order_number:
        case "empty":
            values["algoOrdNo"] = ""
        case "number":
            values["algoOrdNo"] = float(order.order_id)
        case "string":
            values["algoOrdNo"] = order.order_id
        case "absent":
            pass
    return {"Data": _cased(values, conduct), "Type": "order_alert"}


def status_word(status: str, conduct: BrokerConduct) -> str:
    """Return the socket's word for a REST status."""
    if status == "PART_TRADED":
        return conduct.alert_partial_word
    return status if conduct.alert_words == "upper" else status.title()


def _identity_part(order: BrokerOrder) -> dict[str, Any]:
    exchange, segment = order.listing.exchange_letters
    return {
        "exchange": exchange,
        "segment": segment,
        "source": order.source,
        "securityId": order.listing.instrument_id.security_id,
        "clientId": order.client_id,
        "exchOrderNo": order.exchange_order_id,
        "orderNo": order.order_id,
        "product": _PRODUCT_LETTERS[order.product_type.value],
        "productName": order.product_type.value,
        "txnType": order.side.value[0],
        "orderType": _TYPE_WORDS[order.shown_type],
        "validity": order.time_in_force.value,
        "offMktFlag": "1" if order.is_after_market else "0",
        "remarks": "NR",
        "mktType": "NL",
        "legNo": 1,
        "algoId": "0",
        "multiplier": 1,
        "goodTillDaysDate": "0001-01-01",
    }


def _quantity_part(order: BrokerOrder, conduct: BrokerConduct) -> dict[str, Any]:
    is_cumulative = conduct.alert_traded_quantity == "cumulative"
    return {
        "discQuantity": order.disclosed_quantity,
        "discQtyRem": order.disclosed_quantity,
        "remainingQuantity": remaining_quantity(order, conduct),
        "quantity": order.quantity,
        "tradedQty": order.filled_quantity if is_cumulative else order.last_fill_quantity,
        "price": float(order.price),
        "triggerPrice": float(order.trigger_price),
        "tradedPrice": float(order.last_fill_price),
        "avgTradedPrice": float(round(order.average_price, 4)),
    }


def _time_part(order: BrokerOrder) -> dict[str, Any]:
    return {
        "orderDateTime": clock_text(order.created_ns),
        "exchOrderTime": clock_text(order.exchange_ns),
        "lastUpdatedTime": clock_text(order.updated_ns),
    }


def _instrument_part(order: BrokerOrder, last_price: Decimal | None) -> dict[str, Any]:
    listing = order.listing
    instrument = listing.instrument
    has_expiry = listing.expiry != NO_EXPIRY
    return {
        "instrument": instrument.instrument_type,
        "symbol": listing.symbol,
        "displayName": listing.display_name,
        "isin": listing.isin,
        "series": listing.series,
        "lotSize": instrument.lot_size,
        "strikePrice": float(listing.strike or 0),
        "expiryDate": f"{listing.expiry} {'14:30:00' if has_expiry else '00:00:00'}",
        "optType": listing.option_type,
        "refLtp": float(last_price or 0),
        "tickSize": float(instrument.tick_size),
    }


def _cased(values: dict[str, Any], conduct: BrokerConduct) -> dict[str, Any]:
    match conduct.alert_keys:
        case "camel":
            return values
        case "pascal":
            return {_pascal(name): value for name, value in values.items()}
        case "mixed":
            return {
                name if name in _MIXED_CAMEL else _pascal(name): value
                for name, value in values.items()
            }


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]
