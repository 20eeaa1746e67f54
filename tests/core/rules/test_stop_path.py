"""The next price that matters is told in time, and the lines are the levels of the rules."""

from dataclasses import replace
from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from exit_story.values import held
from squareoff.core.rules.levels import stop_of, with_peak
from squareoff.core.rules.stop_path import (
    NO_PRICE,
    StopLine,
    lines_of,
    mirrored_peak,
    next_event,
    next_wake,
)
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import BreakEvenRule, PeakDrawdownRule, RuleSet, Tier, TrailingRule

TICK = 500
POINTS = st.decimals(min_value="0.05", max_value="9", places=3)
PERCENTS = st.decimals(min_value="0.1", max_value="9", places=2)
TRAILING = st.builds(
    TrailingRule,
    points=POINTS,
    step=st.none() | POINTS,
    activate_at_profit_points=st.none() | POINTS,
) | st.builds(
    TrailingRule,
    percent=PERCENTS,
    step=st.none() | POINTS,
    activate_at_profit_percent=st.none() | PERCENTS,
)
RULES = st.builds(
    RuleSet,
    trailing=st.none() | TRAILING,
    break_even=st.none() | st.builds(BreakEvenRule, at_profit_points=POINTS),
    tiers=st.lists(st.builds(Tier, PERCENTS, st.just(D("0.05"))), max_size=3).map(tuple),
    peak_drawdown=st.none()
    | st.builds(PeakDrawdownRule, st.sampled_from([D(10), D("33.3"), D(100)]), PERCENTS),
)
ENTRIES = st.decimals(min_value="140", max_value="160", places=3)
SIDES = st.sampled_from(list(PositionSide))


def seen(tracker: PositionTracker, mirrored: int) -> PositionTracker:
    """Return the tracker after this better price (mirrored)."""
    return with_peak(tracker, PriceUnits(tracker.side.sign * mirrored))


@given(rules=RULES, side=SIDES, entry=ENTRIES, begin=st.integers(2_800, 3_300))
def test_nothing_moves_before_it_was_announced(
    rules: RuleSet, side: PositionSide, entry: D, begin: int
) -> None:
    """Price by price upwards: only at an event do lines begin, and only there or at a wake-up
    does the reached stop move; at a wake-up it does."""
    tracker = seen(held(side=side, rules=rules, entry_price=entry), side.sign * begin * TICK)
    for _ in range(60):
        event, wake = next_event(tracker), next_wake(tracker)
        price = mirrored_peak(tracker) + TICK
        after = seen(tracker, price)
        if event is None or price < event:
            assert lines_of(after) == lines_of(tracker)
            assert (after.stop_level != tracker.stop_level) == (wake is not None and price >= wake)
        tracker = after


@given(rules=RULES, side=SIDES, entry=ENTRIES, ticks=st.integers(2_800, 3_600))
def test_lines_are_the_stop(rules: RuleSet, side: PositionSide, entry: D, ticks: int) -> None:
    """No line is tighter than the stop at the same best price; where all rules are lines one is."""
    tracker = seen(held(side=side, rules=rules, entry_price=entry), side.sign * ticks * TICK)
    levels = [line.level(mirrored_peak(tracker)) for line in lines_of(tracker)]
    stop = stop_of(tracker)

    if levels:
        assert stop is not None
        assert max(levels) <= side.sign * stop.price
        steps = rules.trailing is not None and rules.trailing.step is not None
        level = rules.peak_drawdown is not None and rules.peak_drawdown.percent == 100
        if not (steps or level or rules.break_even or rules.tiers):
            assert max(levels) == side.sign * stop.price


def test_the_first_price_is_an_event() -> None:
    """Where no price was seen yet, whichever comes first is a new best one."""
    tracker = held(rules=RuleSet(trailing=TrailingRule(points=D(8))))

    assert (next_event(tracker), next_wake(tracker), lines_of(tracker)) == (NO_PRICE, None, ())


def test_new_rules_are_looked_at_with_the_next_better_price() -> None:
    """Rules that put the stop tighter than what is reached move it when a better price comes."""
    tracker = replace(
        held(rules=RuleSet(break_even=BreakEvenRule(at_profit_points=D(1)))),
        peak_price=PriceUnits(1_600_000),
    )

    assert next_event(tracker) == 1_600_001


def test_a_line_rounds_away_from_the_price() -> None:
    """On both sides the mirrored level is rounded down to the tick."""
    line = StopLine(D("0.9"), D(0), TICK)

    assert (line.level(1_501_000), line.level(-1_501_000)) == (1_350_500, -1_351_000)


@given(rules=RULES, side=SIDES)
def test_without_an_entry_price_nothing_is_expected(rules: RuleSet, side: PositionSide) -> None:
    """A market entry whose average is not told yet has no lines and no events."""
    tracker = seen(held(side=side, rules=rules), side.sign * 3_000 * TICK)
    untold = replace(tracker, entry_price=D(0), stop_level=None, stop_rule="")

    assert (lines_of(untold), next_event(untold), next_wake(untold)) == ((), None, None)
