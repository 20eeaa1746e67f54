"""The newest tick of every instrument, in memory.

Invariants:
1. A tick never replaces one that was traded later, as far as its trade time can be believed.
2. A tick dated in the future is told for display alone, until the next one comes.
3. Age is measured from receipt on the monotonic clock; reading a tick makes it no younger.
"""

from collections.abc import Callable

from squareoff.core.prices.price_hygiene import AHEAD_SECONDS
from squareoff.core.prices.quiet_prices import LOUD_FEED, QuietPrices
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import seconds_to_ns


class TickCache:
    """Newest tick per instrument: the newest that was put, or the feed's quiet one after it."""

    def __init__(
        self,
        stale_after_seconds: float,
        quiet_prices: Callable[[InstrumentId], QuietPrices | None] = LOUD_FEED.quiet_prices,
    ) -> None:
        self._stale_after_ns = seconds_to_ns(stale_after_seconds)
        self._quiet_prices = quiet_prices
        self._ticks: dict[InstrumentId, Tick] = {}
        self.allow_for_clock(0.0)

    def allow_for_clock(self, ahead_seconds: float) -> None:
        """Our clock was seen to be this far ahead of the broker's; where it is behind (below zero),
        trade times that far ahead of it are right."""
        self._ahead_ns_max = seconds_to_ns(AHEAD_SECONDS + max(0.0, -ahead_seconds))

    def is_dated_right(self, tick: Tick) -> bool:
        """Say whether a tick was traded before it came, as far as clocks can differ."""
        return tick.exchange_time_ns <= tick.received_time_ns + self._ahead_ns_max

    def put(self, tick: Tick) -> bool:
        """Take a tick in; False where it is older than what is held."""
        held = self._ticks.get(tick.instrument_id)
        is_older = held is not None and tick.exchange_time_ns < held.exchange_time_ns
        if held is not None and is_older and self.is_dated_right(held):
            return False
        self._ticks[tick.instrument_id] = tick
        return True

    def newest(self, instrument_id: InstrumentId) -> Tick | None:
        """Return the newest tick whatever its age, for display."""
        quiet = self._quiet_prices(instrument_id)
        kept = None if quiet is None else quiet.newest()
        return self._ticks.get(instrument_id) if kept is None else kept

    def take_over(self, instrument_id: InstrumentId) -> None:
        """Hold the feed's quiet tick here: the feed is about to drop the instrument."""
        tick = self.newest(instrument_id)
        if tick is not None:
            self._ticks[instrument_id] = tick

    def fresh(self, instrument_id: InstrumentId, now_monotonic_ns: int) -> Tick | None:
        """Return the newest tick if it was received within the staleness limit, and not dated after
        its receipt."""
        tick = self.newest(instrument_id)
        if tick is None or now_monotonic_ns - tick.received_monotonic_ns > self._stale_after_ns:
            return None
        return tick if self.is_dated_right(tick) else None
