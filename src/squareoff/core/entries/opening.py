"""Take a position under watch, or decide on an entry order: checks, and the first facts."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from squareoff.core.exits.client_order_ids import client_order_id
from squareoff.core.rules.rule_checks import RuledPosition, rule_faults
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import EntryWatched, OrderPlanned, TrackerFact, TrackerOpened
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import FieldFault
from squareoff.domain.ids import AccountId, BrokerOrderId, TrackerId
from squareoff.domain.instruments import (
    SECURITY_ID_MAX,
    Instrument,
    PositionKey,
    ProductType,
)
from squareoff.domain.orders import OrderOrigin, OrderRole, OrderType, PositionSide
from squareoff.domain.prices import is_on_tick
from squareoff.domain.rules import RuleSet

QUANTITY_MAX = 10_000_000
"""No retail position comes near this; a larger number is a slip of the hand."""


@dataclass(frozen=True, slots=True)
class NewPosition:
    """A position to take under watch, or to enter.

    With `entry_order_id` the position waits for that broker order's fills. With `entry_order_type`
    an entry order of ours is planned; `entry_price` is then its limit price (or 0 for MARKET).
    """

    tracker_id: TrackerId
    account_id: AccountId
    instrument: Instrument
    product_type: ProductType
    side: PositionSide
    quantity: int
    entry_price: Decimal
    rules: RuleSet
    entry_order_id: BrokerOrderId | None = None
    entry_order_type: OrderType | None = None

    @property
    def key(self) -> PositionKey:
        """The position at the broker that it speaks of."""
        return PositionKey(self.account_id, self.instrument.instrument_id, self.product_type)


def opening_faults(
    position: NewPosition, reference_price: Decimal | None
) -> tuple[FieldFault, ...]:
    """Return every fault of a position to be opened, each naming its field.

    Of an entry that is yet to be placed `reference_price` is the last price, None where none is
    known: it is judged by `price_at_entry`.
    """
    faults = [*_basic_faults(position)]
    if not faults:
        ruled = RuledPosition(
            position.instrument, position.side, position.entry_price, position.quantity
        )
        if position.entry_order_type is OrderType.LIMIT:
            reference_price = price_at_entry(position.side, position.entry_price, reference_price)
        faults.extend(rule_faults(position.rules, ruled, reference_price))
    return tuple(faults)


def price_at_entry(side: PositionSide, limit: Decimal, last_price: Decimal | None) -> Decimal:
    """Return the price at which a limit order that waits for its entry would be held, rupees: its
    limit, or the last price where that is better already."""
    if last_price is None:
        return limit
    return min(limit, last_price) if side is PositionSide.LONG else max(limit, last_price)


def _basic_faults(position: NewPosition) -> Iterator[FieldFault]:
    instrument = position.instrument
    if not instrument.instrument_id.exchange_segment.is_tradable:
        yield FieldFault("exchange_segment", "index values cannot be held or traded")
    product = position.product_type
    if product.has_legs:
        yield FieldFault(
            "product_type",
            f"{product.value} positions are closed by legs of their own, in the broker's app",
        )
    if product.is_delivered and not instrument.instrument_id.exchange_segment.is_cash:
        yield FieldFault("product_type", f"{product.value} exists only in the cash segments")
    yield from _instrument_faults(instrument)
    if not 0 < position.quantity <= QUANTITY_MAX:
        yield FieldFault(
            "quantity", f"must be from 1 to {QUANTITY_MAX} units, was {position.quantity}"
        )
    elif instrument.lot_size > 0 and position.quantity % instrument.lot_size:
        yield FieldFault(
            "quantity",
            f"must be a multiple of the lot size {instrument.lot_size}, was {position.quantity}",
        )
    elif _is_beyond_one_order(position):
        yield FieldFault(
            "quantity",
            f"one order may carry at most {instrument.freeze_quantity} units (the freeze quantity),"
            f" was {position.quantity}: enter in parts",
        )
    yield from _entry_price_faults(position)


def _is_beyond_one_order(position: NewPosition) -> bool:
    """An exit is sliced by the freeze quantity; an entry is one order, and its tracker is its."""
    freeze = position.instrument.freeze_quantity
    is_entry = position.entry_order_type is not None
    return is_entry and freeze is not None and position.quantity > freeze


def _instrument_faults(instrument: Instrument) -> Iterator[FieldFault]:
    """Check what every later step divides by, and that the market feed can name it."""
    if not instrument.instrument_id.is_nameable:
        yield FieldFault("security_id", f"must be a number from 0 to {SECURITY_ID_MAX}")
    if instrument.lot_size <= 0:
        yield FieldFault("lot_size", f"must be above zero, was {instrument.lot_size}")
    if instrument.tick_units <= 0:
        yield FieldFault("tick_size", f"must be at least 0.0001, was {instrument.tick_size}")
    freeze = instrument.freeze_quantity
    if freeze is not None and freeze < instrument.lot_size:
        yield FieldFault(
            "freeze_quantity", f"must be at least one lot of {instrument.lot_size}, was {freeze}"
        )


def _entry_price_faults(position: NewPosition) -> Iterator[FieldFault]:
    instrument = position.instrument
    is_market_entry = position.entry_order_type is OrderType.MARKET
    field = "entry_price" if position.entry_order_type is None else "limit_price"
    if is_market_entry:
        return
    if position.entry_price <= 0:
        yield FieldFault(field, f"must be above zero, was {position.entry_price}")
    elif (
        position.entry_order_type is not None
        and instrument.tick_units > 0
        and not is_on_tick(position.entry_price, instrument.tick_size)
    ):
        yield FieldFault(
            field,
            f"must be a multiple of the tick {instrument.tick_size}, was {position.entry_price}",
        )


def open_position(
    position: NewPosition, at_ns: int
) -> tuple[PositionTracker, tuple[TrackerFact, ...]]:
    """Return the new tracker and its first facts; the position was checked before."""
    awaits_entry = position.entry_order_id is not None or position.entry_order_type is not None
    facts: list[TrackerFact] = [
        TrackerOpened(
            tracker_id=position.tracker_id,
            account_id=position.account_id,
            instrument=position.instrument,
            product_type=position.product_type,
            side=position.side,
            quantity=0 if awaits_entry else position.quantity,
            entry_price=position.entry_price,
            rules=position.rules,
            awaits_entry=awaits_entry,
        )
    ]
    if awaits_entry:
        facts.append(_entry_fact(position))
    tracker: PositionTracker | None = None
    for fact in facts:
        tracker = evolve(tracker, fact, at_ns)
    assert tracker is not None, "at least one fact was folded"
    return tracker, tuple(facts)


def _entry_fact(position: NewPosition) -> EntryWatched | OrderPlanned:
    order_id = client_order_id(
        position.account_id, position.tracker_id, OrderRole.ENTRY, attempt=1, slice_number=1
    )
    if position.entry_order_id is not None:
        return EntryWatched(
            position.tracker_id,
            order_id,
            position.entry_order_id,
            position.side.entry_order_side,
            position.quantity,
        )
    assert position.entry_order_type is not None, "an entry has a type"
    is_market = position.entry_order_type is OrderType.MARKET
    return OrderPlanned(
        tracker_id=position.tracker_id,
        client_order_id=order_id,
        role=OrderRole.ENTRY,
        origin=OrderOrigin.PLACED,
        attempt=1,
        slice_number=1,
        side=position.side.entry_order_side,
        order_quantity=position.quantity,
        order_type=position.entry_order_type,
        limit_price=None if is_market else position.entry_price,
    )
