"""Instruments, trackers and reports for tests of the core, with defaults that tell a plain story.

The default position is 100 units LONG of one option, bought at 150.00, lot 25, tick 0.05.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from squareoff.core.entries.opening import NewPosition, open_position
from squareoff.core.state.inputs import ExitAsked, PositionsRead, PriceView
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId, IntentId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderReport,
    PositionSide,
    ReportSource,
    Side,
    TradeReport,
)
from squareoff.domain.rules import RuleName, RuleSet, Trigger

ACCOUNT = AccountId("1100000001")
TRACKER = TrackerId("trk-1")
INSTRUMENT = Instrument(
    instrument_id=InstrumentId(ExchangeSegment.NSE_FNO, "49081"),
    trading_symbol="NIFTY-Sep2026-25000-CE",
    lot_size=25,
    tick_size=Decimal("0.05"),
    freeze_quantity=1800,
    instrument_type="OPTIDX",
)
OPENED_AT_NS = 1_789_440_000_000_000_000
PRICE = PriceView(Decimal("152.00"), Decimal("151.95"), Decimal("152.05"), "memory", 0.1)


def new_position(**changes: Any) -> NewPosition:
    """Return the default position to open, with these fields changed."""
    default = NewPosition(
        tracker_id=TRACKER,
        account_id=ACCOUNT,
        instrument=INSTRUMENT,
        product_type=ProductType.INTRADAY,
        side=PositionSide.LONG,
        quantity=100,
        entry_price=Decimal("150.00"),
        rules=RuleSet(),
    )
    return replace(default, **changes)


def held(**changes: Any) -> PositionTracker:
    """Return an open tracker of the default position, with these fields changed."""
    tracker, _ = open_position(new_position(**changes), OPENED_AT_NS)
    return tracker


def asked(intent: str = "exit-1", rule: RuleName = RuleName.STOP_LOSS) -> ExitAsked:
    """Return the wish to exit."""
    return ExitAsked(IntentId(intent), f"{rule.value} fired", Trigger(rule))


def net(quantity: int, *, others_leaves: int = 0) -> PositionsRead:
    """Return a reading of the broker's positions that shows this signed net quantity."""
    return PositionsRead(quantity, others_leaves, 1.0)


def unreadable(*, reconciled_age_seconds: float | None = None) -> PositionsRead:
    """Return a failed reading of the broker's positions."""
    return PositionsRead(None, 0, reconciled_age_seconds)


def report(
    status: BrokerOrderStatus,
    cumulative_quantity: int = 0,
    *,
    broker_order_id: str = "B1",
    order_quantity: int = 100,
    average_price: str | None = "151.50",
    client_order_id: ClientOrderId | None = None,
    reason: str = "",
    limit_price: str | None = None,
    side: Side = Side.SELL,
    source: ReportSource = ReportSource.ORDER_BOOK,
) -> OrderReport:
    """Return what the broker says of one order; no average price without fills."""
    has_price = cumulative_quantity > 0 and average_price is not None
    return OrderReport(
        broker_order_id=BrokerOrderId(broker_order_id),
        client_order_id=client_order_id,
        status=status,
        instrument_id=INSTRUMENT.instrument_id,
        product_type=ProductType.INTRADAY,
        side=side,
        order_quantity=order_quantity,
        cumulative_quantity=cumulative_quantity,
        average_price=Decimal(average_price) if has_price and average_price else None,
        limit_price=None if limit_price is None else Decimal(limit_price),
        reason=reason,
        update_time_ns=None,
        source=source,
    )


def trade(
    quantity: int,
    price: str = "151.50",
    *,
    broker_order_id: str = "B1",
    exec_id: str = "",
    side: Side = Side.SELL,
    exchange_time_ns: int | None = None,
    product_type: ProductType = ProductType.INTRADAY,
) -> TradeReport:
    """Return one fill of the broker's trade book."""
    return TradeReport(
        broker_order_id=BrokerOrderId(broker_order_id),
        exec_id=exec_id,
        instrument_id=INSTRUMENT.instrument_id,
        product_type=product_type,
        side=side,
        quantity=quantity,
        price=Decimal(price),
        exchange_time_ns=exchange_time_ns,
    )
