"""When silence is blindness, and whose quotes are wanted before it is."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from exit_story.values import INSTRUMENT, OPENED_AT_NS, held
from squareoff.core.prices.silence import Silences, has_told_all, waits_for_prices
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.rules import BreakEvenRule, PriceRule, RuleSet
from squareoff.domain.ticks import Tick
from squareoff.domain.time import seconds_to_ns

ONE = INSTRUMENT.instrument_id
TWO = InstrumentId(ONE.exchange_segment, "2")
THREE = InstrumentId(ONE.exchange_segment, "3")


def ns(seconds: float) -> int:
    """Return seconds as nanoseconds."""
    return seconds_to_ns(seconds)


def test_blindness_begins_half_a_second_after_the_limit_and_ends_with_a_price() -> None:
    """An outage is told once."""
    silences = Silences(5.0)
    silences.listen(ONE, ns(10))

    assert silences.look(ns(15.5)) == []
    assert silences.look(ns(15.51)) == [ONE]
    assert silences.look(ns(16)) == []
    assert silences.is_blind(ONE)
    assert silences.blind() == {ONE}
    silences.hear(ONE, ns(16.1))
    assert silences.look(ns(16.25)) == []
    assert not silences.is_blind(ONE)


def test_listening_again_does_not_make_the_silence_shorter() -> None:
    """Neither does hearing of an instant of before."""
    silences = Silences(5.0)
    silences.listen(ONE, ns(10))
    silences.listen(ONE, ns(14))
    silences.hear(ONE, ns(9))

    assert silences.look(ns(16)) == [ONE]


def test_what_is_ignored_is_not_blind() -> None:
    """No rule waits for it any more."""
    silences = Silences(5.0)
    silences.listen(ONE, ns(10))
    silences.look(ns(20))
    silences.ignore(ONE)

    assert (silences.blind(), silences.is_blind(ONE)) == (frozenset(), False)
    assert silences.look(ns(30)) == []


def test_quotes_are_wanted_a_second_before_the_limit_with_those_soon_due() -> None:
    """One that is due takes those along that were silent for half the limit."""
    silences = Silences(5.0)
    silences.listen(ONE, ns(10))
    silences.listen(TWO, ns(11))
    silences.listen(THREE, ns(13))

    assert silences.wanted(ns(13.9), 10) == []
    assert silences.wanted(ns(14), 10) == [ONE, TWO]


def test_those_asked_longest_ago_come_first() -> None:
    """Where a call holds fewer than are silent, all of them get their turn."""
    silences = Silences(5.0)
    for name in (ONE, TWO, THREE):
        silences.listen(name, ns(10))
    first = silences.wanted(ns(20), 2)
    silences.note_asked(first, ns(20))

    assert [*first, silences.wanted(ns(21), 2)[0]] == [ONE, TWO, THREE]


def test_a_limit_below_two_seconds_asks_after_half_of_it() -> None:
    """There is no second left to ask earlier."""
    silences = Silences(1.0)
    silences.listen(ONE, 0)

    assert silences.wanted(ns(0.49), 10) == []
    assert silences.wanted(ns(0.5), 10) == [ONE]


@pytest.mark.parametrize(
    ("rules", "waits"),
    [
        (RuleSet(), False),
        (RuleSet(max_holding_minutes=5), False),
        (RuleSet(stop_loss=PriceRule(points=D(1))), True),
        (RuleSet(target=PriceRule(points=D(1))), True),
        (RuleSet(break_even=BreakEvenRule(at_profit_points=D(1))), True),
    ],
)
def test_rules_about_prices_wait_for_them(rules: RuleSet, waits: bool) -> None:
    """Rules about time do not."""
    assert waits_for_prices(held(rules=rules)) is waits


SECOND = 10**9
TOLD = Tick(ONE, INSTRUMENT.tick_units * 3_000, OPENED_AT_NS, OPENED_AT_NS, 0)


@pytest.mark.parametrize(
    ("quoted", "told", "feed_up_since_ns", "all_told"),
    [
        (TOLD, TOLD, OPENED_AT_NS - 60 * SECOND, True),
        (TOLD, TOLD, None, False),
        (TOLD, None, OPENED_AT_NS - 60 * SECOND, False),
        (TOLD, None, OPENED_AT_NS + 2 * SECOND, True),
        (TOLD, None, OPENED_AT_NS + 1 * SECOND, False),
        (replace(TOLD, last_traded_price=500), TOLD, OPENED_AT_NS - 60 * SECOND, False),
        (
            replace(TOLD, exchange_time_ns=OPENED_AT_NS + SECOND),
            TOLD,
            OPENED_AT_NS - 60 * SECOND,
            False,
        ),
    ],
    ids=[
        "the same trade",
        "the feed is away",
        "never told",
        "of before the connection",
        "perhaps of after it",
        "another price",
        "a later trade",
    ],
)
def test_a_quote_shows_whether_the_feed_told_all(
    quoted: Tick, told: Tick | None, feed_up_since_ns: int | None, all_told: bool
) -> None:
    """Only the trade that the feed told last, or one of before the connection, proves it."""
    assert has_told_all(quoted, told, feed_up_since_ns) is all_told
