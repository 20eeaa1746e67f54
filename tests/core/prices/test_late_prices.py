"""What the feed tells after a newer quote is judged by the levels of its own time."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, OPENED_AT_NS, TRACKER, held
from squareoff.core.prices import late_prices
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.prices.price_watch import PriceWatch, Seen
from squareoff.domain.ids import TrackerId
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import units_from_decimal
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.domain.ticks import Tick, TickSource
from squareoff.domain.time import NANOSECONDS_PER_SECOND

TRAILING = RuleSet(trailing=TrailingRule(points=D(4)))
OTHER = TrackerId("trk-2")


class Market:
    """A watch, and the feed and the quotes that tell it of trades."""

    def __init__(self, rules: RuleSet = TRAILING, side: PositionSide = PositionSide.LONG) -> None:
        self.tracker = held(rules=rules, side=side)
        self.watch = PriceWatch(HygieneLimits(spike_percent=D(50)))
        self.watch.watch(self.tracker)

    def feed(self, price: str, second: int) -> list[str]:
        """Let the feed tell a trade of this second; return what fired."""
        return _fired(self.watch.on_tick(_tick(price, second)))

    def quote(self, price: str, second: int, day: tuple[str, str] | None = None) -> list[str]:
        """Let a quote tell it, and the day's high and low; return what fired."""
        tick = replace(_tick(price, second), source=TickSource.QUOTE)
        if day is not None:
            self.watch.before_quote(tick)
            high, low = (units_from_decimal(D(each)) for each in day)
            self.watch.on_day_range(high, low, tick)
        return _fired(self.watch.on_quote(tick))

    def make_durable(self) -> None:
        """Let the position come back with the stop that was written."""
        current = self.watch.current(TRACKER)
        assert current is not None
        self.watch.settle(TRACKER)
        self.watch.watch(current)


def _tick(price: str, second: int) -> Tick:
    at_ns = OPENED_AT_NS + second * NANOSECONDS_PER_SECOND
    tick = Tick(INSTRUMENT.instrument_id, units_from_decimal(D(price)), at_ns, at_ns, at_ns)
    return replace(tick, volume=second)  # as in packets that tell the day's range


def _fired(seen: Seen | None) -> list[str]:
    assert seen is not None
    return [f"{tracker_id}:{level.rule.value}" for tracker_id, level in seen.fired]


def test_a_late_price_does_not_reach_a_stop_that_newer_quotes_moved() -> None:
    """The price rose without one fall of four points: held-up packets of the way up fire nothing,
    and once they are told the moved stop holds as ever."""
    market = Market()
    market.feed("150", 1)
    for second, price in ((5, "153"), (7, "156"), (9, "160")):
        market.quote(price, second)
        market.make_durable()

    told = ((2, "151"), (3, "152"), (5, "153"), (7, "156"), (9, "160"), (10, "161"))
    assert [market.feed(price, second) for second, price in told] == [[]] * 6
    assert market.feed("157", 11) == ["trk-1:trailing"]


def test_the_same_for_a_short_position() -> None:
    """Mirrored: the price fell without one rise of four points."""
    market = Market(side=PositionSide.SHORT)
    market.feed("150", 1)
    market.quote("140", 9)

    assert (market.feed("149", 2), market.feed("146", 4)) == ([], [])
    assert market.feed("144", 10) == ["trk-1:trailing"]


def test_a_stop_that_stood_before_the_quotes_is_reached_by_a_late_price() -> None:
    """152 was the best price before: the stop stood at 148 when 147 was traded."""
    market = Market()
    market.feed("152", 1)
    market.quote("160", 9)

    assert market.feed("149", 3) == []
    assert market.feed("147", 4) == ["trk-1:trailing"]
    assert market.feed("147", 10) == [], "a position fires once"


def test_late_prices_move_the_stop_of_their_time() -> None:
    """154 was told late, and 150 was traded after it."""
    market = Market()
    market.feed("150", 1)
    market.quote("160", 9)

    assert (market.feed("154", 3), market.feed("150.05", 4)) == ([], [])
    assert market.feed("150", 5) == ["trk-1:trailing"]


def test_quotes_move_the_stop_of_what_was_traded_after_them() -> None:
    """Between two quotes the stop stood where the first had put it."""
    market = Market()
    market.feed("150", 1)
    market.quote("154", 5)
    market.quote("160", 9)

    assert (market.feed("150", 3), market.feed("150", 5)) == ([], [])
    assert market.feed("150", 6) == ["trk-1:trailing"]


def test_so_does_the_high_that_came_with_a_quote() -> None:
    """155 was the day's high: the stop stood at 151 before the next quote."""
    market = Market()
    market.feed("150", 1)
    market.quote("150", 1, ("150", "149"))
    for second in (2, 6):
        market.feed("150", second)
        market.watch.ranges.prove(OPENED_AT_NS + second * NANOSECONDS_PER_SECOND, market.watch.told)
    market.quote("154", 7, ("155", "149"))
    market.quote("160", 12, ("160", "149"))

    assert (market.feed("150", 6), market.feed("151.05", 8)) == ([], [])
    assert market.feed("151", 9) == ["trk-1:trailing"]


def test_a_late_best_price_counts_from_then_on() -> None:
    """163 was traded between two quotes: the stop stands four points below it."""
    market = Market()
    market.feed("150", 1)
    market.quote("160", 9)
    market.feed("163", 5)

    assert market.feed("159.05", 10) == []
    assert market.feed("159", 11) == ["trk-1:trailing"]


def test_a_fixed_level_is_reached_however_late() -> None:
    """Quotes do not move it."""
    rules = RuleSet(stop_loss=PriceRule(points=D(10)), trailing=TrailingRule(points=D(20)))
    market = Market(rules)
    market.feed("150", 1)
    market.quote("175", 9)

    assert market.feed("151", 3) == []
    assert market.feed("140", 4) == ["trk-1:stop_loss"]


def test_new_rules_meanwhile_hold_at_the_best_price_of_then() -> None:
    """A tighter rule of after the quotes asks no late price to be above where they took it."""
    market = Market()
    market.feed("150", 1)
    market.quote("160", 9)
    market.feed("151", 2)
    current = market.watch.current(TRACKER)
    assert current is not None
    market.watch.watch(replace(current, rules=RuleSet(trailing=TrailingRule(points=D(2)))))

    assert market.feed("150", 3) == []
    assert market.feed("149", 4) == ["trk-1:trailing"]


@pytest.mark.parametrize("is_before_the_first", [True, False])
def test_a_position_taken_meanwhile_waits_as_it_was_taken(is_before_the_first: bool) -> None:
    """Its fixed levels hold for late prices too, and quotes of before it move nothing of it."""
    market = Market()
    market.feed("150", 1)
    market.quote("160", 9)
    rules = RuleSet(stop_loss=PriceRule(points=D(10)), trailing=TrailingRule(points=D(4)))
    if not is_before_the_first:
        market.feed("151", 2)
    market.watch.watch(held(tracker_id=OTHER, rules=rules))
    market.quote("170", 12)

    assert market.feed("150", 3) == []
    assert "trk-2:stop_loss" in market.feed("139", 4)


def test_a_quote_dated_in_the_future_makes_later_prices_late_for_a_moment_only() -> None:
    """A position taken after it has a trailing stop as ever, and the account has a price of now."""
    market = Market()
    market.feed("150", 1)
    tomorrow_ns = _tick("150", 86_400 + 9).exchange_time_ns
    quote = replace(_tick("150", 9), exchange_time_ns=tomorrow_ns, source=TickSource.QUOTE)
    market.watch.on_quote(quote)
    market.watch.watch(held(tracker_id=OTHER, rules=TRAILING))

    seen = market.watch.on_tick(_tick("160", 15))
    assert seen is not None
    assert not seen.is_late
    assert sorted(market.feed("156", 16)) == ["trk-1:trailing", "trk-2:trailing"]


def test_one_that_left_or_fired_meanwhile_does_not_fire() -> None:
    """A position that fired by a quote, or was taken out, waits for nothing."""
    market = Market()
    market.watch.watch(held(tracker_id=OTHER, rules=TRAILING))
    market.feed("150", 1)
    market.quote("160", 8)
    market.watch.forget(market.tracker)
    assert market.quote("156", 9) == ["trk-2:trailing"]

    assert market.feed("140", 3) == []


def test_what_is_remembered_of_quotes_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the oldest count as traded before whatever comes late."""
    monkeypatch.setattr(late_prices, "QUOTES_MAX", 2)
    market = Market()
    market.feed("150", 1)
    for second, price in ((5, "153"), (7, "156"), (9, "160"), (11, "162")):
        market.quote(price, second)

    assert market.feed("153", 8) == []
    assert market.feed("152", 8) == ["trk-1:trailing"]
