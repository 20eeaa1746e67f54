"""What changed since somebody last looked and is in no journal: prices, and the levels of rules.

One of these belongs to each onlooker. A look costs one dictionary look-up per position, so that
many looks a second take nothing from the exits.
"""

from dataclasses import dataclass
from decimal import Decimal

from squareoff.core.rules.levels import Level, levels_of, stop_of
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.ticks import Tick
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.prices.tick_cache import TickCache


@dataclass(frozen=True, slots=True)
class LevelsView:
    """Where a position's price rules fire now, in rupees; None where no rule of the kind is set."""

    tracker_id: TrackerId
    stop_level: Decimal | None
    stop_rule: str | None
    target_level: Decimal | None


@dataclass(frozen=True, slots=True)
class LiveChanges:
    """New ticks of instruments under watch, and new levels of positions under watch."""

    ticks: tuple[Tick, ...]
    levels: tuple[LevelsView, ...]


class LiveLook:
    """Remembers what its onlooker has seen."""

    def __init__(self, book: PositionBook, ticks: TickCache) -> None:
        self._book = book
        self._ticks = ticks
        self._seen_ticks: dict[InstrumentId, Tick] = {}
        self._seen_trackers: dict[TrackerId, PositionTracker] = {}
        self._seen_levels: dict[TrackerId, LevelsView] = {}

    def changes(self) -> LiveChanges:
        """Return what is new since the last look; the first one returns everything."""
        ticks: list[Tick] = []
        levels: list[LevelsView] = []
        for actor in self._book:
            tracker = actor.tracker
            if tracker.status.is_final:
                continue
            tick = self._ticks.newest(tracker.instrument.instrument_id)
            if tick is not None and self._seen_ticks.get(tick.instrument_id) is not tick:
                self._seen_ticks[tick.instrument_id] = tick
                ticks.append(tick)
            if self._seen_trackers.get(tracker.tracker_id) is not tracker:
                self._seen_trackers[tracker.tracker_id] = tracker
                view = levels_view(tracker)
                if self._seen_levels.get(tracker.tracker_id) != view:
                    self._seen_levels[tracker.tracker_id] = view
                    levels.append(view)
        return LiveChanges(tuple(ticks), tuple(levels))


def levels_view(tracker: PositionTracker) -> LevelsView:
    """Return where a position's price rules fire now."""
    stop, levels = stop_of(tracker), levels_of(tracker)
    target = levels.rising if tracker.side is PositionSide.LONG else levels.falling
    return LevelsView(
        tracker_id=tracker.tracker_id,
        stop_level=_price(stop),
        stop_rule=None if stop is None else stop.rule.value,
        target_level=_price(target),
    )


def _price(level: Level | None) -> Decimal | None:
    return None if level is None else decimal_from_units(level.price)
