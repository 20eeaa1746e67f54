"""The clock and the event loop of a replay: time is that of the recording.

The monotonic clock is the loop's virtual time. The wall clock stands where the newest record says
it stood at its receipt, so that a step it made then is made again.
"""

import asyncio
import random
from collections.abc import Callable

from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now
from squareoff.simulator.virtual.virtual_loop import VirtualLoop

_NO_END = float("inf")
_NO_BOUND = 2**62
_SEED = 0
"""Callbacks of one instant run in an order drawn from this: the same in every replay."""


class PacedLoop(VirtualLoop):
    """A virtual loop that lets real time pass too, a `speed`-th of it.

    Args:
        speed: market seconds per second, None for as fast as it goes.
        pause: waits so many real seconds.
    """

    def __init__(self, speed: float | None, pause: Callable[[float], None]) -> None:
        super().__init__(random.Random(_SEED), _NO_END, steps_max=_NO_BOUND)
        self._speed = speed
        self._pause = pause

    def _jump(self, timers: list[tuple[float, int, asyncio.TimerHandle]]) -> None:
        before = self.time()
        super()._jump(timers)
        if self._speed is not None:
            self._pause((self.time() - before) / self._speed)


class ReplayClock:
    """Fulfils `ports.Clock` on the running loop.

    `begin_wall_ns` is the wall clock's time at the loop's time zero.
    """

    def __init__(self, begin_wall_ns: int) -> None:
        self._wall_offset_ns = begin_wall_ns

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        elapsed_ns = _loop_ns()
        return Now(self._wall_offset_ns + elapsed_ns, elapsed_ns)

    async def sleep(self, seconds: float) -> None:
        """Let recorded time pass."""
        await asyncio.sleep(seconds)

    def set_wall(self, wall_ns: int) -> None:
        """Let the wall clock stand here now."""
        self._wall_offset_ns = wall_ns - _loop_ns()


def _loop_ns() -> int:
    return round(asyncio.get_running_loop().time() * NANOSECONDS_PER_SECOND)
