"""Full collections stay out of an exit's way, and garbage goes all the same."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from service_world.virtual import VirtualClock, run_virtual
from squareoff.adapters.garbage_collection import (
    BUSY_SECONDS_MAX,
    ROUND_SECONDS,
    WHOLE_SECONDS,
    YOUNG_THRESHOLDS,
    GarbageRounds,
)

FULL = 2
"""The collector's oldest generation."""


@dataclass
class Positions:
    """What is open, as a test says."""

    has_live_exit: bool = False
    has_open: bool = True


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


def rounds(positions: Positions, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the rounds beside the body, in virtual time."""

    async def run() -> None:
        task = asyncio.create_task(GarbageRounds(positions, VirtualClock()).run())
        await asyncio.sleep(0)
        try:
            await body()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    run_virtual(run())


@pytest.fixture(autouse=True)
def _set_aside_again() -> Iterator[None]:
    """Put back what the test session had set aside."""
    yield
    gc.freeze()


@pytest.fixture
def full_collections() -> Any:
    """Count full collections."""
    seen: list[int] = []

    def note(phase: str, told: dict[str, int]) -> None:
        if phase == "stop" and told["generation"] == FULL:
            seen.append(1)

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


def knot() -> "weakref.ref[Knot]":
    return weakref.ref(Knot())


def test_garbage_goes_while_no_exit_is_under_way(full_collections: list[int]) -> None:
    """One full collection a round, and none between."""

    async def body() -> None:
        full_collections.clear()
        found = knot()
        await asyncio.sleep(ROUND_SECONDS * 3.5)
        assert found() is None
        assert len(full_collections) == 3

    rounds(Positions(), body)


def test_an_exit_under_way_is_not_held_up(full_collections: list[int]) -> None:
    """None until the exit is over, but for one in ten minutes."""
    positions = Positions(has_live_exit=True)

    async def body() -> None:
        full_collections.clear()
        found = knot()
        await asyncio.sleep(BUSY_SECONDS_MAX - ROUND_SECONDS)
        assert full_collections == [] and found() is not None
        await asyncio.sleep(ROUND_SECONDS * 1.2)
        assert len(full_collections) == 1 and found() is None
        positions.has_live_exit = False
        await asyncio.sleep(ROUND_SECONDS)
        assert len(full_collections) == 2

    rounds(positions, body)


def test_what_was_set_aside_is_looked_at_once_nothing_is_open() -> None:
    """An object that was alive when the rest was set aside is found when it has died since."""
    positions = Positions()
    held = [Knot()]

    async def body() -> None:
        found = weakref.ref(held[0])
        held.clear()
        await asyncio.sleep(WHOLE_SECONDS * 2)
        assert found() is not None, "set aside with all that lives long"
        positions.has_open = False
        await asyncio.sleep(ROUND_SECONDS * 2)
        assert found() is None

    rounds(positions, body)


def test_the_collector_is_left_as_it_was_found() -> None:
    """Nothing stays set aside and the thresholds are the old ones."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()

    async def body() -> None:
        assert gc.get_threshold() == YOUNG_THRESHOLDS
        assert gc.get_freeze_count() > frozen

    rounds(Positions(), body)
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
