"""Tests of domain.time: nanoseconds, ISO text and IST."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squareoff.domain.time import (
    DAY_NS,
    Now,
    iso_from_ns,
    ist_date,
    ist_day_number,
    ist_midnight_ns,
    ns_from_iso,
    seconds_to_ns,
)

MICROSECONDS = st.integers(min_value=0, max_value=4_000_000_000_000_000)


@given(microseconds=MICROSECONDS)
def test_iso_text_and_nanoseconds_are_one_instant(microseconds: int) -> None:
    """A time written as ISO text reads back as the same microsecond."""
    assert ns_from_iso(iso_from_ns(microseconds * 1_000)) == microseconds * 1_000


def test_times_are_shown_in_ist_with_offset() -> None:
    """Text for people is IST wall clock and says so."""
    assert iso_from_ns(0) == "1970-01-01T05:30:00.000000+05:30"


def test_a_time_without_offset_is_refused() -> None:
    """A wall clock without offset is not an instant."""
    with pytest.raises(ValueError, match="offset"):
        ns_from_iso("2026-09-15T15:15:00")


def test_now_knows_the_exchange_wall_clock() -> None:
    """Square-off times compare with IST, whatever the machine's zone."""
    now = Now(wall_ns=ns_from_iso("2026-09-15T09:45:00+00:00"), monotonic_ns=1)

    assert (now.ist().hour, now.ist().minute) == (15, 15)


def test_fractions_of_a_second_become_whole_nanoseconds() -> None:
    """Durations are whole nanoseconds."""
    assert seconds_to_ns(0.3) == 300_000_000


def test_the_day_of_india_begins_at_its_own_midnight() -> None:
    """18:30 UTC of the day before; nothing of the machine's zone matters."""
    midnight = ns_from_iso("2026-09-16T00:00:00+05:30")

    assert ist_midnight_ns(midnight) == ist_midnight_ns(midnight + DAY_NS - 1) == midnight
    assert ist_midnight_ns(midnight - 1) == midnight - DAY_NS
    assert ist_date(midnight) == ist_date(midnight + DAY_NS - 1) == date(2026, 9, 16)
    assert ist_date(midnight - 1) == date(2026, 9, 15)
    assert ist_day_number(midnight) - ist_day_number(midnight - 1) == 1
    assert ist_day_number(0) == 0
