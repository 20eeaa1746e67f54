"""Groups of best prices and bounds of stops: the same as walking over everybody."""

from dataclasses import dataclass
from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from squareoff.core.rules.lazy_heap import Entry
from squareoff.core.rules.moving_stops import MovingStops, PeakGroup
from squareoff.core.rules.stop_path import NO_PRICE, StopLine

TICK = 5
SLOPES = st.sampled_from([D(1), D(1), D("0.9"), D("0.5"), D("1.1")])
JOIN = st.tuples(st.just("join"), st.integers(100, 140), SLOPES, st.integers(-60, -5))
PRICE = st.tuples(st.just("price"), st.integers(60, 200), st.just(D(0)), st.just(0))


@dataclass(eq=False)
class Walker:
    """One follower as the slow way knows it."""

    peak: int
    line: StopLine
    group: PeakGroup["Walker"]
    entry: Entry

    @property
    def level(self) -> int:
        """Where its stop stands."""
        return self.line.level(self.peak)


@given(st.lists(JOIN | PRICE, max_size=60))
def test_it_finds_whom_a_walk_finds(steps: list[tuple[str, int, D, int]]) -> None:
    """Over any joins and prices the same followers are reached, peaks are the same, and the
    bound is never below the highest stop."""
    moving: MovingStops[Walker] = MovingStops(TICK)
    walkers: list[Walker] = []
    for what, value, slope, intercept in steps:
        price = value * TICK
        if what == "join":
            group = moving.group_at(price)
            line = StopLine(slope, D(intercept), TICK)
            walker = Walker(price, line, group, [])
            walker.entry = moving.add_line(group, line, walker)
            walkers.append(walker)
        else:
            expected = [walker for walker in walkers if walker.level >= price]
            found = list(moving.pop_reached(price))
            assert sorted(map(id, found)) == sorted(map(id, expected))
            walkers = [walker for walker in walkers if walker not in found]
            for walker in walkers:
                walker.peak = max(walker.peak, price)
            moving.raise_peaks(price)
        assert all(moving.group_of(walker.group).peak == walker.peak for walker in walkers)
        assert moving.bound >= max((walker.level for walker in walkers), default=NO_PRICE)


def test_a_bound_met_is_computed_anew() -> None:
    """A flat line lags behind the bound; the price that meets the bound makes it exact."""
    moving: MovingStops[str] = MovingStops(TICK)
    group = moving.group_at(1_000)
    moving.add_line(group, StopLine(D("0.5"), D(400), TICK), "flat")
    moving.raise_peaks(1_100)
    assert moving.bound == 1_000

    assert list(moving.pop_reached(990)) == []
    assert moving.bound == 950


def test_passed_groups_become_one() -> None:
    """A price that passes many best prices leaves one group, and one that meets one joins it."""
    moving: MovingStops[str] = MovingStops(TICK)
    groups = [moving.group_at(peak) for peak in (NO_PRICE, 500, 600, 700, 900)]
    moving.raise_peaks(700)

    assert len({id(moving.group_of(group)) for group in groups}) == 2
    assert moving.lowest_peak == 700
    assert moving.group_at(700) is moving.group_of(groups[0])
    assert moving.group_of(groups[4]).peak == 900


def test_the_common_new_high_touches_nobody() -> None:
    """With one group a new best price moves every stop and leaves the entries as they are."""
    moving: MovingStops[int] = MovingStops(TICK)
    group = moving.group_at(1_000)
    entries = [moving.add_line(group, StopLine(D(1), D(-n), TICK), n) for n in range(50, 100)]
    before = [list(entry) for entry in entries]
    for price in range(1_005, 2_000, TICK):
        moving.raise_peaks(price)

    assert moving.bound == 1_995 - 50
    assert entries == before
