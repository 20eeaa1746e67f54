"""When an exchange trades on one day; IST wall clock times, which India never changes."""

from dataclasses import dataclass
from datetime import time

from squareoff.domain.instruments import ExchangeSegment

_STOCKS_OPEN, _OTHERS_OPEN = time(9, 15), time(9, 0)
_OTHERS = (ExchangeSegment.NSE_CURRENCY, ExchangeSegment.BSE_CURRENCY, ExchangeSegment.MCX_COMM)


@dataclass(frozen=True, slots=True)
class Session:
    """One stretch of trading within a day; it ends just before `closes`."""

    opens: time
    closes: time

    def holds(self, clock: time) -> bool:
        """Say whether it is trading at this time."""
        return self.opens <= clock < self.closes


@dataclass(frozen=True, slots=True)
class TradingDay:
    """One day of one segment.

    `sessions` are in order of time, empty on a day without trading. `usual` are the hours of an
    ordinary day at that time of the year. `broker_minutes` is how long before the day's last close
    the broker begins to close intraday positions by itself, None where it does not.
    """

    sessions: tuple[Session, ...]
    usual: Session
    broker_minutes: int | None = None

    @property
    def is_usual(self) -> bool:
        """Say whether the hours are those of an ordinary day."""
        return self.sessions == (self.usual,)

    @property
    def last_close(self) -> time | None:
        """When the day's last session ends, None without any."""
        return self.sessions[-1].closes if self.sessions else None

    def trades_at(self, clock: time) -> bool:
        """Say whether it is trading at this time of the day."""
        return any(session.holds(clock) for session in self.sessions)


ALL_DAY = TradingDay((Session(time.min, time.max),), Session(time.min, time.max))
"""A day that is market time from end to end (rehearsals)."""


def usual_open(segment: ExchangeSegment) -> time:
    """Return when ordinary trading begins in a segment."""
    return _OTHERS_OPEN if segment in _OTHERS else _STOCKS_OPEN
