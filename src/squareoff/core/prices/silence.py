"""Of which instruments nothing was heard for too long, though price rules wait for their prices.

The feed tells an instrument only when it trades or its book changes, so silence alone is no fault.
A price is missing only where the instrument may have traded since: it counts as heard at a valid
price of the feed, and at the instant of a broker's quote that shows no trade which the feed did not
tell (`has_told_all`). One that was not heard for longer than the limit is blind.

Times are monotonic nanoseconds, save those of trades.
Invariants:
1. Blindness begins at the first look PATIENCE_SECONDS after the limit, and no earlier.
2. A quote is wanted before the limit is over, so that a quiet instrument does not become blind
   while quotes are answered.
"""

from squareoff.core.rules.levels import has_moving_stop
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns

ASK_EARLIER_SECONDS = 1.0
"""So long before the limit a quote is wanted: a turn of the broker's one call a second."""

PATIENCE_SECONDS = 0.5
"""What a quote may take beyond the limit. Blindness is then told within a second of the limit."""


class _Ear:
    """One instrument that is listened for."""

    __slots__ = ("asked_ns", "heard_ns", "is_blind")

    def __init__(self, now_ns: int) -> None:
        self.heard_ns = now_ns
        self.asked_ns = 0
        self.is_blind = False


class Silences:
    """When each instrument with an armed price rule was heard of last."""

    def __init__(self, stale_after_seconds: float) -> None:
        limit_ns = seconds_to_ns(stale_after_seconds)
        self._blind_ns = seconds_to_ns(stale_after_seconds + PATIENCE_SECONDS)
        self._early_ns = limit_ns // 2
        self._ask_ns = max(limit_ns - seconds_to_ns(ASK_EARLIER_SECONDS), self._early_ns)
        self._ears: dict[InstrumentId, _Ear] = {}

    def listen(self, instrument_id: InstrumentId, now_ns: int) -> None:
        """Count silence from now on; where it is counted already, nothing changes."""
        if instrument_id not in self._ears:
            self._ears[instrument_id] = _Ear(now_ns)

    def ignore(self, instrument_id: InstrumentId) -> None:
        """No rule waits for this instrument's price any more."""
        self._ears.pop(instrument_id, None)

    def blind(self) -> frozenset[InstrumentId]:
        """Return the blind ones, as of the last look."""
        return frozenset(name for name, ear in self._ears.items() if ear.is_blind)

    def is_blind(self, instrument_id: InstrumentId) -> bool:
        """Say whether one is blind, as of the last look."""
        ear = self._ears.get(instrument_id)
        return ear is not None and ear.is_blind

    def hear(self, instrument_id: InstrumentId, at_ns: int) -> None:
        """Nothing was missing at this instant."""
        ear = self._ears.get(instrument_id)
        if ear is not None and at_ns > ear.heard_ns:
            ear.heard_ns = at_ns

    def look(self, now_ns: int) -> list[InstrumentId]:
        """Judge all of them; return those that were not blind at the last look."""
        lost = []
        for name, ear in self._ears.items():
            is_silent = now_ns - ear.heard_ns > self._blind_ns
            if is_silent and not ear.is_blind:
                lost.append(name)
            ear.is_blind = is_silent
        return lost

    def wanted(self, now_ns: int, count_max: int) -> list[InstrumentId]:
        """Return whose quotes to ask for now, at most so many, those first that waited longest.

        Where one is due, those go along that will soon be: one call serves all.
        """
        if all(now_ns - ear.heard_ns < self._ask_ns for ear in self._ears.values()):
            return []
        soon = [
            (ear.asked_ns, ear.heard_ns, name)
            for name, ear in self._ears.items()
            if now_ns - ear.heard_ns >= self._early_ns
        ]
        soon.sort(key=lambda each: each[:2])
        return [name for _, _, name in soon[:count_max]]

    def note_asked(self, instrument_ids: list[InstrumentId], now_ns: int) -> None:
        """Note whose quotes were asked for."""
        for name in instrument_ids:
            ear = self._ears.get(name)
            if ear is not None:
                ear.asked_ns = now_ns


def waits_for_prices(tracker: PositionTracker) -> bool:
    """Say whether a position has a rule about prices."""
    rules = tracker.rules
    return bool(rules.stop_loss or rules.target or has_moving_stop(tracker))


def has_told_all(quoted: Tick, told: Tick | None, feed_up_since_ns: int | None) -> bool:
    """Say whether a quote shows no trade that the feed did not tell.

    Args:
        quoted: the quote's last trade.
        told: the newest trade that the feed told, None for none.
        feed_up_since_ns: since when the feed is connected (UTC), None while it is not: then it
            tells nothing, and it is not known whether it would have.
    """
    if feed_up_since_ns is None:
        return False
    if quoted.exchange_time_ns + NANOSECONDS_PER_SECOND < feed_up_since_ns:
        return True  # of before the connection; trade times are whole seconds
    return (
        told is not None
        and quoted.exchange_time_ns == told.exchange_time_ns
        and quoted.last_traded_price == told.last_traded_price
    )
