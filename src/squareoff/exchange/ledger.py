"""A double-entry ledger: trades in, positions, cash and profit out. Exact in Decimal.

Every trade posts two entries of equal size and opposite sign: its value to the instrument's
account and the same value, negated, to cash.

Invariants:
1. The sum of all instrument values and cash is zero after every posting (`check`).
2. Net quantity of a position = bought less sold, carried quantities included.
3. A trade id is posted once; a repeat changes nothing.
4. Only a trade opens a position: asking for one never does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from squareoff.domain.instruments import InstrumentId, ProductType
from squareoff.domain.orders import Side
from squareoff.domain.prices import round_average_half_even

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution. Units, rupees per unit, UTC nanoseconds."""

    trade_id: str
    order_id: str
    instrument_id: InstrumentId
    product_type: ProductType
    side: Side
    quantity: int
    price: Decimal
    time_ns: int
    is_carried: bool = False
    """Brought over from an earlier day rather than traded today."""


@dataclass(slots=True)
class Position:
    """What was bought and sold of one instrument and product; values are rupees (price * units)."""

    instrument_id: InstrumentId
    product_type: ProductType
    day_buy_quantity: int = 0
    day_buy_value: Decimal = ZERO
    day_sell_quantity: int = 0
    day_sell_value: Decimal = ZERO
    carried_buy_quantity: int = 0
    carried_buy_value: Decimal = ZERO
    carried_sell_quantity: int = 0
    carried_sell_value: Decimal = ZERO

    @property
    def buy_quantity(self) -> int:
        """All bought, carried included."""
        return self.day_buy_quantity + self.carried_buy_quantity

    @property
    def sell_quantity(self) -> int:
        """All sold, carried included."""
        return self.day_sell_quantity + self.carried_sell_quantity

    @property
    def net_quantity(self) -> int:
        """Signed: above zero long, below zero short."""
        return self.buy_quantity - self.sell_quantity

    @property
    def buy_average(self) -> Decimal:
        """Quantity-weighted average bought at, 8 decimals; zero when nothing was bought."""
        return _average(self.day_buy_value + self.carried_buy_value, self.buy_quantity)

    @property
    def sell_average(self) -> Decimal:
        """Quantity-weighted average sold at, 8 decimals; zero when nothing was sold."""
        return _average(self.day_sell_value + self.carried_sell_value, self.sell_quantity)

    @property
    def cost_price(self) -> Decimal:
        """Average price of the open side, zero when flat."""
        if self.net_quantity == 0:
            return ZERO
        return self.buy_average if self.net_quantity > 0 else self.sell_average

    @property
    def realized_profit(self) -> Decimal:
        """Profit of what was both bought and sold, rupees, by average prices; exact when flat."""
        closed = min(self.buy_quantity, self.sell_quantity)
        if closed == 0:
            return ZERO
        sold = _share(self.day_sell_value + self.carried_sell_value, self.sell_quantity, closed)
        bought = _share(self.day_buy_value + self.carried_buy_value, self.buy_quantity, closed)
        return sold - bought

    def unrealized_profit(self, last_price: Decimal | None) -> Decimal:
        """Profit of what is open at `last_price`, rupees; zero without a price."""
        if last_price is None:
            return ZERO
        return (last_price - self.cost_price) * self.net_quantity


@dataclass(slots=True)
class Ledger:
    """The books of one account."""

    cash: Decimal = ZERO
    _trades: dict[tuple[InstrumentId, str], Trade] = field(default_factory=dict)
    _positions: dict[tuple[InstrumentId, ProductType], Position] = field(default_factory=dict)

    @classmethod
    def of(cls, trades: Iterable[Trade]) -> "Ledger":
        """Return a ledger with these trades posted in order."""
        ledger = cls()
        for trade in trades:
            ledger.apply(trade)
        return ledger

    def apply(self, trade: Trade) -> bool:
        """Post one trade; return False, changing nothing, when it was posted before."""
        identity = (trade.instrument_id, trade.trade_id)
        if identity in self._trades:
            return False
        assert trade.quantity > 0, f"trade {trade.trade_id} must have a quantity"
        self._trades[identity] = trade
        value = trade.price * trade.quantity
        self.cash += value if trade.side is Side.SELL else -value
        key = (trade.instrument_id, trade.product_type)
        position = self.position(*key)
        self._positions[key] = position
        _post(position, trade, value)
        return True

    def position(self, instrument_id: InstrumentId, product_type: ProductType) -> Position:
        """Return the position of this key, an empty one of no book where nothing was traded."""
        key = (instrument_id, product_type)
        return self._positions.get(key) or Position(instrument_id, product_type)

    def positions(self) -> list[Position]:
        """Return all positions of the day, flat ones included, in order of their first trade."""
        return list(self._positions.values())

    def trades(self) -> list[Trade]:
        """Return all trades in order of posting."""
        return list(self._trades.values())

    def check(self) -> None:
        """Assert invariant 1."""
        held = sum(
            (
                p.day_buy_value + p.carried_buy_value - p.day_sell_value - p.carried_sell_value
                for p in self._positions.values()
            ),
            ZERO,
        )
        assert held + self.cash == 0, f"the books do not balance: {held} and {self.cash}"


def _post(position: Position, trade: Trade, value: Decimal) -> None:
    is_buy = trade.side is Side.BUY
    if is_buy and trade.is_carried:
        position.carried_buy_quantity += trade.quantity
        position.carried_buy_value += value
    elif is_buy:
        position.day_buy_quantity += trade.quantity
        position.day_buy_value += value
    elif trade.is_carried:
        position.carried_sell_quantity += trade.quantity
        position.carried_sell_value += value
    else:
        position.day_sell_quantity += trade.quantity
        position.day_sell_value += value


def _average(value: Decimal, quantity: int) -> Decimal:
    return round_average_half_even(value, quantity) if quantity else ZERO


def _share(value: Decimal, quantity: int, closed: int) -> Decimal:
    """Return the value of `closed` of `quantity` units at their average."""
    return value if closed == quantity else value * closed / quantity
