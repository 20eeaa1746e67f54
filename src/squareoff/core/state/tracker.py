"""The state of one tracked position: the tracker, its exit intent, its orders and their sends.

All values are immutable; `core.state.evolve` makes the next one from a fact. Everything here is
durable. What is only of this process (monotonic instants, waiting) is in `core.state.pacing`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from squareoff.domain.copies import prepare_copies
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId, IntentId, TrackerId
from squareoff.domain.instruments import Instrument, PositionKey, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderOrigin,
    OrderRole,
    OrderType,
    PositionSide,
    Side,
)
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import RuleSet, Trigger
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus

_RESTING_STATES = (OrderState.ACCEPTED, OrderState.WORKING, OrderState.PART_FILLED)


class SendOutcome(str, Enum):
    """What became of one send of an order: each HTTP answer belongs to its own send."""

    IN_FLIGHT = "IN_FLIGHT"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"
    ABSENT = "ABSENT"

    @property
    def is_resolved(self) -> bool:
        """Say whether we know what this send did."""
        return self not in (SendOutcome.IN_FLIGHT, SendOutcome.UNKNOWN)

    @property
    def may_reach_the_exchange(self) -> bool:
        """Say whether an order at the broker may stem from this send (a late one included)."""
        return self not in (SendOutcome.REFUSED, SendOutcome.NOT_SENT)


@dataclass(frozen=True, slots=True)
class Send:
    """One time that an order left us, or may have. Numbers count from 1 within the order."""

    number: int
    outcome: SendOutcome
    sent_at_ns: int
    broker_order_id: BrokerOrderId | None = None

    @property
    def is_accepted_unnamed(self) -> bool:
        """Say whether it was accepted without the broker's name for the order."""
        return self.outcome is SendOutcome.ACCEPTED and self.broker_order_id is None


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One order at the broker under our id. After a resend one id may stand for two of them."""

    broker_order_id: BrokerOrderId
    status: BrokerOrderStatus
    cumulative_quantity: int
    average_price: Decimal | None
    reason: str = ""


def notional_of(records: Iterable[BrokerOrder]) -> Decimal | None:
    """Return the rupees of everything these orders filled, None where a fill has no price yet."""
    notional = Decimal(0)
    for record in records:
        if record.cumulative_quantity:
            if record.average_price is None:
                return None
            notional += record.cumulative_quantity * record.average_price
    return notional


@dataclass(frozen=True, slots=True)
class TrackedOrder:
    """One order of ours: a slice of one attempt to exit, or an entry."""

    client_order_id: ClientOrderId
    role: OrderRole
    origin: OrderOrigin
    attempt: int
    slice_number: int
    side: Side
    order_quantity: int
    state: OrderState
    order_type: OrderType = OrderType.LIMIT
    limit_price: Decimal | None = None
    modifications: int = 0
    sends: tuple[Send, ...] = ()
    broker_orders: tuple[BrokerOrder, ...] = ()
    failure_text: str = ""

    @property
    def cumulative_quantity(self) -> int:
        """All filled so far, over every order at the broker under this id."""
        filled = 0
        for record in self.broker_orders:
            filled += record.cumulative_quantity
        return filled

    @property
    def leaves_quantity(self) -> int:
        """What may still fill: the whole rest while the order is planned or live, else 0.

        Where one id stands for several orders at the broker, each may fill on its own account.
        """
        if self.state is not OrderState.PLANNED and not self.state.is_live:
            return 0
        at_broker = 0
        for record in self.live_broker_orders:
            at_broker += max(0, self.order_quantity - record.cumulative_quantity)
        return max(0, self.order_quantity - self.cumulative_quantity, at_broker)

    @property
    def ended_ids(self) -> frozenset[BrokerOrderId]:
        """The orders at the broker under this id that are at their end, whoever told it."""
        ended = [record for record in self.broker_orders if record.status.is_terminal]
        return frozenset([record.broker_order_id for record in ended])

    @property
    def live_broker_orders(self) -> tuple[BrokerOrder, ...]:
        """The orders at the broker under this id that can still fill."""
        return tuple([order for order in self.broker_orders if not order.status.is_terminal])

    @property
    def is_resting(self) -> bool:
        """Say whether it can fill at the broker and nothing about it is unknown."""
        is_there = self.state in _RESTING_STATES and bool(self.live_broker_orders)
        return is_there and not self.has_unresolved_send

    @property
    def has_unresolved_send(self) -> bool:
        """Say whether any send's outcome is still unknown."""
        return any(not send.outcome.is_resolved for send in self.sends)

    @property
    def has_unseen_send(self) -> bool:
        """Say whether a send was accepted without a name and no record can surely be its order."""
        if not any(send.is_accepted_unnamed for send in self.sends):
            return False
        named = {send.broker_order_id for send in self.sends}
        records = sum(record.broker_order_id not in named for record in self.broker_orders)
        origins = sum(
            send.outcome.may_reach_the_exchange and send.broker_order_id is None
            for send in self.sends
        )
        return origins > records


@dataclass(frozen=True, slots=True)
class ExitIntent:
    """The latched wish to close the position. Its id is the correlation id of the whole exit."""

    intent_id: IntentId
    status: IntentStatus
    reason: str
    trigger: Trigger
    claimed_at_ns: int
    attempt: int = 0
    failures: int = 0
    block_reason: BlockReason | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PositionTracker:
    """One tracked position.

    `quantity` is what is held: fixed for a position taken over, the sum of the entry's fills where
    an entry order is watched. `externally_closed_quantity` was closed by somebody else at
    `externally_closed_notional` rupees in all. `peak_price` is the best price seen (price units),
    `stop_level` the stop that trailing rules have reached; it never loosens. `held_since_ns` is
    when we learned that its first unit is held: None before, and where an older program wrote it.
    """

    tracker_id: TrackerId
    account_id: AccountId
    instrument: Instrument
    product_type: ProductType
    side: PositionSide
    status: PositionStatus
    quantity: int
    entry_price: Decimal
    rules: RuleSet
    created_at_ns: int
    peak_price: PriceUnits | None = None
    stop_level: PriceUnits | None = None
    stop_rule: str = ""
    externally_closed_quantity: int = 0
    externally_closed_notional: Decimal = Decimal(0)
    exit_price: Decimal | None = None
    realized_pnl: Decimal | None = None
    exit_reason: str | None = None
    exited_at_ns: int | None = None
    held_since_ns: int | None = None
    over_exited_quantity: int = 0
    intent: ExitIntent | None = None
    orders: tuple[TrackedOrder, ...] = ()
    version: int = 0

    @property
    def key(self) -> PositionKey:
        """The position at the broker that this tracker speaks of."""
        return PositionKey(self.account_id, self.instrument.instrument_id, self.product_type)

    def is_of_an_ended_day(self, midnight_ns: int) -> bool:
        """Say whether it is intraday and was opened before a day began (UTC ns): the broker has
        closed what was left of it."""
        return self.product_type.is_intraday and self.created_at_ns < midnight_ns

    @property
    def exit_orders(self) -> tuple[TrackedOrder, ...]:
        """All orders that close this position, oldest first."""
        return tuple([order for order in self.orders if order.role is OrderRole.EXIT])

    @property
    def entry_orders(self) -> tuple[TrackedOrder, ...]:
        """All orders that opened this position, oldest first."""
        return tuple([order for order in self.orders if order.role is OrderRole.ENTRY])

    @property
    def is_exit_at_exchange(self) -> bool:
        """Whether an order of the newest attempt works at the exchange: the exit goes on."""
        attempt = 0 if self.intent is None else self.intent.attempt
        return any(
            order.state.is_at_exchange for order in self.exit_orders if order.attempt == attempt
        )

    @property
    def exited_quantity(self) -> int:
        """What is closed so far: fills of our exits and what others closed."""
        exited = self.externally_closed_quantity
        for order in self.exit_orders:
            exited += order.cumulative_quantity
        return exited

    @property
    def open_quantity(self) -> int:
        """What is still held, never below zero."""
        return max(0, self.quantity - self.exited_quantity)

    @property
    def signed_quantity(self) -> int:
        """What this tracker says the broker's net owes to it, below zero for a short.

        Beyond zero where more was closed than held; nothing once it was let go.
        """
        if self.status is PositionStatus.UNTRACKED:
            return 0
        taken_back = sum(
            order.cumulative_quantity for order in self.orders if order.role is OrderRole.FLATTEN
        )
        return self.side.sign * (self.quantity - self.exited_quantity + taken_back)

    @property
    def exit_leaves_quantity(self) -> int:
        """What our planned and live exits may still close."""
        leaves = 0
        for order in self.exit_orders:
            leaves += order.leaves_quantity
        return leaves

    @property
    def has_live_intent(self) -> bool:
        """Say whether an exit claims the position, driven or waiting."""
        return self.intent is not None and self.intent.status.is_live

    def has_ended_before(self, wall_ns: int) -> bool:
        """Say whether the position was at its end before an instant, UTC ns."""
        return self.status.is_final and (self.exited_at_ns or 0) < wall_ns

    @property
    def is_withdrawing(self) -> bool:
        """Say whether a person is taking the exit back, and something of it may still live."""
        intent = self.intent
        return (
            intent is not None
            and intent.status is IntentStatus.BLOCKED
            and intent.block_reason is BlockReason.WITHDRAWING
        )

    @property
    def is_with_a_person(self) -> bool:
        """Say whether its exit is in a person's hands."""
        return self.intent is not None and self.intent.status is IntentStatus.NEEDS_HUMAN

    @property
    def is_frozen(self) -> bool:
        """Say whether an over-exit waits for a person's word."""
        return self.is_with_a_person and self.over_exited_quantity > 0

    @property
    def is_given_up(self) -> bool:
        """Say whether its exit goes on when a person asks for it again; a frozen one does not."""
        return self.is_with_a_person and not self.is_frozen

    def order(self, client_order_id: ClientOrderId) -> TrackedOrder | None:
        """Return the order with this id, or None."""
        for order in self.orders:
            if order.client_order_id == client_order_id:
                return order
        return None


prepare_copies(Send, BrokerOrder, TrackedOrder, ExitIntent, PositionTracker)
