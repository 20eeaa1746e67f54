"""The loop's stalls are measured by how late a sleep ends."""

import asyncio

from prometheus_client import CollectorRegistry

from squareoff.domain.time import Now, seconds_to_ns
from squareoff.services.monitoring.loop_watch import INTERVAL_SECONDS, LoopWatch
from squareoff.services.monitoring.metrics import Metrics


class LateClock:
    """A clock whose sleeps end late by what it is told, and then no more."""

    def __init__(self, *late_seconds: float) -> None:
        self._late = list(late_seconds)
        self._now_ns = 0

    def now(self) -> Now:
        """Return the time that was slept through."""
        return Now(self._now_ns, self._now_ns)

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        if not self._late:
            raise asyncio.CancelledError
        self._now_ns += seconds_to_ns(seconds + self._late.pop(0))


def _measured(*late_seconds: float) -> CollectorRegistry:
    metrics, watch = Metrics(), LoopWatch(LateClock(*late_seconds))
    watch.measure(metrics)

    async def body() -> None:
        try:
            await watch.run()
        except asyncio.CancelledError:
            return

    asyncio.run(body())
    return metrics.registry


def test_only_what_is_late_counts() -> None:
    """Sleeps that end in time are stalls of nothing; the others of what was over."""
    registry = _measured(0.0, 2.0, 0.0)

    assert registry.get_sample_value("squareoff_loop_stall_seconds_count") == 3.0
    assert registry.get_sample_value("squareoff_loop_stall_seconds_sum") == 2.0
    in_time = registry.get_sample_value("squareoff_loop_stall_seconds_bucket", {"le": "0.001"})
    assert in_time == 2.0
    assert INTERVAL_SECONDS > 0
