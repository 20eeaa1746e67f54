"""Move stops with the best price: at once in memory, durably right after.

Invariants:
1. A stop never loosens, over duplicates, restarts and rule changes (`core.levels`).
2. The level in memory is never looser than the durable one.
"""

from dataclasses import dataclass, field, replace

from squareoff.core.levels import has_moving_stop, is_better, move_stop
from squareoff.core.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits


@dataclass(slots=True)
class _Followers:
    """Trackers on one instrument with a moving stop, and the peaks that a price must pass."""

    trackers: dict[TrackerId, PositionTracker] = field(default_factory=dict)
    lowest_long_peak: int | None = None
    highest_short_peak: int | None = None

    def refresh(self) -> None:
        """Recompute the peaks that a price must pass to concern anybody."""
        longs = [t.peak_price or 0 for t in self.trackers.values() if t.side is PositionSide.LONG]
        shorts = [
            t.peak_price if t.peak_price is not None else 1 << 62
            for t in self.trackers.values()
            if t.side is PositionSide.SHORT
        ]
        self.lowest_long_peak = min(longs) if longs else None
        self.highest_short_peak = max(shorts) if shorts else None

    def concerns(self, price: int) -> bool:
        """Say whether this price is a new best one for anybody."""
        return (self.lowest_long_peak is not None and price > self.lowest_long_peak) or (
            self.highest_short_peak is not None and price < self.highest_short_peak
        )


class TrailingEngine:
    """Peaks and moving stops of all armed positions."""

    def __init__(self) -> None:
        self._instruments: dict[InstrumentId, _Followers] = {}

    def follow(self, tracker: PositionTracker) -> PositionTracker:
        """Follow a tracker; return it with the best peak and stop known here or there."""
        instrument_id = tracker.instrument.instrument_id
        if not has_moving_stop(tracker):
            self.forget(tracker)
            return tracker
        followers = self._instruments.setdefault(instrument_id, _Followers())
        known = followers.trackers.get(tracker.tracker_id)
        if (
            known is not None
            and known.peak_price is not None
            and is_better(tracker.side, known.peak_price, tracker.peak_price)
        ):
            tracker = _with_peak(tracker, known.peak_price)
        followers.trackers[tracker.tracker_id] = tracker
        followers.refresh()
        return tracker

    def forget(self, tracker: PositionTracker) -> None:
        """Stop following."""
        followers = self._instruments.get(tracker.instrument.instrument_id)
        if followers is not None and followers.trackers.pop(tracker.tracker_id, None) is not None:
            followers.refresh()

    def on_price(self, instrument_id: InstrumentId, price: PriceUnits) -> list[PositionTracker]:
        """Take a good price in; return the trackers whose stop it moved, as they stand now."""
        followers = self._instruments.get(instrument_id)
        if followers is None or not followers.concerns(price):
            return []
        moved = []
        for tracker_id, tracker in followers.trackers.items():
            if not is_better(tracker.side, price, tracker.peak_price):
                continue
            fresh = _with_peak(tracker, price)
            followers.trackers[tracker_id] = fresh
            if fresh.stop_level != tracker.stop_level:
                moved.append(fresh)
        followers.refresh()
        return moved


def _with_peak(tracker: PositionTracker, peak: PriceUnits) -> PositionTracker:
    moved = move_stop(tracker, peak)
    if moved is None:
        return replace(tracker, peak_price=peak)
    return replace(tracker, peak_price=peak, stop_level=moved.stop_level, stop_rule=moved.stop_rule)
