"""Find the instruments whose prices went missing, ask the broker's REST quotes instead, and tell.

What is missing is decided by `core.prices.silence`; a price of a feed that is behind
(`core.prices.feed_lag`, measured at the same looks) is none of now. Quotes are asked for in the
turns that no exit needs, for all silent instruments at once; the prices go the way of ticks
(`RiskManager.on_quote`). When the feed gives prices of now again, nothing more is asked. Nothing
here is waited for by anybody.
"""

import asyncio
import math
from collections.abc import Callable, Mapping

from squareoff.core.prices.feed_lag import FeedLag
from squareoff.core.prices.quoted_prices import day_range_of_quote, tick_of_quote
from squareoff.core.prices.silence import Silences, has_told_all, waits_for_prices
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import Quote
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import Now
from squareoff.ports import Clock
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.prices.blind_alarms import BlindAlarms
from squareoff.services.prices.circuit_limit_watch import take_limits_of
from squareoff.services.prices.market_hours import MarketHours
from squareoff.services.prices.quote_turns import INSTRUMENTS_MAX, QuoteTurns
from squareoff.services.prices.risk_manager import RiskManager

LOOK_SECONDS = 0.25
"""A look after blindness began is late by this at most."""


LOOKED_AT_A_TIME = 50


class BlindWatch:
    """Listens for every instrument that a price rule waits for, while its exchange trades."""

    def __init__(
        self,
        engine: ExitEngine,
        risk: RiskManager,
        quotes: QuoteTurns,
        told: BlindAlarms,
        *,
        hours: MarketHours,
        clock: Clock,
        metrics: Metrics,
        stale_after_seconds: float,
        account_judges_prices: bool,
    ) -> None:
        self._engine = engine
        self._risk = risk
        self._quotes = quotes
        self._told = told
        self._hours = hours
        self._clock = clock
        self._metrics = metrics
        self._account_judges_prices = account_judges_prices
        self._silences = Silences(stale_after_seconds)
        self._lag = FeedLag()
        self._armed: dict[InstrumentId, dict[TrackerId, Instrument]] = {}
        self._feed_up_since_ns: Callable[[], int | None] = lambda: None
        self._is_asking = False
        engine.on_change(self._on_tracker_changed)
        metrics.before_rendering(self._measure_lag)

    def connect(self, feed_up_since_ns: Callable[[], int | None]) -> None:
        """Say since when the feed is connected (UTC), None while it is not."""
        self._feed_up_since_ns = feed_up_since_ns

    def blind(self) -> frozenset[InstrumentId]:
        """Return the instruments that are blind now."""
        return self._silences.blind()

    def is_blind(self, instrument_id: InstrumentId) -> bool:
        """Say whether an instrument is blind now."""
        return self._silences.is_blind(instrument_id)

    async def run(self) -> None:
        """Look again and again; never returns."""
        for actor in self._engine.book:
            self._on_tracker_changed(actor.tracker)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._told.run())
            while True:
                await self._clock.sleep(LOOK_SECONDS)
                now = self._clock.now()
                await self._look(now)
                if self._is_asking or not self._quotes.has_spare_turn():
                    continue
                wanted = self._silences.wanted(now.monotonic_ns, INSTRUMENTS_MAX)
                if wanted:
                    self._is_asking = True
                    tasks.create_task(self._ask(wanted))

    def _on_tracker_changed(self, tracker: PositionTracker) -> None:
        instrument = tracker.instrument
        name = instrument.instrument_id
        if self._is_waited_for(tracker):
            self._armed.setdefault(name, {})[tracker.tracker_id] = instrument
            self._silences.listen(name, self._clock.now().monotonic_ns)
            return
        armed = self._armed.get(name)
        if armed is not None and armed.pop(tracker.tracker_id, None) is not None and not armed:
            del self._armed[name]
            self._silences.ignore(name)
            self._lag.forget(name)

    def _is_waited_for(self, tracker: PositionTracker) -> bool:
        """Say whether a rule waits for this position's price: its own, or one of the account, which
        counts what an exit still holds too."""
        if tracker.status is PositionStatus.ACTIVE and waits_for_prices(tracker):
            return True
        is_held = not tracker.status.is_final and tracker.open_quantity > 0
        return self._account_judges_prices and is_held

    async def _look(self, now: Now) -> None:
        """Hear what the feed gave since the last look, and judge."""
        behind = set()
        for number, name in enumerate(tuple(self._armed), start=1):
            if number % LOOKED_AT_A_TIME == 0:
                await asyncio.sleep(0)  # ticks and exits do not wait for thousands of instruments
            if name not in self._armed:
                continue
            if not self._hours.is_in_session(name.exchange_segment, now.wall_ns):
                self._silences.hear(name, now.monotonic_ns)
                continue
            heard, told = self._risk.prices.heard_and_told(name)
            if told is not None:
                self._lag.note(told)
            if self._is_behind(name):
                behind.add(name)
            elif heard is not None:
                self._silences.hear(name, heard.received_monotonic_ns)
        lost = self._silences.look(now.monotonic_ns)
        blind = self._silences.blind()
        self._metrics.blind_instruments.set(len(blind))
        is_feed_up = self._feed_up_since_ns() is not None
        self._told.note(
            [self._instrument(name) for name in lost],
            blind,
            behind=behind if is_feed_up else frozenset(),
            is_feed_up=is_feed_up,
        )

    def _is_behind(self, name: InstrumentId) -> bool:
        return self._lag.is_behind(name, self._risk.prices.told_in_time_ns)

    def _measure_lag(self) -> None:
        worst = self._lag.worst_seconds(self._clock.now().monotonic_ns)
        self._metrics.feed_lag_seconds.set(math.nan if worst is None else worst)

    def _instrument(self, name: InstrumentId) -> Instrument:
        return next(iter(self._armed[name].values()))

    async def _ask(self, wanted: list[InstrumentId]) -> None:
        asked_ns = self._clock.now().monotonic_ns
        self._silences.note_asked(wanted, asked_ns)
        try:
            quotes = await self._quotes.spare_call(wanted)
        finally:
            self._is_asking = False
        self._metrics.quote_sweeps.labels("failed" if quotes is None else "answered").inc()
        self._take(quotes or {}, asked_ns)

    def _take(self, quotes: Mapping[InstrumentId, Quote], asked_ns: int) -> None:
        """Let the rules judge what was quoted, by the circuit limits that were quoted with it."""
        now = self._clock.now()
        for name, quote in quotes.items():
            if name not in self._armed:
                continue
            instrument = self._instrument(name)
            take_limits_of(quote, instrument, self._risk.prices, now)
            heard, told = self._risk.prices.heard_and_told(name)
            was_told_meanwhile = heard is not None and heard.received_monotonic_ns >= asked_ns
            if was_told_meanwhile and not self._is_behind(name):
                continue  # and what the feed told may be newer
            tick = tick_of_quote(quote, instrument, now)
            if tick is None:
                continue
            is_outdated = self._risk.prices.is_outdated(tick)
            if not is_outdated and has_told_all(tick, told, self._feed_up_since_ns()):
                self._silences.hear(name, asked_ns)
                self._lag.note_nothing_later(name)
            day = day_range_of_quote(quote, instrument)
            if day is not None:
                self._risk.on_day_range(*day, tick)
            if self._risk.on_quote(tick) and not is_outdated:
                self._told.note_priced(name, asked_ns)
