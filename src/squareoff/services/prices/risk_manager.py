"""Turn ticks and time into exits, and see each through until its claim is durable.

What a tick fires is decided by `core.prices.price_watch`. A trigger that fired is latched: first
there, then in the journal by the claim; it is tried again until the claim is committed or the
position is gone. Reacts to every result of `execute_exit`: counted, tried again, or alarmed.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

import structlog

from squareoff.core.prices.day_ranges import Baseline
from squareoff.core.prices.price_hygiene import TickVerdict
from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.prices.seen import Seen
from squareoff.core.rules.levels import Level
from squareoff.core.rules.trigger_book import RangeReached
from squareoff.core.state.facts import Severity
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import PriceUnits, decimal_from_units
from squareoff.domain.results import ExitCode
from squareoff.domain.rules import RuleName, Trigger, Urgency
from squareoff.domain.states import PositionStatus
from squareoff.domain.ticks import Tick, TickSource
from squareoff.domain.time import (
    NANOSECONDS_PER_SECOND,
    iso_from_ns,
    ist_day_number,
    seconds_to_ns,
)
from squareoff.ports import Clock
from squareoff.services.account.account_guard import AccountGuard
from squareoff.services.account.account_view import AccountView
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.exits.exit_results import Wait
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.prices.market_hours import MarketHours
from squareoff.services.prices.rule_clock import RuleClock
from squareoff.services.prices.tick_cache import TickCache
from squareoff.services.prices.trailing_engine import TrailingEngine

_log = structlog.get_logger("squareoff.risk_manager")
CLAIM_RETRY_SECONDS = 0.5
CLAIM_FAILURES_BEFORE_ALARM = 4
TIME_RULES_INTERVAL_SECONDS = 1.0
SURELY_OF_TODAY_NS = 3_600 * NANOSECONDS_PER_SECOND
"""No exchange trades in the hour after midnight."""


class RiskManager:
    """Watches every active position's rules."""

    def __init__(
        self,
        engine: ExitEngine,
        *,
        ticks: TickCache,
        watch: PriceWatch,
        hours: MarketHours,
        clock: Clock,
        rule_clock: RuleClock,
        alarms: AlarmDesk,
        metrics: Metrics,
        expect_exits: Callable[[int], None] = lambda count: None,
        account: AccountGuard,
        on_good: tuple[Callable[[Tick], None], ...] = (),
        on_shown: Callable[[Tick], None] = lambda tick: None,
    ) -> None:
        """`on_good` is told of every price of the feed that was judged good, and of no other;
        `on_shown` also of what came while no position had ever held the instrument."""
        self._engine = engine
        self._expect_exits = expect_exits
        self._ticks = ticks
        self.prices = watch
        self._trailing = TrailingEngine(engine, watch)
        self._account = account
        self._on_good = on_good
        self._on_shown = on_shown
        self._hours = hours
        self._clock = clock
        self._rule_clock = rule_clock
        self._alarms = alarms
        self._metrics = metrics
        self._watched: dict[TrackerId, PositionTracker] = {}
        self._latched: set[TrackerId] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._tick_count = 0
        self._counted_ticks = 0
        self._newest_tick_ns: int | None = None
        self._clock_ahead_ns = 0
        metrics.before_rendering(self._measure_feed)
        metrics.before_rendering(self._count_ticks)

    def connect(self, tasks: asyncio.TaskGroup) -> None:
        """Give the manager its task group, and watch every change of a tracker."""
        self._tasks = tasks
        self._engine.on_change(self.on_tracker_changed)

    @property
    def newest_tick_ns(self) -> int | None:
        """The monotonic instant at which the newest tick came, kept ones too; None for none."""
        times = (self.prices.feed.quiet_received_ns(), self._newest_tick_ns)
        return max((ns for ns in times if ns is not None), default=None)

    def on_tracker_changed(self, tracker: PositionTracker) -> None:
        """Arm, re-arm or disarm after a committed change."""
        self._account.on_tracker_changed(tracker)
        self._rule_clock.note(tracker)
        if not tracker.status.is_final:
            # Its exit is priced by ticks, also after a restart: they are judged like any others.
            self.prices.follow(tracker)
        if tracker.status is not PositionStatus.ACTIVE:
            if tracker.status is PositionStatus.EXITING:
                self.prices.rest(tracker)
            else:
                self.prices.forget(tracker)
            self._watched.pop(tracker.tracker_id, None)
            self._latched.discard(tracker.tracker_id)
            return
        self._watched[tracker.tracker_id] = tracker
        self.prices.watch(tracker, is_latched=tracker.tracker_id in self._latched)
        self._save_what_is_ahead(tracker)

    def _save_what_is_ahead(self, tracker: PositionTracker) -> None:
        """New rules at a best price that was not written yet: their stop must outlast a crash."""
        current = self.prices.current(tracker.tracker_id)
        is_ahead = current is not None and current.stop_level != tracker.stop_level
        if is_ahead and self._tasks is not None:
            self._trailing.save([tracker.tracker_id], self._tasks)

    def best_price(self, tracker_id: TrackerId) -> PriceUnits | None:
        """Return the best price seen of a position, None where none counts."""
        current = self.prices.current(tracker_id)
        return None if current is None else current.peak_price

    def allow_for_clock(self, ahead_seconds: float) -> None:
        """Our clock was seen to be this far ahead of the broker's: no price is old for that, and
        none is of the future where our clock is behind."""
        self._clock_ahead_ns = seconds_to_ns(ahead_seconds)
        self.prices.allow_for_clock(ahead_seconds)
        self._ticks.allow_for_clock(ahead_seconds)

    def on_feed_connected(self, instrument_ids: Iterable[InstrumentId] | None = None) -> None:
        """Prices seen before a reconnect confirm nothing after it; None for all instruments."""
        for tick in self.prices.on_connected(instrument_ids):
            self._ticks.put(tick)
        self._account.on_feed_lost(instrument_ids)

    def on_feed_lost(self, instrument_ids: Iterable[InstrumentId] | None = None) -> None:
        """Prices of a connection that ended are none that the account is worth; None for all."""
        self._account.on_feed_lost(instrument_ids)

    def let_go(self, instrument_id: InstrumentId) -> None:
        """Take over the newest price of an instrument that the feed is about to drop, to be shown;
        no rule may count on it when the instrument is held again."""
        self._ticks.take_over(instrument_id)
        self.prices.let_go(instrument_id)
        self._account.let_go(instrument_id)

    def on_tick(self, tick: Tick) -> None:
        """Judge a tick, move stops by it, and signal every exit that it fires."""
        self._tick_count += 1
        self._newest_tick_ns = tick.received_monotonic_ns
        if tick.instrument_id in self.prices and self._is_out_of_session(tick):
            return
        seen = self.prices.on_tick(tick)
        if seen is None:
            self._show(tick)
            return
        if seen.verdict is not TickVerdict.GOOD:
            self._metrics.ticks_refused.labels(seen.verdict.value).inc()
            if seen.kept is not None:
                self._ticks.put(seen.kept)
            return
        tick = seen.good or tick
        self._show(tick)
        for listener in self._on_good:
            listener(tick)
        if seen.fired or seen.moved:
            self._act_on(seen, tick)
        if self._account.judges_prices and not seen.is_late:
            self._account.on_price(tick)

    def _show(self, tick: Tick) -> None:
        self._ticks.put(tick)
        self._on_shown(tick)

    def on_quote(self, tick: Tick) -> bool:
        """Judge a price of the broker's REST quote by the same rules as one of the feed.

        Returns:
            False where it was refused.
        """
        if self._is_out_of_session(tick):
            return False
        seen = self.prices.on_quote(tick)
        if seen is None:
            return False
        if seen.kept is not None:
            self._ticks.put(seen.kept)
        if seen.verdict is not TickVerdict.GOOD:
            self._metrics.ticks_refused.labels(f"quote_{seen.verdict.value}").inc()
            return False
        tick = seen.good or tick
        self._ticks.put(tick)
        self._act_on(seen, tick)
        if self._account.judges_prices:
            self._account.on_price(tick)
        return True

    def on_day_range(self, high: int, low: int, tick: Tick) -> None:
        """Signal what the day's range shows to have been traded and no tick told."""
        segment, traded_ns = tick.instrument_id.exchange_segment, tick.exchange_time_ns
        is_of_today = ist_day_number(traded_ns) == ist_day_number(tick.received_time_ns)
        if is_of_today and self._hours.is_in_session(segment, traded_ns):
            if tick.source is TickSource.QUOTE:
                self.prices.before_quote(tick)
            self._act_on_range(self.prices.on_day_range(high, low, tick), high, low, tick)

    def recover_range(self, baseline: Baseline) -> None:
        """Act on what was traded since a position's range was made durable."""
        reached = self.prices.recover_range(baseline)
        told = self.prices.ranges.range_of(baseline.tracker)
        if reached is not None and told is not None:
            name, now = baseline.tracker.instrument.instrument_id, self._clock.now()
            tick = Tick(name, PriceUnits(told.low), now.wall_ns, now.wall_ns, now.monotonic_ns)
            self._act_on_range(reached, told.high, told.low, tick)

    def _act_on_range(self, reached: RangeReached | None, high: int, low: int, tick: Tick) -> None:
        """Signal what new extremes fired, and make durable what they moved."""
        if reached is None:
            return
        fired = [(name, level, low) for name, level in reached.fallen]
        fired += [(name, level, high) for name, level in reached.risen]
        fired.sort(key=lambda each: self._rank_of_fired(each[:2]))
        self._expect_exits(len(fired))
        for tracker_id, level, price in fired:
            told = replace(tick, last_traded_price=PriceUnits(price))
            self._fire(tracker_id, level, told, _range_text(is_low=price == low))
        if reached.moved:
            assert self._tasks is not None, "connected before the first range"
            self._trailing.save(reached.moved, self._tasks)

    def _act_on(self, seen: Seen, tick: Tick) -> None:
        """Signal what a price fired, and make durable what it moved."""
        fired = seen.fired
        if len(fired) > 1:
            fired.sort(key=self._rank_of_fired)
            self._expect_exits(len(fired))
        for tracker_id, level in fired:
            self._fire(tracker_id, level, tick, _source_text(tick))
        if seen.moved:
            assert self._tasks is not None, "connected before the first tick"
            self._trailing.save(seen.moved, self._tasks)

    def _is_out_of_session(self, tick: Tick) -> bool:
        """Say whether a price was traded outside the exchange's hours, or in those of an earlier
        day; tell of one that should not be: then every rule about prices is mute until a person
        names the session."""
        segment, traded_ns = tick.instrument_id.exchange_segment, tick.exchange_time_ns
        if self._hours.is_in_session(segment, traded_ns):
            return self._is_of_an_earlier_day(tick)
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

    def _is_of_an_earlier_day(self, tick: Tick) -> bool:
        """Say whether a price was traded on a day that has ended: a feed that lived overnight tells
        the last one again before the open, and it is none that one could trade at."""
        if tick.received_time_ns - tick.exchange_time_ns < SURELY_OF_TODAY_NS:
            return False
        believed_ns = min(tick.received_time_ns, self._rule_clock.look().steady.wall_ns)
        today = ist_day_number(believed_ns - max(0, self._clock_ahead_ns))
        if ist_day_number(tick.exchange_time_ns) >= today:
            return False
        self._metrics.ticks_refused.labels("of_an_earlier_day").inc()
        return True

    def account_view(self) -> AccountView:
        """Return how the account stands against its rules."""
        return self._account.view()

    def _measure_feed(self) -> None:
        newest_ns, now_ns = self.newest_tick_ns, self._clock.now().monotonic_ns
        age = math.nan if newest_ns is None else (now_ns - newest_ns) / NANOSECONDS_PER_SECOND
        self._metrics.feed_age_seconds.set(age)

    def _count_ticks(self) -> None:
        total = self._tick_count + self.prices.feed.quiet_count
        self._metrics.ticks.inc(total - self._counted_ticks)
        self._counted_ticks = total

    def _rank_of_fired(self, fired: tuple[TrackerId, Level]) -> tuple[int, Decimal, TrackerId]:
        """Order what one tick fires as its exits are to go: by urgency, largest risk first."""
        tracker_id, level = fired
        tracker = self._watched[tracker_id]
        risk = tracker.open_quantity * tracker.entry_price
        return Urgency.of_rule(level.rule).value, -risk, tracker_id

    def _fire(self, tracker_id: TrackerId, level: Level, tick: Tick, source: str) -> None:
        trigger = Trigger(
            rule=level.rule,
            level=level.price,
            price=tick.last_traded_price,
            exchange_time_ns=tick.exchange_time_ns,
            received_time_ns=tick.received_time_ns,
        )
        reason = (
            f"{level.rule.value} {decimal_from_units(level.price)} reached "
            f"at {decimal_from_units(tick.last_traded_price)}{source}"
        )
        self._signal(tracker_id, trigger, reason)

    def _signal(self, tracker_id: TrackerId, trigger: Trigger, reason: str) -> None:
        assert self._tasks is not None, "connected before the first tick"
        if tracker_id in self._latched:
            return
        self._latched.add(tracker_id)
        self.prices.latch(tracker_id)
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

    async def run_time_rules(self) -> None:
        """Check rules about time every second; never returns."""
        while True:
            await self._clock.sleep(TIME_RULES_INTERVAL_SECONDS)
            self.check_time_rules()

    def check_time_rules(self) -> None:
        """Signal every position whose time has come."""
        now = self._rule_clock.look()
        due: list[tuple[TrackerId, RuleName]] = []
        for tracker in self._watched.values():
            held_ns = self._rule_clock.held_ns(tracker, now)
            rule = self._hours.due_rule(tracker, now.day, held_ns=held_ns)
            if rule is not None and tracker.tracker_id not in self._latched:
                due.append((tracker.tracker_id, rule))
        if len(due) > 1:
            self._expect_exits(len(due))
        for tracker_id, rule in due:
            text = f"{rule.value} reached at {now.day.ist().strftime('%H:%M:%S')} IST"
            self._signal(tracker_id, Trigger(rule), text)


def _source_text(tick: Tick) -> str:
    """Say where a price came from, where it did not come from the feed."""
    if tick.source is TickSource.FEED:
        return ""
    age = (tick.received_time_ns - tick.exchange_time_ns) / NANOSECONDS_PER_SECOND
    return f" (the broker's REST quote, traded {age:.1f} s before: the feed is silent or late)"


def _range_text(*, is_low: bool) -> str:
    """Say that a price was seen in the day's range."""
    return f" (the day's new {'low' if is_low else 'high'}, traded between two ticks)"
