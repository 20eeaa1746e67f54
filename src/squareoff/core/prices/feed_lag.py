"""How late the feed tells a trade: from the exchange's time to the first price that tells of it.

The last trade of a quiet instrument is old, and is told again with every change of its book; that
is no lag. So only a trade that is newer than the one known before counts, once, and what an
instrument tells first is of before it was listened for.
An instrument is behind from a trade that was told too late until one is told in time, or until it
is known from elsewhere that nothing was traded after it.
"""

from typing import NamedTuple

from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns

TOLD_FOR_SECONDS = 30.0
"""A lag is told for so long at the most: half of what the alert on it waits for, so that one late
trade, as after the gap of a reconnect, is none."""


class _Trade(NamedTuple):
    """The newest trade of an instrument, and when it was told; the first one's lag is not known.
    `is_last` while nothing is known to be traded after it."""

    traded_ns: int
    told_monotonic_ns: int
    lag_ns: int | None
    is_last: bool = False


class FeedLag:
    """The newest trade of each instrument that is listened for."""

    def __init__(self) -> None:
        self._trades: dict[InstrumentId, _Trade] = {}

    def note(self, tick: Tick) -> None:
        """Take in the newest price of an instrument; one that tells no newer trade changes nothing.

        Whoever looks only now and then counts a lag larger by the time between two looks at most.
        A trade time of the future hides no later trade: it counts as that of the receipt.
        """
        known = self._trades.get(tick.instrument_id)
        traded_ns = min(tick.exchange_time_ns, tick.received_time_ns)
        if known is not None and traded_ns <= known.traded_ns:
            return
        lag_ns = None if known is None else tick.received_time_ns - traded_ns
        self._trades[tick.instrument_id] = _Trade(traded_ns, tick.received_monotonic_ns, lag_ns)

    def is_behind(self, instrument_id: InstrumentId, lag_ns_max: int) -> bool:
        """Say whether the newest trade was told later than that, and others may wait behind it."""
        trade = self._trades.get(instrument_id)
        if trade is None or trade.lag_ns is None:
            return False
        return trade.lag_ns > lag_ns_max and not trade.is_last

    def note_nothing_later(self, instrument_id: InstrumentId) -> None:
        """Nothing was traded after the newest trade that was told."""
        trade = self._trades.get(instrument_id)
        if trade is not None:
            self._trades[instrument_id] = trade._replace(is_last=True)

    def forget(self, instrument_id: InstrumentId) -> None:
        """The instrument is listened for no more."""
        self._trades.pop(instrument_id, None)

    def worst_seconds(self, now_monotonic_ns: int) -> float | None:
        """Return the largest lag of the last while, None where no trade was told in it."""
        since_ns = now_monotonic_ns - seconds_to_ns(TOLD_FOR_SECONDS)
        lags = [
            trade.lag_ns
            for trade in self._trades.values()
            if trade.lag_ns is not None and trade.told_monotonic_ns >= since_ns
        ]
        return max(lags) / NANOSECONDS_PER_SECOND if lags else None
