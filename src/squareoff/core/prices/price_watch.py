"""Judge every price, and say what it fires and which stops it moves.

The one place where a tick meets the rules: which ticks may fire is `core.prices.price_hygiene`,
what they reach is `core.rules.trigger_book`. A feed that keeps quiet prices is told which ones are
(docs/ trigger-book.md); with any other feed every tick comes here.

Invariants:
1. What is fired or moved does not depend on whether quiet prices are kept or published.
2. Quiet are only prices after a good one on the same connection that would be good too.
3. A quote keeps no price of the feed from being judged: whatever the feed tells late was traded,
   and is judged by the levels of its own time (`core.prices.late_prices`).
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from squareoff.core.prices.day_ranges import Baseline, DayRanges, DayRangeTold
from squareoff.core.prices.late_prices import LevelsBeforeQuotes
from squareoff.core.prices.price_hygiene import (
    NO_CIRCUIT,
    CalmRange,
    Circuit,
    HygieneLimits,
    PriceMemory,
    TickVerdict,
    credible_time_ns,
    is_credible,
    is_inside,
    judge_tick,
)
from squareoff.core.prices.quiet_prices import LOUD_FEED, QuietFeed
from squareoff.core.prices.seen import Seen
from squareoff.core.prices.watched_instrument import (
    LimitsWanted,
    Nearness,
    WatchedInstrument,
    end_of_day,
)
from squareoff.core.rules.trigger_book import RangeReached, TriggerBook
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import AHEAD_NS_MAX, Tick, at_price, is_later, is_same_trade
from squareoff.domain.time import ist_day_begins_ns, ist_day_number, seconds_to_ns


class PriceWatch:
    """Prices and rules of all positions of one engine."""

    def __init__(self, limits: HygieneLimits, feed: QuietFeed = LOUD_FEED) -> None:
        self._limits = self._wanted_limits = limits
        self._calm = CalmRange(limits)
        self.feed = feed
        self._book = TriggerBook()
        self.ranges = DayRanges(self._book)
        self._instruments: dict[InstrumentId, WatchedInstrument] = {}

    def __len__(self) -> int:
        """How many positions have armed rules."""
        return len(self._book)

    def __contains__(self, instrument_id: InstrumentId) -> bool:
        """Say whether any position of the instrument is, or was, watched."""
        return instrument_id in self._instruments

    def allow_for_clock(self, ahead_seconds: float) -> None:
        """Judge the age of first prints by a clock that is this far ahead of the broker's; behind
        it (below zero) prices only look younger, and trade times may be that far ahead of it."""
        wanted = self._wanted_limits
        age = wanted.stale_after_seconds + max(0.0, ahead_seconds)
        behind_ns = seconds_to_ns(max(0.0, -ahead_seconds))
        self._limits = replace(
            wanted, stale_after_seconds=age, ahead_ns_max=wanted.ahead_ns_max + behind_ns
        )

    @property
    def told_in_time_ns(self) -> int:
        """How long after its trade the feed may tell a price, as `allow_for_clock` has it."""
        return self._limits.told_in_time_ns

    def watch(self, tracker: PositionTracker, *, is_latched: bool = False) -> None:
        """Take a position in, or its change; one that is latched waits for nothing."""
        watched = self._watched(tracker)
        self.ranges.watch(tracker, watched.trackers.get(tracker.tracker_id))
        watched.trackers[tracker.tracker_id] = tracker
        if not is_latched:
            self._book.arm(tracker)
            if watched.before_quotes is not None:
                watched.before_quotes.arm(tracker)
            self._open(watched)

    def follow(self, tracker: PositionTracker) -> None:
        """Judge the prices of a position's instrument though no rule of it waits for one."""
        self._watched(tracker)

    def latch(self, tracker_id: TrackerId) -> None:
        """Let a position wait for nothing any more."""
        self._book.latch(tracker_id)

    def rest(self, tracker: PositionTracker) -> None:
        """An exit of a position is open: it waits for nothing, and its best price goes on."""
        self._leave(tracker)
        if self._book.rest(tracker):
            self._open(self._watched(tracker))

    def forget(self, tracker: PositionTracker) -> None:
        """Take a position out; nothing happens where it is not in."""
        self._leave(tracker)
        self._book.forget(tracker.tracker_id)

    def _leave(self, tracker: PositionTracker) -> None:
        watched = self._instruments.get(tracker.instrument.instrument_id)
        if watched is not None and watched.trackers.pop(tracker.tracker_id, None) is not None:
            if watched.before_quotes is not None:
                watched.before_quotes.forget(tracker.tracker_id)
            self.ranges.forget(tracker)

    def current(self, tracker_id: TrackerId) -> PositionTracker | None:
        """Return a position with the best price seen and the stop that follows from it."""
        return self._book.current(tracker_id)

    def settle(self, tracker_id: TrackerId) -> None:
        """The newest stop of a position is durable: tell of the next move."""
        self._book.settle(tracker_id)

    def on_connected(self, instrument_ids: Iterable[InstrumentId] | None = None) -> list[Tick]:
        """Let what was seen before a reconnect confirm nothing after it; return what was kept.
        `instrument_ids` came back, None for all."""
        ticks = []
        for instrument_id in self._instruments if instrument_ids is None else instrument_ids:
            watched = self._instruments.get(instrument_id)
            if watched is None:
                continue
            if watched.memory is not None:
                kept = watched.catch_up(watched.memory, self._limits)
                if kept is not None:
                    watched.heard = kept
                    ticks.append(kept)
                watched.memory = PriceMemory(last_good=watched.memory.last_good)
            watched.quoted = None
            if watched.quiet is not None:
                watched.quiet.close()
                watched.quiet.forget()
        return ticks

    def let_go(self, instrument_id: InstrumentId) -> None:
        """The feed drops an instrument: nothing that was seen says anything of its next price."""
        watched = self._instruments.get(instrument_id)
        if watched is None:
            return
        watched.memory = watched.heard = watched.told = watched.quoted = watched.spike = None
        watched.before_quotes = None
        if watched.quiet is not None:
            watched.quiet.close()
            watched.quiet.forget()

    def on_tick(self, tick: Tick) -> Seen | None:
        """Judge a tick and take it in; None where no position ever held the instrument."""
        watched = self._instruments.get(tick.instrument_id)
        if watched is None:
            return None
        watched.note_trade(tick, self._limits)
        if tick.volume is None:
            self.ranges.fall_behind(tick.instrument_id)
        memory, kept = watched.recall(self._limits)
        if memory.unconfirmed != 0 and is_same_trade(tick, watched.spike):
            verdict, judged = TickVerdict.SPIKE, memory
        else:
            verdict, judged = self._judge(watched, tick, memory)
        watched.memory = judged
        if verdict is not TickVerdict.GOOD:
            if kept is not None:
                watched.heard = kept
            if verdict is not TickVerdict.OUT_OF_CIRCUIT and is_later(tick, watched.told):
                watched.told = tick
            self._open(watched)
            return Seen(verdict, [], [], kept)
        good = at_price(tick, judged.last_good)
        watched.told = None if good is tick else tick
        tick = good
        heard = watched.heard
        if heard is None or tick.exchange_time_ns >= credible_time_ns(heard, self._limits):
            watched.heard = tick  # a late print after a reconnect is good, and not the newest
        if watched.before_quotes is not None:
            if watched.before_quotes.is_late(tick):
                return self._reach_late(watched, watched.before_quotes, tick)
            watched.before_quotes = None
        fired, moved = watched.levels.reach(tick.last_traded_price)
        watched.latest_ns = tick.received_time_ns + AHEAD_NS_MAX
        self._open(watched)
        return Seen(verdict, fired, moved, good=tick)

    def _reach_late(self, watched: WatchedInstrument, then: LevelsBeforeQuotes, tick: Tick) -> Seen:
        """Let a price fire what stood when it was traded; as a best price it counts for now."""
        armed = self._book.armed(watched.trackers)
        waiting = {tracker.tracker_id for tracker in armed}
        fired = [each for each in then.reach(tick, armed) if each[0] in waiting]
        for tracker_id, _ in fired:
            self._book.latch(tracker_id)
        moved = watched.levels.raise_peaks(tick.last_traded_price)
        return Seen(TickVerdict.GOOD, fired, moved, is_late=True, good=tick)

    def before_quote(self, tick: Tick) -> None:
        """A quote, or the day's range that it tells, is about to be judged: where the feed has not
        told that far, hold on to the levels as its own prices left them."""
        watched = self._instruments.get(tick.instrument_id)
        if watched is not None:
            self._hold_levels(watched, tick)

    def _hold_levels(self, watched: WatchedInstrument, tick: Tick) -> LevelsBeforeQuotes | None:
        newest = watched.heard if watched.quiet is None else watched.quiet.newest() or watched.heard
        if watched.before_quotes is None and is_later(tick, newest):
            standing = self._book.standing(watched.trackers)
            traded_ns = credible_time_ns(tick, self._limits)
            watched.before_quotes = LevelsBeforeQuotes(watched.instrument, standing, traded_ns)
        return watched.before_quotes

    def on_quote(self, tick: Tick) -> Seen | None:
        """Judge a broker's quote and take it in as `on_tick` does.

        The same trade read twice confirms nothing, and one that is older than what the feed or
        another quote told is stale.
        """
        watched = self._instruments.get(tick.instrument_id)
        if watched is None:
            return None
        watched.note_trade(tick, self._limits)
        memory, kept = watched.recall(self._limits)
        if kept is not None:
            watched.heard = kept
        before, watched.quoted = watched.quoted, tick
        if before is not None and tick.exchange_time_ns < credible_time_ns(before, self._limits):
            watched.quoted = before
            return Seen(TickVerdict.STALE, [], [], kept)
        is_read_twice = is_same_trade(tick, before)
        if memory.unconfirmed != 0 and (is_read_twice or is_same_trade(tick, watched.spike)):
            return Seen(TickVerdict.SPIKE, [], [], kept)
        verdict, judged = self._judge(watched, tick, memory)
        watched.memory = judged._replace(last_exchange_time_ns=memory.last_exchange_time_ns)
        if verdict is not TickVerdict.GOOD:
            self._open(watched)
            return Seen(verdict, [], [], kept)
        tick = at_price(tick, judged.last_good)
        before_quotes = self._hold_levels(watched, tick)
        fired, moved = watched.levels.reach(tick.last_traded_price)
        if before_quotes is not None:
            before_quotes.note(credible_time_ns(tick, self._limits), watched.levels.peaks())
        if watched.quiet is not None:
            watched.quiet.forget()
        self._open(watched)
        return Seen(verdict, fired, moved, kept, good=tick)

    def on_day_range(self, high: int, low: int, tick: Tick) -> RangeReached | None:
        """Judge the day's range as told with a tick, before the tick is; None for nothing new."""
        watched = self._instruments.get(tick.instrument_id)
        if watched is None:
            return None
        watched.note_trade(tick, self._limits)
        told = DayRangeTold(ist_day_number(tick.exchange_time_ns), high, low)

        def is_told_by_tick(price: int) -> bool:
            return price == tick.last_traded_price and self._is_good(watched, tick)

        can_be = partial(self._is_credible, watched)
        return self.ranges.take(watched.instrument, told, watched.trackers, can_be, is_told_by_tick)

    def recover_range(self, baseline: Baseline) -> RangeReached | None:
        """Take in what was durable of a loaded position; nothing where it was claimed meanwhile."""
        watched = self._instruments.get(baseline.tracker.instrument.instrument_id)
        if watched is None or baseline.tracker.tracker_id not in watched.trackers:
            return None
        watched.pass_to(ist_day_begins_ns(baseline.told.day))
        return self.ranges.recover(baseline, partial(self._is_credible, watched))

    def _is_credible(self, watched: WatchedInstrument, price: int) -> bool:
        """Say whether a day's extreme can be, and is no spike after the last good price."""
        memory, _ = watched.recall(self._limits)
        return memory.last_good != 0 and is_credible(
            price,
            watched.circuit,
            memory.last_good,
            self._limits,
            watched.instrument.tick_units,
        )

    def _is_good(self, watched: WatchedInstrument, tick: Tick) -> bool:
        """Say whether a tick will be judged good, and so tells its own price."""
        memory = watched.memory or watched.first_memory()
        tick_units = watched.instrument.tick_units
        verdict, _ = judge_tick(tick, watched.circuit, memory, self._limits, tick_units)
        return verdict is TickVerdict.GOOD

    def _judge(
        self, watched: WatchedInstrument, tick: Tick, memory: PriceMemory
    ) -> tuple[TickVerdict, PriceMemory]:
        """Judge a tick, and note the trade that stands unconfirmed after it."""
        tick_units = watched.instrument.tick_units
        verdict, judged = judge_tick(tick, watched.circuit, memory, self._limits, tick_units)
        if judged.unconfirmed != 0 and judged is not memory:
            watched.spike = tick
        if verdict is TickVerdict.OUT_OF_CIRCUIT:
            watched.circuit_is_doubted, watched.refused = True, tick
        return verdict, judged

    def is_outdated(self, quote: Tick) -> bool:
        """Say whether trades later than a quote's are told, and refused by the circuit limits."""
        watched = self._instruments.get(quote.instrument_id)
        return watched is not None and watched.is_outdated(quote)

    def heard_and_told(self, instrument_id: InstrumentId) -> tuple[Tick | None, Tick | None]:
        """Return the newest valid price that the feed told, and the newest trade that it told, also
        where that was too old to be judged or waits to be confirmed; None for none."""
        watched = self._instruments.get(instrument_id)
        return (None, None) if watched is None else watched.heard_and_told()

    def told(self, instrument_id: InstrumentId) -> Tick | None:
        """Return the newest trade that the feed told; see `heard_and_told`."""
        return self.heard_and_told(instrument_id)[1]

    def is_near_a_level(self) -> bool:
        """Say whether any newest good price is near an armed level."""
        return any(watched.is_near_a_level() for watched in self._instruments.values())

    def nearness(self, instrument_id: InstrumentId) -> Nearness:
        """Return how the newest good price of an instrument stands to its armed levels."""
        watched = self._instruments.get(instrument_id)
        return Nearness.NO_LEVEL if watched is None else watched.nearness()

    def limits_wanted(self, wall_ns: int) -> Iterable[tuple[InstrumentId, LimitsWanted]]:
        """Return the instruments whose circuit limits of this instant's day should be asked for."""
        for instrument_id, watched in self._instruments.items():
            if (why := watched.limits_wanted(wall_ns)) is not None:
                yield instrument_id, why

    def limits_of(self, instrument_id: InstrumentId, wall_ns: int) -> Circuit | None:
        """Return the circuit limits of this instant's day, None where they are not surely known."""
        watched = self._instruments.get(instrument_id)
        is_unknown = watched is None or watched.limits_wanted(wall_ns) is not None
        return None if watched is None or is_unknown else watched.circuit

    def take_limits(
        self, instrument_id: InstrumentId, circuit: Circuit, wall_ns: int, *, is_proved: bool
    ) -> None:
        """Judge an instrument's prices by the circuit limits that a quote told on a day (UTC).

        `is_proved`: the quote's last trade was of that day; else they may be those before it, and
        are taken only where none are known that are surely right.
        """
        watched = self._instruments.get(instrument_id)
        if watched is not None and (is_proved or watched.limits_wanted(wall_ns) is not None):
            watched.recall(self._limits)
            watched.take_limits(circuit, wall_ns, is_proved=is_proved)
            self._open(watched)

    def refute_limits(self, tick: Tick) -> None:
        """A quote told this trade of today and no limits around it: where it lies outside of those
        that are known, the market has left them, and none are."""
        watched = self._instruments.get(tick.instrument_id)
        if watched is not None and not is_inside(watched.circuit, tick.last_traded_price):
            watched.recall(self._limits)
            watched.take_limits(NO_CIRCUIT, tick.received_time_ns, is_proved=False)
            self._open(watched)

    def _watched(self, tracker: PositionTracker) -> WatchedInstrument:
        instrument = tracker.instrument
        watched = self._instruments.get(instrument.instrument_id)
        if watched is None:
            watched = WatchedInstrument(tracker, self._book.on(instrument))
            self._instruments[instrument.instrument_id] = watched
        elif watched.instrument is not instrument and end_of_day(tracker) >= watched.known_ends_ns:
            watched.recall(self._limits)
            watched.know(tracker)
        return watched

    def _open(self, watched: WatchedInstrument) -> None:
        """Tell the feed which prices are quiet from here on."""
        quiet = watched.quiet
        if quiet is None or quiet.is_dropped:
            quiet = watched.quiet = self.feed.quiet_prices(watched.instrument.instrument_id)
        if quiet is None:
            return
        memory = watched.memory
        if memory is None or memory.last_exchange_time_ns == 0 or memory.unconfirmed != 0:
            quiet.close()
            return
        if watched.before_quotes is not None:
            quiet.close()  # a late price moves the stops of its time, which the bounds do not tell
            return
        falling, rising = watched.levels.quiet()
        lowest, highest = watched.calm
        if not lowest < memory.last_good < highest:
            lowest, highest = self._calm.around(memory.last_good, watched.circuit)
            watched.calm = lowest, highest
        quiet.open(
            above=max(falling, lowest),
            below=min(rising, highest),
            earliest_ns=memory.last_exchange_time_ns,
            latest_ns=watched.latest_ns,
        )
