"""Pauses grow while a connection fails, and begin anew after one that stood."""

import asyncio
from http import HTTPStatus

import pytest

from service_world.virtual import VirtualClock, run_virtual
from service_world.world import FullJitter
from squareoff.services.session.backoff import BACKOFF_MAX_SECONDS, COOL_DOWN_SECONDS, Backoff


@pytest.mark.parametrize(("lived", "pause"), [(9.9, 1.0), (10.0, 0.5)])
def test_only_a_connection_that_stood_starts_the_pauses_anew(lived: float, pause: float) -> None:
    """Ten seconds make a connection; a shorter one is one more failure."""

    async def body() -> None:
        clock, backoff = VirtualClock(), Backoff(FullJitter())
        assert backoff.next_seconds(None, clock.now()) == 0.5
        backoff.note_connected(clock.now())
        await asyncio.sleep(lived)

        assert backoff.next_seconds(None, clock.now()) == pause

    run_virtual(body())


def test_the_pauses_grow_up_to_a_limit() -> None:
    """They double from half a second; nothing makes the next try wait longer than the limit."""
    clock, backoff = VirtualClock(), Backoff(FullJitter())

    async def body() -> None:
        pauses = [backoff.next_seconds(None, clock.now()) for _ in range(8)]
        assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, BACKOFF_MAX_SECONDS, BACKOFF_MAX_SECONDS]

    run_virtual(body())


def test_too_many_requests_add_a_cool_down() -> None:
    """The broker wants a minute on top, and no other refusal does."""
    clock = VirtualClock()

    async def body() -> None:
        limited, refused = Backoff(FullJitter()), Backoff(FullJitter())
        pause = limited.next_seconds(HTTPStatus.TOO_MANY_REQUESTS, clock.now())
        assert pause == COOL_DOWN_SECONDS + refused.next_seconds(503, clock.now())

    run_virtual(body())
