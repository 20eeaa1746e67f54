"""Alarms: each is journalled, logged, counted and handed to the alert channels.

Answers for: that a person hears of what needs one, again and again until seen, and is not drowned.
Nothing here stands on the way of an exit: `publish` never waits, and the rest has its own task.
Invariants:
1. Alarms of one code about one position (about the account: of one code and text) are one alarm
   while it stands unseen; its repeats are counted, and told at most once in RETELL_SECONDS_MIN.
2. A critical alarm is told again until it is acknowledged or its cause is gone, at pauses that
   grow from RETELL_SECONDS_MIN to RETELL_SECONDS_MAX; a restart goes on with that.
3. An alarm that could not be journalled is told all the same, and journalled as soon as it can be;
   while the database is away, what is known of is told again from memory.
4. An alarm whose cause is seen to be gone is told no more, and cleared as soon as it can be; where
   it was critical, that is told. What is raised after that is news.
5. What the database holds open is told, also where its commit was not known of; what it lost to
   a word about an earlier alarm (seen, over) while that was written is journalled anew.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from squareoff.core.state.facts import (
    AccountFact,
    AlarmAcknowledged,
    AlarmCleared,
    AlarmRaised,
    AlarmRepeated,
    Severity,
)
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import StoreError
from squareoff.domain.ids import TrackerId
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.ports import Alarm, Alerts, Clock, TrackerStore
from squareoff.services.monitoring.alarm_causes import what_ended
from squareoff.services.monitoring.metrics import Metrics

_log = structlog.get_logger("squareoff.alarms")
TURN_SECONDS = 5.0
"""How often standing alarms are looked at: far finer than any pause between two tellings."""

RETELL_SECONDS_MIN = 60.0
"""The first pause before a critical alarm is told again; it doubles each time."""

RETELL_SECONDS_MAX = 900.0
"""The longest pause: a person who has not looked for this long must hear it again."""

UNWRITTEN_MAX = 1_000
"""Alarms kept while the database is away; beyond, they are in the log and the channels only."""

LOOKS_FOR_UNHEARD = 3
"""The first may have begun too early; what two of them find was not told by its own raising."""

Group = tuple[str, str]


@dataclass(slots=True)
class _Standing:
    """An alarm as people were told of it: since when and when last (monotonic), and how often."""

    severity: Severity
    message: str
    tracker_id: TrackerId | None
    since_ns: int
    told_ns: int
    tellings: int = 1
    uncounted: int = 0
    """Repeats that the journal does not count yet."""
    was_found: bool = False
    """Whether the database was seen to hold it open: what is being written is not there yet."""
    ended: str | None = None
    """What ended its cause; it is cleared once the database holds it, and answers."""

    def is_news(self, alarm: AlarmRaised, now_ns: int) -> bool:
        """Say whether the alarm tells more than what was told lately."""
        if alarm.severity is Severity.CRITICAL and alarm.message != self.message:
            return True
        is_worse = alarm.severity is Severity.CRITICAL is not self.severity
        return is_worse or now_ns - self.told_ns >= seconds_to_ns(RETELL_SECONDS_MIN)

    def take(self, alarm: AlarmRaised, now_ns: int) -> None:
        """Note that the alarm is told now; what was critical once stays so."""
        if alarm.severity is Severity.CRITICAL:
            self.severity = alarm.severity
        self.message, self.told_ns = alarm.message, now_ns

    def as_raised(self, code: str) -> AlarmRaised:
        """Return it as the fact that journals it anew."""
        return AlarmRaised(self.severity, code, self.message, self.tracker_id)

    def is_due(self, now_ns: int) -> bool:
        """Say whether its pause is over."""
        doubled = RETELL_SECONDS_MIN * 2 ** (min(self.tellings, 10) - 1)
        return now_ns - self.told_ns >= seconds_to_ns(min(doubled, RETELL_SECONDS_MAX))

    def note_telling(self, now_ns: int) -> None:
        """Note that its time has come again."""
        self.told_ns = now_ns
        self.tellings += 1
        self.uncounted += self.severity is Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class _Ended:
    """A cause that is gone: what ended it, and whose alarms it is about."""

    code: str
    text: str
    tracker_id: TrackerId | None
    about: str

    def end(self, group: Group, standing: _Standing) -> bool:
        """Note it on an alarm that it is about; say whether it is."""
        is_meant = group[0] == self.code and standing.tracker_id == self.tracker_id
        if not is_meant or not standing.message.startswith(self.about):
            return False
        standing.ended = self.text
        return True


def group_of(code: str, message: str, tracker_id: TrackerId | None) -> Group:
    """Return what makes two alarms one."""
    return code, message if tracker_id is None else tracker_id


class AlarmDesk:
    """Raises alarms that do not come out of a tracker's own decision, and publishes all of them."""

    def __init__(
        self, store: TrackerStore, alerts: tuple[Alerts, ...], clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._metrics = metrics
        self._standing: dict[Group, _Standing] = {}
        self._unwritten: deque[AccountFact] = deque(maxlen=UNWRITTEN_MAX)
        self._clearing = asyncio.Lock()
        self._has_taken_over = False
        self._unheard: frozenset[Group] = frozenset()
        self._looks_to_take = 0
        self._ended_early: list[_Ended] = []
        self._look: Callable[[TrackerId], PositionTracker | None] = lambda tracker_id: None

    def connect(self, look: Callable[[TrackerId], PositionTracker | None]) -> None:
        """Give the desk its sight of the positions, by which causes end."""
        self._look = look

    async def raise_alarm(
        self, severity: Severity, code: str, message: str, tracker_id: TrackerId | None = None
    ) -> None:
        """Journal an alarm and publish it; a store that fails keeps no alarm from the channels.

        One that is raised again within its pause is counted, and journalled with the next telling.
        """
        alarm = AlarmRaised(severity, code, message, tracker_id)
        if self.publish(alarm):
            await self._write(alarm)

    def publish(self, alarm: AlarmRaised) -> bool:
        """Log, count and notify; the alarm is journalled elsewhere. Never waits.

        Returns:
            False where it was told so lately that nobody is told now.
        """
        self._metrics.alarms.labels(alarm.severity.value, alarm.code).inc()
        group = group_of(alarm.code, alarm.message, alarm.tracker_id)
        now_ns = self._clock.now().monotonic_ns
        standing = self._standing.get(group)
        if standing is not None and standing.ended is None:
            if not standing.is_news(alarm, now_ns):
                standing.uncounted += 1
                return False
            standing.take(alarm, now_ns)
        else:
            self._standing[group] = _Standing(
                alarm.severity, alarm.message, alarm.tracker_id, now_ns, now_ns
            )
        log = _log.error if alarm.severity is Severity.CRITICAL else _log.warning
        log("alarm", code=alarm.code, message=alarm.message, tracker_id=alarm.tracker_id)
        self._notify(alarm.severity, alarm.code, alarm.message)
        return True

    def look_for_unheard(self) -> None:
        """Note that the database may hold alarms that were never published; never waits."""
        self._looks_to_take = LOOKS_FOR_UNHEARD

    async def acknowledge(self, alarm: Alarm) -> int:
        """Journal that a person has seen the alarm; return when. Raised anew, it is a new one: also
        while this is written, and where this one was over and a newer one stands by now."""
        seen_at_ns, group = self._clock.now().wall_ns, _group(alarm)
        self.look_for_unheard()  # a newer one may have taken its place since it was read
        standing = self._standing.pop(group, None) if alarm.is_open else None
        try:
            await self._store.record((AlarmAcknowledged(alarm.seq),), seen_at_ns)
        except BaseException:
            if standing is not None:
                standing.was_found = True
                self._standing.setdefault(group, standing)
            raise
        return seen_at_ns

    async def clear(
        self, code: str, text: str, tracker_id: TrackerId | None = None, *, about: str = ""
    ) -> None:
        """Say that the cause of every standing alarm of this code is gone.

        Args:
            text: what ended it.
            tracker_id: the position that it is about, None for the account.
            about: only those whose message begins like this.
        """
        cause = _Ended(code, text, tracker_id, about)
        ended = [cause.end(group, standing) for group, standing in self._standing.items()]
        if not self._has_taken_over:
            self._ended_early.append(cause)
        elif not any(ended):
            return
        try:
            await self._take_over()
            for alarm in await self._open():
                standing = self._standing.get(_group(alarm))
                if standing is not None and standing.ended is not None:
                    await self._clear_if_ended(alarm)
        except StoreError as error:
            _log.error("alarm_not_cleared", code=code, error=str(error))

    async def run(self) -> None:
        """Tell standing alarms again, clear those that are over; never returns."""
        while True:
            try:
                await self._take_over()
                await self._take_turn()
            except StoreError as error:
                _log.error("alarms_not_looked_at", error=str(error))
                self._tell_again_from_memory()
            await self._clock.sleep(TURN_SECONDS)

    async def _take_over(self) -> None:
        """What the last process left standing is told again in its time, or is over by now."""
        left = () if self._has_taken_over else await self._open()
        if self._has_taken_over:  # or another task has, meanwhile
            return
        now = self._clock.now()
        for alarm in left:
            group = _group(alarm)
            if group in self._standing:
                continue
            self._standing[group] = standing = _Standing(
                alarm.severity,
                alarm.message,
                alarm.tracker_id,
                _monotonic_ns(alarm.raised_at_ns, now),
                _monotonic_ns(alarm.last_raised_at_ns or alarm.raised_at_ns, now),
                alarm.repeats + 1,
            )
            for cause in self._ended_early:
                cause.end(group, standing)
        self._has_taken_over = True
        self._ended_early.clear()

    async def _take_turn(self) -> None:
        while self._unwritten:
            await self._store.record((self._unwritten[0],), self._clock.now().wall_ns)
            self._unwritten.popleft()
        if not self._standing and not self._looks_to_take:
            return
        open_alarms = {_group(alarm): alarm for alarm in await self._open()}
        for group, standing in tuple(self._standing.items()):
            if group in open_alarms:
                standing.was_found = True
            elif standing.was_found:
                del self._standing[group]  # seen by a person, or over
            elif standing.ended is None and standing.is_due(self._clock.now().monotonic_ns):
                self._unwritten.append(standing.as_raised(group[0]))
        unheard, self._unheard = self._unheard, self._find_unheard(open_alarms)
        self._looks_to_take = max(0, self._looks_to_take - 1)
        for group, alarm in open_alarms.items():
            if await self._clear_if_ended(alarm):
                continue
            if group in unheard & self._unheard:
                self.publish(_raised(alarm))
            elif group in self._standing:
                await self._tell_again(alarm, self._standing[group])

    def _find_unheard(self, open_alarms: dict[Group, Alarm]) -> frozenset[Group]:
        """Return alarms that people were not told of as they stand, as where the answer to their
        commit was lost. One look is no proof: a word about it may be on its way."""
        return frozenset(
            group
            for group, alarm in open_alarms.items()
            if (standing := self._standing.get(group)) is None
            or alarm.severity is Severity.CRITICAL is not standing.severity
        )

    def _what_ended(self, code: str, tracker_id: TrackerId | None) -> str | None:
        tracker = None if tracker_id is None else self._look(tracker_id)
        return None if tracker is None else what_ended(code, tracker)

    async def _clear_if_ended(self, alarm: Alarm) -> bool:
        """Clear an alarm that is over; one task after the other, so that each is cleared once."""
        async with self._clearing:
            standing = self._standing.get(_group(alarm))
            ended = None if standing is None else standing.ended
            ended = ended or self._what_ended(alarm.code, alarm.tracker_id)
            if ended is not None:
                await self._clear(alarm, ended, standing)
        return ended is not None

    async def _clear(self, alarm: Alarm, text: str, standing: _Standing | None) -> None:
        cleared = AlarmCleared(alarm.seq, text, alarm.tracker_id)
        await self._store.record((cleared,), self._clock.now().wall_ns)
        if self._standing.get(_group(alarm)) is standing:  # not raised anew meanwhile
            self._standing.pop(_group(alarm), None)
        _log.info("alarm_cleared", code=alarm.code, tracker_id=alarm.tracker_id, text=text)
        if alarm.severity is Severity.CRITICAL:
            self._notify(Severity.WARNING, alarm.code, f"OVER: {text}. It was: {alarm.message}")

    async def _tell_again(self, alarm: Alarm, standing: _Standing) -> None:
        """Tell a critical alarm again, in its time; of a warning only the repeats are noted."""
        is_critical = standing.severity is Severity.CRITICAL
        now = self._clock.now()
        if not standing.is_due(now.monotonic_ns) or not (is_critical or standing.uncounted):
            return
        standing.note_telling(now.monotonic_ns)
        counted = standing.uncounted
        repeats = alarm.repeats + counted
        if is_critical:
            minutes = (now.wall_ns - alarm.raised_at_ns) // seconds_to_ns(60.0)
            text = f"STILL, {minutes} min and {repeats} repeats later: {alarm.message}"
            seen = f"squareoff alarms --acknowledge {alarm.seq}"
            self._notify(alarm.severity, alarm.code, f"{text} (once seen: {seen})")
        repeated = AlarmRepeated(alarm.seq, repeats, alarm.tracker_id)
        await self._store.record((repeated,), now.wall_ns)
        standing.uncounted -= counted

    def _tell_again_from_memory(self) -> None:
        """Tell what is due while the database is away; the journal counts it afterwards."""
        now_ns = self._clock.now().monotonic_ns
        for (code, _), standing in self._standing.items():
            is_over = standing.ended or self._what_ended(code, standing.tracker_id)
            if standing.severity is not Severity.CRITICAL or is_over:
                continue
            if standing.is_due(now_ns):
                standing.note_telling(now_ns)
                minutes = (now_ns - standing.since_ns) // seconds_to_ns(60.0)
                self._notify(
                    standing.severity,
                    code,
                    f"STILL, {minutes} min later: {standing.message} (the database is away: it "
                    "can be acknowledged once that is back)",
                )

    async def _open(self) -> list[Alarm]:
        return [*await self._store.alarms(open_only=True)]

    async def _write(self, alarm: AlarmRaised) -> None:
        try:
            await self._store.record((alarm,), self._clock.now().wall_ns)
        except StoreError as error:
            self._unwritten.append(alarm)
            _log.error("alarm_not_journalled", code=alarm.code, error=str(error))

    def _notify(self, severity: Severity, code: str, message: str) -> None:
        for channel in self._alerts:
            channel.notify(severity, code, message)


def _group(alarm: Alarm) -> Group:
    return group_of(alarm.code, alarm.message, alarm.tracker_id)


def _raised(alarm: Alarm) -> AlarmRaised:
    return AlarmRaised(alarm.severity, alarm.code, alarm.message, alarm.tracker_id)


def _monotonic_ns(wall_ns: int, now: Now) -> int:
    """Return when that was on this process's clock; never later than now, whatever was set."""
    return now.monotonic_ns - max(0, now.wall_ns - wall_ns)
