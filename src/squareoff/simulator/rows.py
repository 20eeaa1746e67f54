"""JSON rows of the broker's reads, with their exact keys and sentinels (dhanhq-v2.md 2.7 - 3.4)."""

from decimal import Decimal
from typing import Any

from squareoff.domain.instruments import ExchangeSegment
from squareoff.exchange.ledger import Position, Trade
from squareoff.simulator.catalogue import NO_EXPIRY, Listing
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.orders import BrokerOrder, Delivery
from squareoff.simulator.wire import clock_text

_OPTION_WORDS = {"CE": "CALL", "PE": "PUT"}
_PAISE = Decimal("0.01")
_NUMBER_TEXT_KEYS = frozenset(
    {"price", "triggerPrice", "averageTradedPrice", "quantity", "filledQty", "remainingQuantity"}
)


def order_row(order: BrokerOrder, conduct: BrokerConduct) -> dict[str, Any]:
    """Return the order as GET /orders shows it now; the row is shared and never changed."""
    look = _look(conduct)
    row = order.shown.get(look)
    if row is None:
        row = order.shown[look] = _order_row(order, conduct)
    return row


def _look(conduct: BrokerConduct) -> tuple[object, ...]:
    """Return everything of the conduct that rows depend on."""
    return (
        conduct.times_in_utc,
        conduct.healthy_reason,
        conduct.healthy_error_code,
        conduct.missing_option_type,
        conduct.missing_expiry,
        conduct.modified_row_word,
        conduct.numbers_as_strings,
        conduct.remaining_after_end,
        conduct.correlation_id_when_missing,
    )


def _order_row(order: BrokerOrder, conduct: BrokerConduct) -> dict[str, Any]:
    row = {
        "dhanClientId": order.client_id,
        "orderId": order.order_id,
        "exchangeOrderId": order.exchange_order_id,
        "correlationId": _shown_tag(order, conduct),
        "orderStatus": _shown_status(order, conduct),
        "transactionType": order.side.value,
        "exchangeSegment": order.listing.instrument_id.exchange_segment.value,
        "productType": order.product_type.value,
        "orderType": order.shown_type.value,
        "validity": order.time_in_force.value,
        "tradingSymbol": order.listing.instrument.trading_symbol,
        "securityId": order.listing.instrument_id.security_id,
        "quantity": order.quantity,
        "disclosedQuantity": order.disclosed_quantity,
        "price": float(order.price),
        "triggerPrice": float(order.trigger_price),
        "afterMarketOrder": order.is_after_market,
        "boProfitValue": 0.0,
        "boStopLossValue": 0.0,
        "legName": "NA",
        "createTime": clock_text(order.created_ns, in_utc=conduct.times_in_utc),
        "updateTime": clock_text(order.updated_ns, in_utc=conduct.times_in_utc),
        "exchangeTime": clock_text(order.exchange_ns, in_utc=conduct.times_in_utc),
        **_derivative_part(order.listing, conduct),
        "omsErrorCode": conduct.healthy_error_code if order.error_code == "0" else order.error_code,
        "omsErrorDescription": order.reason or conduct.healthy_reason,
        "algoId": "0",
        "remainingQuantity": remaining_quantity(order, conduct),
        "averageTradedPrice": float(round(order.average_price, 4)),
        "filledQty": order.filled_quantity,
    }
    return with_number_texts(row) if conduct.numbers_as_strings else row


def with_number_texts(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with its quantities and prices as strings, as some samples show them."""
    return {k: str(v) if k in _NUMBER_TEXT_KEYS else v for k, v in row.items()}


def remaining_quantity(order: BrokerOrder, conduct: BrokerConduct) -> int:
    """Return the row's rest, which is no good source for fills (dhanhq-v2.md 2.7)."""
    rest = order.quantity - order.filled_quantity
    if conduct.remaining_after_end == "observed" and order.status in ("CANCELLED", "EXPIRED"):
        return 0
    return rest


def trade_row(trade: Trade, order: BrokerOrder, conduct: BrokerConduct) -> dict[str, Any]:
    """Return one fill as GET /trades shows it; it carries no correlation id.

    The row is shared and never changed.
    """
    looks = conduct.times_in_utc, conduct.missing_option_type, conduct.missing_expiry
    look = (trade.trade_id, *looks)
    row = order.shown.get(look)
    if row is None:
        row = order.shown[look] = _trade_row(trade, order, conduct)
    return row


def _trade_row(trade: Trade, order: BrokerOrder, conduct: BrokerConduct) -> dict[str, Any]:
    time_text = clock_text(trade.time_ns, in_utc=conduct.times_in_utc)
    return {
        "dhanClientId": order.client_id,
        "orderId": order.order_id,
        "exchangeOrderId": order.exchange_order_id,
        "exchangeTradeId": trade.trade_id,
        "transactionType": trade.side.value,
        "exchangeSegment": trade.instrument_id.exchange_segment.value,
        "productType": trade.product_type.value,
        "orderType": order.shown_type.value,
        "tradingSymbol": order.listing.instrument.trading_symbol,
        "customSymbol": None,
        "securityId": trade.instrument_id.security_id,
        "tradedQuantity": trade.quantity,
        "tradedPrice": float(trade.price),
        "createTime": time_text,
        "updateTime": time_text,
        "exchangeTime": time_text,
        **_derivative_part(order.listing, conduct),
    }


def position_row(
    position: Position,
    listing: Listing,
    client_id: str,
    last_price: Decimal | None,
    conduct: BrokerConduct,
) -> dict[str, Any]:
    """Return one position as GET /positions shows it."""
    net = position.net_quantity
    return {
        "dhanClientId": client_id,
        "tradingSymbol": listing.instrument.trading_symbol,
        "securityId": listing.instrument_id.security_id,
        "positionType": "LONG" if net > 0 else "SHORT" if net < 0 else "CLOSED",
        "exchangeSegment": listing.instrument_id.exchange_segment.value,
        "productType": position.product_type.value,
        "buyAvg": _money(position.buy_average),
        "costPrice": _money(position.cost_price),
        "buyQty": position.buy_quantity,
        "sellAvg": _money(position.sell_average),
        "sellQty": position.sell_quantity,
        "netQty": net,
        "realizedProfit": _money(position.realized_profit),
        "unrealizedProfit": _money(position.unrealized_profit(last_price)),
        "rbiReferenceRate": 0.0,
        "multiplier": 1,
        "carryForwardBuyQty": position.carried_buy_quantity,
        "carryForwardSellQty": position.carried_sell_quantity,
        "carryForwardBuyValue": float(position.carried_buy_value),
        "carryForwardSellValue": float(position.carried_sell_value),
        "dayBuyQty": position.day_buy_quantity,
        "daySellQty": position.day_sell_quantity,
        "dayBuyValue": float(position.day_buy_value),
        "daySellValue": float(position.day_sell_value),
        **_derivative_part(listing, conduct),
        "crossCurrency": False,
    }


def holding_row(
    listing: Listing,
    conduct: BrokerConduct,
    cnc: tuple[Delivery, int],
    mtf: tuple[Delivery, int],
    last_price: Decimal | None,
) -> dict[str, Any]:
    """Return one row of GET /holdings; each product comes with how much was sold of it today."""
    (delivery, sold), (funded, funded_sold) = cnc, mtf
    available_fall = 0 if conduct.holdings_after_sale == "stay" else sold
    fall = sold if conduct.holdings_after_sale == "all_fall" else 0
    total = delivery.quantity - fall
    bought_yesterday = min(delivery.bought_yesterday, total)
    return {
        "exchange": "ALL",
        "tradingSymbol": listing.instrument.trading_symbol,
        "securityId": listing.instrument_id.security_id,
        "isin": listing.isin,
        "totalQty": total,
        "dpQty": total - bought_yesterday,
        "t1Qty": bought_yesterday,
        "availableQty": delivery.quantity - available_fall,
        "collateralQty": 0,
        "avgCostPrice": _money(delivery.average_price),
        "lastTradedPrice": float(last_price or 0),
        "mtf_tq_qty": 0,
        "mtf_qty": funded.quantity - (0 if fall == available_fall == 0 else funded_sold),
    }


def funds_row(client_id: str, start_of_day: Decimal, used: Decimal) -> dict[str, Any]:
    """Return GET /fundlimit, with the wire's own spelling (dhanhq-v2.md 3.4)."""
    return {
        "dhanClientId": client_id,
        "availabelBalance": _money(start_of_day - used),
        "sodLimit": _money(start_of_day),
        "collateralAmount": 0.0,
        "receiveableAmount": 0.0,
        "utilizedAmount": _money(used),
        "blockedPayoutAmount": 0.0,
        "withdrawableBalance": _money(start_of_day - used),
    }


def segment_is_derivative(segment: ExchangeSegment) -> bool:
    """Say whether instruments of this segment carry an expiry."""
    return not segment.is_cash and segment is not ExchangeSegment.IDX_I


def _derivative_part(listing: Listing, conduct: BrokerConduct) -> dict[str, Any]:
    has_expiry = listing.expiry != NO_EXPIRY
    return {
        "drvExpiryDate": listing.expiry if has_expiry else conduct.missing_expiry,
        "drvOptionType": _OPTION_WORDS.get(listing.option_type, conduct.missing_option_type),
        "drvStrikePrice": float(listing.strike or 0),
    }


def _shown_status(order: BrokerOrder, conduct: BrokerConduct) -> str:
    """Return the status; a live order that was modified may show a word nobody defines (2.9)."""
    is_modified = order.modification_count > 0 and order.status == order.open_status
    return conduct.modified_row_word or order.status if is_modified else order.status


def _shown_tag(order: BrokerOrder, conduct: BrokerConduct) -> str:
    if order.correlation_id is not None:
        return order.correlation_id
    if conduct.correlation_id_when_missing == "invented":
        return f"{order.client_id}-{order.created_ns // 1_000_000}"
    return "NA"


def _money(amount: Decimal) -> float:
    return float(round(amount, 4)) if amount % _PAISE else float(amount)
