"""What the day's high and low prove, and for whom."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, OPENED_AT_NS, TRACKER, held
from squareoff.core.prices.day_ranges import Baseline, DayRangeTold
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.rules.levels import Level
from squareoff.core.rules.trigger_book import RangeReached
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.rules import BreakEvenRule, PriceRule, RuleName, RuleSet, TrailingRule
from squareoff.domain.ticks import Tick
from squareoff.domain.time import ist_day_number

STOP = RuleSet(stop_loss=PriceRule(points=D(10)), target=PriceRule(points=D(20)))
TRAILING = RuleSet(trailing=TrailingRule(points=D(5)))
TODAY = ist_day_number(OPENED_AT_NS)
DAY_SECONDS = 86_400


def tick(price: str, second: float = 0, *, came_after: float = 0, volume: int | None = 1) -> Tick:
    """Return a tick of the default instrument."""
    at_ns = OPENED_AT_NS + round(second * 1e9)
    units = units_from_decimal(D(price))
    came_ns = at_ns + round(came_after * 1e9)
    monotonic_ns = came_ns - OPENED_AT_NS
    return Tick(INSTRUMENT.instrument_id, units, at_ns, came_ns, monotonic_ns, volume=volume)


def bare(price: str, second: float) -> Tick:
    """Return a tick that came without the day's range."""
    return tick(price, second, volume=None)


def tell(
    watch: PriceWatch, price: str, second: float, *, high: str, low: str, came_after: float = 0
) -> RangeReached | None:
    """Tell a range and then its tick, as the feed does; return what the range did."""
    told = tick(price, second, came_after=came_after)
    ends = units_from_decimal(D(high)), units_from_decimal(D(low))
    reached = watch.on_day_range(*ends, told)
    watch.on_tick(told)
    return reached


def look(watch: PriceWatch, second: float) -> list[TrackerId]:
    """Let take part who does; return who is new."""
    now_ns = OPENED_AT_NS + round(second * 1e9)
    return watch.ranges.prove(now_ns, watch.told)


def taking_part(*trackers: PositionTracker) -> PriceWatch:
    """Return a watch of positions that take part from the range 140 to 160 on."""
    watch = PriceWatch(HygieneLimits())
    for tracker in trackers:
        watch.watch(tracker)
    look(watch, 0)
    tell(watch, "150", 3, high="160", low="145")
    assert look(watch, 4) == [each.tracker_id for each in trackers]
    for tracker in trackers:
        watch.settle(tracker.tracker_id)
    return watch


def test_a_new_low_fires_a_stop_that_no_tick_reached() -> None:
    """The level stood when the low was traded: it was crossed by a real print."""
    watch = taking_part(held(rules=STOP))

    reached = tell(watch, "150", 60, high="160", low="139.5")
    assert reached == RangeReached([(TRACKER, Level(1_400_000, RuleName.STOP_LOSS))], [], [])
    again = tell(watch, "150", 61, high="160", low="139")
    assert again == RangeReached([], [], []), "it is latched"


def test_a_new_high_fires_a_target() -> None:
    """Rising levels by the high."""
    watch = taking_part(held(rules=STOP))

    reached = tell(watch, "160", 60, high="171", low="145")
    assert reached == RangeReached([], [(TRACKER, Level(1_700_000, RuleName.TARGET))], [])


def test_a_short_position_is_judged_the_other_way_round() -> None:
    """Its stop rises, its target falls, its best price is the low."""
    watch = taking_part(held(rules=TRAILING, side=PositionSide.SHORT))

    reached = tell(watch, "146", 60, high="160", low="142")
    assert reached == RangeReached([], [], [TRACKER])
    current = watch.current(TRACKER)
    assert current is not None
    assert (current.peak_price, current.stop_level) == (1_420_000, 1_470_000)


def test_a_new_high_moves_a_trailing_stop() -> None:
    """A best price that no tick told counts."""
    watch = taking_part(held(rules=TRAILING))

    reached = tell(watch, "160", 60, high="165", low="145")
    assert reached == RangeReached([], [], [TRACKER])
    assert watch.current(TRACKER).stop_level == 1_600_000  # type: ignore[union-attr]


def test_low_and_high_of_one_telling_are_judged_by_the_levels_of_before() -> None:
    """Which came first is not known, so the stop that the high moves does not meet the low."""
    watch = taking_part(held(rules=TRAILING))
    tell(watch, "159", 5, high="160", low="145")

    reached = tell(watch, "163", 60, high="166", low="144.5")
    assert reached is not None
    assert reached.fallen == [(TRACKER, Level(1_540_000, RuleName.TRAILING))]
    watch = taking_part(held(rules=TRAILING))  # best price 150: the stop stands at 145
    reached = tell(watch, "163", 60, high="166", low="144.5")
    assert reached is not None
    assert reached.fallen == [(TRACKER, Level(1_450_000, RuleName.TRAILING))]


def test_the_price_of_a_good_tick_is_left_to_the_tick() -> None:
    """The reason then says that a tick told it."""
    watch = taking_part(held(rules=STOP))

    assert tell(watch, "139", 60, high="160", low="139") is None
    assert watch.on_tick(tick("150", 61)).fired == []  # type: ignore[union-attr]


def test_the_price_of_a_tick_too_old_to_fire_counts_as_range() -> None:
    """The first tick after a reconnect is stale, but the gap's low is proved all the same."""
    watch = taking_part(held(rules=STOP))
    watch.on_connected()

    reached = tell(watch, "139", 60, high="160", low="139", came_after=30)
    assert reached is not None
    assert [level.rule for _, level in reached.fallen] == [RuleName.STOP_LOSS]


def test_what_was_traded_before_the_take_over_fires_nothing() -> None:
    """A position waits for a trade two seconds after it was put down."""
    watch = taking_part(held(rules=STOP))
    late = TrackerId("late")
    watch.watch(held(tracker_id=late, rules=STOP))

    reached = tell(watch, "150", 60, high="160", low="139")
    assert reached is not None
    assert [name for name, _ in reached.fallen] == [TRACKER]
    assert look(watch, 61) == []
    tell(watch, "150", 62.9, high="160", low="139")
    assert look(watch, 63) == []
    tell(watch, "150", 63, high="160", low="139")
    assert look(watch, 64) == [late]
    reached = tell(watch, "150", 65, high="160", low="138")
    assert reached is not None
    assert [name for name, _ in reached.fallen] == [late]


def test_other_rules_take_part_anew() -> None:
    """What was traded under earlier rules reaches no later level."""
    tracker = held(rules=STOP)
    watch = taking_part(tracker)
    assert watch.ranges.range_of(tracker) == DayRangeTold(TODAY, 1_600_000, 1_450_000)
    changed = replace(tracker, rules=RuleSet(stop_loss=PriceRule(points=D(4))))
    watch.watch(changed)

    assert watch.ranges.range_of(changed) is None
    assert tell(watch, "150", 60, high="160", low="144") == RangeReached([], [], [])


@pytest.mark.parametrize("low", ["50", "127"], ids=["absurd", "a spike"])
def test_an_extreme_that_is_none_shows_nothing(low: str) -> None:
    """The range goes through the same limits as a tick; it is not looked at again."""
    watch = taking_part(held(rules=STOP, instrument=replace(INSTRUMENT, lower_circuit=D(100))))

    assert tell(watch, "150", 60, high="160", low=low) is None
    assert tell(watch, "150", 61, high="160", low=low) is None


def test_another_day_shows_nothing_at_first() -> None:
    """Its range begins anew, and positions take part anew."""
    watch = taking_part(held(rules=STOP))

    assert tell(watch, "150", DAY_SECONDS, high="160", low="139") is None
    assert tell(watch, "150", DAY_SECONDS + 1, high="160", low="138") == RangeReached([], [], [])


def test_a_narrower_range_takes_nothing_back() -> None:
    """A late packet tells the range of before."""
    watch = taking_part(held(rules=STOP))
    tell(watch, "150", 60, high="165", low="141")

    assert tell(watch, "150", 61, high="160", low="145") is None
    assert tell(watch, "150", 62, high="165", low="141") is None


def test_a_range_after_prices_without_one_is_a_first_one() -> None:
    """A price that was told while no stop stood fires none that a later price moved there."""
    breaks_even = BreakEvenRule(at_profit_points=D(12), lock_points=D(1))
    watch = taking_part(held(rules=RuleSet(break_even=breaks_even)))
    for second, price in enumerate(("143", "150", "162"), 60):
        watch.on_tick(bare(price, second))
    assert watch.current(TRACKER).stop_level == 1_510_000  # type: ignore[union-attr]

    assert tell(watch, "162", 70, high="162", low="143") is None
    assert look(watch, 70) == []
    assert tell(watch, "162", 72, high="162", low="143") is None
    assert look(watch, 72) == [TRACKER]
    reached = tell(watch, "162", 73, high="162", low="142.5")
    assert reached is not None
    assert [level.rule for _, level in reached.fallen] == [RuleName.BREAK_EVEN]


def test_rules_set_while_no_range_came_are_proved_by_a_later_one() -> None:
    """Trades without a range prove nothing, and nothing is made durable of the range before."""
    watch = taking_part(held(rules=RuleSet()))
    watch.on_tick(bare("138", 60))
    watch.on_tick(bare("150", 61))
    changed = held(rules=STOP)
    watch.watch(changed)
    look(watch, 62)
    watch.on_tick(bare("150", 65))

    assert look(watch, 66) == []
    assert watch.ranges.range_of(changed) is None
    assert tell(watch, "150", 67, high="160", low="138") is None
    assert look(watch, 68) == [TRACKER]
    assert watch.ranges.range_of(changed) == DayRangeTold(TODAY, 1_600_000, 1_380_000)


def restarted(tracker: PositionTracker, *, can_fire: bool = True) -> tuple[PriceWatch, Baseline]:
    """Return a new watch of a loaded position, and what was durable of its range."""
    watch = PriceWatch(HygieneLimits())
    watch.watch(tracker)
    told = DayRangeTold(TODAY, 1_600_000, 1_450_000)
    return watch, Baseline(tracker, told, can_fire)


@pytest.mark.parametrize("is_told_first", [True, False])
def test_a_restart_recovers_what_was_traded_meanwhile(*, is_told_first: bool) -> None:
    """The stop fires, whichever comes first: the feed's range or what was durable."""
    watch, baseline = restarted(held(rules=STOP))
    if is_told_first:
        tell(watch, "150", 60, high="160", low="139")
        reached = watch.recover_range(baseline)
    else:
        assert watch.recover_range(baseline) is None
        reached = tell(watch, "150", 60, high="160", low="139")

    assert reached == RangeReached([(TRACKER, Level(1_400_000, RuleName.STOP_LOSS))], [], [])


def test_a_restart_recovers_a_best_price() -> None:
    """A lost best price is found in the day's high: the stop stands where it would."""
    loaded = replace(
        held(rules=TRAILING), peak_price=1_550_000, stop_level=1_500_000, stop_rule="trailing"
    )
    watch, baseline = restarted(loaded, can_fire=False)
    watch.recover_range(baseline)
    reached = tell(watch, "163", 60, high="165", low="139")

    assert reached == RangeReached([], [], [TRACKER]), "the low may be of before the stop moved"
    assert watch.current(TRACKER).stop_level == 1_600_000  # type: ignore[union-attr]


def test_what_was_durable_of_another_day_or_other_rules_is_nothing() -> None:
    """It says nothing of today's range, or of the levels of now."""
    watch, baseline = restarted(held(rules=STOP))
    yesterday = baseline._replace(told=baseline.told._replace(day=TODAY - 1))
    watch.recover_range(yesterday)
    assert tell(watch, "150", 60, high="160", low="139") is None

    watch, baseline = restarted(held(rules=STOP))
    watch.watch(held(rules=replace(STOP, target=None)))
    assert watch.recover_range(baseline) is None
    assert tell(watch, "150", 60, high="160", low="139") is None


def test_a_claim_made_while_the_journal_is_read_leaves_nothing_to_recover() -> None:
    """The exit goes on, and its position waits for no price, whatever was durable of it."""
    watch, baseline = restarted(held(rules=TRAILING))
    tell(watch, "150", 60, high="165", low="139")
    watch.rest(baseline.tracker)

    assert watch.recover_range(baseline) is None
