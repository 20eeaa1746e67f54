"""Stops that move with the best price, for all positions of one side of one instrument.

Positions with the same best price form a group, and a better price than theirs makes one group of
all that it passes: a best price belongs to the group, not to the position. In a group, stops that
move are lines over the best price, by slope; of the lines with one slope the highest stays the
highest, so a new best price moves them all at once without touching any.

A group's nearest stop is kept as a bound that is never too low: a new best price raises it by what
the steepest line would rise. When a price comes down to the bound it is computed anew.

Prices are mirrored (`core.rules.stop_path`). Costs, for n positions: joining and leaving log n; a
new best price log n, and for each group that it passes, once in that group's life, the smaller
group's lines times log n; computing a bound anew the number of different slopes.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Generic, TypeVar

from squareoff.core.rules.lazy_heap import KEY, OWNER, Entry, LazyHeap, discard
from squareoff.core.rules.stop_path import NO_PRICE, StopLine

Follower = TypeVar("Follower")

_ONE = Decimal(1)


class PeakGroup(Generic[Follower]):
    """Positions with one best price; one that was passed points to the group that took it in."""

    __slots__ = (
        "bound",
        "bound_entry",
        "into",
        "lines",
        "lines_count",
        "peak",
        "slack",
        "slope_max",
    )

    def __init__(self, peak: int) -> None:
        self.peak = peak
        self.into: PeakGroup[Follower] | None = None
        self.lines: dict[tuple[Decimal, int], LazyHeap[Follower]] = {}
        self.lines_count = 0
        self.slope_max = _ONE
        self.slack = 0
        self.bound = NO_PRICE
        self.bound_entry: Entry | None = None


class MovingStops(Generic[Follower]):
    """Groups of one side of one instrument; a follower is whatever the caller names it."""

    def __init__(self, tick_units: int) -> None:
        self._tick_units = tick_units
        self._by_peak: dict[int, PeakGroup[Follower]] = {}
        self._peaks: LazyHeap[PeakGroup[Follower]] = LazyHeap()
        self._bounds: LazyHeap[PeakGroup[Follower]] = LazyHeap()

    def group_at(self, peak: int) -> PeakGroup[Follower]:
        """Return the group with this best price."""
        group = self._by_peak.get(peak)
        if group is None:
            group = self._by_peak[peak] = PeakGroup(peak)
            self._peaks.push(peak, group)
        return group

    def group_of(self, group: PeakGroup[Follower]) -> PeakGroup[Follower]:
        """Return the group that a group has become part of, itself where it was not passed."""
        root = group
        while root.into is not None:
            root = root.into
        while group.into is not None and group.into is not root:
            group.into, group = root, group.into
        return root

    def add_line(self, group: PeakGroup[Follower], line: StopLine, follower: Follower) -> Entry:
        """Let a follower's stop run on a line from here on; `group` was not passed."""
        kind = line.slope, line.tick_units
        lines = group.lines.get(kind)
        if lines is None:
            lines = group.lines[kind] = LazyHeap()
            if line.slope > 1 or line.tick_units != self._tick_units:
                group.slope_max = max(group.slope_max, line.slope)
                group.slack = max(group.slack, line.tick_units)
        entry = lines.push(-line.intercept, follower)
        group.lines_count += 1
        level = line.level(group.peak)
        if level > group.bound:
            self._set_bound(group, level)
        return entry

    @property
    def lowest_peak(self) -> int | None:
        """The best price that a price must pass to be a new one for anybody."""
        first = self._peaks.first()
        return None if first is None else first[KEY]

    @property
    def bound(self) -> int:
        """No stop on a line is above this."""
        first = self._bounds.first()
        return NO_PRICE if first is None else -first[KEY]

    def pop_reached(self, price: int) -> Iterator[Follower]:
        """Take out and give every follower with a stop on a line at or above this price."""
        while (first := self._bounds.first()) is not None and -first[KEY] >= price:
            group: PeakGroup[Follower] = first[OWNER]
            yield from self._pop_reached_in(group, price)
            self._set_bound(group, self._highest(group))

    def raise_peaks(self, price: int) -> None:
        """Take in a price: whoever knows no better one has it as the best price."""
        first = self._peaks.first()
        if first is None or first[KEY] >= price:
            return
        if len(self._by_peak) == 1:
            self._raise_only(first, price)
            return
        united: PeakGroup[Follower] | None = None
        while first is not None and first[KEY] <= price:
            group = self._peaks.pop()
            del self._by_peak[group.peak]
            self._move(group, price)
            united = group if united is None else self._united(united, group)
            first = self._peaks.first()
        assert united is not None, "the first one was below the price"
        self._by_peak[price] = united
        self._peaks.push(price, united)

    def _raise_only(self, entry: Entry, price: int) -> None:
        """Give the only group a better price: so it is on most days, after the first rally."""
        group: PeakGroup[Follower] = entry[OWNER]
        del self._by_peak[group.peak]
        self._by_peak[price] = group
        self._peaks.moved_to(entry, price)
        self._move(group, price)

    def _move(self, group: PeakGroup[Follower], price: int) -> None:
        """Give a group a better price."""
        rise = price - group.peak
        group.peak = price
        if group.bound == NO_PRICE:
            return
        if group.slack:
            rise = int(group.slope_max * rise) + 1 + group.slack
        self._set_bound(group, group.bound + -(-rise // self._tick_units) * self._tick_units)

    def _united(self, one: PeakGroup[Follower], other: PeakGroup[Follower]) -> PeakGroup[Follower]:
        """Make one group of two with the same best price: the one with more lines takes all."""
        large, small = (one, other) if one.lines_count >= other.lines_count else (other, one)
        for kind, lines in small.lines.items():
            held = large.lines.get(kind)
            if held is None:
                large.lines[kind] = lines
            else:
                held.absorb(lines)
        large.lines_count += small.lines_count
        large.slope_max = max(large.slope_max, small.slope_max)
        large.slack = max(large.slack, small.slack)
        if small.bound > large.bound:
            self._set_bound(large, small.bound)
        self._set_bound(small, NO_PRICE)
        small.lines, small.into = {}, large
        return large

    def _set_bound(self, group: PeakGroup[Follower], bound: int) -> None:
        group.bound = bound
        if group.bound_entry is None:
            group.bound_entry = None if bound == NO_PRICE else self._bounds.push(-bound, group)
        elif bound == NO_PRICE:
            discard(group.bound_entry)
            group.bound_entry = None
        else:
            group.bound_entry = self._bounds.moved_to(group.bound_entry, -bound)

    def _pop_reached_in(self, group: PeakGroup[Follower], price: int) -> Iterator[Follower]:
        for (slope, tick_units), lines in group.lines.items():
            while (first := lines.first()) is not None:
                if StopLine(slope, -first[KEY], tick_units).level(group.peak) < price:
                    break
                yield lines.pop()

    def _highest(self, group: PeakGroup[Follower]) -> int:
        """Return the highest stop of a group, and forget kinds of lines that nobody uses now."""
        highest = NO_PRICE
        for (slope, tick_units), lines in tuple(group.lines.items()):
            first = lines.first()
            if first is None:
                del group.lines[slope, tick_units]
                continue
            highest = max(highest, StopLine(slope, -first[KEY], tick_units).level(group.peak))
        group.lines_count = sum(len(lines) for lines in group.lines.values())
        return highest
