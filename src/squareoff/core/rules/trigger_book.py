"""All that armed positions wait for, per instrument, and what a price fires and moves.

A price strictly between the nearest levels, and no new best price for anybody, concerns nobody;
another costs what it reaches. Arming, changing and disarming cost the logarithm of the positions
on the instrument (`docs/trigger-book.md`).

Invariants:
1. A level fires at the price that reaches it: at or below a falling, at or above a rising one.
2. Falling levels fire before rising ones, and a position fires once.
3. What a price fires was armed before that price came.
"""

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

from squareoff.core.rules.levels import Level, has_moving_stop, levels_of
from squareoff.core.rules.side_book import NEVER, Follower, SideBook
from squareoff.core.rules.stop_path import NO_PRICE
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits


class Reached(NamedTuple):
    """What one price did: trackers that fired, with their level, and those whose stop moved."""

    fired: list[tuple[TrackerId, Level]]
    moved: list[TrackerId]


class RangeReached(NamedTuple):
    """What new extremes did: who fell to a new low, who rose to a new high, whose stop moved."""

    fallen: list[tuple[TrackerId, Level]]
    risen: list[tuple[TrackerId, Level]]
    moved: list[TrackerId]


class Peaks(NamedTuple):
    """Best prices of both sides, mirrored (`core.rules.stop_path`); `NO_PRICE` for none."""

    long: int
    short: int


class Standing(NamedTuple):
    """A position whose stop moves: its tracker as of some best price, and the best one of now."""

    tracker: PositionTracker
    peak: PriceUnits | None


class InstrumentLevels:
    """Both sides of one instrument; prices are price units on its grid."""

    __slots__ = ("_long", "_short")

    def __init__(self, tick_units: int) -> None:
        self._long = SideBook(PositionSide.LONG, tick_units)
        self._short = SideBook(PositionSide.SHORT, tick_units)

    def side(self, side: PositionSide) -> SideBook:
        """Return the positions of one side."""
        return self._long if side is PositionSide.LONG else self._short

    def nearest(self) -> tuple[int, int]:
        """Return the nearest falling and rising level, or a bound just nearer; 0 or far for none.

        A stop that moves with the best price may be told up to a tick's rounding too near.
        """
        long, short = self._long, self._short
        falling = max(long.nearest_stop, -short.nearest_target, 0)
        return falling, min(long.nearest_target, -short.nearest_stop)

    def quiet(self) -> tuple[int, int]:
        """Return the prices strictly between which a price concerns nobody."""
        long, short = self._long, self._short
        falling = max(long.nearest_stop, -short.nearest_target, -short.quiet_max - 1, 0)
        return falling, min(long.nearest_target, -short.nearest_stop, long.quiet_max + 1)

    def reach(self, price: PriceUnits) -> Reached:
        """Take in a price; what fires is latched."""
        long, short = self._long, self._short
        fired: list[tuple[TrackerId, Level]] = []
        moved: list[Follower] = []
        if price <= long.nearest_stop or -price >= short.nearest_target:
            fallen = chain(long.pop_stopped(price), short.pop_targeted(-price))
            fired += [(f.tracker.tracker_id, _level(f, is_falling=True)) for f in fallen]
            long.refresh()
            short.refresh()
        if price >= long.nearest_target or -price <= short.nearest_stop:
            risen = chain(long.pop_targeted(price), short.pop_stopped(-price))
            fired += [(f.tracker.tracker_id, _level(f, is_falling=False)) for f in risen]
            long.refresh()
            short.refresh()
        if price > long.quiet_max:
            moved += long.raise_peaks(price)
        if -price > short.quiet_max:
            moved += short.raise_peaks(-price)
        return Reached(fired, [follower.tracker.tracker_id for follower in moved])

    def raise_peaks(self, price: PriceUnits) -> list[TrackerId]:
        """Take in a price that may be a best one and fires nothing; return whose stop moved."""
        return self.raise_to(Peaks(price, -price))

    def raise_to(self, peaks: Peaks) -> list[TrackerId]:
        """Let no best price be worse than these; return whose stop moved."""
        moved: list[Follower] = []
        if peaks.long > self._long.quiet_max:
            moved += self._long.raise_peaks(peaks.long)
        if peaks.short > self._short.quiet_max:
            moved += self._short.raise_peaks(peaks.short)
        return [follower.tracker.tracker_id for follower in moved]

    def peaks(self) -> Peaks:
        """Return, for each side, a best price that every position there has reached or passed."""
        bounds = (self._long.quiet_max, self._short.quiet_max)
        return Peaks(*(NO_PRICE if bound == NEVER else bound for bound in bounds))

    def reach_range(self, low: int | None, high: int | None) -> RangeReached:
        """Take in prices of which it is not known which came first; what fires is latched.

        Both are judged by the levels of before, then both may be best prices.
        """
        long, short = self._long, self._short
        fallen: list[tuple[TrackerId, Level]] = []
        risen: list[tuple[TrackerId, Level]] = []
        moved: list[Follower] = []
        if low is not None:
            found = chain(long.pop_stopped(low), short.pop_targeted(-low))
            fallen = [(f.tracker.tracker_id, _level(f, is_falling=True)) for f in found]
        if high is not None:
            found = chain(long.pop_targeted(high), short.pop_stopped(-high))
            risen = [(f.tracker.tracker_id, _level(f, is_falling=False)) for f in found]
        long.refresh()
        short.refresh()
        if high is not None and high > long.quiet_max:
            moved += long.raise_peaks(high)
        if low is not None and -low > short.quiet_max:
            moved += short.raise_peaks(-low)
        return RangeReached(fallen, risen, [follower.tracker.tracker_id for follower in moved])


class TriggerBook:
    """Armed positions by instrument. One that fired waits for nothing until it is armed anew."""

    def __init__(self) -> None:
        self._instruments: dict[InstrumentId, InstrumentLevels] = {}
        self._followers: dict[TrackerId, Follower] = {}

    def __len__(self) -> int:
        """How many positions are armed."""
        return sum(not follower.is_latched for follower in self._followers.values())

    def on(self, instrument: Instrument) -> InstrumentLevels:
        """Return what waits on an instrument."""
        levels = self._instruments.get(instrument.instrument_id)
        if levels is None:
            levels = InstrumentLevels(instrument.tick_units)
            self._instruments[instrument.instrument_id] = levels
        return levels

    def arm(self, tracker: PositionTracker) -> None:
        """Arm a position as its tracker stands now, instead of what it waited for before.

        The best price seen since it was first armed goes on to count.
        """
        side = self.on(tracker.instrument).side(tracker.side)
        known = self._followers.get(tracker.tracker_id)
        self._followers[tracker.tracker_id] = side.follow(tracker, known)

    def latch(self, tracker_id: TrackerId) -> None:
        """Let a position wait for nothing; its best price goes on to count."""
        follower = self._followers.get(tracker_id)
        if follower is not None:
            follower.side.latch(follower)

    def rest(self, tracker: PositionTracker) -> bool:
        """Let a position wait for nothing while an exit of it is open; its best price goes on to
        count, as far as its rules use one.

        Returns:
            False where that was so already.
        """
        follower = self._followers.get(tracker.tracker_id)
        if follower is None and not has_moving_stop(tracker):
            return False
        if follower is not None and follower.tracker.rules == tracker.rules:
            follower.side.rest(follower)
            return False
        self.arm(tracker)
        follower = self._followers[tracker.tracker_id]
        follower.side.rest(follower)
        return True

    def forget(self, tracker_id: TrackerId) -> None:
        """Take a position out; nothing happens where it is not in."""
        follower = self._followers.pop(tracker_id, None)
        if follower is not None:
            follower.side.drop(follower)

    def set_aside(self, tracker_ids: Iterable[TrackerId]) -> list[PositionTracker]:
        """Take out positions that wait for something; return each as it stands, to arm anew."""
        aside = []
        for tracker_id in tracker_ids:
            follower = self._followers.get(tracker_id)
            if follower is not None and not follower.is_latched:
                aside.append(follower.side.current(follower))
                self.forget(tracker_id)
        return aside

    def armed(self, tracker_ids: Iterable[TrackerId]) -> list[PositionTracker]:
        """Return those of the positions that wait for something, each as it stands."""
        followers = (self._followers.get(tracker_id) for tracker_id in tracker_ids)
        return [f.side.current(f) for f in followers if f is not None and not f.is_latched]

    def standing(self, tracker_ids: Iterable[TrackerId]) -> dict[TrackerId, Standing]:
        """Return how those of the positions stand whose stops move."""
        followers = ((name, self._followers.get(name)) for name in tracker_ids)
        return {
            name: Standing(follower.tracker, follower.side.peak_of(follower))
            for name, follower in followers
            if follower is not None and follower.group is not None
        }

    def settle(self, tracker_id: TrackerId) -> None:
        """The newest stop of a position is durable: tell of the next move."""
        follower = self._followers.get(tracker_id)
        if follower is not None:
            follower.side.settle(follower)

    def current(self, tracker_id: TrackerId) -> PositionTracker | None:
        """Return a position's tracker with the best price seen and its stop, None if not in."""
        follower = self._followers.get(tracker_id)
        return None if follower is None else follower.side.current(follower)


def _level(follower: Follower, *, is_falling: bool) -> Level:
    """Return the level by which a position just fired."""
    levels = levels_of(follower.side.current(follower))
    level = levels.falling if is_falling else levels.rising
    assert level is not None, "it was found by this level"
    return level
