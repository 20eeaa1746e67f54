"""A tiny model broker: it carries out a story's commands by its own books, and misbehaves by seed.

It shares no arithmetic with the engine: what was really filled is in `orders`, and nowhere else.
"""

from collections.abc import Iterator
from decimal import Decimal
from random import Random

from exit_story.model_order import PRODUCT, ModelOrder
from exit_story.story import Story
from exit_story.values import INSTRUMENT
from squareoff.core.state.commands import (
    Command,
    LookUpOrder,
    ReadBooks,
    ReadPositions,
    RequestPermit,
    RequestReprice,
    TransmitCancel,
    TransmitModify,
    TransmitOrder,
)
from squareoff.core.state.inputs import (
    BooksRead,
    Input,
    OrderSeen,
    PermitGranted,
    PositionsRead,
    PriceView,
    RepriceReady,
    SendAccepted,
    SendAnswered,
    SendLost,
    SendNotMade,
    SendRefused,
    SettleRead,
    Woke,
)
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderReport,
    OrderRequest,
    OrderType,
    ReportSource,
    Side,
    TradeReport,
)
from squareoff.domain.states import BlockReason
from squareoff.domain.time import seconds_to_ns

ARRIVAL_SECONDS_MAX = 4.0
"""A lost request takes effect within this time or never (assumption A2)."""

VISIBLE_SECONDS_MAX = 2.0
"""How long the books of the broker lag behind its order system."""

B = BrokerOrderStatus


class ModelBroker:
    """The broker of one story, faulty until it is healed."""

    def __init__(self, story: Story, rng: Random, *, held: int, outlaw: bool = False) -> None:
        self.story = story
        self.rng = rng
        self.outlaw = outlaw
        self.is_healed = False
        self.orders: list[ModelOrder] = []
        self.foreign: list[TradeReport] = []
        self.in_flight: dict[tuple[str, str, str], tuple[Command, int]] = {}
        self._delayed: list[tuple[int, OrderRequest]] = []
        self._told: list[tuple[ClientOrderId, OrderReport]] = []
        self._sign = story.tracker.side.sign
        self._held_at_start = held

    # What is true.

    def orders_of(self, side: Side) -> list[ModelOrder]:
        """Return the orders of one side."""
        return [order for order in self.orders if order.side is side]

    @property
    def exits(self) -> list[ModelOrder]:
        """The orders that close the position."""
        return self.orders_of(self.story.tracker.side.exit_order_side)

    @property
    def bought(self) -> int:
        """What is or was held: the position taken over, or the entry's fills."""
        entries = self.orders_of(self.story.tracker.side.entry_order_side)
        return self._held_at_start + sum(order.filled for order in entries)

    @property
    def net(self) -> int:
        """The signed net position now."""
        gone = sum(o.filled for o in self.exits) + sum(t.quantity for t in self.foreign)
        return self._sign * (self.bought - gone)

    @property
    def closing(self) -> int:
        """What our exits have closed and may still close."""
        return sum(order.filled + order.leaves for order in self.exits)

    # What happens.

    def start(self, commands: tuple[Command, ...]) -> None:
        """Take commands over; one that is under way already is dropped."""
        for command in commands:
            self.in_flight.setdefault(_key(command), (command, self.story.monotonic_ns))

    def forget_in_flight(self) -> None:
        """The process died: what it had sent may still arrive, its answers are lost."""
        for command, _ in self.in_flight.values():
            if isinstance(command, TransmitOrder) and self._chance(0.5):
                self._delay(command.request)
        self.in_flight.clear()

    def finish_one(self) -> list[Input]:
        """Carry out one command under way and return what is told of it."""
        key = self.rng.choice(sorted(self.in_flight))
        command, started = self.in_flight.pop(key)
        return list(self._carry_out(command, started))

    def arrive(self) -> None:
        """Let delayed requests arrive that are due."""
        due = [each for each in self._delayed if each[0] <= self.story.monotonic_ns]
        self._delayed = [d for d in self._delayed if d[0] > self.story.monotonic_ns]
        for at_ns, request in due:
            self._accept(request, at_ns)

    def move_market(self) -> None:
        """Let something happen to a live order: it works, fills, or ends."""
        live = [order for order in self.orders if not order.status.is_terminal]
        if not live:
            return
        order = self.rng.choice(live)
        self._remember(order)
        what = "fill" if self.is_healed else self.rng.choice(_HAPPENINGS)
        if what == "fill":
            take = order.leaves if self.is_healed else self.rng.randint(1, order.leaves)
            self._fill(order, take)
        elif what == "work":
            order.status = B.PART_TRADED if order.filled else B.PENDING
        elif what == "reject" and order.filled == 0:
            order.status, order.reason = B.REJECTED, "RMS: price out of range"
        elif what in ("cancel", "expire"):
            order.status = B.CANCELLED if what == "cancel" else B.EXPIRED
        self._remember(order)

    def close_by_hand(self) -> None:
        """A person closes part of what the broker shows, in the broker's own app."""
        open_now = abs(self.net)
        if open_now:
            self.foreign.append(self._trade("APP", self.rng.randint(1, open_now), Decimal(149)))

    def tell(self) -> list[Input]:
        """Return an update of the stream: the newest, a repeat, or one long past."""
        if self.is_healed:
            return [
                OrderSeen(o.client_order_id, o.report(ReportSource.ORDER_BOOK, with_average=True))
                for o in self.orders
            ]
        if not self._told:
            return []
        order_id, report = self.rng.choice(self._told[-8:] if self._chance(0.7) else self._told)
        return [OrderSeen(order_id, report)]

    # How commands end.

    def _carry_out(self, command: Command, started: int) -> Iterator[Input]:
        match command:
            case ReadPositions():
                yield self._read_positions()
            case ReadBooks():
                yield self._read_books()
            case LookUpOrder(order_id):
                yield from self._look_up(order_id)
            case RequestPermit(order_id):
                yield PermitGranted(order_id, self._price())
            case TransmitOrder(number, request):
                yield from self._transmit(number, request, started)
            case RequestReprice(order_id, broker_order_id):
                yield RepriceReady(order_id, broker_order_id, self._price())
            case TransmitModify(modification):
                for order in self._find(modification.broker_order_id):
                    if self.is_healed or self._chance(0.7):
                        order.limit_price = modification.limit_price
                yield Woke()
            case TransmitCancel(_, broker_order_id):
                for order in self._find(broker_order_id):
                    if self.is_healed or self._chance(0.7):
                        self._cancel(order)
                yield Woke()

    def _read_positions(self) -> PositionsRead:
        if not self.is_healed and self._chance(0.2):
            return PositionsRead(None, 0, self.rng.choice([None, 5.0]))
        return PositionsRead(self.net, 0, 5.0)

    def _read_books(self) -> BooksRead:
        own = frozenset(order.broker_order_id for order in self.orders)
        if not self.is_healed and self._chance(0.2):
            return BooksRead(None, own)
        trades = [
            self._trade(order.broker_order_id, quantity, price, order.side, str(place))
            for order in self.orders
            for quantity, price, place in order.fills
        ]
        if trades and not self.is_healed and self._chance(0.3):
            trades.pop()
        if trades and self._chance(0.2):
            trades.append(trades[0])
        return BooksRead((*trades, *self.foreign), own)

    def _look_up(self, order_id: ClientOrderId) -> Iterator[Input]:
        mine = [o for o in self.orders if o.client_order_id == order_id]
        shown = [o for o in mine if o.visible_at_ns <= self.story.monotonic_ns]
        order = self.story.tracker.order(order_id)
        known = {r.broker_order_id for r in order.broker_orders} if order else set()
        complete = self.is_healed or self._chance(0.8)
        for found in shown:
            yield OrderSeen(order_id, found.report(ReportSource.LOOKUP, with_average=True))
        lacking = all(found.broker_order_id in known for found in shown)
        steady = self.net - sum(
            o.cumulative_quantity * (1 if o.side is Side.BUY else -1)
            for o in self.story.tracker.orders
        )
        yield SettleRead(order_id, complete, lacking, steady)

    def _transmit(self, number: int, request: OrderRequest, started: int) -> Iterator[Input]:
        outcome = self._outcome(request)
        order_id = request.client_order_id
        if outcome == "accepted":
            order = self._accept(request)
            named = self.is_healed or self._chance(0.9)
            yield SendAnswered(
                order_id, number, SendAccepted(order.broker_order_id if named else None)
            )
        elif outcome == "refused":
            text = self.rng.choice(["transaction failed", "Market is closed", "Invalid IP"])
            yield SendAnswered(order_id, number, SendRefused("DH-906", text))
        elif outcome == "not made":
            reason = self.rng.choice([BlockReason.BROKER_UNREACHABLE, BlockReason.TOKEN_DEAD])
            yield SendAnswered(order_id, number, SendNotMade(reason, "nothing left"))
        else:
            if outcome == "lost after":
                self._accept(request)
            elif outcome == "lost late":
                self._delay(request)
            yield SendAnswered(order_id, number, SendLost("no answer"))

    def _outcome(self, request: OrderRequest) -> str:
        is_entry = request.side is self.story.tracker.side.entry_order_side
        if self.is_healed or (is_entry and self._chance(0.8)):
            return "accepted"
        if self.outlaw and self._chance(0.5):
            return "lost late"
        return self.rng.choice(_OUTCOMES)

    # The broker's own books.

    def _accept(self, request: OrderRequest, at_ns: int | None = None) -> ModelOrder:
        """Take an order, now or at the instant at which a delayed one had arrived."""
        arrived_ns = self.story.monotonic_ns if at_ns is None else at_ns
        lag = 0.0 if self.is_healed else self.rng.uniform(0, VISIBLE_SECONDS_MAX)
        order = ModelOrder(
            BrokerOrderId(f"B{len(self.orders) + 1}"),
            request.client_order_id,
            request.side,
            request.order_quantity,
            request.limit_price if request.order_type is OrderType.LIMIT else Decimal(140),
            arrived_ns + seconds_to_ns(lag),
        )
        self.orders.append(order)
        self._remember(order)
        return order

    def _delay(self, request: OrderRequest) -> None:
        seconds = self.rng.uniform(0, ARRIVAL_SECONDS_MAX)
        if self.outlaw and self._chance(0.7):
            seconds += self.rng.uniform(8, 40)
        self._delayed.append((self.story.monotonic_ns + seconds_to_ns(seconds), request))

    def _fill(self, order: ModelOrder, quantity: int) -> None:
        price = Decimal(self.rng.randint(2_900, 3_100)) * INSTRUMENT.tick_size
        order.fills.append((quantity, price, len(order.fills) + 1))
        order.status = B.TRADED if order.leaves == 0 else B.PART_TRADED

    def _cancel(self, order: ModelOrder) -> None:
        if not order.status.is_terminal:
            order.status = B.CANCELLED
            self._remember(order)

    def _remember(self, order: ModelOrder) -> None:
        report = order.report(ReportSource.STREAM, with_average=self._chance(0.8))
        self._told.append((order.client_order_id, report))

    def _find(self, broker_order_id: BrokerOrderId) -> list[ModelOrder]:
        found = [order for order in self.orders if order.broker_order_id == broker_order_id]
        assert found, f"a write for {broker_order_id}, which the broker never had"
        return [order for order in found if not order.status.is_terminal]

    def _trade(
        self,
        broker_order_id: str,
        quantity: int,
        price: Decimal,
        side: Side | None = None,
        exec_id: str = "",
    ) -> TradeReport:
        return TradeReport(
            BrokerOrderId(broker_order_id),
            exec_id,
            INSTRUMENT.instrument_id,
            PRODUCT,
            side if side is not None else self.story.tracker.side.exit_order_side,
            quantity,
            price,
            None,
        )

    def _price(self) -> PriceView | None:
        if not self.is_healed and self._chance(0.2):
            return None
        price = Decimal(self.rng.randint(2_900, 3_100)) * INSTRUMENT.tick_size
        return PriceView(price, None, None, "model", 0.1)

    def _chance(self, odds: float) -> bool:
        return self.rng.random() < odds


def _key(command: Command) -> tuple[str, str, str]:
    """Return what names a command under way: its kind and ids."""
    match command:
        case TransmitOrder(number, request):
            return ("TransmitOrder", request.client_order_id, str(number))
        case TransmitModify(modification):
            return ("TransmitModify", modification.client_order_id, modification.broker_order_id)
        case TransmitCancel(order_id, broker_order_id):
            return ("TransmitCancel", order_id, broker_order_id)
        case _:
            return (type(command).__name__, getattr(command, "client_order_id", ""), "")


_HAPPENINGS = ("fill", "fill", "work", "work", "reject", "cancel", "expire")
_OUTCOMES = (
    "accepted",
    "accepted",
    "refused",
    "not made",
    "lost before",
    "lost after",
    "lost late",
)
