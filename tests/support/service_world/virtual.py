"""Run an async test body in virtual time; ready callbacks run in an order drawn from a seed."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

from async_body import settle
from squareoff.domain.time import Now
from squareoff.simulator.virtual.virtual_loop import VirtualLoop

__all__ = ["START_MONOTONIC_NS", "START_WALL_NS", "VirtualClock", "run_virtual", "settle"]

START_WALL_NS = 1_789_440_000_000_000_000
"""2026-09-15 08:10 IST."""

START_MONOTONIC_NS = 5_000_000_000
_DEADLINE_SECONDS = 400_000.0
_STEPS_MAX = 5_000_000
"""Some tests let a whole trading day pass; a program that spins is through this in a minute."""

_Result = TypeVar("_Result")


def run_virtual(body: Coroutine[Any, Any, _Result], seed: int = 0) -> _Result:
    """Run `body` and return its result; a program that waits for ever is a Deadlock."""
    print(f"seed {seed}")

    def make_loop() -> asyncio.AbstractEventLoop:
        return VirtualLoop(random.Random(seed), _DEADLINE_SECONDS, steps_max=_STEPS_MAX)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(body)


class VirtualClock:
    """Time of the virtual loop, on a trading day."""

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        elapsed = round(asyncio.get_running_loop().time() * 1_000_000_000)
        return Now(START_WALL_NS + elapsed, START_MONOTONIC_NS + elapsed)

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)
