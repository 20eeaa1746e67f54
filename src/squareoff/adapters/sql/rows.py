"""Trackers as rows and rows as trackers. Pure; the inverse of each other.

A `Row` here maps column names to values as the column types take and give them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from squareoff.adapters.sql.codec import decode_rules, encode_rules
from squareoff.core.state.tracker import (
    BrokerOrder,
    ExitIntent,
    PositionTracker,
    Send,
    SendOutcome,
    TrackedOrder,
)
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderOrigin,
    OrderRole,
    OrderType,
    PositionSide,
    Side,
)
from squareoff.domain.rules import RuleName, Trigger
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus

Row = Mapping[str, Any]


def opening_columns(tracker: PositionTracker) -> dict[str, Any]:
    """Return the columns of `trackers` that no fact ever changes."""
    instrument = tracker.instrument
    return {
        "tracker_id": tracker.tracker_id,
        "account_id": tracker.account_id,
        "exchange_segment": instrument.instrument_id.exchange_segment.value,
        "security_id": instrument.instrument_id.security_id,
        "trading_symbol": instrument.trading_symbol,
        "instrument_type": instrument.instrument_type,
        "lot_size": instrument.lot_size,
        "tick_size": instrument.tick_size,
        "freeze_quantity": instrument.freeze_quantity,
        "lower_circuit": instrument.lower_circuit,
        "upper_circuit": instrument.upper_circuit,
        "product_type": tracker.product_type.value,
        "side": tracker.side.value,
        "created_at_ns": tracker.created_at_ns,
    }


def changing_columns(tracker: PositionTracker) -> dict[str, Any]:
    """Return the columns of `trackers` that facts change."""
    return {
        "status": tracker.status.value,
        "quantity": tracker.quantity,
        "entry_price": tracker.entry_price,
        "rules": encode_rules(tracker.rules),
        "peak_price": tracker.peak_price,
        "stop_level": tracker.stop_level,
        "stop_rule": tracker.stop_rule,
        "externally_closed_quantity": tracker.externally_closed_quantity,
        "externally_closed_notional": tracker.externally_closed_notional,
        "exit_price": tracker.exit_price,
        "realized_pnl": tracker.realized_pnl,
        "exit_reason": tracker.exit_reason,
        "exited_at_ns": tracker.exited_at_ns,
        "held_since_ns": tracker.held_since_ns,
        "over_exited_quantity": tracker.over_exited_quantity,
        "intent_id": None if tracker.intent is None else tracker.intent.intent_id,
        "version": tracker.version,
    }


def tracker_of(
    row: Row, intent: ExitIntent | None, orders: tuple[TrackedOrder, ...]
) -> PositionTracker:
    """Return the tracker of a `trackers` row and its parts."""
    return PositionTracker(
        tracker_id=row["tracker_id"],
        account_id=row["account_id"],
        instrument=_instrument_of(row),
        product_type=ProductType(row["product_type"]),
        side=PositionSide(row["side"]),
        status=PositionStatus(row["status"]),
        quantity=row["quantity"],
        entry_price=row["entry_price"],
        rules=decode_rules(row["rules"]),
        created_at_ns=row["created_at_ns"],
        peak_price=row["peak_price"],
        stop_level=row["stop_level"],
        stop_rule=row["stop_rule"],
        externally_closed_quantity=row["externally_closed_quantity"],
        externally_closed_notional=row["externally_closed_notional"],
        exit_price=row["exit_price"],
        realized_pnl=row["realized_pnl"],
        exit_reason=row["exit_reason"],
        exited_at_ns=row["exited_at_ns"],
        held_since_ns=row["held_since_ns"],
        over_exited_quantity=row["over_exited_quantity"],
        intent=intent,
        orders=orders,
        version=row["version"],
    )


def _instrument_of(row: Row) -> Instrument:
    return Instrument(
        instrument_id=InstrumentId(ExchangeSegment(row["exchange_segment"]), row["security_id"]),
        trading_symbol=row["trading_symbol"],
        lot_size=row["lot_size"],
        tick_size=row["tick_size"],
        freeze_quantity=row["freeze_quantity"],
        lower_circuit=row["lower_circuit"],
        upper_circuit=row["upper_circuit"],
        instrument_type=row["instrument_type"],
    )


def claim_columns(tracker_id: str, intent: ExitIntent) -> dict[str, Any]:
    """Return the columns of `exit_intents` that are fixed by the claim."""
    return {
        "intent_id": intent.intent_id,
        "tracker_id": tracker_id,
        "reason": intent.reason,
        "trigger_rule": intent.trigger.rule.value,
        "trigger_level": intent.trigger.level,
        "trigger_price": intent.trigger.price,
        "trigger_exchange_time_ns": intent.trigger.exchange_time_ns,
        "trigger_received_time_ns": intent.trigger.received_time_ns,
        "claimed_at_ns": intent.claimed_at_ns,
    }


def intent_columns(intent: ExitIntent) -> dict[str, Any]:
    """Return the columns of `exit_intents` that facts change."""
    return {
        "status": intent.status.value,
        "attempt": intent.attempt,
        "failures": intent.failures,
        "block_reason": None if intent.block_reason is None else intent.block_reason.value,
        "note": intent.note,
    }


def intent_of(row: Row) -> ExitIntent:
    """Return the intent of an `exit_intents` row."""
    block_reason = row["block_reason"]
    return ExitIntent(
        intent_id=row["intent_id"],
        status=IntentStatus(row["status"]),
        reason=row["reason"],
        trigger=Trigger(
            rule=RuleName(row["trigger_rule"]),
            level=row["trigger_level"],
            price=row["trigger_price"],
            exchange_time_ns=row["trigger_exchange_time_ns"],
            received_time_ns=row["trigger_received_time_ns"],
        ),
        claimed_at_ns=row["claimed_at_ns"],
        attempt=row["attempt"],
        failures=row["failures"],
        block_reason=None if block_reason is None else BlockReason(block_reason),
        note=row["note"],
    )


def plan_columns(tracker_id: str, position: int, order: TrackedOrder) -> dict[str, Any]:
    """Return the columns of `orders` that are fixed by the plan; `position` counts from 0."""
    return {
        "client_order_id": order.client_order_id,
        "tracker_id": tracker_id,
        "position": position,
        "role": order.role.value,
        "origin": order.origin.value,
        "attempt": order.attempt,
        "slice_number": order.slice_number,
        "side": order.side.value,
        "order_quantity": order.order_quantity,
    }


def order_columns(order: TrackedOrder) -> dict[str, Any]:
    """Return the columns of `orders` that facts change."""
    return {
        "state": order.state.value,
        "order_type": order.order_type.value,
        "limit_price": order.limit_price,
        "modifications": order.modifications,
        "failure_text": order.failure_text,
    }


def order_of(row: Row, sends: Iterable[Row], broker_orders: Iterable[Row]) -> TrackedOrder:
    """Return the order of an `orders` row and its parts, each oldest first."""
    return TrackedOrder(
        client_order_id=row["client_order_id"],
        role=OrderRole(row["role"]),
        origin=OrderOrigin(row["origin"]),
        attempt=row["attempt"],
        slice_number=row["slice_number"],
        side=Side(row["side"]),
        order_quantity=row["order_quantity"],
        state=OrderState(row["state"]),
        order_type=OrderType(row["order_type"]),
        limit_price=row["limit_price"],
        modifications=row["modifications"],
        sends=tuple(_send_of(send) for send in sends),
        broker_orders=tuple(_broker_order_of(record) for record in broker_orders),
        failure_text=row["failure_text"],
    )


def send_columns(send: Send) -> dict[str, Any]:
    """Return the columns of `order_sends`, but for the order's id."""
    return {
        "number": send.number,
        "outcome": send.outcome.value,
        "sent_at_ns": send.sent_at_ns,
        "broker_order_id": send.broker_order_id,
    }


def _send_of(row: Row) -> Send:
    return Send(
        number=row["number"],
        outcome=SendOutcome(row["outcome"]),
        sent_at_ns=row["sent_at_ns"],
        broker_order_id=row["broker_order_id"],
    )


def broker_order_columns(position: int, record: BrokerOrder) -> dict[str, Any]:
    """Return the columns of `broker_orders`, but for our id; `position` counts from 0."""
    return {
        "broker_order_id": record.broker_order_id,
        "position": position,
        "status": record.status.value,
        "cumulative_quantity": record.cumulative_quantity,
        "average_price": record.average_price,
        "reason": record.reason,
    }


def _broker_order_of(row: Row) -> BrokerOrder:
    return BrokerOrder(
        broker_order_id=row["broker_order_id"],
        status=BrokerOrderStatus(row["status"]),
        cumulative_quantity=row["cumulative_quantity"],
        average_price=row["average_price"],
        reason=row["reason"],
    )
