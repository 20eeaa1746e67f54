"""Judge what the feed tells after a newer quote by the levels of its own time.

Quotes move stops while the feed's packets are held up; what then comes late was traded before, when
those stops did not stand yet. So the levels are held as the feed's prices left them: late prices go
on to move them, and each quote does as soon as something comes that was traded after it.

Invariants:
1. A late price fires only what stood before the first quote that is newer than the price.
2. No crossing of a level that stood then is lost.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from squareoff.core.rules.levels import Level, with_peak
from squareoff.core.rules.trigger_book import InstrumentLevels, Peaks, Standing, TriggerBook
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument
from squareoff.domain.rules import RuleSet
from squareoff.domain.ticks import Tick

QUOTES_MAX = 64
"""Quotes come one in 1.1 s at the most, and a connection that holds packets back for over a minute
is given up: what is late was traded after any older quote."""


class _Quoted(NamedTuple):
    """Up to where a quote brought the best prices, and when its trade was (UTC ns)."""

    traded_ns: int
    peaks: Peaks


class LevelsBeforeQuotes:
    """The levels of one instrument before the quotes that the feed is behind of."""

    __slots__ = ("_instrument", "_known", "_new", "_newest_ns", "_quotes", "_standing", "_taken")

    def __init__(
        self, instrument: Instrument, standing: Mapping[TrackerId, Standing], traded_ns: int
    ) -> None:
        """Hold what stands (by position, those whose stop moves) before this first quote, whose
        trade was then (UTC ns): no later than it can be, as with each quote."""
        self._instrument = instrument
        self._standing = dict(standing)
        self._new: dict[TrackerId, PositionTracker] = {}
        self._newest_ns = traded_ns
        self._quotes: deque[_Quoted] = deque()
        self._taken: Peaks | None = None
        # Made at the first late price: most quotes are followed by none.
        self._known: TriggerBook | None = None

    def is_late(self, tick: Tick) -> bool:
        """Say whether a price of the feed was traded before the newest quote."""
        return tick.exchange_time_ns < self._newest_ns

    def note(self, traded_ns: int, peaks: Peaks) -> None:
        """Take in that a quote, the newest, brought the best prices up to there."""
        self._newest_ns = traded_ns
        self._quotes.append(_Quoted(traded_ns, peaks))
        if len(self._quotes) > QUOTES_MAX:
            self._take(self._quotes.popleft())

    def arm(self, tracker: PositionTracker) -> None:
        """Take a position in, or its change: it stands as it would have before the quotes."""
        if tracker.tracker_id not in self._standing:
            self._new.setdefault(tracker.tracker_id, tracker)
        if self._known is not None:
            self._known.arm(self._as_it_stood(tracker))

    def forget(self, tracker_id: TrackerId) -> None:
        """Take a position out."""
        self._standing.pop(tracker_id, None)
        self._new.pop(tracker_id, None)
        if self._known is not None:
            self._known.forget(tracker_id)

    def reach(
        self, tick: Tick, armed: Collection[PositionTracker]
    ) -> list[tuple[TrackerId, Level]]:
        """Take in a late price; return what fires.

        Args:
            armed: all that wait now.
        """
        levels = self._levels(armed)
        while self._quotes and self._quotes[0].traded_ns < tick.exchange_time_ns:
            self._take(self._quotes.popleft())
        return levels.reach(tick.last_traded_price).fired

    def _levels(self, armed: Collection[PositionTracker]) -> InstrumentLevels:
        if self._known is None:
            self._known = TriggerBook()
            for tracker in armed:
                self._known.arm(self._as_it_stood(tracker))
            if self._taken is not None:
                self._known.on(self._instrument).raise_to(self._taken)
        return self._known.on(self._instrument)

    def _take(self, quoted: _Quoted) -> None:
        """Let a quote move the levels: what comes now was traded after it."""
        if self._known is None:
            self._taken = quoted.peaks
        else:
            self._known.on(self._instrument).raise_to(quoted.peaks)

    def _as_it_stood(self, tracker: PositionTracker) -> PositionTracker:
        standing = self._standing.get(tracker.tracker_id)
        known = None if self._known is None else self._known.current(tracker.tracker_id)
        if standing is None:
            # Taken meanwhile: it stands as it was taken, for quotes of before that are not its own.
            then = self._new.get(tracker.tracker_id, tracker)
            tracker = replace(tracker, rules=_without_moving(tracker.rules))
        elif known is not None:
            then = known
        elif standing.peak is None or standing.peak == standing.tracker.peak_price:
            then = standing.tracker
        else:
            then = with_peak(standing.tracker, standing.peak)
        return replace(
            tracker,
            peak_price=then.peak_price,
            stop_level=then.stop_level,
            stop_rule=then.stop_rule,
        )


def _without_moving(rules: RuleSet) -> RuleSet:
    return RuleSet(stop_loss=rules.stop_loss, target=rules.target)
