"""Rules about time, at their borders: ordinary days, days of other hours, the broker's own time."""

from dataclasses import replace
from datetime import time

import pytest

from exit_story.values import held
from squareoff.core.rules import time_rules
from squareoff.core.rules.time_rules import square_off_time
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.instruments import ProductType
from squareoff.domain.rules import RuleName, RuleSet
from squareoff.domain.sessions import ALL_DAY, Session, TradingDay
from squareoff.domain.time import Now, ns_from_iso, seconds_to_ns

STOCKS = Session(time(9, 15), time(15, 30))
SUMMER, WINTER = Session(time(9, 0), time(23, 30)), Session(time(9, 0), time(23, 55))
CARRIED, INTRADAY = ProductType.MARGIN, ProductType.INTRADAY


def day(usual: Session, *sessions: Session, broker: int | None = None) -> TradingDay:
    return TradingDay(sessions or (usual,), usual, broker)


ORDINARY = day(STOCKS, broker=10)
SHORTENED = day(STOCKS, Session(time(9, 15), time(12, 0)), broker=10)
MUHURAT = day(STOCKS, Session(time(18, 0), time(19, 0)), broker=10)
TWO_SESSIONS = day(
    STOCKS, Session(time(9, 15), time(10, 0)), Session(time(11, 30), time(12, 30)), broker=10
)
EVENING = day(SUMMER, Session(time(17, 0), time(23, 30)), broker=15)
NEW_YEAR = day(WINTER, Session(time(9, 0), time(17, 0)), broker=10)
HOLIDAY = TradingDay((), STOCKS, 10)

BEGINNINGS = {
    # name: (wanted, product, day, when it begins)
    "as written": ("15:15", INTRADAY, ORDINARY, "15:15"),
    "as written, carried": ("15:15", CARRIED, ORDINARY, "15:15"),
    "to the second": ("14:59:59", INTRADAY, ORDINARY, "14:59:59"),
    "just before the broker": ("15:18", INTRADAY, ORDINARY, "15:18"),
    "too near to the broker": ("15:18:01", INTRADAY, ORDINARY, "15:18"),
    "after the broker": ("15:25", INTRADAY, ORDINARY, "15:18"),
    "the broker leaves what is carried": ("15:25", CARRIED, ORDINARY, "15:25"),
    "carried, too near to the close": ("15:29", CARRIED, ORDINARY, "15:28"),
    "after the close": ("16:00", CARRIED, ORDINARY, "15:28"),
    "before the open": ("09:00", INTRADAY, ORDINARY, "09:00"),
    "shortened day": ("15:15", CARRIED, SHORTENED, "11:45"),
    "shortened day, before the broker": ("15:25", INTRADAY, SHORTENED, "11:48"),
    "shortened day, early enough": ("10:30", INTRADAY, SHORTENED, "10:30"),
    "shortened day, just early enough": ("11:45", CARRIED, SHORTENED, "11:45"),
    "shortened day, a second too late": ("11:45:01", CARRIED, SHORTENED, "11:45"),
    "Muhurat": ("15:15", CARRIED, MUHURAT, "18:45"),
    "Muhurat, a morning time": ("10:30", CARRIED, MUHURAT, "18:45"),
    "Muhurat, five minutes of lead": ("15:25", CARRIED, MUHURAT, "18:55"),
    "Muhurat, before the broker": ("15:25", INTRADAY, MUHURAT, "18:48"),
    "between two sessions": ("11:00", CARRIED, TWO_SESSIONS, "12:15"),
    "in the first of two sessions": ("09:45", CARRIED, TWO_SESSIONS, "09:45"),
    "MCX in summer": ("23:15", CARRIED, day(SUMMER, broker=15), "23:15"),
    "MCX in summer, before the broker": ("23:15", INTRADAY, day(SUMMER, broker=15), "23:13"),
    "MCX, a winter time in summer": ("23:40", CARRIED, day(SUMMER, broker=15), "23:28"),
    "MCX in winter": ("23:40", INTRADAY, day(WINTER, broker=10), "23:40"),
    "MCX, the evening of a holiday": ("23:10", INTRADAY, EVENING, "23:10"),
    "MCX, an afternoon time on it": ("15:15", CARRIED, EVENING, "23:15"),
    "MCX on New Year's Day": ("23:40", CARRIED, NEW_YEAR, "16:45"),
    "every hour is market time": ("15:15", INTRADAY, ALL_DAY, "15:15"),
    "a holiday": ("15:15", INTRADAY, HOLIDAY, None),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_square_off_begins_in_time(name: str) -> None:
    """Each day's hours decide, and an intraday position goes before the broker takes it."""
    wanted, product, hours, expected = BEGINNINGS[name]
    begins = square_off_time(time.fromisoformat(wanted), product, hours)

    assert begins == (None if expected is None else time.fromisoformat(expected))


def opened(text: str, rules: RuleSet, product: ProductType = INTRADAY) -> PositionTracker:
    return replace(held(rules=rules, product_type=product), created_at_ns=now(text).wall_ns)


def now(text: str) -> Now:
    return Now(ns_from_iso(f"{text.replace(' ', 'T')}+05:30"), 0)


def due_time_rule(tracker: PositionTracker, instant: Now, hours: TradingDay) -> RuleName | None:
    """What is due by a clock that was never set."""
    held_ns = instant.wall_ns - tracker.created_at_ns
    return time_rules.due_time_rule(tracker, instant, hours, held_ns=held_ns)


@pytest.mark.parametrize(
    ("clock", "hours", "rule"),
    [
        ("15:14:59.999999", ORDINARY, None),
        ("15:15:00", ORDINARY, RuleName.SQUARE_OFF),
        ("15:15:01", ORDINARY, RuleName.SQUARE_OFF),
        ("15:29:59", ORDINARY, RuleName.SQUARE_OFF),
        ("11:44:59.999999", SHORTENED, None),
        ("11:45:00", SHORTENED, RuleName.SQUARE_OFF),
        ("15:15:00", MUHURAT, None),
        ("18:44:59", MUHURAT, None),
        ("18:45:00", MUHURAT, RuleName.SQUARE_OFF),
        ("15:15:00", HOLIDAY, None),
        ("23:59:59", HOLIDAY, None),
    ],
)
def test_a_square_off_time_is_due_from_its_second_on(
    clock: str, hours: TradingDay, rule: RuleName | None
) -> None:
    """Not a microsecond early, at once where the engine comes late, and never on a holiday."""
    tracker = opened("2025-12-29 09:20:00", RuleSet(square_off_at=time(15, 15)), CARRIED)

    assert due_time_rule(tracker, now(f"2025-12-29 {clock}"), hours) is rule


def test_a_carried_position_waits_for_the_next_days_time() -> None:
    """What was opened after the time, or on an earlier day, is due when its time comes again."""
    tracker = opened("2025-12-28 15:20:00", RuleSet(square_off_at=time(15, 15)), CARRIED)

    assert due_time_rule(tracker, now("2025-12-29 09:15:00"), ORDINARY) is None
    assert due_time_rule(tracker, now("2025-12-29 15:15:00"), ORDINARY) is RuleName.SQUARE_OFF


def test_holding_time_counts_from_the_opening() -> None:
    """The holding time ends with its last nanosecond, on holidays as well."""
    tracker = opened("2025-12-29 09:20:00", RuleSet(max_holding_minutes=30))
    before, due = now("2025-12-29 09:49:59.999999"), now("2025-12-29 09:50:00")

    assert due_time_rule(tracker, before, ORDINARY) is None
    assert due_time_rule(tracker, due, ORDINARY) is RuleName.MAX_HOLDING
    assert due_time_rule(tracker, due, HOLIDAY) is RuleName.MAX_HOLDING
    assert due.wall_ns - tracker.created_at_ns == seconds_to_ns(1_800)


def test_of_two_that_are_due_the_square_off_is_named() -> None:
    """The time of day is what the day's report is about."""
    rules = RuleSet(square_off_at=time(15, 15), max_holding_minutes=1)
    tracker = opened("2025-12-29 09:20:00", rules)

    assert due_time_rule(tracker, now("2025-12-29 15:15:00"), ORDINARY) is RuleName.SQUARE_OFF
