"""The hours of the exchange: exact at each edge, whatever was asked before."""

from datetime import date, time

import pytest

from squareoff.adapters.calendar import Exchange, ExchangeCalendar, SpecialSession
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.time import ns_from_iso
from squareoff.services.prices.market_hours import MarketHours

FNO, MCX, INDEX = ExchangeSegment.NSE_FNO, ExchangeSegment.MCX_COMM, ExchangeSegment.IDX_I

EDGES = {
    # name: (segment, last instant outside, first inside, last inside, first outside)
    "futures": (FNO, "2026-09-15T09:14:59", "09:15:00", "15:29:59", "15:30:00"),
    "an index": (INDEX, "2026-09-15T09:14:59", "09:15:00", "15:29:59", "15:30:00"),
    "MCX in summer": (MCX, "2026-09-15T08:59:59", "09:00:00", "23:29:59", "23:30:00"),
    "MCX in winter": (MCX, "2025-12-01T08:59:59", "09:00:00", "23:54:59", "23:55:00"),
    "MCX, last Friday of winter": (MCX, "2026-03-06T08:59:59", "09:00:00", "23:54:59", "23:55:00"),
    "MCX, first Monday of summer": (MCX, "2026-03-09T08:59:59", "09:00:00", "23:29:59", "23:30:00"),
    "MCX, evening of a holiday": (MCX, "2026-09-14T16:59:59", "17:00:00", "23:29:59", "23:30:00"),
    "Muhurat": (FNO, "2026-11-08T17:59:59", "18:00:00", "18:59:59", "19:00:00"),
    "a shortened day": (FNO, "2026-11-09T09:14:59", "09:15:00", "11:59:59", "12:00:00"),
}


def hours() -> MarketHours:
    special = [
        SpecialSession(date(2026, 11, 8), Exchange.NSE, time(18, 0), time(19, 0)),
        SpecialSession(date(2026, 11, 9), Exchange.NSE, time(9, 15), time(12, 0)),
    ]
    return MarketHours(ExchangeCalendar([], special))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
@pytest.mark.parametrize("name", EDGES)
def test_a_trade_is_in_session_from_the_first_second_to_the_last(
    name: str, order: tuple[int, ...]
) -> None:
    """A second before the open and from the close on it is not; what was asked before is kept."""
    segment, first, *rest = EDGES[name]
    day = first[:10]
    instants = [f"{first}+05:30", *(f"{day}T{clock}+05:30" for clock in rest)]
    asked = hours()
    answers = {place: asked.is_in_session(segment, ns_from_iso(instants[place])) for place in order}

    assert [answers[place] for place in range(4)] == [False, True, True, False]


@pytest.mark.parametrize("instant", ["2026-09-13T11:00:00", "2026-09-14T11:00:00"])
def test_a_day_without_trading_has_no_session(instant: str) -> None:
    """Neither on a weekend nor on a holiday is there a price that one could have traded at."""
    asked = hours()

    assert not asked.is_in_session(FNO, ns_from_iso(f"{instant}+05:30"))
    assert asked.is_in_session(FNO, ns_from_iso("2026-09-15T11:00:00+05:30"))


def test_segments_have_hours_of_their_own() -> None:
    """What one segment was asked says nothing of another."""
    asked, evening = hours(), ns_from_iso("2026-09-15T20:00:00+05:30")

    assert not asked.is_in_session(FNO, evening)
    assert asked.is_in_session(MCX, evening)
    assert not asked.is_in_session(FNO, evening)
