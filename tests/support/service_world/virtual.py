"""Run an async test body in virtual time; ready callbacks run in an order drawn from a seed."""

import asyncio
import random
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from datetime import datetime, time
from typing import Any, TypeVar

from async_body import settle
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND, Now, ns_from_datetime
from squareoff.simulator.virtual.virtual_loop import VirtualLoop

__all__ = ["START_MONOTONIC_NS", "START_WALL_NS", "VirtualClock", "run_virtual", "settle"]

START_WALL_NS = 1_789_440_000_000_000_000
"""2026-09-15 08:10 IST."""

START_MONOTONIC_NS = 5_000_000_000
_DEADLINE_SECONDS = 400_000.0
_STEPS_MAX = 5_000_000
"""Some tests let a whole trading day pass; a program that spins is through this in a minute."""

_begun_later_ns = ContextVar("begun_later_ns", default=0)
"""By how much a test begins after `START_WALL_NS`, which a test may move: a clock that is set."""

_Result = TypeVar("_Result")


def run_virtual(
    body: Coroutine[Any, Any, _Result], seed: int = 0, *, begins: time | None = None
) -> _Result:
    """Run `body` and return its result; a program that waits for ever is a Deadlock.

    Args:
        begins: what the clock shows at first, in India; for what happens late in a day.
    """
    print(f"seed {seed}")
    context = copy_context()
    if begins is not None:
        day = datetime.fromtimestamp(START_WALL_NS // NANOSECONDS_PER_SECOND, IST).date()
        began_ns = ns_from_datetime(datetime.combine(day, begins, IST))
        context.run(_begun_later_ns.set, began_ns - START_WALL_NS)

    def make_loop() -> asyncio.AbstractEventLoop:
        return VirtualLoop(random.Random(seed), _DEADLINE_SECONDS, steps_max=_STEPS_MAX)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(body, context=context)


class VirtualClock:
    """Time of the virtual loop, on a trading day."""

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        elapsed = round(asyncio.get_running_loop().time() * NANOSECONDS_PER_SECOND)
        wall_ns = START_WALL_NS + _begun_later_ns.get() + elapsed
        return Now(wall_ns, START_MONOTONIC_NS + elapsed)

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)
