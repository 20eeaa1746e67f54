"""What can be asked of the desk: positions and entries in the caller's words, and its refusals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from squareoff.core.entries.opening import NewPosition
from squareoff.domain.errors import DomainError, FieldFault
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
from squareoff.domain.orders import BrokerPosition, OrderType, PositionSide
from squareoff.domain.rules import NO_RULES, RuleSet
from squareoff.ports import InstrumentSource, KillSwitchState


@dataclass(frozen=True, slots=True)
class PositionRequest:
    """A position to take under watch, as asked for from outside.

    Instrument terms are needed only where the instrument master does not hold the instrument;
    where both speak, the master's word counts. Prices in rupees, quantity in units.
    """

    exchange_segment: ExchangeSegment
    security_id: str
    product_type: ProductType
    side: PositionSide
    quantity: int
    entry_price: Decimal
    rules: RuleSet = NO_RULES
    trading_symbol: str | None = None
    lot_size: int | None = None
    tick_size: Decimal | None = None
    freeze_quantity: int | None = None
    entry_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class EntryRequest:
    """An entry order to place together with its tracker. `limit_price` is None for MARKET."""

    exchange_segment: ExchangeSegment
    security_id: str
    product_type: ProductType
    side: PositionSide
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None = None
    rules: RuleSet = NO_RULES

    def as_position(self) -> PositionRequest:
        """Return the position that it enters, before any of it is held."""
        return PositionRequest(
            exchange_segment=self.exchange_segment,
            security_id=self.security_id,
            product_type=self.product_type,
            side=self.side,
            quantity=self.quantity,
            entry_price=self.limit_price or Decimal(0),
        )


class InvalidRequest(DomainError):
    """The request has faults; each names its field. Nothing was changed."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        text = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        super().__init__("invalid_request", text, faults[0].field)
        self.faults = tuple(faults)


class UnknownTracker(DomainError):
    """There is no tracker with this id."""

    def __init__(self, tracker_id: str) -> None:
        super().__init__("tracker_not_found", f"there is no tracker {tracker_id}", "tracker_id")


class NotHeld(DomainError):
    """The broker does not hold what is to be taken under watch; `details` has the quantities."""

    def __init__(self, text: str, details: Mapping[str, int]) -> None:
        super().__init__("not_held", text, "quantity")
        self.details = dict(details)


def instrument_of(request: PositionRequest, master: InstrumentSource) -> Instrument:
    """Return the instrument by the master's word, or by the caller's where it lacks it.

    Raises:
        InvalidRequest: neither says enough.
    """
    security_id = request.security_id.strip()
    is_number = security_id.isascii() and security_id.isdecimal()
    if is_number:  # the master and the broker write no leading zeros
        security_id = security_id.lstrip("0") or "0"
    instrument_id = InstrumentId(request.exchange_segment, security_id)
    nonsense = list(_terms_faults(request))
    known = master.get(instrument_id)
    if known is not None and not nonsense:
        return known
    if known is not None:
        raise InvalidRequest(nonsense)
    faults = [
        FieldFault(name, "is needed: the instrument master does not hold this security_id")
        for name in ("lot_size", "tick_size")
        if getattr(request, name) is None
    ]
    if not is_number:
        faults.insert(0, FieldFault("security_id", "must be the exchange's number"))
    elif faults:
        faults.insert(0, FieldFault("security_id", f"{instrument_id} is not known"))
    faults.extend(nonsense)
    if faults:
        raise InvalidRequest(faults)
    assert request.lot_size is not None, "checked above"
    assert request.tick_size is not None, "checked above"
    return Instrument(
        instrument_id=instrument_id,
        trading_symbol=request.trading_symbol or str(instrument_id),
        lot_size=request.lot_size,
        tick_size=request.tick_size,
        freeze_quantity=request.freeze_quantity,
    )


def instrument_to_enter(request: EntryRequest, master: InstrumentSource) -> Instrument:
    """Return an entry's instrument by the master's word alone, for an entry carries no terms.

    Raises:
        InvalidRequest: the master lacks it; only the security id is at fault.
    """
    try:
        return instrument_of(request.as_position(), master)
    except InvalidRequest as error:
        at_fault = [fault for fault in error.faults if fault.field == "security_id"]
        raise InvalidRequest(at_fault) from None


def _terms_faults(request: PositionRequest) -> Iterator[FieldFault]:
    """Yield what no instrument's terms can be, also where the master's word counts in their place:
    whoever sends that meant something else."""
    for name in ("lot_size", "freeze_quantity"):
        value = getattr(request, name)
        if value is not None and value <= 0:
            yield FieldFault(name, f"must be above zero, was {value}")
    if request.tick_size is not None and not _is_whole_units(request.tick_size):
        yield FieldFault("tick_size", f"must be a multiple of 0.0001, was {request.tick_size}")


def kill_switch_of(*, active: bool, level: str, reason: str) -> KillSwitchState:
    """Return the kill switch as asked for; raises InvalidRequest."""
    if level not in ("new", "all"):
        raise InvalidRequest([FieldFault("level", f"must be new or all, was {level!r}")])
    if not reason.strip():
        raise InvalidRequest([FieldFault("reason", "must not be blank")])
    return KillSwitchState(active=active, level=level, reason=reason.strip())


def broker_position_of(position: NewPosition) -> BrokerPosition:
    """Return a new position as the broker would show it."""
    long = position.side is PositionSide.LONG
    return BrokerPosition(
        instrument_id=position.instrument.instrument_id,
        product_type=position.product_type,
        net_quantity=position.side.sign * position.quantity,
        buy_quantity=position.quantity if long else 0,
        sell_quantity=0 if long else position.quantity,
        buy_average=position.entry_price if long else Decimal(0),
        sell_average=Decimal(0) if long else position.entry_price,
        trading_symbol=position.instrument.trading_symbol,
    )


def _is_whole_units(tick_size: Decimal) -> bool:
    return tick_size > 0 and tick_size % Decimal("0.0001") == 0
