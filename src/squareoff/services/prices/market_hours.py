"""What the hours of the exchange mean for prices and for time: asked for every tick, so kept.

Only the calendar's days are asked, once a day and segment.
"""

from datetime import time

from squareoff.core.rules.time_rules import due_time_rule, square_off_time
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.rules import RuleName
from squareoff.domain.sessions import TradingDay
from squareoff.domain.time import (
    DAY_NS,
    NANOSECONDS_PER_SECOND,
    Now,
    ist_date,
    ist_day_number,
    ist_midnight_ns,
)
from squareoff.ports import SessionCalendar


class MarketHours:
    """The hours of every segment, for one engine."""

    def __init__(self, calendar: SessionCalendar) -> None:
        self._calendar = calendar
        self._stretches: dict[ExchangeSegment, tuple[int, int, bool]] = {}
        self._days: dict[ExchangeSegment, tuple[int, TradingDay]] = {}
        self._told: dict[ExchangeSegment, int] = {}

    def is_in_session(self, segment: ExchangeSegment, wall_ns: int) -> bool:
        """Say whether a trade of this instant (UTC ns) was made in a session.

        Prints from before the open and after the close are no prices that one could have traded at.
        """
        begin_ns, end_ns, is_open = self._stretches.get(segment, (0, 0, False))
        if begin_ns <= wall_ns < end_ns:
            return is_open
        self._stretches[segment] = stretch = self._stretch(segment, wall_ns)
        return stretch[2]

    def is_news_of_a_closed_day(self, segment: ExchangeSegment, wall_ns: int) -> bool:
        """Say whether a trade of this instant is the first one seen on a day without any session:
        either the calendar lacks a special session, or the exchange tests its systems."""
        number = ist_day_number(wall_ns)
        if self._told.get(segment) == number or self._day(segment, wall_ns).sessions:
            return False
        self._told[segment] = number
        return True

    def due_rule(self, tracker: PositionTracker, now: Now, *, held_ns: int) -> RuleName | None:
        """Return the time rule of a position that is due, None where none is."""
        segment = tracker.instrument.instrument_id.exchange_segment
        return due_time_rule(tracker, now, self._day(segment, now.wall_ns), held_ns=held_ns)

    def is_square_off_due(self, wanted: time, tracker: PositionTracker, now: Now) -> bool:
        """Say whether a square-off time that its owner did not give has come for a position."""
        segment = tracker.instrument.instrument_id.exchange_segment
        day = self._day(segment, now.wall_ns)
        begins = square_off_time(wanted, tracker.product_type, day)
        return begins is not None and now.ist().time() >= begins

    def _day(self, segment: ExchangeSegment, wall_ns: int) -> TradingDay:
        number = ist_day_number(wall_ns)
        known = self._days.get(segment)
        if known is not None and known[0] == number:
            return known[1]
        day = self._calendar.trading_day(segment, ist_date(wall_ns))
        self._days[segment] = (number, day)
        return day

    def _stretch(self, segment: ExchangeSegment, wall_ns: int) -> tuple[int, int, bool]:
        """Return from when to when (UTC ns) the answer around an instant is the same."""
        midnight_ns = ist_midnight_ns(wall_ns)
        begin_ns, is_open = midnight_ns, False
        for session in self._day(segment, wall_ns).sessions:
            for clock, opens in ((session.opens, True), (session.closes, False)):
                seconds = clock.hour * 3_600 + clock.minute * 60 + clock.second
                edge_ns = midnight_ns + seconds * NANOSECONDS_PER_SECOND + clock.microsecond * 1_000
                if wall_ns < edge_ns:
                    return begin_ns, edge_ns, is_open
                begin_ns, is_open = edge_ns, opens
        return begin_ns, midnight_ns + DAY_NS, is_open
