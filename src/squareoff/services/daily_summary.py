"""Tell a person once a day how it went, after the last exchange that concerns him has closed.

Invariants:
1. A day is told at most once, whatever restarts: that it is told is written down before.
2. Nothing here stands on the way of an exit: it has its own task, and reads memory and alarms.
"""

from datetime import date, datetime, timedelta

import structlog

from squareoff.core.day_summary import DayAlarm, summary_of
from squareoff.core.tracker import PositionTracker
from squareoff.domain.errors import StoreError
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.time import IST, ist_date
from squareoff.ports import Alerts, Clock, RememberedAnswer, SessionCalendar, TrackerStore
from squareoff.services.position_book import PositionBook

_log = structlog.get_logger("squareoff.daily_summary")
LOOK_SECONDS = 60.0
AFTER_CLOSE = timedelta(minutes=10)
"""By then the broker's own square-off and the last comparison are behind us."""

_KEY = "daily-summary-"


class DailySummary:
    """Looks at the clock, and tells the day when it is over."""

    def __init__(
        self,
        book: PositionBook,
        store: TrackerStore,
        calendar: SessionCalendar,
        clock: Clock,
        alerts: tuple[Alerts, ...],
        mode: str,
    ) -> None:
        self._book = book
        self._store = store
        self._calendar = calendar
        self._clock = clock
        self._alerts = alerts
        self._mode = mode
        self._told: date | None = None

    async def run(self) -> None:
        """Look once a minute; never returns."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except StoreError as error:  # the next look tries again
                _log.warning("daily_summary_not_told", error=str(error))

    async def look(self) -> None:
        """Tell today if it is over and was not told."""
        now = self._clock.now().ist()
        today = now.date()
        trackers = [actor.tracker for actor in self._book]
        if self._told == today or not self._is_over(now, trackers):
            return
        if await self._note_told(today):
            await self._tell(today, trackers)
        self._told = today

    def _is_over(self, now: datetime, trackers: list[PositionTracker]) -> bool:
        """Say whether every segment that concerns the account today has closed for good."""
        concerned = [t for t in trackers if not t.status.is_final or _ended_on(t, now.date())]
        segments = {t.instrument.instrument_id.exchange_segment for t in concerned}
        closes = [
            self._calendar.trading_day(segment, now.date()).last_close
            for segment in segments or {ExchangeSegment.NSE_FNO}
        ]
        ends = [datetime.combine(now.date(), close, IST) for close in closes if close is not None]
        return bool(ends) and now >= max(ends) + AFTER_CLOSE

    async def _note_told(self, day: date) -> bool:
        """Write down that the day is told; say whether it was not yet."""
        key = f"{_KEY}{day.isoformat()}"
        if await self._store.recall_answer(key) is not None:
            return False
        answer = RememberedAnswer("", 0, "")
        await self._store.remember_answer(key, answer, self._clock.now().wall_ns)
        return True

    async def _tell(self, day: date, trackers: list[PositionTracker]) -> None:
        alarms = [
            DayAlarm(alarm.severity, alarm.code, alarm.is_open)
            for alarm in await self._store.alarms()
            if ist_date(alarm.raised_at_ns) == day
        ]
        text = summary_of(day, trackers, alarms)
        _log.info("daily_summary", day=day.isoformat(), text=text)
        for channel in self._alerts:
            channel.tell(f"squareoff: {day:%d %b %Y}, {self._mode}", text)


def _ended_on(tracker: PositionTracker, day: date) -> bool:
    return tracker.exited_at_ns is not None and ist_date(tracker.exited_at_ns) == day
