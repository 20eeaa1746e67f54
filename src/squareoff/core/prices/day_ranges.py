"""What the day's high and low prove: that a price was traded which no tick told.

The feed joins trades into one packet, and tells nothing while it is away; the day's range holds
what was traded all the same. A range that became wider since a position took part in it is a price
of the position's own time (`docs/rules.md`, the day's range).

Invariants:
1. A position takes part in what is told after a trade that came PROOF_SECONDS after it was taken
   over, or after its levels were changed; what was traded before fires nothing of it.
2. New extremes are judged by the levels that stood before; both are, before either moves a stop.
3. A range is of one day; it only widens.
4. An extreme that was refused is so for good, also after a restart.
5. Levels move by prices that came without a range too, so one that was told before them measures
   none that is told after them.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from squareoff.core.rules.levels import has_moving_stop, is_better, with_peak
from squareoff.core.rules.trigger_book import RangeReached, TriggerBook
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick
from squareoff.domain.time import ist_day_number, seconds_to_ns

PROOF_SECONDS = 2.0
"""Trade times are whole seconds, and our clock and the exchange's differ by less than the other."""


class DayRangeTold(NamedTuple):
    """A day's range as told: the number of the day in India, and price units."""

    day: int
    high: int
    low: int


class Baseline(NamedTuple):
    """The range when a position began to take part, as made durable before a restart.

    `tracker` is the position as it was loaded; `can_fire` says whether its levels stood then as
    they do in it.
    """

    tracker: PositionTracker
    told: DayRangeTold
    can_fire: bool


class _Day:
    """The range of one instrument: `day` is 0 until it was told, and since it fell behind."""

    __slots__ = ("baselines", "day", "high", "low", "waiting")

    def __init__(self) -> None:
        self.day = self.high = self.low = 0
        self.waiting: dict[TrackerId, int] = {}
        self.baselines: dict[TrackerId, Baseline] = {}


IsCredible = Callable[[int], bool]


class DayRanges:
    """The ranges of all watched instruments, and who takes part in them."""

    def __init__(self, book: TriggerBook) -> None:
        self._book = book
        self._days: dict[InstrumentId, _Day] = {}
        self._outdated: dict[TrackerId, None] = {}
        """Whose durable range lacks an extreme that was refused: it must stay refused."""

    def watch(self, tracker: PositionTracker, known: PositionTracker | None) -> None:
        """Take a position in, or its change; one whose levels changed takes part anew."""
        day = self._days.setdefault(tracker.instrument.instrument_id, _Day())
        if known is None or _levels_differ(tracker, known):
            day.waiting[tracker.tracker_id] = 0
            day.baselines.pop(tracker.tracker_id, None)

    def forget(self, tracker: PositionTracker) -> None:
        """Take a position out."""
        day = self._days.get(tracker.instrument.instrument_id)
        if day is not None:
            day.waiting.pop(tracker.tracker_id, None)
            day.baselines.pop(tracker.tracker_id, None)

    def take(
        self,
        instrument: Instrument,
        told: DayRangeTold,
        positions: Collection[TrackerId],
        is_credible: IsCredible,
        is_told_by_tick: Callable[[int], bool],
    ) -> RangeReached | None:
        """Take in a range; None where it shows nothing new.

        Args:
            positions: all of the instrument.
            is_credible: says of a price whether it is one; an extreme that is none shows nothing.
            is_told_by_tick: says of a price whether the tick of the range tells it all the same.
        """
        day = self._days.get(instrument.instrument_id)
        if day is None:
            return None  # followed for the account's sake: no position ever waited for a price
        if day.day != told.day:
            day.day, day.high, day.low = told
            day.waiting = dict.fromkeys(positions, 0) | day.waiting
            return self._take_baselines(instrument, day, is_credible)
        low = told.low if told.low < day.low else None
        high = told.high if told.high > day.high else None
        wider = [each for each in (low, high) if each is not None]
        if not all(map(is_credible, wider)):
            self._outdated.update(
                dict.fromkeys(each for each in positions if each not in day.waiting)
            )
        day.low, day.high = min(day.low, told.low), max(day.high, told.high)
        low, high = (
            each if each is not None and is_credible(each) and not is_told_by_tick(each) else None
            for each in (low, high)
        )
        if low is None and high is None:
            return None
        aside = self._book.set_aside(day.waiting)
        reached = self._book.on(instrument).reach_range(low, high)
        for tracker in aside:
            self._book.arm(tracker)
        return reached

    def fall_behind(self, instrument_id: InstrumentId) -> None:
        """A price came without the range: the next one told is a first one."""
        day = self._days.get(instrument_id)
        if day is not None:
            day.day = 0

    def recover(self, baseline: Baseline, is_credible: IsCredible) -> RangeReached | None:
        """Take in what was durable of a position; None where nothing is known of today yet."""
        instrument, tracker_id = baseline.tracker.instrument, baseline.tracker.tracker_id
        day = self._days.get(instrument.instrument_id)
        current = self._book.current(tracker_id)
        if day is None or current is None or _levels_differ(current, baseline.tracker):
            return None
        day.baselines[tracker_id] = baseline
        return self._take_baselines(instrument, day, is_credible) if day.day else None

    def prove(self, now_ns: int, newest: Callable[[InstrumentId], Tick | None]) -> list[TrackerId]:
        """Let those take part whose instrument has traded since, as the feed's newest trade tells.

        Args:
            now_ns: UTC; a position counts as taken over when this is called next.

        Returns:
            Who takes part from now on, and whose range has an extreme since that was refused:
            `range_of` gives the range to make durable.
        """
        proven, self._outdated = list(self._outdated), {}
        for name, day in self._days.items():
            if not day.waiting:
                continue
            tick = newest(name)
            traded_ns = 0 if tick is None else tick.exchange_time_ns
            is_of_today = day.day != 0 and ist_day_number(traded_ns) == day.day
            for tracker_id, since_ns in tuple(day.waiting.items()):
                if since_ns == 0:
                    day.waiting[tracker_id] = now_ns
                elif is_of_today and traded_ns >= since_ns + seconds_to_ns(PROOF_SECONDS):
                    del day.waiting[tracker_id]
                    proven.append(tracker_id)
        return proven

    def range_of(self, tracker: PositionTracker) -> DayRangeTold | None:
        """Return the range that a position takes part in, None while it does not."""
        day = self._days.get(tracker.instrument.instrument_id)
        if day is None or day.day == 0 or tracker.tracker_id in day.waiting:
            return None
        return DayRangeTold(day.day, day.high, day.low)

    def _take_baselines(
        self, instrument: Instrument, day: _Day, is_credible: IsCredible
    ) -> RangeReached | None:
        """Judge each loaded position by what was traded since its own baseline."""
        total = RangeReached([], [], [])
        for tracker_id, baseline in day.baselines.items():
            if baseline.told.day != day.day:
                continue
            day.waiting.pop(tracker_id, None)
            low = day.low if day.low < baseline.told.low and is_credible(day.low) else None
            high = day.high if day.high > baseline.told.high and is_credible(day.high) else None
            if baseline.can_fire:
                alone = TriggerBook()
                alone.arm(baseline.tracker)
                reached = alone.on(instrument).reach_range(low, high)
                total.fallen.extend(reached.fallen)
                total.risen.extend(reached.risen)
            if self._has_raised(tracker_id, low, high):
                total.moved.append(tracker_id)
        day.baselines.clear()
        return total if any(total) else None

    def _has_raised(self, tracker_id: TrackerId, low: int | None, high: int | None) -> bool:
        """Give a position a better best price; say whether its stop moved."""
        current = self._book.current(tracker_id)
        assert current is not None, "a position that left has no baseline"
        best = high if current.side is PositionSide.LONG else low
        if best is None or not has_moving_stop(current):
            return False
        if not is_better(current.side, best, current.peak_price):
            return False
        raised = with_peak(current, PriceUnits(best))
        self._book.arm(raised)
        return raised.stop_level != current.stop_level


def _levels_differ(one: PositionTracker, other: PositionTracker) -> bool:
    return (one.rules, one.entry_price, one.quantity) != (
        other.rules,
        other.entry_price,
        other.quantity,
    )
