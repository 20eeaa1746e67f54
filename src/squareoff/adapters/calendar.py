"""When the Indian exchanges take orders: hours, weekends, holidays, special sessions.

Source of the holidays: the `holidays` package's financial calendars XNSE and XBOM, which cite the
exchanges' circulars. Hours: continuous trading of NSE and BSE (equity and F&O 09:15-15:30, currency
09:00-17:00) and MCX (09:00-23:30, 23:55 while New York keeps winter time), IST.

Two errors are not alike: a trading day taken for a holiday holds every exit back; a holiday taken
for a trading day is refused by the broker, and the exit waits. So what is uncertain is open: dates
that the package only estimates (Islamic holidays of years to come) count as trading days, unless
the exchange's circular or the settings name them.

MCX trades the evening of most exchange holidays and the morning of New Year's Day; it is closed all
day on five (its holiday lists of 2020 and 2025).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache

import holidays

from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.sessions import ALL_DAY, Session, TradingDay, usual_open
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND

SEARCH_DAYS_MAX = 30
"""No exchange has ever been closed for so long; beyond, the wait is given as that many days."""

_ESTIMATED = "(estimated)"
_CONFIRMED = frozenset({date(2026, 5, 28), date(2026, 6, 26)})
"""Estimates that NSE's circular CMTR71775 (holidays of 2026) bears out: Bakri Id and Muharram."""

_EVENING_OPEN = time(17, 0)
_SATURDAY = 5
_MCX_FULL_DAYS = frozenset({(1, 26), (8, 15), (10, 2), (12, 25)})
_MCX_FULL_NAMES = ("Good Friday", "Diwali Lakshmi Puja")
_NEW_YEAR = (1, 1)


class Exchange(str, Enum):
    """An exchange with a calendar of its own."""

    NSE = "NSE"
    BSE = "BSE"
    MCX = "MCX"


@dataclass(frozen=True, slots=True)
class SpecialSession:
    """A session that the exchange announced for one day, such as Muhurat trading; IST.

    The special sessions of a day take the place of its usual hours, in all of the exchange's
    segments.
    """

    day: date
    exchange: Exchange
    open: time
    close: time


_EQUITY = Session(usual_open(ExchangeSegment.NSE_EQ), time(15, 30))
_CURRENCY = Session(usual_open(ExchangeSegment.NSE_CURRENCY), time(17, 0))
_MCX_SUMMER_CLOSE, _MCX_WINTER_CLOSE = time(23, 30), time(23, 55)
_BROKER_MINUTES = {
    _EQUITY.closes: 10,
    _CURRENCY.closes: 15,
    _MCX_SUMMER_CLOSE: 15,
    _MCX_WINTER_CLOSE: 10,
}
"""How long before the usual close Dhan closes intraday positions by itself: at 15:20, 16:45, and
23:15 or 23:45 (its support article 82000832236)."""

_EXCHANGES = {
    ExchangeSegment.IDX_I: (Exchange.NSE, _EQUITY),
    ExchangeSegment.NSE_EQ: (Exchange.NSE, _EQUITY),
    ExchangeSegment.NSE_FNO: (Exchange.NSE, _EQUITY),
    ExchangeSegment.NSE_CURRENCY: (Exchange.NSE, _CURRENCY),
    ExchangeSegment.BSE_EQ: (Exchange.BSE, _EQUITY),
    ExchangeSegment.BSE_FNO: (Exchange.BSE, _EQUITY),
    ExchangeSegment.BSE_CURRENCY: (Exchange.BSE, _CURRENCY),
}


class ExchangeCalendar:
    """Fulfils `ports.SessionCalendar` for every segment the broker trades.

    Args:
        holidays_extra: further holidays of the stock exchanges; MCX trades their evenings.
        special_sessions: announced sessions; they go before holidays, further ones included.
    """

    def __init__(
        self,
        holidays_extra: Iterable[date] = (),
        special_sessions: Iterable[SpecialSession] = (),
    ) -> None:
        self._closed_days = frozenset(holidays_extra)
        self._special: dict[tuple[Exchange, date], list[Session]] = {}
        for special in special_sessions:
            sessions = self._special.setdefault((special.exchange, special.day), [])
            sessions.append(Session(special.open, special.close))
            sessions.sort(key=lambda session: session.opens)

    def is_open(self, segment: ExchangeSegment, wall_ns: int) -> bool:
        """Say whether orders can go out at this instant (UTC ns)."""
        instant = _ist(wall_ns)
        now = instant.time()
        return any(each.holds(now) for each in self.sessions(segment, instant.date()))

    def seconds_to_open(self, segment: ExchangeSegment, wall_ns: int) -> float:
        """Return the time until the next session, 0 while open; at most `SEARCH_DAYS_MAX` days."""
        if self.is_open(segment, wall_ns):
            return 0.0
        instant = _ist(wall_ns)
        for offset in range(SEARCH_DAYS_MAX + 1):
            day = instant.date() + timedelta(days=offset)
            for session in self.sessions(segment, day):
                opening = datetime.combine(day, session.opens, IST)
                if opening > instant:
                    return (opening - instant).total_seconds()
        return timedelta(days=SEARCH_DAYS_MAX).total_seconds()

    def seconds_to_last_close(self, segment: ExchangeSegment, wall_ns: int) -> float | None:
        """Return the time until the day's last session ends, None where none is left today."""
        instant = _ist(wall_ns)
        sessions = self.sessions(segment, instant.date())
        if not sessions:
            return None
        closing = datetime.combine(instant.date(), max(each.closes for each in sessions), IST)
        return (closing - instant).total_seconds() if closing > instant else None

    def sessions(self, segment: ExchangeSegment, day: date) -> tuple[Session, ...]:
        """Return the day's sessions in a segment, in order of time; empty while it is closed."""
        exchange, hours = _EXCHANGES.get(segment, (Exchange.MCX, None))
        special = self._special.get((exchange, day))
        if special is not None:
            return tuple(special)
        if day.weekday() >= _SATURDAY:
            return ()
        is_named = day in self._closed_days
        if hours is None:
            return _mcx_sessions(day, is_holiday=is_named)
        return () if is_named or holiday_name(exchange, day) else (hours,)

    def trading_day(self, segment: ExchangeSegment, day: date) -> TradingDay:
        """Return the hours of a day, and when the broker closes intraday positions by itself."""
        _, hours = _EXCHANGES.get(segment, (Exchange.MCX, None))
        usual = hours or _mcx_hours(day)
        minutes = _BROKER_MINUTES.get(usual.closes)
        return TradingDay(self.sessions(segment, day), usual, minutes)


class AlwaysOpen:
    """Fulfils `ports.SessionCalendar` where every hour is market time: rehearsals and tests."""

    def is_open(self, segment: ExchangeSegment, wall_ns: int) -> bool:
        """Say yes."""
        return True

    def seconds_to_open(self, segment: ExchangeSegment, wall_ns: int) -> float:
        """Return 0."""
        return 0.0

    def seconds_to_last_close(self, segment: ExchangeSegment, wall_ns: int) -> float | None:
        """Return None: there is no close."""
        return None

    def trading_day(self, segment: ExchangeSegment, day: date) -> TradingDay:
        """Return a day without nights."""
        return ALL_DAY


def holiday_name(exchange: Exchange, day: date) -> str:
    """Return what is celebrated on a day without equity trading, "" for a trading day.

    Weekends are not looked at. MCX follows NSE's list, with hours of its own.
    """
    names = _listed_names(exchange is Exchange.BSE, day)
    if day in _CONFIRMED:
        return names
    return "; ".join(name for name in names.split("; ") if not name.endswith(_ESTIMATED))


def us_keeps_summer_time(day: date) -> bool:
    """Say whether New York keeps daylight saving time on a day.

    Second Sunday of March to first Sunday of November (Energy Policy Act of 2005).
    """
    return _sunday(day.year, 3, 2) <= day < _sunday(day.year, 11, 1)


@lru_cache(maxsize=64)
def _listed_names(is_bse: bool, day: date) -> str:
    calendar = _calendar(is_bse)
    return str(calendar.get(day, ""))


@lru_cache(maxsize=2)
def _calendar(is_bse: bool) -> holidays.HolidayBase:
    # The language is named because names decide: the default follows the machine's settings.
    return holidays.financial_holidays("XBOM" if is_bse else "XNSE", language="en_US")


def _mcx_sessions(day: date, *, is_holiday: bool) -> tuple[Session, ...]:
    usual = _mcx_hours(day)
    if (day.month, day.day) == _NEW_YEAR:
        return (Session(usual.opens, _EVENING_OPEN),)
    name = holiday_name(Exchange.MCX, day)
    if not (name or is_holiday):
        return (usual,)
    is_full_day = (day.month, day.day) in _MCX_FULL_DAYS
    if is_full_day or any(full in name for full in _MCX_FULL_NAMES):
        return ()
    return (Session(_EVENING_OPEN, usual.closes),)


def _mcx_hours(day: date) -> Session:
    """Return the hours of an ordinary day: the evening follows New York's clocks."""
    close = _MCX_SUMMER_CLOSE if us_keeps_summer_time(day) else _MCX_WINTER_CLOSE
    return Session(usual_open(ExchangeSegment.MCX_COMM), close)


def _sunday(year: int, month: int, number: int) -> date:
    first = date(year, month, 1)
    to_sunday = (6 - first.weekday()) % 7
    return first + timedelta(days=to_sunday + 7 * (number - 1))


def _ist(wall_ns: int) -> datetime:
    seconds, nanoseconds = divmod(wall_ns, NANOSECONDS_PER_SECOND)
    return datetime.fromtimestamp(seconds, IST).replace(microsecond=nanoseconds // 1_000)
