"""Answers of the API, with the names of interface.md."""

from typing import Any, Generic, TypeVar

from pydantic import Field

from squareoff.core.facts import Severity
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import OrderRole, OrderType, PositionSide, Side
from squareoff.domain.results import ExitCode
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus
from squareoff.web.wire_types import DecimalText, Instant, Outgoing, RulesOut

_Item = TypeVar("_Item")


class ItemList(Outgoing, Generic[_Item]):
    """A list; `next` is what to ask the following page with, null on the last."""

    items: list[_Item]
    next: int | None = None


class IntentOut(Outgoing):
    """The exit under way or done."""

    id: str
    status: IntentStatus
    reason: str
    rule: str
    trigger_level: DecimalText | None
    trigger_price: DecimalText | None
    claimed_at: Instant = Field(validation_alias="claimed_at_ns")
    attempt: int
    failures: int
    block_reason: BlockReason | None
    note: str


class TrackerOut(Outgoing):
    """One tracked position. Prices and money are rupees, quantities whole units."""

    id: str
    status: PositionStatus
    exchange_segment: ExchangeSegment
    security_id: str
    product_type: ProductType
    trading_symbol: str
    side: PositionSide
    quantity: int
    exited_quantity: int
    entry_price: DecimalText
    exit_price: DecimalText | None
    realized_pnl: DecimalText | None
    unrealized_pnl: DecimalText | None
    last_traded_price: DecimalText | None
    exit_reason: str | None
    created_at: Instant = Field(validation_alias="created_at_ns")
    exited_at: Instant | None = Field(validation_alias="exited_at_ns")
    rules: RulesOut
    stop_level: DecimalText | None
    intent: IntentOut | None


class ExitResultOut(Outgoing):
    """What became of the wish to close one position."""

    success: bool
    code: ExitCode
    tracker_id: str
    exit_price: DecimalText | None
    exited_quantity: int
    reason: str
    orders: list[str]
    """Client order ids of the exit's orders."""
    error: str | None
    intent_id: str | None


class OrderOut(Outgoing):
    """One order of ours with what the broker said of it."""

    client_order_id: str
    broker_order_ids: list[str]
    tracker_id: str
    role: OrderRole
    side: Side
    status: OrderState
    order_type: OrderType
    limit_price: DecimalText | None
    order_quantity: int
    cumulative_quantity: int
    average_price: DecimalText | None
    attempt: int
    slice_number: int
    sends: int
    modifications: int
    reason: str


class EntryOut(Outgoing):
    """One fact of the journal."""

    seq: int
    time: Instant = Field(validation_alias="time_ns")
    kind: str
    tracker_id: str | None
    client_order_id: str | None
    data: dict[str, Any]


class AlarmOut(Outgoing):
    """One alarm."""

    id: int = Field(validation_alias="seq")
    severity: Severity
    code: str
    message: str
    tracker_id: str | None
    raised_at: Instant = Field(validation_alias="raised_at_ns")
    acknowledged_at: Instant | None = Field(validation_alias="acknowledged_at_ns")


class KillSwitchOut(Outgoing):
    """The kill switch."""

    active: bool
    level: str
    reason: str


class ReconcileOut(Outgoing):
    """What a comparison with the broker's books found."""

    differences: list[str]
    """In words; empty when the books agree."""


class StatusOut(Outgoing):
    """How the engine is doing. Ages are seconds, null for never."""

    version: str
    mode: str
    account_id: str
    is_ready: bool
    not_ready_because: list[str]
    market_feed: str
    order_stream: str
    database: str
    breaker: str
    permits_waiting: int
    budget_used: list[int]
    """Order writes counted in the running second, minute, hour and day."""
    positions: dict[str, int]
    reconciled_age_seconds: float | None
    last_tick_age_seconds: float | None
    token_expires_at: Instant | None = Field(validation_alias="token_expires_ns")
    kill_switch_active: bool
    started_at: Instant = Field(validation_alias="started_at_ns")


class ReadinessOut(Outgoing):
    """Whether exits would go out now; where not, why."""

    ready: bool
    because: list[str]


class HealthOut(Outgoing):
    """The process answers."""

    ok: bool = True


class ErrorDetail(Outgoing):
    """What was refused and why; `details` holds `field` and `faults` where a field is to blame."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorOut(Outgoing):
    """The one shape of every error."""

    ok: bool = False
    error: ErrorDetail
