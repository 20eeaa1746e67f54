"""What the paper broker must still know after a kill: one value, as bytes, and where it is kept.

The bytes are JSON with decimals as text. Newest prices are left out on purpose: after a restart
nothing fills until the market has spoken again.
"""

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Protocol

import msgspec

from squareoff.adapters.paper.orders import PaperOrder
from squareoff.domain.errors import StoreError
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.exchange.ledger import Trade
from squareoff.exchange.orders import OrderChange, WorkingOrder

STATE_VERSION = 1


class PaperLedgerStore(Protocol):
    """Keeps the ledger of one account."""

    async def save(self, ledger: bytes) -> None:
        """Replace the stored ledger, durable on return.

        Raises:
            StoreError: it may or may not have been kept.
        """
        ...

    async def load(self) -> bytes | None:
        """Return the ledger as last saved, None where none was.

        Raises:
            StoreError: it could not be read.
        """
        ...


class RequestKind(str, Enum):
    """What is on its way to the exchange."""

    SUBMIT = "SUBMIT"
    MODIFY = "MODIFY"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class InFlight:
    """One accepted request that has not reached the exchange yet.

    `due_ns` is on the monotonic clock of the process that took it; `change` is for MODIFY only.
    """

    kind: RequestKind
    broker_order_id: BrokerOrderId
    due_ns: int
    change: OrderChange | None = None


@dataclass(slots=True)
class PaperState:
    """Everything of one account. `day` is the trading day as an ISO date, "" before the first.

    `working` holds the orders that stand in the exchange's book, `instruments` their terms,
    `history` the newest fills of earlier days.
    """

    version: int = STATE_VERSION
    day: str = ""
    order_count: int = 0
    declared_count: int = 0
    sequence: int = 0
    orders: list[PaperOrder] = field(default_factory=list)
    working: list[WorkingOrder] = field(default_factory=list)
    in_flight: list[InFlight] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    instruments: list[Instrument] = field(default_factory=list)
    history: list[Trade] = field(default_factory=list)


class StateEncoder:
    """Writes states of one desk as bytes; remembers the bytes of what can never change again.

    A busy day ends with thousands of finished orders and trades, and each save writes all of them.
    """

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._day = ""
        self._ended_orders: dict[BrokerOrderId, msgspec.Raw] = {}
        self._trades: dict[tuple[InstrumentId, str], msgspec.Raw] = {}

    def encode(self, state: PaperState) -> bytes:
        """Return the state as bytes for the store."""
        if state.day != self._day:  # yesterday's orders are gone from the books
            self._ended_orders.clear()
            self._trades.clear()
            self._day = state.day
        value = {each.name: getattr(state, each.name) for each in fields(state)}
        value["orders"] = [self._order(order) for order in state.orders]
        value["trades"] = [self._trade(trade) for trade in state.trades]
        value["history"] = [self._trade(trade) for trade in state.history]
        return self._encoder.encode(value)

    def _order(self, order: PaperOrder) -> PaperOrder | msgspec.Raw:
        if not order.is_terminal:
            return order
        name = order.broker_order_id
        if name not in self._ended_orders:
            self._ended_orders[name] = msgspec.Raw(self._encoder.encode(order))
        return self._ended_orders[name]

    def _trade(self, trade: Trade) -> msgspec.Raw:
        name = (trade.instrument_id, trade.trade_id)
        if name not in self._trades:
            self._trades[name] = msgspec.Raw(self._encoder.encode(trade))
        return self._trades[name]


def decode_state(ledger: bytes) -> PaperState:
    """Return the state that a `StateEncoder` wrote.

    Raises:
        StoreError: the bytes are damaged or of another version; nothing is guessed.
    """
    try:
        state = msgspec.json.decode(ledger, type=PaperState)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the paper ledger in the database cannot be read: {error}") from error
    if state.version != STATE_VERSION:
        raise StoreError(
            f"the paper ledger is of version {state.version}, this program reads {STATE_VERSION}"
        )
    return state
