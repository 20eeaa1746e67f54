"""The rules of the account: judged at every good price and every fill, latched, carried out.

A rule that fires is spent in memory at once; then one transaction holds what fired, the kill switch
at level `new` and the wish to close everything (`exit_all`), which the next process goes on with.
Judging begins once the books were compared with the broker's: before that no order could go out,
and a position that somebody closed meanwhile would still be counted.

Invariants:
1. A rule fires once a day, on known prices: each from a good print on the living connection.
2. Where a held instrument has no such price, only `max_loss` is looked at, over the known part with
   the rest at its best, and it fires once that has stood for LOSS_STANDS_SECONDS.
3. The peak is written at most once in TURN_SECONDS, and never falls within a day.
4. What was fired on another day holds nothing back on this one, however often rules fired on it
   and whatever restarts; what a person holds back stays.
"""

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import time

import structlog

from squareoff.core.account.account_limits import ReachedRule
from squareoff.core.account.account_pnl import exact_rupees, money_units, rupees_of
from squareoff.core.account.account_watch import AccountWatch
from squareoff.core.state.facts import AccountPeakReached, AccountRuleFired, Severity, TrackerFact
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.account_rules import AccountRuleName, AccountRules
from squareoff.domain.copies import replace
from squareoff.domain.errors import StoreError
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.ticks import Tick
from squareoff.domain.time import Now, ist_midnight_ns, seconds_to_ns
from squareoff.ports import AccountDayState, Clock, Journal, TrackerStore
from squareoff.services.account.account_book import AccountBook
from squareoff.services.account.account_view import AccountView, account_view
from squareoff.services.account.kill_switch import KillSwitch
from squareoff.services.exits.exit_all import ExitAll, switch_reason
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.prices.market_hours import MarketHours
from squareoff.services.prices.rule_clock import RuleClock
from squareoff.services.prices.tick_cache import TickCache

_log = structlog.get_logger("squareoff.account_guard")
TURN_SECONDS = 1.0
"""How often time, missing prices and the peak are looked at: as often as the positions' times."""

LOSS_STANDS_SECONDS = 10.0
"""After a reconnect the price of a hedge is missing for a moment: a print or a quote brings it
within some seconds, and closing all for want of it would be wrong. A loss waits no longer."""

UNSEEN_SECONDS = 30.0
"""How long a price may be missing, while any market of what is held is open, until a person hears
of it: a price of a market that is closed mutes the rules for the one that trades as well."""

LATCH_RETRY_SECONDS = 0.5
LATCH_FAILURES_BEFORE_ALARM = 4
_LOUD = frozenset({AccountRuleName.MAX_LOSS, AccountRuleName.TRAILING})


@dataclass(frozen=True, slots=True)
class AccountParts:
    """What the guard of an account works with."""

    store: TrackerStore
    journal: Journal
    exit_all: ExitAll
    kill_switch: KillSwitch
    hours: MarketHours
    ticks: TickCache
    alarms: AlarmDesk
    clock: Clock
    rule_clock: RuleClock
    metrics: Metrics


class AccountGuard:
    """Watches the rules of one account."""

    def __init__(self, rules: AccountRules, parts: AccountParts, may_judge: asyncio.Event) -> None:
        self._rules = rules
        self._parts = parts
        self._may_judge = may_judge
        self._watch = AccountWatch(rules)
        self._pnl, self._limits = self._watch.pnl, self._watch.limits
        self._book = AccountBook(self._pnl, parts.journal)
        self._day = ""
        self._stored = AccountDayState("")
        self._told_missing = ""
        self._may_old_stand = True  # an alarm of the last process about missing prices
        self._to_lift = ""
        self._waiting: deque[AccountRuleFired] = deque()
        self._fired = asyncio.Event()
        self._unseen_since_ns: int | None = None
        self._loss_since_ns: int | None = None
        self.judges_prices = rules.judges_prices
        parts.metrics.before_rendering(self._set_gauges)

    def on_tracker_changed(self, tracker: PositionTracker) -> None:
        """Take in a committed change of a position."""
        self._book.put(tracker)
        self._fire(self._watch.judge(), self._pnl.total, None)

    def on_facts(self, tracker: PositionTracker, facts: Sequence[TrackerFact], _at_ns: int) -> None:
        """Take in the facts of a committed change, right before it."""
        self._book.note(tracker, facts)

    def on_price(self, tick: Tick) -> None:
        """Take in a price that may fire rules."""
        reached = self._watch.on_price(tick.instrument_id, tick.last_traded_price)
        if reached:
            self._fire(reached, self._pnl.total, tick)

    def on_feed_lost(self, instrument_ids: Iterable[InstrumentId] | None = None) -> None:
        """Hold prices for unseen whose market goes on without us; None for all instruments."""
        now_ns = self._parts.clock.now().wall_ns
        hours = self._parts.hours
        lost = None if instrument_ids is None else frozenset(instrument_ids)

        def is_over(name: InstrumentId) -> bool:
            is_lost = lost is None or name in lost
            return is_lost and hours.is_in_session(name.exchange_segment, now_ns)

        self._pnl.forget_prices(is_over)

    def let_go(self, instrument_id: InstrumentId) -> None:
        """The feed drops an instrument, whatever the hour: what it told last is no price later."""
        self._pnl.forget_prices(lambda name: name == instrument_id)

    def _fire(self, reached: tuple[ReachedRule, ...], pnl: int, tick: Tick | None) -> None:
        """Queue the first rule; the others are spent with it."""
        if not reached:
            return
        rule, level = reached[0]
        shown = f"account {rule.value} {rupees_of(level)} reached: the day's P&L was"
        at = "" if tick is None else _trade_text(tick)
        self._queue(
            AccountRuleFired(
                day=self._day,
                rule=rule,
                reason=f"{shown} {rupees_of(pnl)}{at}",
                spent=(),
                closes_all=True,
                level=rupees_of(level),
                pnl=rupees_of(pnl),
                instrument_id=None if tick is None else str(tick.instrument_id),
                price=None if tick is None else tick.last_traded_price,
                exchange_time_ns=None if tick is None else tick.exchange_time_ns,
                received_time_ns=None if tick is None else tick.received_time_ns,
            )
        )

    def _queue(self, fact: AccountRuleFired) -> None:
        self._waiting.append(fact)
        self._fired.set()

    async def run_firing(self) -> None:
        """Latch and carry out what fired; never returns."""
        while True:
            await self._fired.wait()
            self._fired.clear()
            while self._waiting:
                await self._latch(self._waiting[0])
                self._waiting.popleft()

    async def _latch(self, fact: AccountRuleFired) -> None:
        failures = 0
        while True:
            try:
                fact = await self._latch_once(fact)
                break
            except StoreError as error:
                failures += 1
                _log.error("account_rule_not_latched", rule=fact.rule.value, error=str(error))
                if failures == LATCH_FAILURES_BEFORE_ALARM:
                    text = f"{fact.reason}, but it could not be stored: {error}; trying goes on"
                    await self._parts.alarms.raise_alarm(
                        Severity.CRITICAL, "account_rule_not_latched", text
                    )
                await self._parts.clock.sleep(LATCH_RETRY_SECONDS)
        if fact.closes_all:
            severity = Severity.CRITICAL if fact.rule in _LOUD else Severity.WARNING
            closed = "Intraday positions are" if _is_narrow(fact) else "Everything is"
            text = (
                f"{fact.reason}. {closed} being closed and entries are blocked for the rest of "
                "the day (squareoff resume lifts that)"
            )
            await self._parts.alarms.raise_alarm(severity, "account_rule_fired", text)
        await self._parts.alarms.clear("account_rule_not_latched", "what fired is stored")

    async def _latch_once(self, fact: AccountRuleFired) -> AccountRuleFired:
        """Commit what fired, with the wish unless all is being closed already."""
        parts = self._parts
        wish = parts.exit_all.running
        running = None if wish is None or wish.intraday_only else wish
        # The switch of an earlier day's wish is lifted with its end: it does not hold for today.
        is_covered = running is not None and running.asked_at_ns >= self._book.midnight_ns
        # A try of ours whose commit was not answered may have asked for it already.
        is_ours = running is not None and running.reason == fact.reason
        spent = tuple(rule for rule in AccountRuleName if rule in self._limits.spent)
        fact = replace(fact, spent=spent, closes_all=is_ours or not is_covered)
        if is_covered:
            await parts.store.record((fact,), parts.clock.now().wall_ns)
        else:
            self._to_lift = ""
            await parts.exit_all.ask(
                fact.reason,
                lock_account=False,
                intraday_only=_is_narrow(fact),
                facts=(fact,),
                in_place_of=self._stored.reason,
            )
        now_ns = parts.clock.now().wall_ns
        stored = replace(self._stored, spent=spent)
        if fact.closes_all:
            stored = replace(stored, reason=fact.reason, fired_at_ns=now_ns)
        self._stored = stored
        return fact

    async def run(self) -> None:
        """Begin once the books agree, then look every second; never returns."""
        await self._may_judge.wait()
        while True:
            try:
                await self._take_turn()
            except StoreError as error:
                _log.error("account_rules_delayed", error=str(error))
            await self._parts.clock.sleep(TURN_SECONDS)

    async def _take_turn(self) -> None:
        now = self._parts.rule_clock.look().day
        await self._follow_day(now)
        await self._lift()
        self._check_square_off(now)
        if self.judges_prices:
            self._fire(self._watch.judge(), self._pnl.total, None)
            await self._check_unseen(now)
            await self._save_peak(now)
        if self._may_old_stand and not (self.judges_prices and self._missing(now)):
            self._may_old_stand = False
            await self._parts.alarms.clear("account_pnl_unknown", "no price is missing")

    async def _follow_day(self, now: Now) -> None:
        """Begin the day, or the next one; a clock that was set back ends none."""
        today = now.ist().date().isoformat()
        if today <= self._day:
            return
        stored = await self._parts.store.account_day() or AccountDayState(today)
        day = max(today, stored.day)
        midnight_ns = ist_midnight_ns(now.wall_ns)
        if self._day:
            self._book.roll(midnight_ns)
        else:
            await self._book.begin(midnight_ns)
        stored = stored.on(day)
        peak = None if stored.peak is None else money_units(stored.peak)
        self._limits.begin_day(peak, stored.spent)
        self._to_lift = stored.reason if stored.fired_at_ns is None else ""
        self._stored, self._day, self._watch.is_judging = stored, day, True
        _log.info("account_day_began", day=day, pnl=str(rupees_of(self._pnl.total)))

    async def _lift(self) -> None:
        """Let entries go again that a rule of an earlier day held back, once all is closed."""
        if not self._to_lift:
            return
        switch = self._parts.kill_switch
        wish = await self._parts.store.exit_all()
        if wish is not None and wish.is_running:
            return
        if switch.asked.active and switch.asked.reason == switch_reason(self._to_lift):
            reason = f"a new trading day began; it held for: {self._to_lift}"
            await switch.set(active=False, level="new", reason=reason)
        self._to_lift = ""

    def _check_square_off(self, now: Now) -> None:
        wanted = self._rules.square_off_at
        if wanted is None or AccountRuleName.SQUARE_OFF in self._limits.spent:
            return
        if any(self._is_due(tracker, wanted, now) for tracker in self._book.trackers()):
            self._limits.spend((AccountRuleName.SQUARE_OFF,))
            shown = now.ist().strftime("%H:%M:%S")
            self._queue(
                AccountRuleFired(
                    day=self._day,
                    rule=AccountRuleName.SQUARE_OFF,
                    reason=f"account square_off_at {wanted} reached at {shown} IST",
                    spent=(),
                    closes_all=True,
                )
            )

    def _is_due(self, tracker: PositionTracker, wanted: time, now: Now) -> bool:
        if tracker.status.is_final or not tracker.product_type.is_intraday:
            return False
        return self._parts.hours.is_square_off_due(wanted, tracker, now)

    async def _check_unseen(self, now: Now) -> None:
        """Look at the loss without the prices that are missing, and tell of them."""
        is_loss = self._watch.is_loss_without_the_rest
        self._loss_since_ns = _since(self._loss_since_ns, now, stands=is_loss)
        if _has_stood(self._loss_since_ns, LOSS_STANDS_SECONDS, now):
            self._fire(self._watch.judge_the_rest(), self._pnl.at_its_best(), None)
        missing = self._missing(now)
        self._unseen_since_ns = _since(self._unseen_since_ns, now, stands=bool(missing))
        is_long = _has_stood(self._unseen_since_ns, UNSEEN_SECONDS, now)
        await self._tell_missing(missing if is_loss or is_long else [])

    async def _tell_missing(self, missing: list[InstrumentId]) -> None:
        names = ", ".join(sorted(str(name) for name in missing))
        if names == self._told_missing:
            return
        if self._told_missing:
            text = "other prices are missing now" if names else "no price is missing"
            await self._parts.alarms.clear("account_pnl_unknown", text)
        self._told_missing = names
        if names:
            text = (
                f"the account's P&L is not known for want of good prices of {names}: its target "
                "and trailing do not fire, its max_loss looks at the rest"
            )
            await self._parts.alarms.raise_alarm(Severity.CRITICAL, "account_pnl_unknown", text)

    def _missing(self, now: Now) -> list[InstrumentId]:
        """Return whose price is missing, while the market of anything that is held is open."""
        is_open = any(self._is_trading(name, now) for name in self._pnl.instruments())
        return list(self._pnl.unseen()) if is_open else []

    def _is_trading(self, instrument_id: InstrumentId, now: Now) -> bool:
        return self._parts.hours.is_in_session(instrument_id.exchange_segment, now.wall_ns)

    async def _save_peak(self, now: Now) -> None:
        peak = self._limits.peak
        if peak is None:
            return
        fact = AccountPeakReached(self._day, exact_rupees(peak))
        if self._stored.peak != fact.peak:
            await self._parts.store.record((fact,), now.wall_ns)
            self._stored = replace(self._stored, peak=fact.peak)

    def view(self) -> AccountView:
        """Return how the account stands."""
        if not self.judges_prices:
            self._look_up_prices()
        stored = self._stored
        fired = None if stored.fired_at_ns is None else (stored.reason, stored.fired_at_ns)
        before = self._book.realized_before
        return account_view(self._day, self._rules, self._limits, self._pnl, fired, before)

    def _set_gauges(self) -> None:
        """A P&L that is not known is no number."""
        view, metrics = self.view(), self._parts.metrics
        metrics.account_pnl.set(math.nan if view.pnl is None else float(view.pnl))
        metrics.account_realized_pnl.set(float(view.realized_pnl))
        for rule in AccountRuleName:
            metrics.account_rule_fired.labels(rule.value).set(rule in view.fired)

    def _look_up_prices(self) -> None:
        """Without rules nobody hears every price: the newest will do for the eye."""
        for name in tuple(self._pnl.instruments()):
            tick = self._parts.ticks.newest(name)
            if tick is not None and tick.received_time_ns >= self._book.midnight_ns:
                self._pnl.price(name, tick.last_traded_price)


def _is_narrow(fact: AccountRuleFired) -> bool:
    return fact.rule is AccountRuleName.SQUARE_OFF


def _trade_text(tick: Tick) -> str:
    price = decimal_from_units(tick.last_traded_price)
    return f" when {tick.instrument_id} traded at {price}"


def _since(known_ns: int | None, now: Now, *, stands: bool) -> int | None:
    if not stands:
        return None
    return now.monotonic_ns if known_ns is None else known_ns


def _has_stood(since_ns: int | None, seconds: float, now: Now) -> bool:
    return since_ns is not None and now.monotonic_ns - since_ns >= seconds_to_ns(seconds)
