"""Turn ticks and time into exits, and see each through until its claim is durable.

Owns the trigger book. A trigger that fired is latched: first here, then in the journal by the
claim; it is tried again until the claim is committed or the position is gone. Reacts to every
result of `execute_exit`: counted, tried again, or alarmed.
"""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import structlog

from squareoff.core.facts import Severity
from squareoff.core.inputs import PeakReached
from squareoff.core.levels import Level, levels_of
from squareoff.core.price_hygiene import HygieneLimits, PriceMemory, TickVerdict, judge_tick
from squareoff.core.tracker import PositionTracker
from squareoff.core.trigger_book import TriggerBook
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE, PriceUnits, decimal_from_units
from squareoff.domain.results import ExitCode
from squareoff.domain.rules import RuleName, Trigger, Urgency
from squareoff.domain.states import PositionStatus
from squareoff.domain.ticks import Tick
from squareoff.domain.time import iso_from_ns
from squareoff.ports import Clock
from squareoff.services.alarm_desk import AlarmDesk
from squareoff.services.exit_engine import ExitEngine
from squareoff.services.exit_results import Wait
from squareoff.services.market_hours import MarketHours
from squareoff.services.metrics import Metrics
from squareoff.services.tick_cache import TickCache
from squareoff.services.trailing_engine import TrailingEngine

_log = structlog.get_logger("squareoff.risk_manager")
CLAIM_RETRY_SECONDS = 0.5
CLAIM_FAILURES_BEFORE_ALARM = 4
TIME_RULES_INTERVAL_SECONDS = 1.0
NEAR_DIVISOR = 100
"""A price within its hundredth part of a level is near it."""


class RiskManager:
    """Watches every active position's rules."""

    def __init__(
        self,
        engine: ExitEngine,
        *,
        ticks: TickCache,
        trailing: TrailingEngine,
        limits: HygieneLimits,
        hours: MarketHours,
        clock: Clock,
        alarms: AlarmDesk,
        metrics: Metrics,
        expect_exits: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._engine = engine
        self._expect_exits = expect_exits
        self._ticks = ticks
        self._trailing = trailing
        self._limits = limits
        self._hours = hours
        self._clock = clock
        self._alarms = alarms
        self._metrics = metrics
        self._book = TriggerBook()
        self._watched: dict[TrackerId, PositionTracker] = {}
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._memory: dict[InstrumentId, PriceMemory] = {}
        self._latched: set[TrackerId] = set()
        self._saving_peak: set[TrackerId] = set()
        self._tasks: asyncio.TaskGroup | None = None

    def connect(self, tasks: asyncio.TaskGroup) -> None:
        """Give the manager its task group, and watch every change of a tracker."""
        self._tasks = tasks
        self._engine.on_change(self.on_tracker_changed)

    @property
    def armed_count(self) -> int:
        """How many positions have armed price levels."""
        return len(self._book)

    def on_tracker_changed(self, tracker: PositionTracker) -> None:
        """Arm, re-arm or disarm after a committed change."""
        if tracker.status is not PositionStatus.ACTIVE:
            self._book.disarm(tracker.tracker_id)
            self._trailing.forget(tracker)
            self._watched.pop(tracker.tracker_id, None)
            self._latched.discard(tracker.tracker_id)
            return
        self._instruments[tracker.instrument.instrument_id] = tracker.instrument
        self._watched[tracker.tracker_id] = tracker
        if tracker.tracker_id not in self._latched:
            self._arm(self._trailing.follow(tracker))

    def _arm(self, tracker: PositionTracker) -> None:
        instrument_id = tracker.instrument.instrument_id
        self._book.arm(tracker.tracker_id, instrument_id, levels_of(tracker))

    def on_feed_connected(self) -> None:
        """Prices seen before a reconnect confirm nothing after it."""
        self._memory = {
            instrument_id: PriceMemory(last_good=memory.last_good)
            for instrument_id, memory in self._memory.items()
        }

    def _first_memory(self, instrument_id: InstrumentId) -> PriceMemory:
        """Measure the first print by an entry price: a print far from it needs a second one."""
        for tracker in self._watched.values():
            if tracker.instrument.instrument_id == instrument_id and tracker.entry_price > 0:
                return PriceMemory(last_good=int(tracker.entry_price * PRICE_UNITS_PER_RUPEE))
        return PriceMemory()

    def on_tick(self, tick: Tick) -> None:
        """Judge a tick, move stops by it, and signal every exit that it fires."""
        self._metrics.ticks.inc()
        instrument = self._instruments.get(tick.instrument_id)
        if instrument is None:
            self._ticks.put(tick)
            return
        if self._is_out_of_session(tick):
            return
        memory = self._memory.get(tick.instrument_id) or self._first_memory(tick.instrument_id)
        verdict, self._memory[tick.instrument_id] = judge_tick(
            tick, instrument, memory, self._limits
        )
        if verdict is not TickVerdict.GOOD:
            self._metrics.ticks_refused.labels(verdict.value).inc()
            return
        self._ticks.put(tick)
        fired = self._book.cross(tick.instrument_id, tick.last_traded_price)
        if len(fired) > 1:
            fired.sort(key=self._rank_of_fired)
            self._expect_exits(len(fired))
        for tracker_id, level in fired:
            self._fire(tracker_id, level, tick)
        for tracker in self._trailing.on_price(tick.instrument_id, tick.last_traded_price):
            if tracker.tracker_id not in self._latched:
                self._arm(tracker)
                self._save_peak(tracker)

    def _is_out_of_session(self, tick: Tick) -> bool:
        """Say whether a price was traded outside the exchange's hours; tell of one that should not
        be: then every rule about prices is mute until a person names the session."""
        segment, traded_ns = tick.instrument_id.exchange_segment, tick.exchange_time_ns
        if self._hours.is_in_session(segment, traded_ns):
            return False
        self._metrics.ticks_refused.labels("out_of_session").inc()
        if self._hours.is_news_of_a_closed_day(segment, traded_ns):
            assert self._tasks is not None, "connected before the first tick"
            text = (
                f"{tick.instrument_id} was traded at {iso_from_ns(traded_ns)[:19]}, but the "
                "calendar knows no session that day: no price fires a rule and no exit goes out. "
                "If it is a special session, name it in calendar.special_sessions and restart"
            )
            self._tasks.create_task(
                self._alarms.raise_alarm(Severity.WARNING, "trades_on_a_closed_day", text)
            )
        return True

    def is_near_a_level(self) -> bool:
        """Say whether any newest good price is near an armed level."""
        for instrument_id, memory in self._memory.items():
            price = memory.last_good
            if price is not None:
                falling, rising = self._book.nearest(instrument_id)
                margin = price // NEAR_DIVISOR
                if price - falling <= margin or rising - price <= margin:
                    return True
        return False

    def _rank_of_fired(self, fired: tuple[TrackerId, Level]) -> tuple[int, Decimal, TrackerId]:
        """Order what one tick fires as its exits are to go: by urgency, largest risk first."""
        tracker_id, level = fired
        tracker = self._watched[tracker_id]
        risk = tracker.open_quantity * tracker.entry_price
        return Urgency.of_rule(level.rule).value, -risk, tracker_id

    def _fire(self, tracker_id: TrackerId, level: Level, tick: Tick) -> None:
        trigger = Trigger(
            rule=level.rule,
            level=level.price,
            price=tick.last_traded_price,
            exchange_time_ns=tick.exchange_time_ns,
            received_time_ns=tick.received_time_ns,
        )
        reason = (
            f"{level.rule.value} {decimal_from_units(level.price)} reached "
            f"at {decimal_from_units(tick.last_traded_price)}"
        )
        self._signal(tracker_id, trigger, reason)

    def _signal(self, tracker_id: TrackerId, trigger: Trigger, reason: str) -> None:
        assert self._tasks is not None, "connected before the first tick"
        if tracker_id in self._latched:
            return
        self._latched.add(tracker_id)
        self._book.disarm(tracker_id)
        self._tasks.create_task(self._claim_until_durable(tracker_id, trigger, reason))

    async def _claim_until_durable(
        self, tracker_id: TrackerId, trigger: Trigger, reason: str
    ) -> None:
        failures = 0
        while True:
            result = await self._engine.execute_exit(
                tracker_id, reason, trigger=trigger, wait=Wait.CLAIMED
            )
            if result.success or result.code in (ExitCode.BLOCKED, ExitCode.NEEDS_HUMAN):
                return
            if result.code is not ExitCode.STORE_UNAVAILABLE:
                await self._complain(tracker_id, trigger.rule, result.code, result.error)
                return
            failures += 1
            if failures == CLAIM_FAILURES_BEFORE_ALARM:
                await self._complain(tracker_id, trigger.rule, result.code, result.error)
            await self._clock.sleep(CLAIM_RETRY_SECONDS)

    async def _complain(
        self, tracker_id: TrackerId, rule: RuleName, code: ExitCode, error: str | None
    ) -> None:
        await self._alarms.raise_alarm(
            Severity.CRITICAL,
            "exit_not_claimed",
            f"{rule.value} of {tracker_id} fired but its exit could not be claimed "
            f"({code.value}): {error}",
            tracker_id,
        )

    def _save_peak(self, tracker: PositionTracker) -> None:
        """Commit the newest stop; while one commit is under way, later peaks wait for it."""
        assert self._tasks is not None, "connected before the first tick"
        if tracker.tracker_id not in self._saving_peak:
            self._saving_peak.add(tracker.tracker_id)
            self._tasks.create_task(self._commit_peak(tracker.tracker_id))

    async def _commit_peak(self, tracker_id: TrackerId) -> None:
        actor = self._engine.book.get(tracker_id)
        assert actor is not None, "what is followed is in the book"
        told: int | None = None
        try:
            while (peak := self._peak_of(tracker_id)) is not None and peak != told:
                told = peak
                await self._engine.tell(actor, PeakReached(peak))
        finally:
            self._saving_peak.discard(tracker_id)

    def _peak_of(self, tracker_id: TrackerId) -> PriceUnits | None:
        watched = self._watched.get(tracker_id)
        return None if watched is None else self._trailing.follow(watched).peak_price

    async def run_time_rules(self) -> None:
        """Check rules about time every second; never returns."""
        while True:
            await self._clock.sleep(TIME_RULES_INTERVAL_SECONDS)
            self.check_time_rules()

    def check_time_rules(self) -> None:
        """Signal every position whose time has come."""
        now = self._clock.now()
        for tracker in tuple(self._watched.values()):
            rule = self._hours.due_rule(tracker, now)
            if rule is not None:
                text = f"{rule.value} reached at {now.ist().strftime('%H:%M:%S')} IST"
                self._signal(tracker.tracker_id, Trigger(rule), text)
