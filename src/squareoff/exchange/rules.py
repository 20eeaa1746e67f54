"""What the exchange refuses, and how it protects market orders.

Sources: dhanhq-v2.md 2.4 (protection slabs: Dhan's forum table of 2024 for options, confirmed once
live in July 2026; a third party's table for equities and futures), 13.4 (rules to enforce).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import OrderType, Side
from squareoff.domain.prices import is_on_tick, round_to_tick_down, round_to_tick_up
from squareoff.exchange.orders import NewOrder, OrderChange


class RejectCode(str, Enum):
    """Why the exchange refuses."""

    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNKNOWN_ORDER = "unknown_order"
    QUANTITY = "quantity"
    LOT_SIZE = "lot_size"
    FREEZE_QUANTITY = "freeze_quantity"
    TICK_SIZE = "tick_size"
    CIRCUIT = "circuit"
    PRICE_MISSING = "price_missing"
    TRIGGER_SIDE = "trigger_side"
    NO_REFERENCE_PRICE = "no_reference_price"
    MARKET_ORDER = "market_order"
    HALTED = "halted"
    DUPLICATE_ORDER = "duplicate_order"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason to refuse, with a sentence for a person."""

    code: RejectCode
    text: str


class MarketPolicy(str, Enum):
    """What becomes of a MARKET order."""

    PROTECT = "PROTECT"
    """It becomes a LIMIT at a protection price and may rest."""
    PLAIN = "PLAIN"
    """It takes any price, as before 2026-03-21."""
    REJECT = "REJECT"
    """It is refused."""


class StopMarketPolicy(str, Enum):
    """What becomes of a STOP_LOSS_MARKET order (dhanhq-v2.md 2.4)."""

    WAIT = "WAIT"
    """It waits for its trigger, then behaves as a MARKET order."""
    IMMEDIATE = "IMMEDIATE"
    """It loses its trigger and acts at once as a LIMIT (seen live)."""


@dataclass(frozen=True, slots=True)
class ProtectionSlab:
    """For prices up to `price_max` (None: all others) the protection is `percent` of the price."""

    price_max: Decimal | None
    percent: Decimal


OPTION_SLABS = (
    ProtectionSlab(Decimal("50"), Decimal("20")),
    ProtectionSlab(Decimal("200"), Decimal("10")),
    ProtectionSlab(Decimal("1000"), Decimal("5")),
    ProtectionSlab(None, Decimal("2")),
)
OTHER_SLABS = (
    ProtectionSlab(Decimal("100"), Decimal("2")),
    ProtectionSlab(Decimal("500"), Decimal("1")),
    ProtectionSlab(None, Decimal("0.5")),
)


@dataclass(frozen=True, slots=True)
class MatchingRules:
    """How this exchange matches and what it checks.

    `quantity_per_print` is what one price print offers on each side where there is no depth, in
    units; None means any quantity.
    """

    quantity_per_print: int | None = None
    market_policy: MarketPolicy = MarketPolicy.PROTECT
    stop_market_policy: StopMarketPolicy = StopMarketPolicy.WAIT
    option_slabs: tuple[ProtectionSlab, ...] = OPTION_SLABS
    other_slabs: tuple[ProtectionSlab, ...] = OTHER_SLABS
    checks: frozenset[RejectCode] = field(default_factory=lambda: frozenset(RejectCode))


STOP_TYPES = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_MARKET)
"""Order types that wait for a trigger price."""
PRICED_TYPES = (OrderType.LIMIT, OrderType.STOP_LOSS)
"""Order types that carry a limit price."""


def find_refusal(
    order: NewOrder | OrderChange, side: Side, instrument: Instrument, rules: MatchingRules
) -> Refusal | None:
    """Return why the exchange refuses this order or change, or None where it takes it.

    A missing price is always refused; the other reasons only where `rules.checks` names them.
    """
    missing = _missing_price(order)
    if missing is not None:
        return missing
    refusals = (
        *_quantity_refusals(order, instrument),
        *_price_refusals(order, instrument),
        *_trigger_refusals(order, side),
    )
    return next((refusal for refusal in refusals if refusal.code in rules.checks), None)


def _missing_price(order: NewOrder | OrderChange) -> Refusal | None:
    if order.order_type in PRICED_TYPES and (order.limit_price is None or order.limit_price <= 0):
        return Refusal(RejectCode.PRICE_MISSING, "A limit price above zero is needed")
    if order.order_type in STOP_TYPES and (order.stop_price is None or order.stop_price <= 0):
        return Refusal(RejectCode.PRICE_MISSING, "A trigger price above zero is needed")
    return None


def _quantity_refusals(order: NewOrder | OrderChange, instrument: Instrument) -> Iterator[Refusal]:
    if order.quantity <= 0:
        yield Refusal(RejectCode.QUANTITY, f"Quantity must be above zero, was {order.quantity}")
    if order.quantity % instrument.lot_size:
        text = f"Quantity {order.quantity} is not a multiple of lot size {instrument.lot_size}"
        yield Refusal(RejectCode.LOT_SIZE, text)
    freeze = instrument.freeze_quantity
    if freeze is not None and order.quantity > freeze:
        text = f"Quantity {order.quantity} exceeds the freeze quantity {freeze}"
        yield Refusal(RejectCode.FREEZE_QUANTITY, text)


def _price_refusals(order: NewOrder | OrderChange, instrument: Instrument) -> Iterator[Refusal]:
    for price in (order.limit_price, order.stop_price):
        if price and not is_on_tick(price, instrument.tick_size):
            text = f"Price {price} is not a multiple of the tick size {instrument.tick_size}"
            yield Refusal(RejectCode.TICK_SIZE, text)
    price, lower, upper = order.limit_price, instrument.lower_circuit, instrument.upper_circuit
    if order.order_type not in PRICED_TYPES or price is None:
        return
    if (lower is not None and price < lower) or (upper is not None and price > upper):
        text = f"Price {price} is outside the circuit limits {lower} to {upper}"
        yield Refusal(RejectCode.CIRCUIT, text)


def _trigger_refusals(order: NewOrder | OrderChange, side: Side) -> Iterator[Refusal]:
    limit_price, stop_price = order.limit_price, order.stop_price
    if order.order_type is not OrderType.STOP_LOSS or limit_price is None or stop_price is None:
        return
    if side is Side.BUY and limit_price <= stop_price:
        yield Refusal(RejectCode.TRIGGER_SIDE, "BUY stop: price must exceed trigger price")
    if side is Side.SELL and limit_price >= stop_price:
        yield Refusal(RejectCode.TRIGGER_SIDE, "SELL stop: trigger price must exceed price")


def protected_limit(
    side: Side, reference: Decimal, instrument: Instrument, rules: MatchingRules
) -> Decimal:
    """Return the limit price of a MARKET order converted at `reference` (rupees, last price).

    On the tick grid, rounded toward the reference, inside the circuit limits.
    """
    slabs = rules.option_slabs if _is_option(instrument) else rules.other_slabs
    percent = next(
        slab.percent for slab in slabs if slab.price_max is None or reference <= slab.price_max
    )
    tick, offset = instrument.tick_size, reference * percent / 100
    if side is Side.BUY:
        price = round_to_tick_down(reference + offset, tick)
        return price if instrument.upper_circuit is None else min(price, instrument.upper_circuit)
    price = max(round_to_tick_up(reference - offset, tick), tick)
    return price if instrument.lower_circuit is None else max(price, instrument.lower_circuit)


def _is_option(instrument: Instrument) -> bool:
    return instrument.instrument_type.startswith("OPT")
