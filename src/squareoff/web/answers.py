"""Answers of the API, with the names of docs/api.md."""

from datetime import time
from typing import Any, Generic, Self, TypeVar

from pydantic import Field

from squareoff.core.state.facts import Severity
from squareoff.domain.account_rules import AccountRuleName
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import OrderRole, OrderType, PositionSide, Side
from squareoff.domain.results import ExitCode
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus
from squareoff.services.exits.exit_all_report import ExitAllReport
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
    """What is or was held; 0 while an entry has not filled."""
    entry_quantity: int | None
    """What its entry order asks for; null where it was taken under watch without one."""
    exited_quantity: int
    entry_price: DecimalText
    exit_price: DecimalText | None
    realized_pnl: DecimalText | None
    """Of what is closed so far; null while nothing is, or the price of a fill is not told yet."""
    unrealized_pnl: DecimalText | None
    """Of what is still held, at `last_traded_price`."""
    last_traded_price: DecimalText | None
    last_price_at: Instant | None = Field(validation_alias="last_price_at_ns")
    """When that price reached the engine; its age on the dashboard counts from here."""
    exit_reason: str | None
    created_at: Instant = Field(validation_alias="created_at_ns")
    exited_at: Instant | None = Field(validation_alias="exited_at_ns")
    """When it ended: closed, its entry cancelled, or let go."""
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
    text: str
    """What it says, in words."""


class AlarmOut(Outgoing):
    """One alarm."""

    id: int = Field(validation_alias="seq")
    severity: Severity
    code: str
    message: str
    tracker_id: str | None
    raised_at: Instant = Field(validation_alias="raised_at_ns")
    acknowledged_at: Instant | None = Field(validation_alias="acknowledged_at_ns")
    repeats: int
    """How often it was raised or told again since."""
    last_raised_at: Instant | None = Field(validation_alias="last_raised_at_ns")
    cleared_at: Instant | None = Field(validation_alias="cleared_at_ns")
    """When its cause was seen to be gone; null while it stands, or where only a person can tell."""


class RemainingOut(Outgoing):
    """A position under watch that is not closed."""

    tracker_id: str
    trading_symbol: str
    side: PositionSide
    status: PositionStatus
    open_quantity: int
    reason: str
    why: str
    """What it waits for, in words."""


class UnknownPositionOut(Outgoing):
    """What the broker holds beyond the positions under watch."""

    exchange_segment: str
    security_id: str
    product_type: str
    trading_symbol: str
    net_quantity: int
    how: str
    """What can be done about it."""


class ExitAllOut(Outgoing):
    """The newest wish to close everything, and what remains of it."""

    operation_id: str | None
    outcome: str
    """`running`, `closed`, `lifted` (with the kill switch), or `none` where there was no wish."""
    reason: str
    asked_at: Instant | None
    ended_at: Instant | None
    lock_outcome: str
    """The broker's own lock: empty where not asked for, `sent`, `locked`, `refused`, `unknown`."""
    note: str
    nothing_remains: bool
    """True only where the broker's positions could be read and nothing is left anywhere."""
    items: list[ExitResultOut]
    """What became of each position since the wish."""
    next: int | None = None
    remaining: list[RemainingOut]
    unknown_positions: list[UnknownPositionOut] | None
    """Null where the broker's positions could not be read."""

    @classmethod
    def of(cls, report: ExitAllReport) -> Self:
        """Return the report as the API shows it."""
        state, unknown = report.state, report.unknown
        return cls(
            operation_id=None if state is None else state.operation_id,
            outcome="none" if state is None else state.outcome,
            reason="" if state is None else state.reason,
            asked_at=None if state is None else state.asked_at_ns,
            ended_at=None if state is None else state.ended_at_ns,
            lock_outcome="" if state is None else state.lock_outcome,
            note="" if state is None else state.note,
            nothing_remains=report.nothing_remains,
            items=[ExitResultOut.model_validate(result) for result in report.results],
            remaining=[RemainingOut.model_validate(row) for row in report.remaining],
            unknown_positions=(
                None
                if unknown is None
                else [UnknownPositionOut.model_validate(row) for row in unknown]
            ),
        )


class KillSwitchOut(Outgoing):
    """The kill switch."""

    active: bool
    level: str
    reason: str


class ReconcileOut(Outgoing):
    """What a comparison with the broker's books found."""

    differences: list[str]
    """In words; empty when the books agree."""


class AccountOut(Outgoing):
    """The day's P&L of all positions under watch, against the rules of the account, in rupees."""

    day: str
    pnl: DecimalText | None
    """Null where it is not known: good prices of `unseen` are missing."""
    realized_pnl: DecimalText
    realized_before: DecimalText
    """What the positions of today had realised on earlier days; no part of the day's P&L."""
    unrealized_pnl: DecimalText | None
    unseen: list[str]
    max_loss: DecimalText | None
    target: DecimalText | None
    trailing_activation: DecimalText | None
    """The profit from which the trailing holds, null without one."""
    peak: DecimalText | None
    """The best P&L of the day since the trailing holds."""
    trailing_stop: DecimalText | None
    """The P&L at which the trailing fires; null before it holds."""
    square_off_at: time | None
    fired: list[AccountRuleName]
    """The rules that fired today; none of them fires again before tomorrow."""
    fired_reason: str | None
    """Why everything was last closed by such a rule today."""
    fired_at: Instant | None = Field(validation_alias="fired_at_ns")


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
    """`open`, or `away` with what the last reading failed with."""
    breaker: str
    """The worst of the breakers that hold order writes back: `closed`, `half_open`, `open`."""
    breakers: dict[str, str]
    """Each circuit breaker: `placements`, `changes` (modifies and cancels), `reads`."""
    permits_waiting: int
    oldest_exit_wait_seconds: float
    """How long the exit that waits longest for a send permit has waited, 0 if none waits."""
    budget_used: dict[str, int]
    """Order writes counted in the running `second`, `minute`, `hour` and `day`."""
    positions: dict[str, int]
    reconciled_age_seconds: float | None
    last_tick_age_seconds: float | None
    blind_instruments: list[str]
    """Instruments (`NSE_FNO:49543`) with armed price rules whose prices are missing."""
    token_expires_at: Instant | None = Field(validation_alias="token_expires_ns")
    token_is_refused: bool
    """Whether the broker refuses the access token, however long it was to last."""
    kill_switch_active: bool
    started_at: Instant = Field(validation_alias="started_at_ns")
    account: AccountOut


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
