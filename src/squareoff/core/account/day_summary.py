"""One day of an account in words, for the person who was not looking."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from squareoff.core.account.account_pnl import rupees_of, share_of
from squareoff.core.state.facts import Severity
from squareoff.core.state.tracker import PositionTracker, SendOutcome
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import ist_date, ist_midnight_ns

OPEN_SHOWN_MAX = 10
"""A longer list is read in the dashboard."""

BY_OTHERS = "closed by others"


@dataclass(frozen=True, slots=True)
class DayAlarm:
    """What the summary says of an alarm."""

    severity: Severity
    code: str
    is_open: bool


def summary_of(day: date, trackers: Sequence[PositionTracker], alarms: Sequence[DayAlarm]) -> str:
    """Return the day as lines.

    Args:
        trackers: all of the account; those of other days are left out here.
        alarms: those raised on the day.
    """
    ended = [t for t in trackers if t.exited_at_ns is not None and ist_date(t.exited_at_ns) == day]
    exited = [t for t in ended if t.status is PositionStatus.EXITED]
    lines = [_exits_line([t for t in exited if not _is_late(t)])]
    lines += _late_lines([t for t in exited if _is_late(t)])
    lines += _open_lines([t for t in trackers if not t.status.is_final and t.open_quantity > 0])
    lines += _unknown_lines(day, trackers)
    lines.append(_alarms_line(alarms))
    return "\n".join(lines)


def _exits_line(exited: Sequence[PositionTracker]) -> str:
    if not exited:
        return "Exits: none."
    rules = Counter(BY_OTHERS if t.intent is None else t.intent.trigger.rule.value for t in exited)
    told = ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items()))
    return f"Exits: {len(exited)} ({told}). Their P&L: {_profit(exited)}."


def _is_late(tracker: PositionTracker) -> bool:
    """Say whether the broker closed it before the day on which it was booked."""
    exited_ns = tracker.exited_at_ns
    return exited_ns is not None and tracker.is_of_an_ended_day(ist_midnight_ns(exited_ns))


def _late_lines(late: Sequence[PositionTracker]) -> list[str]:
    if not late:
        return []
    return [f"Closed on an earlier day and booked today: {len(late)}. Their P&L: {_profit(late)}."]


def _profit(exited: Iterable[PositionTracker]) -> str:
    return f"{sum((rupees_of(share_of(each).realized) for each in exited), Decimal(0)):+.2f} rupees"


def _open_lines(held: Sequence[PositionTracker]) -> list[str]:
    if not held:
        return ["Still open: nothing."]
    shown = [
        f"{t.instrument.trading_symbol or t.instrument.instrument_id} {t.side.value} "
        f"{t.open_quantity}{_waiting(t)}"
        for t in held[:OPEN_SHOWN_MAX]
    ]
    more = len(held) - len(shown)
    return [f"STILL OPEN: {len(held)}.", *shown, *([f"and {more} more"] if more else [])]


def _waiting(tracker: PositionTracker) -> str:
    intent = tracker.intent
    if tracker.status is not PositionStatus.EXITING or intent is None:
        return ""
    reason = "" if intent.block_reason is None else f", {intent.block_reason.value}"
    return f" (its exit is under way: {intent.status.value}{reason})"


def _unknown_lines(day: date, trackers: Iterable[PositionTracker]) -> list[str]:
    sends = [
        send.outcome
        for tracker in trackers
        for order in tracker.exit_orders
        for send in order.sends
        if ist_date(send.sent_at_ns) == day
    ]
    unknown, absent = sends.count(SendOutcome.UNKNOWN), sends.count(SendOutcome.ABSENT)
    if unknown + absent == 0:
        return []
    return [f"Orders of unknown outcome: {unknown}; proved never to have arrived: {absent}."]


def _alarms_line(alarms: Sequence[DayAlarm]) -> str:
    if not alarms:
        return "Alarms: none."
    critical = sum(alarm.severity is Severity.CRITICAL for alarm in alarms)
    unseen = sorted({alarm.code for alarm in alarms if alarm.is_open})
    told = f" Unseen: {', '.join(unseen)}." if unseen else ""
    return f"Alarms: {critical} critical, {len(alarms) - critical} warnings.{told}"
