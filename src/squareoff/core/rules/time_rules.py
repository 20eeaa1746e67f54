"""Rules about time: how long a position is held, and when it must be gone.

A square-off time is meant for an ordinary day. On a day with other hours (a shortened one, Muhurat
trading, an evening session alone) it stands as it is written if the exchange trades then and does
not close too soon after; else it moves to as long before that day's last close as it is before the
ordinary one, at most `LEAD_MINUTES_MAX`. On a day without trading nothing is due.

An intraday position must be gone before the broker closes it by itself, at whatever price and for
a fee: its square-off begins at the latest `FINISH_MINUTES` before that.
"""

from datetime import time

from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import ProductType
from squareoff.domain.rules import RuleName
from squareoff.domain.sessions import TradingDay
from squareoff.domain.time import Now, seconds_to_ns

LEAD_MINUTES_MAX = 15
"""A time far from the close was meant for something else than the close; 15 minutes is what most
square-off times keep (15:15 on the stock exchanges)."""

FINISH_MINUTES = 2
"""Sixty steps of the chase at its usual interval; and 480 orders at the usual rate a minute."""

_DAY_SECONDS = 86_400


def due_time_rule(
    tracker: PositionTracker, now: Now, day: TradingDay, *, held_ns: int
) -> RuleName | None:
    """Return the time rule that is due, None where none is.

    A square-off time that has passed today is due at once: starting late is no reason to hold on.

    Args:
        now: the time that is trusted (`trusted_time`), not the bare wall clock.
        held_ns: how long the position is held, by a clock that nobody sets.
        day: today's hours where the position is traded.
    """
    rules = tracker.rules
    if rules.square_off_at is not None:
        begins = square_off_time(rules.square_off_at, tracker.product_type, day)
        if begins is not None and now.ist().time() >= begins:
            return RuleName.SQUARE_OFF
    longest = rules.max_holding_minutes
    if longest is not None and held_ns >= seconds_to_ns(longest * 60):
        return RuleName.MAX_HOLDING
    return None


def square_off_time(wanted: time, product: ProductType, day: TradingDay) -> time | None:
    """Return when the square-off begins on this day, None on a day without trading."""
    if day.last_close is None:
        return None
    closing = _seconds(day.last_close)
    begins = _seconds(wanted)
    if not (day.is_usual or _fits(wanted, day)):
        begins = closing - _lead_seconds(wanted, day)
    latest = closing - FINISH_MINUTES * 60
    if product.is_intraday and day.broker_minutes is not None:
        latest -= day.broker_minutes * 60
    return _clock(min(begins, latest))


def early_text(wanted: time, opens: time) -> str | None:
    """Say what is wrong with a square-off time before the ordinary open: it would be due at once
    on every day. None where nothing is."""
    if wanted >= opens:
        return None
    return (
        f"must not be before the exchange opens at {opens:%H:%M} (15:15 is 3:15 in the afternoon), "
        f"was {wanted:%H:%M}"
    )


def late_text(wanted: time, product: ProductType, day: TradingDay, clock: time) -> str | None:
    """Say what is wrong with a square-off time of a position that is carried overnight, given after
    today's close: it has passed, so the exit would go out at the next open. None where nothing is.
    """
    begins = square_off_time(wanted, product, day)
    if product.is_intraday or begins is None or day.last_close is None:
        return None
    if clock < max(begins, day.last_close):
        return None
    return (
        f"{wanted:%H:%M} has passed today and the exchange has closed: the exit would go out at "
        "the next open. Give it after midnight for the day that comes"
    )


def _fits(wanted: time, day: TradingDay) -> bool:
    """Say whether a day of other hours trades at this time and for the same while after it."""
    assert day.last_close is not None, "asked of trading days only"
    left = _seconds(day.last_close) - _seconds(wanted)
    return day.trades_at(wanted) and left >= _lead_seconds(wanted, day)


def _lead_seconds(wanted: time, day: TradingDay) -> int:
    lead = _seconds(day.usual.closes) - _seconds(wanted)
    longest = LEAD_MINUTES_MAX * 60
    return min(lead, longest) if lead > 0 else longest


def _seconds(clock: time) -> int:
    return clock.hour * 3_600 + clock.minute * 60 + clock.second


def _clock(seconds: int) -> time:
    within = min(max(seconds, 0), _DAY_SECONDS - 1)
    return time(within // 3_600, within // 60 % 60, within % 60)
