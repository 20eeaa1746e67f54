"""Watch this machine's wall clock: against the broker's, and against its own monotonic clock.

Staleness and one-time codes go by the wall clock; durations, quarantines and deadlines by the
monotonic one, which no step moves; times of the day by the time that is trusted
(`core.session.trusted_time`), which hears here what the broker's clock says. After a step the
broker is asked until it has said so. A clock that is off is told once, and again after it was
right. A clock that is ahead would make every price look old, so whoever judges prices is told by
how much.
"""

from collections.abc import Callable

import structlog

from squareoff.core.session.clock_skew import (
    OFFSET_SECONDS_MAX,
    WAY_SECONDS_MAX,
    ClockSkew,
    wall_jump_seconds,
)
from squareoff.core.session.trusted_time import DOUBT_SECONDS, TrustedTime
from squareoff.core.state.facts import Severity
from squareoff.domain.orders import OrderReport, ReportSource
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.ports import BrokerTime, Clock
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics

_log = structlog.get_logger("squareoff.clock_watch")
CHECK_SECONDS = 1.0
SETTLED_SECONDS = 1.5
"""Back below this the clock counts as right again: a little less than what was too much."""

ASK_SECONDS = 3.0
"""A comparison of the books gives two readings: three of them settle a doubt."""

REPORT_AGE_SECONDS_MAX = 60.0
"""Older reports tell of a backlog, not of now."""


class ClockWatch:
    """Looks every second."""

    def __init__(
        self,
        times: BrokerTime,
        alarms: AlarmDesk,
        clock: Clock,
        metrics: Metrics,
        trusted: TrustedTime,
    ) -> None:
        self._times = times
        self._alarms = alarms
        self._clock = clock
        self._metrics = metrics
        self._skew = ClockSkew()
        self._trusted = trusted
        self._seen = clock.now()
        self._deaf_until_ns = self._next_ask_ns = 0
        self._is_told = False
        self._may_stand = True  # an alarm of the last process
        self._on_offset: list[Callable[[float], None]] = []
        self._ask: Callable[[], None] = lambda: None

    def on_offset(self, listener: Callable[[float], None]) -> None:
        """Call `listener` with every new estimate of how far our clock is ahead, seconds; 0 while
        that is unknown."""
        self._on_offset.append(listener)

    def on_doubt(self, ask: Callable[[], None]) -> None:
        """Call `ask` now and then while the clock is in doubt: the broker's answers settle it."""
        self._ask = ask

    @property
    def offset_seconds(self) -> float | None:
        """Our clock less the broker's, None while unknown."""
        return self._skew.verdict().offset_seconds

    def note_report(self, report: OrderReport) -> None:
        """Take the exchange's time from a report of the order stream; never waits."""
        if report.source is not ReportSource.STREAM or report.update_time_ns is None:
            return
        now_ns = self._clock.now().wall_ns
        if now_ns - report.update_time_ns <= seconds_to_ns(REPORT_AGE_SECONDS_MAX):
            self._skew.note_report(exchange_ns=report.update_time_ns, received_ns=now_ns)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._clock.sleep(CHECK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take what came since the last look, and judge."""
        before, self._seen = self._seen, self._clock.now()
        jump = wall_jump_seconds(before, self._seen)
        if jump:
            self._skew.forget()
            self._deaf_until_ns = self._seen.monotonic_ns + seconds_to_ns(WAY_SECONDS_MAX)
        self._take_readings(before)
        verdict = self._skew.verdict()
        self._trusted.note_offset(verdict.offset_seconds)
        self._ask_in_doubt()
        for listener in self._on_offset:
            listener(verdict.offset_seconds or 0.0)
        if jump:
            await self._tell_jump(jump)
        if verdict.offset_seconds is None:
            return
        self._metrics.clock_offset_seconds.set(verdict.offset_seconds)
        if verdict.is_too_large and not self._is_told:
            self._is_told = self._may_stand = True
            await self._tell_offset(verdict.offset_seconds)
        elif self._may_stand and abs(verdict.offset_seconds) < SETTLED_SECONDS:
            self._is_told = self._may_stand = False
            await self._alarms.clear("clock_offset", "the clock agrees with the broker's")

    def _take_readings(self, last_look: Now) -> None:
        readings = self._times.take()
        if last_look.monotonic_ns < self._deaf_until_ns:
            return  # asked before the step, and answered after it, some of them
        for reading in readings:
            self._skew.note_answer(
                theirs_ns=reading.theirs_ns,
                sent_ns=reading.sent_ns,
                received_ns=reading.received_ns,
            )

    def _ask_in_doubt(self) -> None:
        self._trusted.look(self._seen)
        now_ns = self._seen.monotonic_ns
        if self._trusted.is_in_doubt and now_ns >= self._next_ask_ns:
            self._next_ask_ns = now_ns + seconds_to_ns(ASK_SECONDS)
            self._ask()

    async def _tell_jump(self, seconds: float) -> None:
        self._metrics.clock_jumps.inc()
        await self._alarms.raise_alarm(
            Severity.WARNING,
            "clock_jumped",
            f"This machine's clock was set by {seconds:+.1f} s, or the machine slept. Square-off "
            "times go by the time before it until the broker's clock says which is right, at most "
            f"{DOUBT_SECONDS:g} s, then by the new time; durations are not touched. See that time "
            "synchronisation is on and the machine never sleeps while positions are open.",
        )

    async def _tell_offset(self, seconds: float) -> None:
        side = "ahead of" if seconds > 0 else "behind"
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "clock_offset",
            f"This machine's clock is {abs(seconds):.1f} s {side} the broker's, more than "
            f"{OFFSET_SECONDS_MAX:g} s: {self._what_follows(seconds)}, and the age of prices is "
            "judged wrongly. Turn on time synchronisation.",
        )

    def _what_follows(self, seconds: float) -> str:
        if self._trusted.lead_seconds:
            return "square-off times go by the broker's clock, which the monotonic one bears out"
        return f"square-off times come that much too {'early' if seconds > 0 else 'late'}"
