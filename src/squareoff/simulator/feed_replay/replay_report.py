"""What a replay ends with: what fired for each position, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from squareoff.core.state.facts import ExitClaimed, JournalEntry, StopMoved
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import decimal_from_units, decimal_text
from squareoff.domain.rules import Trigger
from squareoff.domain.time import iso_from_ns
from squareoff.services.desk.views import TrackerView


@dataclass(frozen=True, slots=True)
class ReplayedPosition:
    """A position's last view, and what fired for it, None where nothing did.

    `stops` are the stops it moved to, price units, in order.
    """

    view: TrackerView
    trigger: Trigger | None
    claimed_at_ns: int | None
    stops: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The end of a replay: every position in the order given, and how much was played.

    `ticks_refused` counts the prices that might not fire a rule, by cause.
    """

    positions: tuple[ReplayedPosition, ...]
    frames: int
    market_seconds: float
    ticks_refused: Mapping[str, int]


def replayed_position(view: TrackerView, entries: list[JournalEntry]) -> ReplayedPosition:
    """Return what the journal of one position says; the newest claim counts."""
    claims = [entry for entry in entries if isinstance(entry.fact, ExitClaimed)]
    stops = tuple(
        entry.fact.stop_level
        for entry in entries
        if isinstance(entry.fact, StopMoved) and entry.fact.stop_level is not None
    )
    if not claims:
        return ReplayedPosition(view, None, None, stops)
    claim = claims[-1].fact
    assert isinstance(claim, ExitClaimed), "picked by its type"
    return ReplayedPosition(view, claim.trigger, claims[-1].time_ns, stops)


def report_as_json(report: ReplayReport) -> dict[str, Any]:
    """Return a report for scripts: prices and money as decimal text, times as ISO 8601 in IST."""
    return {
        "positions": [_position_as_json(each) for each in report.positions],
        "frames": report.frames,
        "market_seconds": report.market_seconds,
        "ticks_refused": dict(report.ticks_refused),
    }


def _position_as_json(position: ReplayedPosition) -> dict[str, Any]:
    view, trigger = position.view, position.trigger
    money = {
        "entry_price": view.entry_price,
        "exit_price": view.exit_price,
        "realized_pnl": view.realized_pnl,
    }
    return {
        "id": view.id,
        "instrument": str(InstrumentId(view.exchange_segment, view.security_id)),
        "product_type": view.product_type.value,
        "side": view.side.value,
        "quantity": view.quantity,
        "status": view.status.value,
        "was_priced": _was_priced(view),
        **{name: None if value is None else decimal_text(value) for name, value in money.items()},
        "rule": None if trigger is None else trigger.rule.value,
        "level": _price(None if trigger is None else trigger.level),
        "price": _price(None if trigger is None else trigger.price),
        "exchange_time": _instant(None if trigger is None else trigger.exchange_time_ns),
        "received_time": _instant(None if trigger is None else trigger.received_time_ns),
        "claimed_at": _instant(position.claimed_at_ns),
        "exited_at": _instant(view.exited_at_ns),
        "reason": view.exit_reason,
        "stop_moves": len(position.stops),
        "last_stop": _price(position.stops[-1] if position.stops else None),
    }


def _was_priced(view: TrackerView) -> bool:
    """Say whether a price came while it was held; without one no rule of prices could fire."""
    return view.last_price_at_ns is not None and view.last_price_at_ns >= view.created_at_ns


def _price(units: int | None) -> str | None:
    return None if units is None else decimal_text(decimal_from_units(units))


def _instant(wall_ns: int | None) -> str | None:
    return None if wall_ns is None else iso_from_ns(wall_ns)
