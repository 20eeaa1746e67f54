"""Keep the collector of cyclic garbage out of an exit's way.

A full collection looks at every object that lives: with 1,000 positions that takes over 100
milliseconds, in which no price is judged and nothing leaves, and a burst of exits is what sets it
off. Here full collections are made while no exit is under way. What lives long is set aside
(`gc.freeze`), so that the next one looks only at what has come since. The collector is the
process's and not an engine's, so the program that runs one engine makes the rounds.
Invariants:
1. While an exit is under way none is made, but for one in ten minutes: garbage must not grow for
   ever where an exit waits all day.
2. What was set aside is looked at again once nothing is open, at most once an hour.
"""

import gc
from typing import Protocol

from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock

ROUND_SECONDS = 10.0
BUSY_SECONDS_MAX = 600.0
WHOLE_SECONDS = 3_600.0

PAUSE_SECONDS_MAX = 0.005
"""A collection that takes longer has seen much that lives long: that is set aside."""

YOUNG_THRESHOLDS = (2_000, 10, 1_000_000)
"""When the interpreter collects by itself (`gc.set_threshold`): young objects only, some 20,000 at
most, which takes a few milliseconds."""

_SIMULATING_THRESHOLDS = (20_000, 20, 50)


def look_less_often() -> None:
    """Set aside what lives in a process that only simulates, and collect rarely from here on: a
    simulated exit makes much garbage without cycles, and looking for cycles is a fifth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SIMULATING_THRESHOLDS)


class OpenPositions(Protocol):
    """What a pause could harm."""

    @property
    def has_live_exit(self) -> bool:
        """Say whether an exit is under way."""
        ...

    @property
    def has_open(self) -> bool:
        """Say whether a position is open."""
        ...


class GarbageRounds:
    """Makes the full collections of this process."""

    def __init__(self, positions: OpenPositions, clock: Clock) -> None:
        self._positions = positions
        self._clock = clock
        self._collected_ns = self._whole_ns = clock.now().monotonic_ns

    async def run(self) -> None:
        """Collect in rounds for ever; cancelled, leave the collector as it was found."""
        before = gc.get_threshold()
        gc.set_threshold(*YOUNG_THRESHOLDS)
        gc.collect()
        gc.freeze()
        try:
            while True:
                await self._clock.sleep(ROUND_SECONDS)
                self._round()
        finally:
            gc.set_threshold(*before)
            gc.unfreeze()

    def _round(self) -> None:
        began_ns = self._clock.now().monotonic_ns
        may_wait = began_ns - self._collected_ns < seconds_to_ns(BUSY_SECONDS_MAX)
        if may_wait and self._positions.has_live_exit:
            return
        is_due = began_ns - self._whole_ns >= seconds_to_ns(WHOLE_SECONDS)
        is_whole = is_due and not self._positions.has_open
        if is_whole:
            gc.unfreeze()
            self._whole_ns = began_ns
        gc.collect()
        self._collected_ns = self._clock.now().monotonic_ns
        if is_whole or self._collected_ns - began_ns > seconds_to_ns(PAUSE_SECONDS_MAX):
            gc.freeze()
