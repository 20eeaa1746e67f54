"""The broker's clock, read from its answers on the side."""

import asyncio
from typing import Any

import pytest

from squareoff.adapters.broker.dhan.clock_readings import READINGS_MAX, ClockReadings, read_date
from squareoff.adapters.broker.dhan.transport import HttpRequest, HttpResponse, NoAnswer

DATE = "Tue, 15 Sep 2026 04:30:00 GMT"


def dated(**headers: str) -> HttpResponse:
    return HttpResponse(200, headers, b"{}")


def test_each_answer_gives_a_reading_and_passes_unchanged(fakes: Any) -> None:
    """What the caller gets is the transport's; the reading lies beside it, once."""
    http, clock = fakes.http(dated(date=DATE), dated()), fakes.clock()
    readings = ClockReadings(http, clock)

    answers = [asyncio.run(readings.send(HttpRequest("GET", "/x"), 3.0)) for _ in range(2)]

    assert [answer.body for answer in answers] == [b"{}", b"{}"]
    assert [reading.theirs_ns for reading in readings.take()] == [1_789_446_600_000_000_000]
    assert readings.take() == ()
    assert http.timeouts == [3.0, 3.0]


def test_a_failure_passes_and_leaves_no_reading(fakes: Any) -> None:
    """No answer, no clock."""
    readings = ClockReadings(fakes.http(NoAnswer("reset")), fakes.clock())

    with pytest.raises(NoAnswer):
        asyncio.run(readings.send(HttpRequest("GET", "/x"), 3.0))
    assert readings.take() == ()


def test_readings_are_bounded(fakes: Any) -> None:
    """Nobody takes them: the newest are kept."""
    count = READINGS_MAX + 5
    readings = ClockReadings(fakes.http(*[dated(date=DATE)] * count), fakes.clock())

    async def body() -> None:
        for _ in range(count):
            await readings.send(HttpRequest("GET", "/x"), 1.0)

    asyncio.run(body())
    assert len(readings.take()) == READINGS_MAX


@pytest.mark.parametrize("text", ["", "yesterday", "Tue, 99 Foo 2026 04:30:00 GMT"])
def test_an_unreadable_date_is_none(text: str) -> None:
    """A proxy may write anything."""
    assert read_date(dated(date=text)) is None
