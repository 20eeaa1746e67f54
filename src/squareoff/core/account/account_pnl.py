"""The day's profit and loss of an account, kept by sums per instrument.

A price costs one look-up and one multiplication, however many positions hold the instrument; a
change of a position costs its own orders. Money is whole units of 1e-8 rupee.

Invariants:
1. `realized + open_pnl` is what a walk over all positions gives (`docs/rules.md`), to the unit.
2. A price of another connection, or none, is no part of `open_pnl`: its instrument is unseen.
3. Where longs and shorts of an instrument cancel out its P&L is known without a price.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from squareoff.core.state.tracker import PositionTracker, TrackedOrder, notional_of
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.orders import OrderRole
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE, PriceUnits
from squareoff.domain.states import PositionStatus

MONEY_UNITS_PER_RUPEE = 100_000_000
"""Average prices have 8 decimals, so sums of quantity times price are whole units."""

_MONEY_UNITS_PER_PRICE_UNIT = MONEY_UNITS_PER_RUPEE // PRICE_UNITS_PER_RUPEE
_PAISA = Decimal("0.01")


def money_units(rupees: Decimal) -> int:
    """Return rupees in money units; what is finer than one is rounded half even."""
    return int((rupees * MONEY_UNITS_PER_RUPEE).to_integral_value(rounding=ROUND_HALF_EVEN))


def exact_rupees(units: int) -> Decimal:
    """Return money units as rupees, all of it."""
    return Decimal(units).scaleb(-8)


def rupees_of(units: int) -> Decimal:
    """Return money units as rupees, to the paisa."""
    return Decimal(units).scaleb(-8).quantize(_PAISA, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Share:
    """What one position adds: its signed quantity, that at its entry price, and what it realised.

    `is_priced` is False while the broker has not told the price of a fill; it stands at the entry
    price until then, and one without an entry price, an entry at the market, adds nothing.
    """

    quantity: int
    cost: int
    realized: int
    is_priced: bool = True


def share_of(tracker: PositionTracker) -> Share:
    """Return what a position adds to the account, over all its days.

    More closed than held counts as the position on the other side that it is; once the position has
    ended, only if our own orders took it back, for nobody tells when a person does.
    """
    entry = money_units(tracker.entry_price)
    match tracker.status:
        case PositionStatus.CANCELLED:
            return Share(0, 0, 0)
        case PositionStatus.EXITED if tracker.realized_pnl is not None and not _is_taken_back(
            tracker
        ):
            return Share(0, 0, money_units(tracker.realized_pnl))
        case _:
            pass
    sign = tracker.side.sign
    gain = sign * (
        money_units(tracker.externally_closed_notional) - tracker.externally_closed_quantity * entry
    )
    is_priced = True
    for order in tracker.orders:
        for record in order.broker_orders:
            if record.cumulative_quantity == 0:
                continue
            if record.average_price is None:
                is_priced = False
            elif order.role is not OrderRole.ENTRY:
                above_entry = money_units(record.average_price) - entry
                gain += _way(order, sign) * record.cumulative_quantity * above_entry
    # Nobody asks on for the price of a fill once the position is over.
    is_priced = is_priced or tracker.status.is_final
    if not entry:
        return Share(0, 0, 0, is_priced)
    quantity = tracker.signed_quantity
    return Share(quantity, quantity * entry, gain, is_priced)


def _is_taken_back(tracker: PositionTracker) -> bool:
    """Say whether our orders took back all that was closed too much, at prices that are told: they
    may have done so after the position had ended, and its fills tell what it brought in all."""
    taken_back = any(
        order.role is OrderRole.FLATTEN and order.cumulative_quantity for order in tracker.orders
    )
    records = (record for order in tracker.orders for record in order.broker_orders)
    return taken_back and tracker.signed_quantity == 0 and notional_of(records) is not None


def _way(order: TrackedOrder, sign: int) -> int:
    """Return whether a fill above the entry price gains (1) or loses (-1)."""
    return sign if order.role is OrderRole.EXIT else -sign


class _Held:
    """One instrument: sums over its positions, and its newest good price."""

    __slots__ = ("cost", "is_seen", "price", "quantity")

    def __init__(self) -> None:
        self.quantity = self.cost = 0
        self.price = 0
        self.is_seen = False

    @property
    def is_known(self) -> bool:
        """Say whether its open P&L is known."""
        return self.is_seen or not self.quantity

    @property
    def value(self) -> int:
        """The open P&L at the newest price, whether seen on this connection or not."""
        return self.quantity * self.price * _MONEY_UNITS_PER_PRICE_UNIT - self.cost


class AccountPnl:
    """The sums of one account."""

    def __init__(self) -> None:
        self._shares: dict[TrackerId, tuple[InstrumentId, Share]] = {}
        self._held: dict[InstrumentId, _Held] = {}
        self._unpriced = 0
        self._unseen = 0
        self.realized = 0
        self.open_pnl = 0

    @property
    def total(self) -> int:
        """The day's P&L; where it is not known, the known part of it."""
        return self.realized + self.open_pnl

    @property
    def is_known(self) -> bool:
        """Say whether everything held has a good price, and every fill its price."""
        return not (self._unseen or self._unpriced)

    @property
    def is_seen_in_part(self) -> bool:
        """Say whether any instrument that is held has a good price."""
        return any(held.quantity and held.is_seen for held in self._held.values())

    def put(self, tracker_id: TrackerId, instrument_id: InstrumentId, share: Share) -> None:
        """Take a position in, or its change."""
        _, before = self._shares.get(tracker_id, (instrument_id, Share(0, 0, 0)))
        self._shares[tracker_id] = instrument_id, share
        self.realized += share.realized - before.realized
        self._unpriced += before.is_priced - share.is_priced
        if (share.quantity, share.cost) == (before.quantity, before.cost):
            return
        held = self._held.setdefault(instrument_id, _Held())
        self._count(held, -1)
        held.quantity += share.quantity - before.quantity
        held.cost += share.cost - before.cost
        if not held.quantity:
            held.is_seen = False  # its prices may not be heard from here on
        self._count(held, 1)

    def drop(self, tracker_id: TrackerId) -> None:
        """Take a position out, and what it realised."""
        if tracker_id in self._shares:
            self.put(tracker_id, self._shares[tracker_id][0], Share(0, 0, 0))
            del self._shares[tracker_id]

    def price(self, instrument_id: InstrumentId, price: PriceUnits) -> bool:
        """Take a good price in; say whether that changed anything."""
        held = self._held.get(instrument_id)
        if held is None:
            return False
        if held.is_seen:
            moved = price - held.price
            held.price = price
            self.open_pnl += held.quantity * moved * _MONEY_UNITS_PER_PRICE_UNIT
            return moved != 0 and held.quantity != 0
        self._count(held, -1)
        held.price, held.is_seen = price, True
        self._count(held, 1)
        return held.quantity != 0

    def forget_prices(self, is_over: Callable[[InstrumentId], bool]) -> None:
        """Hold the prices of these instruments for unseen; what they were is remembered."""
        for name, held in self._held.items():
            if held.is_seen and is_over(name):
                self._count(held, -1)
                held.is_seen = False
                self._count(held, 1)

    def forget_day(self) -> None:
        """Remember no price of the day before."""
        self.forget_prices(lambda name: True)
        for held in self._held.values():
            held.price = 0

    def _count(self, held: _Held, way: int) -> None:
        """Take an instrument out of the sums (-1) before it changes, and in again (1) after."""
        if held.is_known:
            self.open_pnl += way * held.value
        else:
            self._unseen += way

    def at_its_best(self) -> int:
        """Return the known part with the rest at its old price where that is a gain, else at 0.

        Old prices can keep a loss from being seen here; they never make one.
        """
        rest = (held.value for held in self._held.values() if not held.is_known and held.price)
        return self.total + sum(max(0, value) for value in rest)

    def instruments(self) -> Iterator[InstrumentId]:
        """Return every instrument that is held."""
        return (name for name, held in self._held.items() if held.quantity)

    def unseen(self) -> Iterator[InstrumentId]:
        """Return every held instrument without a good price."""
        return (name for name, held in self._held.items() if not held.is_known)
