"""Answers that the dashboard is made of, with the names of docs/api.md."""

from typing import Any, Self

from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import OrderRole, OrderType, PositionSide, Side
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import seconds_to_ns
from squareoff.services.desk.charts import Chart, LevelsAt
from squareoff.services.desk.exit_preview import ExitPreview
from squareoff.services.prices.price_history import PriceSpan
from squareoff.web.answers import AlarmOut, ItemList, KillSwitchOut, TrackerOut
from squareoff.web.preview_tickets import VALID_SECONDS
from squareoff.web.wire_types import DecimalText, Instant, Outgoing


class ReplicaOut(Outgoing):
    """The account as of one journal entry; the facts after `seq` lead on from here.

    `trackers` are those that are open or ended today, each with all the fields that its journal
    facts fold into; their names are those of the facts.
    """

    seq: int
    account_id: str
    mode: str
    broker: str
    """Whom the orders go to, in words."""
    stale_after_seconds: float
    """A price that was received longer ago is not traded on."""
    budget_limits: dict[str, int]
    """Most order writes in any running `second`, `minute`, `hour` and `day`."""
    kill_switch: KillSwitchOut
    exit_all: dict[str, Any] | None
    trackers: list[dict[str, Any]]
    alarms: list[AlarmOut]


class SpanOut(Outgoing):
    """The prices of one span of time."""

    time: Instant
    open: DecimalText
    high: DecimalText
    low: DecimalText
    close: DecimalText

    @classmethod
    def of(cls, span: PriceSpan) -> Self:
        """Return a span in rupees."""
        return cls(
            time=seconds_to_ns(span.began_seconds),
            open=decimal_from_units(span.open),
            high=decimal_from_units(span.high),
            low=decimal_from_units(span.low),
            close=decimal_from_units(span.close),
        )


class LevelsOut(Outgoing):
    """The levels of a position's rules from an instant on; null where no such rule is set."""

    time: Instant
    stop_level: DecimalText | None
    stop_rule: str | None
    target_level: DecimalText | None

    @classmethod
    def of(cls, at: LevelsAt) -> Self:
        """Return the levels with their time."""
        levels = at.levels
        return cls(
            time=at.time_ns,
            stop_level=levels.stop_level,
            stop_rule=levels.stop_rule,
            target_level=levels.target_level,
        )


class TriggerOut(Outgoing):
    """What fired; level and price are null for rules that are not about a price."""

    time: Instant
    rule: str
    level: DecimalText | None
    price: DecimalText | None


class FillOut(Outgoing):
    """What was filled, when the engine learned of it; the price is null until it is told."""

    time: Instant
    role: OrderRole
    side: Side
    quantity: int
    price: DecimalText | None


class ChartOut(Outgoing):
    """The chart of one position: prices of this run of the engine, the rest from the journal."""

    tracker_id: str
    opened_at: Instant
    entry_price: DecimalText
    span_seconds: int
    spans: list[SpanOut]
    levels: list[LevelsOut]
    triggers: list[TriggerOut]
    fills: list[FillOut]

    @classmethod
    def of(cls, chart: Chart) -> Self:
        """Return the chart as the API shows it."""
        return cls(
            tracker_id=chart.tracker_id,
            opened_at=chart.opened_at_ns,
            entry_price=chart.entry_price,
            span_seconds=chart.span_seconds,
            spans=[SpanOut.of(span) for span in chart.spans],
            levels=[LevelsOut.of(at) for at in chart.levels],
            triggers=[
                TriggerOut(time=at.time_ns, rule=at.rule, level=at.level, price=at.price)
                for at in chart.triggers
            ],
            fills=[
                FillOut(
                    time=at.time_ns,
                    role=at.role,
                    side=at.side,
                    quantity=at.quantity,
                    price=at.price,
                )
                for at in chart.fills
            ],
        )


class PreviewOrderOut(Outgoing):
    """One order that would be sent; without a fresh price it is priced when it leaves."""

    side: Side
    quantity: int
    order_type: OrderType
    limit_price: DecimalText | None
    price_source: str | None


class ExitPreviewOut(Outgoing):
    """What the exit of one position would send now; nothing was sent or claimed."""

    tracker_id: str
    trading_symbol: str
    product_type: ProductType
    side: PositionSide
    status: PositionStatus
    open_quantity: int
    broker_net_quantity: int | None
    """What the broker shows, null where it could not be read or was not asked for."""
    orders: list[PreviewOrderOut]
    why: str
    """What stands before the orders; empty where they would leave at once."""

    @classmethod
    def of(cls, preview: ExitPreview) -> Self:
        """Return a preview as the API shows it."""
        tracker = preview.tracker
        return cls(
            tracker_id=tracker.id,
            trading_symbol=tracker.trading_symbol,
            product_type=tracker.product_type,
            side=tracker.side,
            status=tracker.status,
            open_quantity=max(0, tracker.quantity - tracker.exited_quantity),
            broker_net_quantity=preview.broker_net_quantity,
            orders=[PreviewOrderOut.model_validate(order) for order in preview.orders],
            why=preview.why,
        )


class ExitPreviewListOut(ItemList[ExitPreviewOut]):
    """The previews, and the ticket that proves that they were shown."""

    ticket: str
    """Good once and for `valid_seconds`, for an exit of all, or for letting this position go."""
    valid_seconds: float = VALID_SECONDS


class ResumePreviewOut(ItemList[TrackerOut]):
    """The positions whose exits wait for the kill switch, and the ticket for lifting it."""

    kill_switch: KillSwitchOut
    ticket: str
    valid_seconds: float = VALID_SECONDS
