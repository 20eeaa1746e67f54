"""Compare the engine's word with the broker's books, by arithmetic of the demo's own.

Nothing here is taken from the engine but which order ids are its own; quantities, prices, averages
and money are summed from the broker's trades. Every difference is one sentence.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from squareoff.cli.demo.evidence import APP_SOURCE, BrokerTrade, Evidence
from squareoff.cli.demo.scenario import (
    KILLED,
    LOST_ANSWER,
    PARTIAL,
    POSITIONS,
    SLICED,
    DemoPosition,
)

FREEZE_QUANTITY = 1_800
AVERAGE_STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class PositionAudit:
    """One position as both sides tell it; prices in rupees, None where a side has none."""

    position: DemoPosition
    status: str
    fired_at: Decimal | None
    engine_price: Decimal | None
    ledger_price: Decimal | None
    ledger_quantity: int
    profit: Decimal
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """All positions, what was shown besides, and every difference in words (none: all is well)."""

    positions: tuple[PositionAudit, ...]
    claims: tuple[str, ...]
    differences: tuple[str, ...]


def audit(evidence: Evidence, engine_away_seconds: float) -> Audit:
    """Compare both sides; `engine_away_seconds` is how long the killed engine was away."""
    positions = tuple(_audit_position(evidence, position) for position in POSITIONS)
    differences = [line for each in positions for line in each.differences]
    differences += _account_differences(evidence)
    differences += _story_differences(evidence)
    return Audit(positions, tuple(_claims(evidence, engine_away_seconds)), tuple(differences))


def average_of(trades: list[BrokerTrade]) -> Decimal | None:
    """Return the quantity-weighted average price to 8 decimals, None without trades."""
    quantity = sum(trade.quantity for trade in trades)
    if quantity == 0:
        return None
    return (_value(trades) / quantity).quantize(AVERAGE_STEP, rounding=ROUND_HALF_EVEN)


def _value(trades: list[BrokerTrade]) -> Decimal:
    return sum((trade.quantity * trade.price for trade in trades), Decimal(0))


def _audit_position(evidence: Evidence, position: DemoPosition) -> PositionAudit:
    tracker, trades = evidence.tracker(position), evidence.exits_of(position)
    quantity = sum(trade.quantity for trade in trades)
    held = position.quantity * position.entry_price
    profit = (_value(trades) - held) * position.sign
    intent = tracker["intent"] or {}
    audited = PositionAudit(
        position=position,
        status=tracker["status"],
        fired_at=_decimal(intent.get("trigger_price")),
        engine_price=_decimal(tracker["exit_price"]),
        ledger_price=average_of(trades),
        ledger_quantity=quantity,
        profit=profit,
        differences=(),
    )
    found = [*_price_differences(audited), *_rule_differences(audited, intent.get("rule"))]
    if any(trade.side != position.exit_side for trade in trades):
        found.append(f"{name_of(position)}: an exit order was not a {position.exit_side}")
    if _decimal(tracker["realized_pnl"]) != profit:
        found.append(f"{name_of(position)}: P&L {tracker['realized_pnl']}, by the books {profit}")
    return PositionAudit(
        position, audited.status, audited.fired_at, audited.engine_price, audited.ledger_price,
        quantity, profit, tuple(found),
    )  # fmt: skip


def _price_differences(audited: PositionAudit) -> Iterator[str]:
    name, held = name_of(audited.position), audited.position.quantity
    if audited.status != "EXITED":
        yield f"{name}: the engine calls it {audited.status}"
    if audited.ledger_quantity != held:
        yield f"{name}: the broker closed {audited.ledger_quantity} of {held}"
    if audited.engine_price != audited.ledger_price:
        yield f"{name}: exit price {audited.engine_price}, by the books {audited.ledger_price}"


def _rule_differences(audited: PositionAudit, rule: str | None) -> Iterator[str]:
    position = audited.position
    if rule != position.rule:
        yield f"{name_of(position)}: ended by {rule}, must be {position.rule}"
    if audited.fired_at != position.fires_at:
        yield f"{name_of(position)}: fired at {audited.fired_at}, recorded {position.fires_at}"


def _account_differences(evidence: Evidence) -> Iterator[str]:
    nets: Counter[tuple[str, str, str]] = Counter()
    opened_by = {trade.key: trade.side for trade in reversed(evidence.trades)}
    for trade in evidence.trades:
        nets[trade.key] += trade.quantity if trade.side == opened_by[trade.key] else -trade.quantity
        if nets[trade.key] < 0:
            yield f"{' '.join(trade.key)}: the net position crossed zero (over-exit)"
    for key, net in nets.items():
        if net:
            yield f"{' '.join(key)}: {net} left at the broker"
    known = {order["client_order_id"] for order in evidence.engine_orders}
    tags = [o["correlation_id"] for o in evidence.broker_orders if o["source"] != APP_SOURCE]
    for tag, count in Counter(tags).items():
        if tag not in known:
            yield f"order {tag} is at the broker and unknown to the engine"
        if count > 1:
            yield f"order {tag} is at the broker {count} times"
    for alarm in evidence.alarms:
        if alarm["severity"] == "critical":
            yield f"critical alarm: {alarm['message']}"


def _story_differences(evidence: Evidence) -> Iterator[str]:
    """What the demo claims to show must really have happened."""
    for position, fault in ((LOST_ANSWER, "lost-answer"), (KILLED, "held-answer")):
        kinds = {fact["kind"] for fact in evidence.facts(position)}
        if evidence.faults_fired.get(fault) != 1:
            yield f"{name_of(position)}: the fault {fault} did not happen"
        if "order_outcome_lost" not in kinds:
            yield f"{name_of(position)}: its order's outcome was never in doubt"
        # After a restart the order stream may tell of the order before a book is read.
        if position is LOST_ANSWER and not _was_asked_for(evidence, position):
            yield f"{name_of(position)}: the broker was not asked what became of its order"
        if len(evidence.orders_of(position)) != 1:
            yield f"{name_of(position)}: {len(evidence.orders_of(position))} orders, must be 1"
    sizes = [order["quantity"] for order in evidence.orders_of(SLICED)]
    if len(sizes) < 2 or max(sizes) > FREEZE_QUANTITY:
        yield f"{name_of(SLICED)}: not sliced by {FREEZE_QUANTITY}: {sizes}"
    if len(evidence.exits_of(PARTIAL)) < 2:
        yield f"{name_of(PARTIAL)}: was not filled in parts"


def _was_asked_for(evidence: Evidence, position: DemoPosition) -> bool:
    facts = evidence.facts(position)
    sources = {fact["data"]["source"] for fact in facts if fact["kind"] == "order_reported"}
    return bool(sources & {"LOOKUP", "ORDER_BOOK"})


def _claims(evidence: Evidence, engine_away_seconds: float) -> Iterator[str]:
    ours = [order for order in evidence.broker_orders if order["source"] != APP_SOURCE]
    keys = {trade.key for trade in evidence.trades}
    yield f"{len(POSITIONS)} of {len(POSITIONS)} positions EXITED at the ledger's average price"
    yield f"0 over-exits: {len(keys)} net positions at the broker are flat, none crossed zero"
    yield f"{len(ours)} exit orders, each at the broker once, each known to the engine by its id"
    sizes = " + ".join(str(order["quantity"]) for order in evidence.orders_of(SLICED))
    yield f"{name_of(SLICED)}, freeze quantity {FREEZE_QUANTITY}: sent as {sizes}"
    fills = ", ".join(f"{t.quantity} at {t.price}" for t in evidence.exits_of(PARTIAL))
    yield f"{name_of(PARTIAL)}, filled in parts: {fills}"
    yield f"{name_of(LOST_ANSWER)}, answer and updates lost: found by asking, not sent again"
    yield (
        f"{name_of(KILLED)}, engine killed in mid-exit and back after {engine_away_seconds:.1f} s: "
        "not sent again"
    )


def name_of(position: DemoPosition) -> str:
    """Return a position's name for people."""
    return f"{position.holding.label} {position.side.lower()} {position.quantity}"


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
