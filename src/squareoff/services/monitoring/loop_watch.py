"""Measure how late the event loop runs what is due: whatever stalls it delays every exit."""

from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.ports import Clock
from squareoff.services.monitoring.metrics import Metrics

INTERVAL_SECONDS = 0.1
"""Ten looks a second: a stall that matters to an exit is longer than that."""


class LoopWatch:
    """Sleeps, and looks how much longer it took."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._metrics: Metrics | None = None

    def measure(self, metrics: Metrics) -> None:
        """Say where the measurements go."""
        self._metrics = metrics

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            began_ns = self._clock.now().monotonic_ns
            await self._clock.sleep(INTERVAL_SECONDS)
            took = (self._clock.now().monotonic_ns - began_ns) / NANOSECONDS_PER_SECOND
            if self._metrics is not None:
                self._metrics.loop_stall_seconds.observe(max(0.0, took - INTERVAL_SECONDS))
