"""The exchange calendar: hours, holidays and special sessions as the exchanges published them."""

from datetime import date, time, timedelta

import pytest

from squareoff.adapters.calendar import (
    AlwaysOpen,
    Exchange,
    ExchangeCalendar,
    SpecialSession,
    holiday_name,
    us_keeps_summer_time,
)
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.time import ns_from_iso

EQ, FNO, CURRENCY = (
    ExchangeSegment.NSE_EQ,
    ExchangeSegment.NSE_FNO,
    ExchangeSegment.NSE_CURRENCY,
)
MCX, BSE = ExchangeSegment.MCX_COMM, ExchangeSegment.BSE_FNO


def at(text: str) -> int:
    """Return an IST wall time, such as `2026-09-15 09:15`, as UTC nanoseconds."""
    return ns_from_iso(f"{text.replace(' ', 'T')}+05:30")


HOURS = {
    # name: (segment, last closed instant, first open, last open, first closed)
    "NSE equity": (EQ, "09:14:59.999999", "09:15", "15:29:59.999999", "15:30"),
    "NSE F&O": (FNO, "09:14:59", "09:15", "15:29:59", "15:30"),
    "BSE F&O": (BSE, "09:14:59", "09:15", "15:29:59", "15:30"),
    "currency": (CURRENCY, "08:59:59", "09:00", "16:59:59", "17:00"),
    "MCX in summer": (MCX, "08:59:59", "09:00", "23:29:59", "23:30"),
}


@pytest.mark.parametrize("name", HOURS)
def test_a_session_is_open_from_its_open_until_just_before_its_close(name: str) -> None:
    """On a usual Tuesday each segment is open within its hours and closed at their edges."""
    segment, before, opening, last, closing = HOURS[name]
    calendar = ExchangeCalendar()

    answers = [
        calendar.is_open(segment, at(f"2026-09-15 {clock}"))
        for clock in (before, opening, last, closing)
    ]

    assert answers == [False, True, True, False]


def test_every_segment_has_hours() -> None:
    """No segment the broker knows is closed for ever."""
    calendar = ExchangeCalendar()

    assert all(calendar.is_open(each, at("2026-09-15 11:00")) for each in ExchangeSegment)


EQUITY_HOLIDAYS_2025 = (
    "02-26 03-14 03-31 04-10 04-14 04-18 05-01 08-15 08-27 10-02 10-21 10-22 11-05 12-25"
)
EQUITY_HOLIDAYS_2026 = (
    "01-26 03-03 03-26 03-31 04-03 04-14 05-01 05-28 06-26 09-14 10-02 10-20 11-10 11-24 12-25"
)


@pytest.mark.parametrize(
    ("year", "listed"), [(2025, EQUITY_HOLIDAYS_2025), (2026, EQUITY_HOLIDAYS_2026)]
)
@pytest.mark.parametrize("segment", [EQ, BSE])
def test_the_years_weekday_holidays_are_those_of_the_circular(
    year: int, listed: str, segment: ExchangeSegment
) -> None:
    """The closed weekdays of 2025 and 2026 are exactly the exchanges' lists."""
    calendar = ExchangeCalendar()
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(365)]

    closed = [day for day in days if day.weekday() < 5 and not calendar.sessions(segment, day)]

    assert closed == [date.fromisoformat(f"{year}-{day}") for day in listed.split()]


def test_an_estimated_holiday_counts_as_a_trading_day_until_named() -> None:
    """A date that is only estimated holds no exit back; the settings can name it."""
    estimated = date(2027, 3, 10)  # Eid al-Fitr, estimated
    certain = date(2027, 3, 26)  # Good Friday

    assert holiday_name(Exchange.NSE, estimated) == ""
    assert holiday_name(Exchange.NSE, certain) == "Good Friday"
    assert ExchangeCalendar().sessions(EQ, estimated)
    assert not ExchangeCalendar([estimated]).sessions(EQ, estimated)


MCX_DAYS = {
    # name: (day, sessions), from MCX's holiday list of 2025
    "usual, summer": ("2025-07-01", ["09:00-23:30"]),
    "usual, winter": ("2025-12-01", ["09:00-23:55"]),
    "Good Friday": ("2025-04-18", []),
    "Independence Day": ("2025-08-15", []),
    "Dussehra and Gandhi Jayanti": ("2025-10-02", []),
    "Diwali": ("2025-10-21", []),
    "Christmas": ("2025-12-25", []),
    "Holi": ("2025-03-14", ["17:00-23:30"]),
    "Mahashivratri": ("2025-02-26", ["17:00-23:55"]),
    "Balipratipada": ("2025-10-22", ["17:00-23:30"]),
    "New Year's Day": ("2025-01-01", ["09:00-17:00"]),
    "Saturday": ("2025-07-05", []),
}


NAMED_DAYS = {
    # a holiday that the settings name: what MCX trades on it
    "of the stock exchanges, winter": ("2027-03-10", ["17:00-23:55"]),
    "of the stock exchanges, summer": ("2027-06-16", ["17:00-23:30"]),
    "known, with an evening": ("2026-11-24", ["17:00-23:55"]),
    "known, closed all day": ("2026-12-25", []),
    "New Year's Day": ("2027-01-01", ["09:00-17:00"]),
    "a Saturday": ("2027-03-13", []),
}


@pytest.mark.parametrize("name", NAMED_DAYS)
def test_a_named_holiday_leaves_mcx_its_evening(name: str) -> None:
    """As other holidays do: exits of the evening must not be held back. If MCX is closed after
    all it refuses them, and they wait."""
    text, expected = NAMED_DAYS[name]
    day = date.fromisoformat(text)
    calendar = ExchangeCalendar([day])

    assert calendar.sessions(EQ, day) == ()
    assert [f"{each.opens:%H:%M}-{each.closes:%H:%M}" for each in calendar.sessions(MCX, day)] == (
        expected
    )


@pytest.mark.parametrize("name", MCX_DAYS)
def test_mcx_keeps_evenings_of_its_own(name: str) -> None:
    """MCX trades the evening of most holidays and later while New York keeps winter time."""
    day, expected = MCX_DAYS[name]

    sessions = ExchangeCalendar().sessions(MCX, date.fromisoformat(day))

    assert [f"{s.opens:%H:%M}-{s.closes:%H:%M}" for s in sessions] == expected


@pytest.mark.parametrize(
    ("day", "is_summer"),
    [
        ("2026-03-07", False),
        ("2026-03-08", True),
        ("2026-10-31", True),
        ("2026-11-01", False),
        ("2025-03-09", True),
        ("2025-11-02", False),
    ],
)
def test_new_york_changes_its_clocks_on_sundays(day: str, is_summer: bool) -> None:
    """Summer time runs from the second Sunday of March to the first Sunday of November."""
    assert us_keeps_summer_time(date.fromisoformat(day)) is is_summer


MUHURAT = SpecialSession(date(2025, 10, 21), Exchange.NSE, time(13, 45), time(14, 45))
SHORT_DAY = SpecialSession(date(2025, 10, 20), Exchange.NSE, time(9, 15), time(12, 0))
SATURDAY_EARLY = SpecialSession(date(2025, 10, 18), Exchange.NSE, time(9, 15), time(10, 0))
SATURDAY_LATE = SpecialSession(date(2025, 10, 18), Exchange.NSE, time(11, 30), time(12, 30))


def test_special_sessions_take_the_place_of_the_days_hours() -> None:
    """A special session opens a holiday or weekend, shortens a day, and concerns its exchange."""
    calendar = ExchangeCalendar([MUHURAT.day], [MUHURAT, SHORT_DAY, SATURDAY_LATE, SATURDAY_EARLY])

    assert calendar.is_open(FNO, at("2025-10-21 13:45"))
    assert not calendar.is_open(FNO, at("2025-10-21 11:00"))
    assert not calendar.is_open(BSE, at("2025-10-21 14:00"))
    assert not calendar.is_open(FNO, at("2025-10-20 12:00"))
    assert calendar.seconds_to_open(EQ, at("2025-10-18 10:30")) == 3600


WAITS = {
    # name: (segment, instant, seconds)
    "open": (FNO, "2026-09-15 10:00", 0),
    "before the open": (FNO, "2026-09-15 09:14:59.500000", 0.5),
    "after the close": (FNO, "2026-09-15 15:30", (17 * 60 + 45) * 60),
    "over a weekend": (FNO, "2026-09-18 15:30", (17 * 60 + 45 + 2 * 24 * 60) * 60),
    "over Ganesh Chaturthi and a weekend": (
        FNO,
        "2026-09-11 15:30",
        (17 * 60 + 45 + 3 * 24 * 60) * 60,
    ),
    "to the evening of a holiday": (MCX, "2026-09-14 12:00", 5 * 3600),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_wait_to_the_next_session(name: str) -> None:
    """The wait counts to the next opening over nights, weekends and holidays."""
    segment, instant, seconds = WAITS[name]

    assert ExchangeCalendar().seconds_to_open(segment, at(instant)) == seconds


CLOSES = {
    # name: (segment, instant, seconds to the day's last close, None where none is left)
    "within the session": (FNO, "2026-09-15 15:00", 1_800),
    "before it": (FNO, "2026-09-15 08:30", 7 * 3_600),
    "after it": (FNO, "2026-09-15 15:30", None),
    "on a holiday": (FNO, "2026-09-14 10:00", None),
    "the evening of a holiday": (MCX, "2026-09-14 10:00", 13.5 * 3_600),
    "a winter evening": (MCX, "2025-12-01 23:00", 55 * 60),
    "the later of two special sessions": (EQ, "2025-10-18 09:20", 3 * 3_600 + 600),
    "Muhurat on a Sunday": (EQ, "2026-11-08 17:00", 2 * 3_600),
    "Muhurat on MCX is its own": (MCX, "2026-11-08 17:00", 3 * 3_600),
}


@pytest.mark.parametrize("name", CLOSES)
def test_the_time_to_the_days_last_close(name: str) -> None:
    """What a token must outlive: the end of the last session that is still to come today."""
    segment, instant, seconds = CLOSES[name]
    muhurat = [
        SpecialSession(date(2026, 11, 8), Exchange.NSE, time(18, 0), time(19, 0)),
        SpecialSession(date(2026, 11, 8), Exchange.MCX, time(18, 0), time(20, 0)),
    ]
    calendar = ExchangeCalendar([], [SATURDAY_EARLY, SATURDAY_LATE, *muhurat])

    assert calendar.seconds_to_last_close(segment, at(instant)) == seconds


def test_a_muhurat_session_opens_only_its_own_exchange() -> None:
    """Settings name the exchange; on Diwali's Sunday the others stay closed, MCX included."""
    muhurat = SpecialSession(date(2026, 11, 8), Exchange.NSE, time(18, 0), time(19, 0))
    calendar = ExchangeCalendar([], [muhurat])

    assert calendar.is_open(FNO, at("2026-11-08 18:30"))
    assert not calendar.is_open(BSE, at("2026-11-08 18:30"))
    assert not calendar.is_open(MCX, at("2026-11-08 18:30"))
    assert calendar.seconds_to_open(CURRENCY, at("2026-11-08 17:59")) == 60


def test_a_wait_without_an_end_is_bounded() -> None:
    """Where no session is found the wait is given as the length of the search."""
    start = date(2026, 9, 15)
    closed = [start + timedelta(days=number) for number in range(60)]

    wait = ExchangeCalendar(closed).seconds_to_open(FNO, at("2026-09-15 10:00"))

    assert wait == 30 * 86_400


TRADING_DAYS = {
    # name: (segment, day, hours of the day, usual close, when the broker begins)
    "F&O": (FNO, "2026-09-15", "09:15-15:30", "15:30", 10),
    "currency": (CURRENCY, "2026-09-15", "09:00-17:00", "17:00", 15),
    "MCX, last Friday of winter": (MCX, "2026-03-06", "09:00-23:55", "23:55", 10),
    "MCX, first Monday of summer": (MCX, "2026-03-09", "09:00-23:30", "23:30", 15),
    "MCX, last Friday of summer": (MCX, "2026-10-30", "09:00-23:30", "23:30", 15),
    "MCX, first Monday of winter": (MCX, "2026-11-02", "09:00-23:55", "23:55", 10),
    "MCX, evening of a holiday": (MCX, "2026-09-14", "17:00-23:30", "23:30", 15),
    "Muhurat": (FNO, "2025-10-21", "13:45-14:45", "15:30", 10),
    "a shortened day": (FNO, "2025-10-20", "09:15-12:00", "15:30", 10),
    "a holiday": (FNO, "2026-09-14", "", "15:30", 10),
}


@pytest.mark.parametrize("name", TRADING_DAYS)
def test_a_days_hours_beside_the_usual_ones(name: str) -> None:
    """What a square-off time is measured by, and when Dhan closes intraday positions itself."""
    segment, day, sessions, usual_close, broker_minutes = TRADING_DAYS[name]
    calendar = ExchangeCalendar([], [MUHURAT, SHORT_DAY])
    found = calendar.trading_day(segment, date.fromisoformat(day))

    assert ", ".join(f"{s.opens:%H:%M}-{s.closes:%H:%M}" for s in found.sessions) == sessions
    assert f"{found.usual.closes:%H:%M}" == usual_close
    assert found.broker_minutes == broker_minutes


def test_always_open_is_always_open() -> None:
    """In rehearsals every hour of every day is market time."""
    assert AlwaysOpen().is_open(FNO, at("2026-09-13 03:00"))
    assert AlwaysOpen().seconds_to_open(FNO, at("2026-09-13 03:00")) == 0
    assert AlwaysOpen().seconds_to_last_close(FNO, at("2026-09-13 03:00")) is None
    assert AlwaysOpen().trading_day(FNO, date(2026, 9, 13)).trades_at(time(3, 0))
