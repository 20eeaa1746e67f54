"""Stops follow the best price and never loosen."""

from dataclasses import replace
from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from exit_story.values import INSTRUMENT, held
from squareoff.core.levels import stop_of
from squareoff.core.tracker import PositionTracker
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import RuleSet, TrailingRule
from squareoff.services.trailing_engine import TrailingEngine

RULES = RuleSet(trailing=TrailingRule(points=D(8), step=D(1)))
TICK = 500


def stop(tracker: PositionTracker) -> int:
    """Return the level of the stop; it stands."""
    level = stop_of(tracker)
    assert level is not None
    return level.price


@given(
    side=st.sampled_from(list(PositionSide)),
    ticks=st.lists(st.integers(2_000, 4_000), min_size=1, max_size=40),
    restarts=st.sets(st.integers(0, 40), max_size=4),
)
def test_a_stop_never_loosens(side: PositionSide, ticks: list[int], restarts: set[int]) -> None:
    """Over any prices, repeats and restarts from a durable state, the stop only tightens."""
    engine, tracker = TrailingEngine(), held(side=side, rules=RULES)
    engine.follow(tracker)
    last: int | None = None
    for number, tick in enumerate(ticks):
        for moved in engine.on_price(INSTRUMENT.instrument_id, PriceUnits(tick * TICK)):
            tracker = moved
        if tracker.stop_level is not None:
            if last is not None:
                assert (tracker.stop_level - last) * side.sign >= 0
            last = tracker.stop_level
        if number in restarts:
            engine = TrailingEngine()
            engine.follow(tracker)


def test_a_peak_in_memory_survives_an_older_durable_state() -> None:
    """A commit that lags behind the ticks does not take the stop back."""
    engine, tracker = TrailingEngine(), held(rules=RULES)
    engine.follow(tracker)
    engine.on_price(INSTRUMENT.instrument_id, PriceUnits(1_700_000))

    fresh = engine.follow(replace(tracker, peak_price=PriceUnits(1_600_000)))

    assert stop(fresh) == 1_620_000


def test_only_a_moved_stop_is_told() -> None:
    """A new peak within one step moves nothing; a price below the peak concerns nobody."""
    engine = TrailingEngine()
    engine.follow(held(rules=RULES))
    name = INSTRUMENT.instrument_id

    assert [t.stop_level for t in engine.on_price(name, PriceUnits(1_650_000))] == [1_570_000]
    assert engine.on_price(name, PriceUnits(1_655_000)) == []
    assert engine.on_price(name, PriceUnits(1_600_000)) == []
    assert [t.stop_level for t in engine.on_price(name, PriceUnits(1_660_000))] == [1_580_000]


def test_positions_without_a_moving_stop_are_not_followed() -> None:
    """No trailing rule, or a position that is gone: nothing moves."""
    engine = TrailingEngine()
    tracker = held(rules=RULES)
    engine.follow(held())
    assert engine.on_price(INSTRUMENT.instrument_id, PriceUnits(1_700_000)) == []
    engine.follow(tracker)
    engine.forget(tracker)

    assert engine.on_price(INSTRUMENT.instrument_id, PriceUnits(1_700_000)) == []
