"""The price watch: hygiene before rules, and quiet prices that change nothing but the work."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, OPENED_AT_NS, held
from squareoff.core.prices.price_hygiene import Circuit, HygieneLimits, TickVerdict
from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.prices.quiet_prices import LOUD_FEED, QuietPrices
from squareoff.core.prices.watched_instrument import LimitsWanted, Nearness
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.rules import BreakEvenRule, PriceRule, RuleName, RuleSet, TrailingRule
from squareoff.domain.ticks import Tick, TickSource
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns

STOP = RuleSet(stop_loss=PriceRule(points=D(10)))
BOUNDED = replace(INSTRUMENT, lower_circuit=D(145), upper_circuit=D(160))
NAME = INSTRUMENT.instrument_id


def tick(price: str, second: int = 0) -> Tick:
    """Return a tick of the default instrument, received as it was traded."""
    at_ns = OPENED_AT_NS + second * NANOSECONDS_PER_SECOND
    units = units_from_decimal(D(price))
    return Tick(INSTRUMENT.instrument_id, units, at_ns, at_ns, second * NANOSECONDS_PER_SECOND)


class Slot:
    """Quiet prices of one instrument, as a feed would keep them."""

    def __init__(self) -> None:
        self.bounds: tuple[int, int] | None = None
        self.earliest_ns = 0
        self.kept: Tick | None = None
        self.is_dropped = False

    def open(self, *, above: int, below: int, earliest_ns: int, latest_ns: int) -> None:
        """Note the bounds."""
        assert latest_ns > earliest_ns
        self.bounds, self.earliest_ns = (above, below), earliest_ns

    def close(self) -> None:
        """Keep nothing."""
        self.bounds = None

    def newest(self) -> Tick | None:
        """Return what is kept."""
        return self.kept

    def forget(self) -> None:
        """Hold nothing."""
        self.kept = None


class Feed:
    """A feed of one instrument."""

    quiet_count = 0

    def __init__(self) -> None:
        self.slot = Slot()

    def quiet_prices(self, instrument_id: InstrumentId) -> QuietPrices | None:
        """Return the slot."""
        return self.slot

    def quiet_received_ns(self) -> int | None:
        """Nobody asks."""
        return None


def watching(rules: RuleSet = STOP) -> tuple[PriceWatch, Slot]:
    """Return a watch of one position on a feed that keeps quiet prices."""
    feed = Feed()
    watch = PriceWatch(HygieneLimits(), feed)
    watch.watch(held(rules=rules))
    return watch, feed.slot


def test_nothing_is_quiet_before_a_good_price() -> None:
    """Bounds open with the first good price, and lie within levels and hygiene."""
    watch, slot = watching()
    assert slot.bounds is None
    watch.on_tick(tick("150"))

    assert slot.bounds is not None
    above, below = slot.bounds
    assert above == 1_400_000
    assert 1_600_000 < below < 1_725_000


def test_a_spike_closes_until_it_is_resolved() -> None:
    """While a price stands unconfirmed every price is published."""
    watch, slot = watching()
    watch.on_tick(tick("150"))
    seen = watch.on_tick(tick("200"))
    assert seen is not None
    assert (seen.verdict, slot.bounds) == (TickVerdict.SPIKE, None)
    watch.on_tick(tick("150"))

    assert slot.bounds is not None


def test_what_was_kept_counts_for_the_next_judgement() -> None:
    """A spike is measured by the newest quiet price, and trades before it are out of order."""
    watch, slot = watching(RuleSet(stop_loss=PriceRule(points=D(60))))
    watch.on_tick(tick("150", 1))
    slot.kept = tick("159", 5)
    late = watch.on_tick(tick("150", 3))
    slot.kept = tick("159", 5)
    far = watch.on_tick(tick("182", 6))
    slot.kept = None
    again = watch.on_tick(tick("159", 6))

    assert late is not None
    assert far is not None
    assert again is not None
    assert (late.verdict, late.kept) == (TickVerdict.STALE, tick("159", 5))
    assert far.verdict is TickVerdict.GOOD  # 182 is 14 % from 159, and 21 % from 150
    assert again.verdict is TickVerdict.GOOD


def test_a_connect_closes_and_forgets() -> None:
    """After a reconnect nothing is quiet until a price was judged, and what was kept is told."""
    watch, slot = watching()
    watch.on_tick(tick("150", 1))
    slot.kept = tick("151", 2)

    assert watch.on_connected() == [tick("151", 2)]
    assert (slot.bounds, slot.kept) == (None, None)
    watch.watch(held(tracker_id=TrackerId("trk-2"), rules=STOP))
    assert slot.bounds is None
    seen = watch.on_tick(tick("150", 0))
    assert seen is not None
    assert seen.verdict is TickVerdict.GOOD


def test_a_clock_that_is_ahead_makes_no_price_old() -> None:
    """A first price is old by its trade time alone, less what our clock is seen to be ahead."""
    watch, _ = watching()
    now_ns = OPENED_AT_NS + 100 * NANOSECONDS_PER_SECOND

    def verdict_at_age(seconds: float) -> TickVerdict:
        watch.on_connected()
        traded_ns = now_ns - int(seconds * NANOSECONDS_PER_SECOND)
        old = replace(tick("150.00"), exchange_time_ns=traded_ns, received_time_ns=now_ns)
        seen = watch.on_tick(old)
        assert seen is not None
        return seen.verdict

    assert verdict_at_age(7.0) is TickVerdict.STALE
    assert watch.told_in_time_ns == seconds_to_ns(6.0)
    watch.allow_for_clock(5.0)
    assert watch.told_in_time_ns == seconds_to_ns(11.0)
    assert verdict_at_age(7.0) is TickVerdict.GOOD
    assert verdict_at_age(12.0) is TickVerdict.STALE
    watch.allow_for_clock(-5.0)
    assert verdict_at_age(7.0) is TickVerdict.STALE
    assert verdict_at_age(5.5) is TickVerdict.GOOD


def test_arming_tightens_what_is_quiet() -> None:
    """A position taken in between two prices is heeded by the next one."""
    watch, slot = watching()
    watch.on_tick(tick("150"))
    watch.watch(
        held(tracker_id=TrackerId("trk-2"), rules=RuleSet(stop_loss=PriceRule(points=D(1))))
    )
    assert slot.bounds is not None
    assert slot.bounds[0] == 1_490_000
    watch.watch(
        held(tracker_id=TrackerId("trk-3"), rules=RuleSet(trailing=TrailingRule(points=D(8))))
    )

    assert slot.bounds[1] < 0


def test_the_circuit_of_the_newest_terms_counts() -> None:
    """A position that brings other circuit limits has them heeded at once."""
    watch, _ = watching()
    watch.on_tick(tick("150"))
    banded = replace(INSTRUMENT, upper_circuit=D(151))
    watch.watch(held(tracker_id=TrackerId("trk-2"), instrument=banded, rules=STOP))
    seen = watch.on_tick(tick("152"))

    assert seen is not None
    assert seen.verdict is TickVerdict.OUT_OF_CIRCUIT


def test_near_is_within_a_hundredth_of_the_price() -> None:
    """Nearness goes by the newest price, kept ones too, and by levels alone."""
    watch, slot = watching()
    assert not watch.is_near_a_level()
    watch.on_tick(tick("150"))
    assert not watch.is_near_a_level()
    slot.kept = tick("141")
    assert watch.is_near_a_level()
    slot.kept = None
    watch.on_tick(tick("141", 1))
    assert watch.is_near_a_level()
    assert watch.nearness(NAME) is Nearness.NEAR
    above, _ = watching(RuleSet(target=PriceRule(points=D(10))))
    above.on_tick(tick("150"))
    assert not above.is_near_a_level()
    above.on_tick(tick("159", 1))
    assert above.is_near_a_level()


def test_a_rule_that_may_arm_a_level_is_no_want_of_levels() -> None:
    """The day's range goes on to come, so that it is known when the stop stands."""
    breaks_even = BreakEvenRule(at_profit_points=D(12), lock_points=D(1))
    watch = PriceWatch(HygieneLimits())
    watch.watch(held(rules=RuleSet(break_even=breaks_even)))
    assert watch.nearness(INSTRUMENT.instrument_id) is Nearness.FAR
    watch.watch(held(rules=RuleSet()))
    assert watch.nearness(INSTRUMENT.instrument_id) is Nearness.NO_LEVEL


def test_a_range_of_an_instrument_that_is_only_followed_shows_nothing() -> None:
    """The account's rules want the price of what is held; no position there waits for one."""
    watch = PriceWatch(HygieneLimits(), LOUD_FEED)
    watch.follow(held())

    assert watch.on_day_range(units_from_decimal(D(160)), 1, tick("150.00")) is None
    watch.watch(held(rules=STOP))
    assert watch.on_day_range(units_from_decimal(D(160)), 1, tick("150.00")) is None


def test_instruments_of_others_are_not_judged() -> None:
    """A tick of an instrument that no position holds is not the watch's to judge."""
    assert PriceWatch(HygieneLimits()).on_tick(tick("150")) is None
    assert LOUD_FEED.quiet_prices(INSTRUMENT.instrument_id) is None
    assert (LOUD_FEED.quiet_count, LOUD_FEED.quiet_received_ns()) == (0, None)


def test_positions_come_and_go() -> None:
    """Latched positions fire nothing, forgotten ones are no longer counted."""
    watch, _ = watching()
    tracker = held(rules=STOP)
    assert len(watch) == 1
    watch.latch(tracker.tracker_id)
    watch.on_tick(tick("150"))
    seen = watch.on_tick(tick("139"))
    assert seen is not None
    assert seen.fired == []
    watch.forget(tracker)
    watch.forget(tracker)

    assert (len(watch), watch.current(tracker.tracker_id)) == (0, None)


def quoted(price: str, second: int = 0) -> Tick:
    """Return the tick of a broker's quote."""
    return replace(tick(price, second), source=TickSource.QUOTE)


@pytest.mark.parametrize("asks", ["on_tick", "on_quote"])
def test_circuit_limits_end_with_the_day_that_they_are_of(asks: str) -> None:
    """A position that is carried over is judged by none until one of the new day brings its own."""
    day = 86_400
    watch = PriceWatch(HygieneLimits())
    watch.watch(held(rules=STOP, instrument=BOUNDED))
    see = getattr(watch, asks)
    assert see(tick("150", 1)).verdict is TickVerdict.GOOD
    assert see(tick("144", 2)).verdict is TickVerdict.OUT_OF_CIRCUIT

    assert see(tick("144", day + 1)).verdict is TickVerdict.GOOD
    newer = replace(INSTRUMENT, lower_circuit=D("143"), upper_circuit=D("158"))
    today = replace(
        held(tracker_id=TrackerId("trk-2"), rules=STOP, instrument=newer),
        created_at_ns=OPENED_AT_NS + (day + 2) * NANOSECONDS_PER_SECOND,
    )
    watch.watch(today)
    watch.watch(held(rules=STOP, instrument=BOUNDED))
    assert see(tick("142", day + 3)).verdict is TickVerdict.OUT_OF_CIRCUIT
    seen = see(tick("144", day + 4))
    assert seen.verdict is TickVerdict.GOOD


def test_limits_that_a_quote_told_outlast_changes_of_a_position_carried_over() -> None:
    """Terms of an earlier day, or those in which a position came under watch today, undo none."""
    day_ns = 86_400 * NANOSECONDS_PER_SECOND
    watch = PriceWatch(HygieneLimits())
    carried = held(rules=STOP, instrument=BOUNDED)
    watch.watch(carried)
    today_ns = OPENED_AT_NS + day_ns
    told = Circuit(units_from_decimal(D(143)), units_from_decimal(D(158)))
    assert dict(watch.limits_wanted(OPENED_AT_NS)) == {}
    assert dict(watch.limits_wanted(today_ns)) == {NAME: LimitsWanted.UNKNOWN}

    watch.take_limits(NAME, told, today_ns, is_proved=True)
    watch.watch(replace(carried, instrument=replace(BOUNDED)))
    watch.watch(replace(held(rules=STOP, instrument=replace(BOUNDED)), created_at_ns=today_ns))
    assert watch.on_tick(tick("144", 86_401)).verdict is TickVerdict.GOOD  # type: ignore[union-attr]
    assert dict(watch.limits_wanted(today_ns)) == {}
    refused = watch.on_tick(tick("142.95", 86_402))
    assert refused is not None
    assert refused.verdict is TickVerdict.OUT_OF_CIRCUIT
    assert dict(watch.limits_wanted(today_ns)) == {NAME: LimitsWanted.DOUBTED}
    watch.take_limits(NAME, told, today_ns, is_proved=True)
    assert dict(watch.limits_wanted(today_ns)) == {}
    assert dict(watch.limits_wanted(today_ns + day_ns)) == {NAME: LimitsWanted.UNKNOWN}


def test_new_limits_close_what_the_feed_may_keep_beyond_them() -> None:
    """A price that would be refused now is no quiet one."""
    watch, slot = watching()
    watch.on_tick(tick("150", 1))
    low, high = units_from_decimal(D(149)), units_from_decimal(D(151))
    assert slot.bounds is not None
    assert slot.bounds[1] > high + 1

    watch.take_limits(NAME, Circuit(low, high), OPENED_AT_NS, is_proved=True)
    assert slot.bounds == (low - 1, high + 1)


def test_new_limits_measure_what_is_quiet_by_what_the_feed_has_kept() -> None:
    """The price has walked quietly since the last one that was published: one print far from where
    it stands is a spike, and none that the feed may keep."""
    watch, slot = watching(RuleSet(stop_loss=PriceRule(points=D(60))))
    watch.on_tick(tick("140", 1))
    watch.on_tick(tick("150", 2))
    slot.kept = tick("132", 3)

    told = Circuit(units_from_decimal(D(100)), units_from_decimal(D(200)))
    watch.take_limits(NAME, told, OPENED_AT_NS, is_proved=True)
    assert slot.bounds is not None
    assert slot.bounds[1] <= units_from_decimal(D(132)) * 115 // 100 + 1


def test_a_price_outside_new_limits_confirms_nothing_any_more() -> None:
    """It was seen before they were known; the next spike is one print alone."""
    watch, _ = watching()
    watch.on_tick(tick("150", 1))
    watch.on_tick(tick("10", 2))
    told = Circuit(units_from_decimal(D(100)), units_from_decimal(D(200)))
    watch.take_limits(NAME, told, OPENED_AT_NS, is_proved=True)

    seen = watch.on_tick(tick("120", 3))
    assert seen is not None
    assert (seen.verdict, seen.fired) == (TickVerdict.SPIKE, [])


def test_a_quote_fires_and_moves_like_a_tick() -> None:
    """The same levels, and what the feed kept before it is handed over."""
    watch, slot = watching()
    watch.on_tick(tick("150", 1))
    slot.kept = tick("151", 2)

    seen = watch.on_quote(quoted("139", 3))
    assert seen is not None
    assert [level.rule.value for _, level in seen.fired] == ["stop_loss"]
    assert seen.kept == tick("151", 2)
    assert slot.kept is None, "the newest price is the quote's"


def test_a_quote_older_than_the_feed_or_another_quote_is_stale() -> None:
    """It replaces nothing."""
    watch, _ = watching()
    watch.on_tick(tick("150", 5))

    assert watch.on_quote(quoted("139", 4)).verdict is TickVerdict.STALE  # type: ignore[union-attr]
    assert watch.on_quote(quoted("151", 9)).verdict is TickVerdict.GOOD  # type: ignore[union-attr]
    assert watch.on_quote(quoted("139", 8)).verdict is TickVerdict.STALE  # type: ignore[union-attr]


def test_a_price_that_the_feed_tells_after_a_quote_is_judged() -> None:
    """It comes late, but it was traded."""
    watch, _ = watching()
    watch.on_tick(tick("150", 1))
    watch.on_quote(quoted("151", 9))

    assert len(watch.on_tick(tick("139", 5)).fired) == 1  # type: ignore[union-attr]


def test_a_trade_read_twice_does_not_confirm_itself() -> None:
    """Another trade near it does."""
    watch, _ = watching()
    watch.on_tick(tick("150", 1))

    verdicts = [
        watch.on_quote(quoted(price, second)).verdict  # type: ignore[union-attr]
        for price, second in (("100", 2), ("100", 2), ("101", 3))
    ]
    assert verdicts == [TickVerdict.SPIKE, TickVerdict.SPIKE, TickVerdict.GOOD]


def test_a_trade_that_is_told_again_does_not_confirm_itself() -> None:
    """The feed tells it once more when the book moves; only the volume shows another trade."""
    watch = PriceWatch(HygieneLimits())
    watch.watch(held(rules=STOP))
    told = (("150", 1, 1_000), ("105", 2, 1_025), ("105", 2, 1_025), ("105", 2, None))
    for price, second, volume in told:
        seen = watch.on_tick(replace(tick(price, second), volume=volume))
        assert seen is not None
        assert seen.fired == []
    seen = watch.on_tick(replace(tick("105", 2), volume=1_050))

    assert seen is not None
    assert [level.rule for _, level in seen.fired] == [RuleName.STOP_LOSS]


@pytest.mark.parametrize("is_behind", [False, True], ids=["right clock", "clock behind"])
def test_a_trade_time_of_the_future_mutes_nothing(*, is_behind: bool) -> None:
    """Later trades are late only by what a clock may differ; the feed, quotes and kept prices."""
    hours = 3 * 3_600 * NANOSECONDS_PER_SECOND
    for way in ("feed", "quote", "kept"):
        watch, slot = watching()
        watch.allow_for_clock(-2.0 if is_behind else 0.0)
        watch.on_tick(tick("150", 1))
        early = tick("150", 2)
        future = replace(early, exchange_time_ns=early.exchange_time_ns + hours)
        if way == "kept":
            slot.kept = future
        elif way == "feed":
            watch.on_tick(future)
        else:
            watch.on_quote(replace(future, source=TickSource.QUOTE))
        late = tick("149", 8)
        if is_behind:
            late = replace(late, exchange_time_ns=late.exchange_time_ns + 2 * 10**9)
        seen = watch.on_quote(quoted("149", 10)) if way == "quote" else watch.on_tick(late)

        assert seen is not None
        assert seen.verdict is TickVerdict.GOOD, way


@pytest.mark.parametrize("asks", ["on_tick", "on_quote"])
def test_a_trade_time_of_tomorrow_ends_no_limits_of_today(asks: str) -> None:
    """One odd time must not let impossible prices confirm each other."""
    watch = PriceWatch(HygieneLimits())
    watch.watch(held(rules=STOP, instrument=BOUNDED))
    see = getattr(watch, asks)
    see(tick("150", 1))
    see(replace(tick("150", 2), exchange_time_ns=tick("150", 86_400 + 2).exchange_time_ns))

    assert see(tick("139", 20)).verdict is TickVerdict.OUT_OF_CIRCUIT


def test_a_quote_of_before_a_connect_makes_none_late() -> None:
    """It says nothing of the order after it."""
    watch, _ = watching()
    watch.on_quote(quoted("150", 9))
    watch.on_connected()

    assert watch.on_quote(quoted("139", 8)).verdict is TickVerdict.GOOD  # type: ignore[union-attr]


def test_every_level_that_two_prints_of_a_fast_move_passed_fires() -> None:
    """A print is good by the next one that is as far; a stop between the two waits for it."""
    watch = PriceWatch(HygieneLimits())
    far = TrackerId("far")
    near = held(rules=STOP)
    watch.watch(near)
    watch.watch(held(tracker_id=far, rules=RuleSet(stop_loss=PriceRule(points=D(50)))))
    seen = [watch.on_tick(tick(price, n)) for n, price in enumerate(("150", "120", "95", "75"))]
    fired = [[name for name, _ in each.fired] for each in seen if each is not None]
    goods = [each.good.last_traded_price for each in seen if each is not None and each.good]

    assert fired == [[], [], [near.tracker_id], [far]]
    assert goods == [1_500_000, 1_200_000, 950_000]
    assert watch.told(INSTRUMENT.instrument_id) == tick("75", 3)


@pytest.mark.parametrize("is_feed_first", [True, False])
def test_a_trade_that_feed_and_quote_tell_does_not_confirm_itself(is_feed_first: bool) -> None:
    """It is one print, whoever tells it first; the next one near it confirms."""
    watch, _ = watching()
    watch.on_tick(tick("150", 1))
    ways = [lambda: watch.on_tick(tick("100", 2)), lambda: watch.on_quote(quoted("100", 2))]
    for tell in ways if is_feed_first else reversed(ways):
        seen = tell()
        assert seen is not None
        assert (seen.verdict, seen.fired) == (TickVerdict.SPIKE, [])

    assert len(watch.on_tick(tick("100", 3)).fired) == 1  # type: ignore[union-attr]


def test_what_the_feed_told_is_known_apart_from_quotes() -> None:
    """Heard is what was valid, told also what was too old; neither is a quote."""
    watch, slot = watching()
    old = replace(tick("150", 1), received_time_ns=OPENED_AT_NS + 60 * NANOSECONDS_PER_SECOND)
    watch.on_tick(old)
    assert watch.heard_and_told(INSTRUMENT.instrument_id) == (None, old)
    watch.on_tick(tick("150", 2))
    slot.kept = tick("151", 3)
    watch.on_quote(quoted("152", 4))

    assert watch.heard_and_told(INSTRUMENT.instrument_id) == (tick("151", 3), tick("151", 3))


def test_a_late_print_after_a_reconnect_is_not_the_newest() -> None:
    """It is judged and may fire, but what was traded after it is still known to be."""
    watch = PriceWatch(HygieneLimits(stale_after_seconds=5.0, spike_percent=D(15)))
    watch.watch(held(rules=STOP))
    newest = tick("152.00", second=3)
    watch.on_tick(newest)
    watch.on_connected()
    late = replace(tick("151.00", second=1), received_time_ns=newest.received_time_ns)
    seen = watch.on_tick(late)

    assert seen is not None and seen.verdict is TickVerdict.GOOD
    assert watch.heard_and_told(INSTRUMENT.instrument_id) == (newest, newest)


def test_nothing_is_quiet_while_the_feed_is_behind_a_quote() -> None:
    """The levels of then are not those that the bounds tell: what comes late is published until
    something comes that was traded after the quote."""
    watch, slot = watching()
    watch.on_tick(tick("150", 1))
    watch.on_quote(quoted("151", 9))
    assert slot.bounds is None
    watch.on_tick(tick("149", 5))
    assert slot.bounds is None
    watch.on_tick(tick("150", 10))

    assert slot.bounds is not None


def test_a_position_that_left_wants_no_prices() -> None:
    """Nor does one that rests while an exit of it is open."""
    rules = RuleSet(break_even=BreakEvenRule(at_profit_points=D(12), lock_points=D(1)))
    for leave in (PriceWatch.forget, PriceWatch.rest):
        watch, _ = watching(rules)
        assert watch.nearness(NAME) is Nearness.FAR
        leave(watch, held(rules=rules))

        assert watch.nearness(NAME) is Nearness.NO_LEVEL


def test_what_is_no_trade_of_today_is_not_told() -> None:
    """A print outside the day's limits leaves the newest trade what it was."""
    watch = PriceWatch(HygieneLimits())
    watch.watch(held(instrument=BOUNDED, rules=STOP))
    watch.on_tick(tick("150", 1))
    seen = watch.on_tick(tick("170", 2))

    assert seen is not None
    assert seen.verdict is TickVerdict.OUT_OF_CIRCUIT
    assert watch.heard_and_told(NAME) == (tick("150", 1), tick("150", 1))


def test_a_refused_trade_outdates_quotes_for_a_moment() -> None:
    """Where it is long ago, quotes of before it are the newest there is again."""
    watch = PriceWatch(HygieneLimits())
    watch.watch(held(instrument=BOUNDED, rules=STOP))
    watch.on_tick(tick("170", 5))
    before = quoted("150", 4)
    received_ns = 5 * NANOSECONDS_PER_SECOND

    def is_outdated(after_seconds: int) -> bool:
        at_ns = received_ns + after_seconds * NANOSECONDS_PER_SECOND
        return watch.is_outdated(replace(before, received_monotonic_ns=at_ns))

    assert (is_outdated(10), is_outdated(11)) == (True, False)
    assert not watch.is_outdated(quoted("150", 5))
