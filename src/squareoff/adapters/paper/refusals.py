"""What the paper broker refuses in its answer to the call, in the words of the live one.

Source: dhanhq-v2.md 2.2, 2.5, 9.3. What the exchange checks (tick, freeze quantity, circuit limits,
stop side) is accepted here and becomes a REJECTED order, as at the live broker.
"""

from squareoff.adapters.paper.orders import PaperOrder
from squareoff.domain.errors import BrokerRejected
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import OrderModification, OrderRequest
from squareoff.exchange.rules import PRICED_TYPES, STOP_TYPES

BAD_INPUT_CODE = "DH-905"
ORDER_ERROR_CODE = "DH-906"
MODIFICATIONS_MAX = 25
"""The broker's limit per order (dhanhq-v2.md 2.5)."""


def check_market_is_open(is_open: bool, what: str) -> None:
    """Refuse while the exchange is closed.

    Raises:
        BrokerRejected: it is closed; nothing was taken.
    """
    if not is_open:
        raise _refusal(ORDER_ERROR_CODE, f"{what}: Market is closed")


def check_placement(request: OrderRequest, instrument: Instrument | None) -> Instrument:
    """Return the instrument of an order that may be taken.

    Raises:
        BrokerRejected: the order is refused; nothing was taken.
    """
    what = f"place order {request.client_order_id}"
    if instrument is None or not instrument.instrument_id.exchange_segment.is_tradable:
        text = f"instrument {request.key.instrument_id} is not known or not tradable"
        raise _refusal(ORDER_ERROR_CODE, f"{what}: {text}")
    _check_terms(what, request, instrument)
    return instrument


def check_modification(
    modification: OrderModification, order: PaperOrder | None, instrument: Instrument | None
) -> PaperOrder:
    """Return the live order that a modification may be passed on for.

    Raises:
        BrokerRejected: the change is refused; the order stands as it was.
    """
    what = f"modify order {modification.broker_order_id}"
    found = check_is_live(what, order)
    assert instrument is not None, "the instrument of a live order is listed"
    _check_terms(what, modification, instrument)
    if found.modification_count >= MODIFICATIONS_MAX:
        raise _refusal(
            ORDER_ERROR_CODE, f"{what}: Maximum modification limit reached for the order"
        )
    return found


def check_is_live(what: str, order: PaperOrder | None) -> PaperOrder:
    """Return the order while it can still change.

    Raises:
        BrokerRejected: there is no such order, or it has ended.
    """
    if order is None:
        raise _refusal(ORDER_ERROR_CODE, f"{what}: Incorrect order id")
    if order.is_terminal:
        raise _refusal(ORDER_ERROR_CODE, f"{what}: Order is already {order.status.value.lower()}")
    return order


def _check_terms(
    what: str, terms: OrderRequest | OrderModification, instrument: Instrument
) -> None:
    if terms.order_quantity <= 0:
        text = f"quantity must be above zero, was {terms.order_quantity}"
        raise _refusal(BAD_INPUT_CODE, f"{what}: {text}")
    if terms.order_type in PRICED_TYPES and (terms.limit_price is None or terms.limit_price <= 0):
        raise _refusal(BAD_INPUT_CODE, f"{what}: a limit price above zero is needed")
    if terms.order_type in STOP_TYPES and (terms.stop_price is None or terms.stop_price <= 0):
        raise _refusal(BAD_INPUT_CODE, f"{what}: a trigger price above zero is needed")
    if terms.order_quantity % instrument.lot_size:
        text = f"quantity {terms.order_quantity} is no multiple of lot size {instrument.lot_size}"
        raise _refusal(ORDER_ERROR_CODE, f"{what}: {text}")


def _refusal(code: str, text: str) -> BrokerRejected:
    return BrokerRejected(text, code=code, text=text)
