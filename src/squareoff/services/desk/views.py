"""Values that the API, the command line and the dashboard show. Never live objects."""

from dataclasses import dataclass
from decimal import Decimal

from squareoff.core.account.account_pnl import rupees_of, share_of
from squareoff.core.rules.levels import stop_of
from squareoff.core.state.tracker import ExitIntent, PositionTracker, TrackedOrder, notional_of
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import OrderRole, OrderType, PositionSide, Side
from squareoff.domain.prices import decimal_from_units, round_average_half_even
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.services.account.account_view import AccountView
from squareoff.services.exits.exit_results import average_so_far


@dataclass(frozen=True, slots=True)
class IntentView:
    """The exit under way or done: what asked for it, and where it stands."""

    id: str
    status: IntentStatus
    reason: str
    rule: str
    trigger_level: Decimal | None
    trigger_price: Decimal | None
    claimed_at_ns: int
    attempt: int
    failures: int
    block_reason: BlockReason | None
    note: str


@dataclass(frozen=True, slots=True)
class TrackerView:
    """One tracked position; names are those of the API. Times are UTC ns, money rupees.

    `realized_pnl` is of what is closed so far, `unrealized_pnl` of what is still held at the last
    price; `last_price_at_ns` is when that price reached us.
    """

    id: str
    status: PositionStatus
    exchange_segment: ExchangeSegment
    security_id: str
    product_type: ProductType
    trading_symbol: str
    side: PositionSide
    quantity: int
    entry_quantity: int | None
    exited_quantity: int
    entry_price: Decimal
    exit_price: Decimal | None
    realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None
    last_traded_price: Decimal | None
    last_price_at_ns: int | None
    exit_reason: str | None
    created_at_ns: int
    exited_at_ns: int | None
    rules: RuleSet
    stop_level: Decimal | None
    intent: IntentView | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order of ours with what the broker said of it."""

    client_order_id: str
    broker_order_ids: tuple[str, ...]
    tracker_id: str
    role: OrderRole
    side: Side
    status: OrderState
    order_type: OrderType
    limit_price: Decimal | None
    order_quantity: int
    cumulative_quantity: int
    average_price: Decimal | None
    attempt: int
    slice_number: int
    sends: int
    modifications: int
    reason: str


@dataclass(frozen=True, slots=True)
class StatusView:
    """How the engine is doing. Ages are seconds, None for never."""

    version: str
    mode: str
    account_id: str
    is_ready: bool
    not_ready_because: tuple[str, ...]
    market_feed: str
    order_stream: str
    database: str
    breaker: str
    breakers: dict[str, str]
    permits_waiting: int
    oldest_exit_wait_seconds: float
    budget_used: dict[str, int]
    positions: dict[str, int]
    reconciled_age_seconds: float | None
    last_tick_age_seconds: float | None
    blind_instruments: tuple[str, ...]
    token_expires_ns: int | None
    token_is_refused: bool
    kill_switch_active: bool
    started_at_ns: int
    account: AccountView


def tracker_view(tracker: PositionTracker, tick: Tick | None) -> TrackerView:
    """Return the view of one tracker with the newest tick of its instrument."""
    last = None if tick is None else decimal_from_units(tick.last_traded_price)
    stop = stop_of(tracker)
    return TrackerView(
        id=tracker.tracker_id,
        status=tracker.status,
        exchange_segment=tracker.instrument.instrument_id.exchange_segment,
        security_id=tracker.instrument.instrument_id.security_id,
        product_type=tracker.product_type,
        trading_symbol=tracker.instrument.trading_symbol,
        side=tracker.side,
        quantity=tracker.quantity,
        entry_quantity=_entry_quantity(tracker),
        exited_quantity=tracker.exited_quantity,
        entry_price=tracker.entry_price,
        exit_price=average_so_far(tracker),
        realized_pnl=_realized(tracker),
        unrealized_pnl=_unrealized(tracker, last),
        last_traded_price=last,
        last_price_at_ns=None if tick is None else tick.received_time_ns,
        exit_reason=tracker.exit_reason,
        created_at_ns=tracker.created_at_ns,
        exited_at_ns=tracker.exited_at_ns,
        rules=tracker.rules,
        stop_level=None if stop is None else decimal_from_units(stop.price),
        intent=None if tracker.intent is None else _intent_view(tracker.intent),
    )


def _realized(tracker: PositionTracker) -> Decimal | None:
    """Return the P&L of what is closed; None where nothing is, or a fill's price is not told."""
    share = share_of(tracker)
    is_known = tracker.exited_quantity > 0 and share.is_priced
    has_ended = tracker.realized_pnl is not None
    return rupees_of(share.realized) if has_ended or is_known else None


def _unrealized(tracker: PositionTracker, last: Decimal | None) -> Decimal | None:
    """Return the P&L of what is held; more closed than held is held on the other side. None where
    the price of its entry, or the last one, is not told."""
    entries = (record for order in tracker.entry_orders for record in order.broker_orders)
    if tracker.status.is_final or notional_of(entries) is None:
        return None
    quantity = tracker.signed_quantity
    if last is None:
        return None if quantity else Decimal("0.00")
    return ((last - tracker.entry_price) * quantity).quantize(Decimal("0.01"))


def _entry_quantity(tracker: PositionTracker) -> int | None:
    orders = tracker.entry_orders
    return sum(order.order_quantity for order in orders) if orders else None


def _intent_view(intent: ExitIntent) -> IntentView:
    trigger = intent.trigger
    return IntentView(
        id=intent.intent_id,
        status=intent.status,
        reason=intent.reason,
        rule=trigger.rule.value,
        trigger_level=None if trigger.level is None else decimal_from_units(trigger.level),
        trigger_price=None if trigger.price is None else decimal_from_units(trigger.price),
        claimed_at_ns=intent.claimed_at_ns,
        attempt=intent.attempt,
        failures=intent.failures,
        block_reason=intent.block_reason,
        note=intent.note,
    )


def order_views(tracker: PositionTracker) -> tuple[OrderView, ...]:
    """Return the views of a tracker's orders, oldest first."""
    return tuple(_order_view(tracker, order) for order in tracker.orders)


def _order_view(tracker: PositionTracker, order: TrackedOrder) -> OrderView:
    notional, average = notional_of(order.broker_orders), None
    if notional is not None and order.cumulative_quantity > 0:
        average = round_average_half_even(notional, order.cumulative_quantity)
    return OrderView(
        client_order_id=order.client_order_id,
        broker_order_ids=tuple(record.broker_order_id for record in order.broker_orders),
        tracker_id=tracker.tracker_id,
        role=order.role,
        side=order.side,
        status=order.state,
        order_type=order.order_type,
        limit_price=order.limit_price,
        order_quantity=order.order_quantity,
        cumulative_quantity=order.cumulative_quantity,
        average_price=average,
        attempt=order.attempt,
        slice_number=order.slice_number,
        sends=len(order.sends),
        modifications=order.modifications,
        reason=order.failure_text,
    )
