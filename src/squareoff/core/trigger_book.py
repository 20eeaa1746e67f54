"""Price levels of all armed positions, per instrument, sorted by price.

A tick strictly between the nearest falling and the nearest rising level costs two comparisons
however many positions hold the instrument; a crossing touches only what is crossed. Arming and
disarming is one binary search and one list shift per level.
"""

from bisect import insort
from dataclasses import dataclass, field

from squareoff.core.levels import Level, Levels
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId

_NEVER_FALLING = 0
_NEVER_RISING = 1 << 62


@dataclass(slots=True)
class _InstrumentLevels:
    """Levels of one instrument: (price, tracker), ascending; the nearest of each at hand."""

    falling: list[tuple[int, TrackerId]] = field(default_factory=list)
    rising: list[tuple[int, TrackerId]] = field(default_factory=list)
    nearest_falling: int = _NEVER_FALLING
    nearest_rising: int = _NEVER_RISING

    def refresh(self) -> None:
        self.nearest_falling = self.falling[-1][0] if self.falling else _NEVER_FALLING
        self.nearest_rising = self.rising[0][0] if self.rising else _NEVER_RISING


class TriggerBook:
    """Armed levels. A tracker that fired is disarmed until it is armed again."""

    def __init__(self) -> None:
        self._instruments: dict[InstrumentId, _InstrumentLevels] = {}
        self._armed: dict[TrackerId, tuple[InstrumentId, Levels]] = {}

    def __len__(self) -> int:
        return len(self._armed)

    def arm(self, tracker_id: TrackerId, instrument_id: InstrumentId, levels: Levels) -> None:
        """Set a tracker's levels, replacing what it had."""
        self.disarm(tracker_id)
        book = self._instruments.setdefault(instrument_id, _InstrumentLevels())
        if levels.falling is not None:
            insort(book.falling, (levels.falling.price, tracker_id))
        if levels.rising is not None:
            insort(book.rising, (levels.rising.price, tracker_id))
        book.refresh()
        self._armed[tracker_id] = (instrument_id, levels)

    def disarm(self, tracker_id: TrackerId) -> None:
        """Take a tracker's levels out; nothing happens where it has none."""
        armed = self._armed.pop(tracker_id, None)
        if armed is None:
            return
        instrument_id, levels = armed
        book = self._instruments[instrument_id]
        if levels.falling is not None:
            book.falling.remove((levels.falling.price, tracker_id))
        if levels.rising is not None:
            book.rising.remove((levels.rising.price, tracker_id))
        book.refresh()

    def levels_of(self, tracker_id: TrackerId) -> Levels | None:
        """Return a tracker's armed levels."""
        armed = self._armed.get(tracker_id)
        return None if armed is None else armed[1]

    def nearest(self, instrument_id: InstrumentId) -> tuple[int, int]:
        """Return the nearest falling and rising level (price units); far off where none is."""
        book = self._instruments.get(instrument_id)
        if book is None:
            return _NEVER_FALLING, _NEVER_RISING
        return book.nearest_falling, book.nearest_rising

    def cross(self, instrument_id: InstrumentId, price: int) -> list[tuple[TrackerId, Level]]:
        """Return every tracker whose level this price (price units) reached, and disarm it."""
        book = self._instruments.get(instrument_id)
        if book is None or book.nearest_falling < price < book.nearest_rising:
            return []
        fired: list[tuple[TrackerId, Level]] = []
        while book.falling and price <= book.falling[-1][0]:
            self._fire(book.falling[-1][1], is_falling=True, fired=fired)
        while book.rising and price >= book.rising[0][0]:
            self._fire(book.rising[0][1], is_falling=False, fired=fired)
        return fired

    def _fire(
        self, tracker_id: TrackerId, *, is_falling: bool, fired: list[tuple[TrackerId, Level]]
    ) -> None:
        levels = self._armed[tracker_id][1]
        level = levels.falling if is_falling else levels.rising
        assert level is not None, "it was found by this level"
        fired.append((tracker_id, level))
        self.disarm(tracker_id)
