"""Tell a person once a day how it went, after the last exchange that concerns him has closed.

Invariants:
1. A day is told at most once, whatever restarts: that it is told is written down before.
2. Nothing here stands on the way of an exit: it has its own task, and reads memory and alarms.
"""

from datetime import date, datetime, time, timedelta

import structlog

from squareoff.core.account.day_summary import DayAlarm, summary_of
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import StoreError
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.time import IST, ist_date, ns_from_datetime
from squareoff.ports import Alerts, Clock, RememberedAnswer, SessionCalendar, TrackerStore
from squareoff.services.positions.position_book import PositionBook

_log = structlog.get_logger("squareoff.daily_summary")
LOOK_SECONDS = 60.0
AFTER_CLOSE = timedelta(minutes=10)
"""By then the broker's own square-off and the last comparison are behind us."""

YESTERDAY_UNTIL = timedelta(hours=6)
"""The commodity exchange closes at 23:55 in winter, so its day is told after midnight; one that
closed in the afternoon is no news at the next start."""

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
        self._mark: str | None = None

    async def run(self) -> None:
        """Look once a minute; never returns."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except StoreError as error:  # the next look tries again
                _log.warning("daily_summary_not_told", error=str(error))

    async def look(self) -> None:
        """Tell today if it is over and was not told, and yesterday if it ended about midnight."""
        now = self._clock.now().ist()
        trackers = [actor.tracker for actor in self._book]
        for day in (now.date() - timedelta(days=1), now.date()):
            is_told = self._told is not None and day <= self._told
            if is_told or not self._is_due(day, now, trackers):
                continue
            # Composed first: a day that is written down and then cannot be read is never told.
            text = await self._compose(day, trackers)
            if await self._note_told(day):
                self._tell(day, text)
            self._told = day

    def _is_due(self, day: date, now: datetime, trackers: list[PositionTracker]) -> bool:
        """Say whether every segment that concerned the account that day has closed for good; one
        that closed long ago on the day before is told no more."""
        concerned = [t for t in trackers if not t.status.is_final or _ended_on(t, day)]
        segments = {t.instrument.instrument_id.exchange_segment for t in concerned}
        closes = [
            self._calendar.trading_day(segment, day).last_close
            for segment in segments or {ExchangeSegment.NSE_FNO}
        ]
        ends = [datetime.combine(day, close, IST) for close in closes if close is not None]
        if not ends or now < max(ends) + AFTER_CLOSE:
            return False
        return day == now.date() or now < max(ends) + YESTERDAY_UNTIL

    async def _note_told(self, day: date) -> bool:
        """Write down that the day is told; say whether it was not yet.

        Where that was not answered the next look finds its own mark, and tells the day.
        """
        key = f"{_KEY}{day.isoformat()}"
        known = await self._store.recall_answer(key)
        if known is not None:
            return known.answer == self._mark
        now_ns = self._clock.now().wall_ns
        self._mark = str(now_ns)
        await self._store.remember_answer(key, RememberedAnswer("", 0, self._mark), now_ns)
        return True

    async def _compose(self, day: date, trackers: list[PositionTracker]) -> str:
        begins = datetime.combine(day, time.min, IST)
        alarms = [
            DayAlarm(alarm.severity, alarm.code, alarm.is_open)
            for alarm in await self._store.alarms(since_ns=ns_from_datetime(begins))
            if ist_date(alarm.raised_at_ns) == day
        ]
        return summary_of(day, trackers, alarms)

    def _tell(self, day: date, text: str) -> None:
        _log.info("daily_summary", day=day.isoformat(), text=text)
        for channel in self._alerts:
            channel.tell(f"squareoff: {day:%d %b %Y}, {self._mode}", text)


def _ended_on(tracker: PositionTracker, day: date) -> bool:
    return tracker.exited_at_ns is not None and ist_date(tracker.exited_at_ns) == day
