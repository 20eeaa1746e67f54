"""What the positions of one side of one instrument wait for, and which of it a price reaches.

Each position has a stop and a target that stand still, the lines its stop runs on, the next price
at which its rules change what they do (`event`), and the next one at which its stop is to be made
durable (`wake`). Each lies in a heap with the others'. Prices are mirrored
(`core.rules.stop_path`).

Invariants:
1. What a price fires was armed before that price: a stop that it moves waits for the next one.
2. A position that fired, or was latched, waits for nothing; its best price goes on.
3. A stop is told as moved once, and again only after `settle`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from squareoff.core.rules.lazy_heap import KEY, Entry, LazyHeap, discard
from squareoff.core.rules.levels import has_moving_stop, is_better, levels_of, with_peak
from squareoff.core.rules.moving_stops import MovingStops, PeakGroup
from squareoff.core.rules.stop_path import NO_PRICE, lines_of, mirrored_peak, next_event, next_wake
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits

NEVER = 1 << 62
"""Above every price."""


class Follower:
    """One position: its tracker as of `placed`, and where it waits."""

    __slots__ = (
        "entries",
        "group",
        "is_latched",
        "is_resting",
        "is_saving",
        "side",
        "tracker",
        "wake",
    )

    def __init__(self, side: "SideBook", tracker: PositionTracker) -> None:
        self.side = side
        self.tracker = tracker
        self.group: PeakGroup[Follower] | None = None
        self.entries: tuple[Entry, ...] = ()
        self.wake: Entry | None = None
        self.is_saving = False
        self.is_latched = False
        self.is_resting = False


class SideBook:
    """All positions of one side.

    `nearest_stop` is the highest stop or just above it, `nearest_target` the lowest target,
    `quiet_max` the highest price that is a new best one for nobody; each is exact or too near.
    """

    def __init__(self, side: PositionSide, tick_units: int) -> None:
        self._side = side
        self._sign = side.sign
        self._moving: MovingStops[Follower] = MovingStops(tick_units)
        self._stops: LazyHeap[Follower] = LazyHeap()
        self._targets: LazyHeap[Follower] = LazyHeap()
        self._events: LazyHeap[Follower] = LazyHeap()
        self._wakes: LazyHeap[Follower] = LazyHeap()
        self.nearest_stop = NO_PRICE
        self.nearest_target = self.quiet_max = NEVER

    def follow(self, tracker: PositionTracker, known: Follower | None) -> Follower:
        """Arm a position anew; what `known` has seen and is saving goes on."""
        follower = Follower(self, tracker)
        if known is not None:
            follower.is_saving = known.is_saving
            follower.tracker = self._as_far_as(tracker, known)
            known.side.drop(known)
        if has_moving_stop(tracker):
            follower.group = self._moving.group_at(mirrored_peak(follower.tracker))
        self._place(follower)
        self.refresh()
        return follower

    def _as_far_as(self, tracker: PositionTracker, known: Follower) -> PositionTracker:
        """Return the tracker with what is known beyond it: a tighter stop, a better best price.

        Of a resting one the stop does not count: its rule may have been taken out with the exit.
        """
        current = known.side.current(known)
        stop = None if known.is_resting else current.stop_level
        if stop is not None and is_better(self._side, stop, tracker.stop_level):
            tracker = replace(tracker, stop_level=stop, stop_rule=current.stop_rule)
        peak = current.peak_price
        if peak is not None and is_better(self._side, peak, tracker.peak_price):
            tracker = with_peak(tracker, peak)
        return tracker

    def latch(self, follower: Follower) -> None:
        """Let a position wait for nothing any more."""
        follower.is_latched = True
        self.drop(follower)

    def rest(self, follower: Follower) -> None:
        """Let a position wait for nothing while an exit of it is open; its best price goes on."""
        follower.is_resting = True
        self.latch(follower)

    def drop(self, follower: Follower) -> None:
        """Take out all that a position waits for."""
        for entry in follower.entries:
            discard(entry)
        follower.entries = ()
        if follower.wake is not None:
            discard(follower.wake)
            follower.wake = None

    def settle(self, follower: Follower) -> None:
        """The newest stop of a position is durable: tell of the next move."""
        follower.is_saving = False
        if not follower.is_latched and follower.group is not None:
            follower.tracker = self.current(follower)
            self._await_wake(follower)

    def peak_of(self, follower: Follower) -> PriceUnits | None:
        """Return the best price seen (not mirrored), None where none was."""
        if follower.group is None:
            return follower.tracker.peak_price
        peak = self._moving.group_of(follower.group).peak
        return None if peak == NO_PRICE else PriceUnits(self._sign * peak)

    def current(self, follower: Follower) -> PositionTracker:
        """Return the tracker with the best price seen and the stop that follows from it."""
        peak = self.peak_of(follower)
        if peak is None or peak == follower.tracker.peak_price:
            return follower.tracker
        return with_peak(follower.tracker, peak)

    def refresh(self) -> None:
        """Take the bounds anew after a change."""
        moving = self._moving.bound
        stop, target = self._stops.first(), self._targets.first()
        self.nearest_stop = moving if stop is None else max(moving, -stop[KEY])
        self.nearest_target = NEVER if target is None else target[KEY]
        peak = self._moving.lowest_peak
        self.quiet_max = NEVER if peak is None else peak

    def pop_stopped(self, price: int) -> Iterator[Follower]:
        """Latch and give every position with a stop at or above this price."""
        while (first := self._stops.first()) is not None and -first[KEY] >= price:
            yield self._latched(self._stops.pop())
        for follower in self._moving.pop_reached(price):
            yield self._latched(follower)

    def pop_targeted(self, price: int) -> Iterator[Follower]:
        """Latch and give every position with a target at or below this price."""
        while (first := self._targets.first()) is not None and first[KEY] <= price:
            yield self._latched(self._targets.pop())

    def raise_peaks(self, price: int) -> list[Follower]:
        """Take in a new best price of somebody; return whose moved stop is to be made durable."""
        self._moving.raise_peaks(price)
        moved: list[Follower] = []
        self.nearest_stop = max(self.nearest_stop, self._moving.bound)
        self.quiet_max = price
        while (first := self._events.first()) is not None and first[KEY] <= price:
            self._act(self._events.pop(), moved)
        while (first := self._wakes.first()) is not None and first[KEY] <= price:
            follower = self._wakes.pop()
            follower.is_saving = True
            moved.append(follower)
        return moved

    def _latched(self, follower: Follower) -> Follower:
        self.latch(follower)
        return follower

    def _act(self, follower: Follower, moved: list[Follower]) -> None:
        """Let the rules of one position do what they do at the best price of now."""
        before = follower.tracker
        follower.tracker = self.current(follower)
        if follower.tracker.stop_level != before.stop_level and not follower.is_saving:
            follower.is_saving = True
            moved.append(follower)
        self.drop(follower)
        self._place(follower)
        self.refresh()

    def _place(self, follower: Follower) -> None:
        """Let a position wait for all that its tracker asks for."""
        tracker, entries = follower.tracker, []
        levels = levels_of(tracker)
        stop, target = levels.falling, levels.rising
        if self._sign < 0:
            stop, target = target, stop
        if stop is not None:
            entries.append(self._stops.push(-self._sign * stop.price, follower))
        if target is not None:
            entries.append(self._targets.push(self._sign * target.price, follower))
        if follower.group is not None:
            entries.extend(self._place_moving(follower))
        follower.entries = tuple(entries)

    def _place_moving(self, follower: Follower) -> Iterator[Entry]:
        assert follower.group is not None, "its stop moves"
        group = follower.group = self._moving.group_of(follower.group)
        for line in lines_of(follower.tracker):
            yield self._moving.add_line(group, line, follower)
        event: Any = next_event(follower.tracker)
        if event is not None:
            yield self._events.push(event, follower)
        if not follower.is_saving:
            self._await_wake(follower)

    def _await_wake(self, follower: Follower) -> None:
        """Let a position wait for the next price that moves its stop, instead of any before."""
        if follower.wake is not None:
            discard(follower.wake)
        wake = next_wake(follower.tracker)
        follower.wake = None if wake is None else self._wakes.push(wake, follower)
