"""REST writes: placing, slicing, modifying, cancelling, and closing everything (2, 3.2)."""

from dataclasses import replace

import msgspec

from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.ledger import ZERO, Trade
from squareoff.exchange.orders import TimeInForce
from squareoff.simulator.calls import Call
from squareoff.simulator.orders import Account, BrokerOrder, Placement
from squareoff.simulator.placement import (
    TRANSACTION_FAILED,
    bad_input,
    check_static_ip,
    parse_change,
    parse_placement,
    whole_number,
)
from squareoff.simulator.views import funds, margin, unsold_delivery
from squareoff.simulator.wire import WireResponse, decode_object, json_response, refusal

SLICES_MAX = 100
"""No more orders come of one call; the contract knows no bound, and a rehearsal must have one."""

DONE_ALREADY = "Order is already {status}, cannot be {action}"


def place(call: Call) -> WireResponse:
    """POST /orders: accept an order. Not idempotent: the same body twice is two orders."""
    placement = _checked_placement(call)
    tag = placement.correlation_id
    is_unique_needed = tag is not None and call.conduct.duplicate_correlation_id == "refuse"
    if is_unique_needed and call.account.orders_tagged(str(tag)):
        raise refusal(400, "DH-905", "Duplicate correlationId")
    for _ in range(call.decision.what.repeat):
        order = _accept(call, placement)
    return json_response(200, _order_answer(order, call))


def place_sliced(call: Call) -> WireResponse:
    """POST /orders/slicing: split a quantity above the freeze quantity into several orders."""
    placement = _checked_placement(call)
    answers = []
    for number, quantity in enumerate(_slices(placement), start=1):
        if number == call.conduct.slicing_fail_at:
            continue
        order = _accept(call, replace(placement, quantity=quantity))
        answers.append(_order_answer(order, call))
    is_array = call.conduct.slicing_answer == "array"
    return json_response(200, answers if is_array or not answers else answers[0])


def modify(call: Call, order_id: str) -> WireResponse:
    """PUT /orders/{order-id}: accept a new absolute target (total quantity)."""
    body = decode_object(call.request.body)
    order = _own_order(call, order_id)
    check_static_ip(call.conduct)
    _check_market_open(call, "Market is closed, cannot modify/cancel")
    if body.get("orderId", order_id) != order_id:
        raise bad_input()
    _check_live(order, "modified")
    if order.status == "TRANSIT" and call.conduct.modify_in_transit == "refuse":
        raise refusal(400, "DH-906", "Order is in transit state")
    change = parse_change(body, order, call.conduct)
    if order.modification_count >= call.conduct.modifications_max:
        raise refusal(400, "DH-906", "Maximum modification limit reached for the order")
    call.broker.desk.request_change(order, change, call.decision.what, call.now_ns)
    return json_response(200, {"orderId": order_id, "orderStatus": "TRANSIT"})


def cancel(call: Call, order_id: str) -> WireResponse:
    """DELETE /orders/{order-id}: accept a cancel request; the row tells what became of it."""
    order = _own_order(call, order_id)
    check_static_ip(call.conduct)
    _check_market_open(call, "Market is closed, cannot modify/cancel")
    _check_live(order, "cancelled")
    if order.status == "TRANSIT" and call.conduct.cancel_in_transit == "refuse":
        raise refusal(400, "DH-906", "Order is in transit state")
    call.broker.desk.request_cancel(order, call.decision.what, call.now_ns)
    match call.conduct.delete_answer:
        case "200_cancelled":
            return json_response(200, {"orderId": order_id, "orderStatus": "CANCELLED"})
        case "200_transit":
            return json_response(200, {"orderId": order_id, "orderStatus": "TRANSIT"})
        case "202_cancelled":
            return json_response(202, {"orderId": order_id, "orderStatus": "CANCELLED"})
        case "202_empty":
            return WireResponse(202, b"", {})


def exit_all(call: Call) -> WireResponse:
    """DELETE /positions: cancel every open order, then close every position by MARKET orders."""
    check_static_ip(call.conduct)
    desk = call.broker.desk
    for order in call.account.open_orders():
        desk.cancel_now(order, call.now_ns)
    for position in call.account.ledger.positions():
        if position.net_quantity:
            placement = Placement(
                listing=call.broker.days[position.instrument_id].listing,
                side=Side.SELL if position.net_quantity > 0 else Side.BUY,
                product_type=position.product_type,
                order_type=OrderType.MARKET,
                time_in_force=TimeInForce.DAY,
                quantity=abs(position.net_quantity),
                disclosed_quantity=0,
                price=ZERO,
                trigger_price=ZERO,
                correlation_id=None,
                is_after_market=False,
            )
            desk.place(call.account, placement, call.decision.what, call.now_ns)
    return json_response(200, {"status": "SUCCESS", "message": "All positions exited"})


def convert_position(call: Call) -> WireResponse:
    """POST /positions/convert: move quantity between products; 202 without a body."""
    body = decode_object(call.request.body)
    try:
        segment = ExchangeSegment(body["exchangeSegment"])
        identity = InstrumentId(segment, str(body["securityId"]))
        products = ProductType(body["fromProductType"]), ProductType(body["toProductType"])
    except (KeyError, TypeError, ValueError):
        raise bad_input() from None
    quantity = whole_number(body, "convertQty", call.conduct)
    if identity not in call.broker.days:
        raise refusal(400, "DH-906", TRANSACTION_FAILED)
    held = call.account.ledger.position(identity, products[0])
    if quantity <= 0 or quantity > abs(held.net_quantity):
        raise refusal(400, "DH-906", "Quantity to convert exceeds the position")
    is_long, price = held.net_quantity > 0, held.cost_price
    for product, side in zip(
        products, (Side.SELL, Side.BUY) if is_long else (Side.BUY, Side.SELL), strict=True
    ):
        trade_id = f"convert-{len(call.account.trades)}-{product.value}-{call.now_ns}"
        trade = Trade(trade_id, "", identity, product, side, quantity, price, call.now_ns, True)
        call.broker.desk.post(call.account, trade)
    return WireResponse(202, b"", {})


def _checked_placement(call: Call) -> Placement:
    body = decode_object(call.request.body)
    if call.account.kill_switch_is_on:
        raise refusal(400, "DH-906", "Kill switch is active, trading is disabled for the day")
    placement = parse_placement(body, call.conduct, call.broker.listings())
    if not placement.is_after_market:
        _check_market_open(call, "Market is closed")
    return placement


def _accept(call: Call, placement: Placement) -> BrokerOrder:
    what = call.decision.what
    if call.conduct.funds_check != "off" and _lacks_funds(call, placement):
        if call.conduct.funds_check == "refuse":
            raise refusal(400, "DH-906", "Insufficient funds")
        what = msgspec.structs.replace(what, reject="Insufficient funds")
    return call.broker.desk.place(call.account, placement, what, call.now_ns)


def _lacks_funds(call: Call, placement: Placement) -> bool:
    """Say whether the order opens more than the funds allow; what it closes needs none."""
    opened = placement.quantity - _closable(call.account, placement)
    if opened <= 0:
        return False
    last_price = call.broker.engine.last_price(placement.listing.instrument_id) or ZERO
    needed = margin(placement.listing, opened, placement.price or last_price)
    row = funds(call.account, call.conduct, call.broker.days)
    return float(needed) > float(row["availabelBalance"])


def _closable(account: Account, placement: Placement) -> int:
    """Return how much of what is held an order of this side can close."""
    key = placement.listing.instrument_id, placement.product_type
    net = account.ledger.position(*key).net_quantity
    if placement.side is Side.BUY:
        return max(0, -net)
    return max(0, net) + unsold_delivery(account, *key)


def _slices(placement: Placement) -> list[int]:
    instrument = placement.listing.instrument
    freeze = instrument.freeze_quantity
    if freeze is None:
        return [placement.quantity]
    largest = freeze - freeze % instrument.lot_size
    whole, rest = divmod(placement.quantity, largest)
    if whole + bool(rest) > SLICES_MAX:
        raise bad_input()
    return [largest] * whole + ([rest] if rest else [])


def _order_answer(order: BrokerOrder, call: Call) -> dict[str, str]:
    return {"orderId": order.order_id, "orderStatus": call.conduct.placement_status}


def _own_order(call: Call, order_id: str) -> BrokerOrder:
    order = call.account.orders.get(order_id)
    if order is None:
        raise refusal(400, "DH-906", "Incorrect order id")
    return order


def _check_live(order: BrokerOrder, action: str) -> None:
    if order.is_terminal:
        text = DONE_ALREADY.format(status=order.status.lower(), action=action)
        raise refusal(400, "DH-906", text)


def _check_market_open(call: Call, text: str) -> None:
    if call.conduct.market_hours == "closed":
        raise refusal(400, "DH-906", text)
