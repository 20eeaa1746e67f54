"""How many calls are taken: by role and source, with a reserve for what stops and closes.

Invariants:
1. A call that halts or closes has a budget of its own behind the common one, so no flood of other
   calls, whoever makes it, keeps it out.
2. A right token is never delayed for wrong ones before it.
"""

import re
from dataclasses import dataclass

URGENT_CALLS = re.compile(r"/api/v1/(kill-switch|exit-all|trackers/[^/]+/exit)")
"""Paths of the calls with the reserve."""

GROUPS_MAX = 200
"""Roles and sources counted apart; the one that was silent longest is forgotten for a new one."""

FREE_FAILURES = 5
DELAY_SECONDS_FIRST = 0.05
FORGET_SECONDS = 60.0
"""After this long without a wrong token a source begins anew."""

DELAYED_MAX = 16
"""Refusals held back at once; what comes beyond is told to come again later, at once."""


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Calls a second, and at once after a pause: of one role from one source; of the reserve.
    And the longest that the refusal of a wrong token is held back."""

    calls_per_second: float = 25.0
    calls_at_once: int = 500
    urgent_per_second: float = 50.0
    urgent_at_once: int = 200
    failure_delay_seconds_max: float = 2.0


USUAL_LIMITS = ApiLimits()


class _Bucket:
    """So many calls at once, refilled at a rate."""

    def __init__(self, rate: float, size: int) -> None:
        self._rate = rate
        self._size = size
        self._left = float(size)
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Take one call, or say that none is left."""
        if not self.has_call(now):
            return False
        self._left -= 1.0
        return True

    def has_call(self, now: float) -> bool:
        """Say whether a call is left, and take none."""
        self._left = min(float(self._size), self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left >= 1.0


class CallBudget:
    """The budgets of all callers."""

    def __init__(self, limits: ApiLimits) -> None:
        self._limits = limits
        self._common: dict[str, _Bucket] = {}
        self._urgent: dict[str, _Bucket] = {}

    def take(self, caller: str, *, is_urgent: bool, now: float) -> bool:
        """Say whether this call is taken; `now` is seconds of a clock that only rises."""
        if self._common_of(caller).take(now):
            return True
        return is_urgent and self._urgent_of(caller).take(now)

    def has_room(self, caller: str, *, is_urgent: bool, now: float) -> bool:
        """Say whether `take` would take this call."""
        if self._common_of(caller).has_call(now):
            return True
        return is_urgent and self._urgent_of(caller).has_call(now)

    def _common_of(self, caller: str) -> _Bucket:
        limits = self._limits
        return _of(self._common, caller, limits.calls_per_second, limits.calls_at_once)

    def _urgent_of(self, caller: str) -> _Bucket:
        limits = self._limits
        return _of(self._urgent, caller, limits.urgent_per_second, limits.urgent_at_once)


def _of(buckets: dict[str, _Bucket], caller: str, rate: float, size: int) -> _Bucket:
    bucket = buckets.pop(caller, None) or _Bucket(rate, size)
    buckets[caller] = bucket  # the newest is last, so the first is the one to forget
    if len(buckets) > GROUPS_MAX:
        del buckets[next(iter(buckets))]
    return bucket


class FailureDelays:
    """How long to hold back the refusal of a wrong token, longer with each one of a source."""

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._failures: dict[str, tuple[int, float]] = {}
        self.delayed = 0

    @property
    def is_full(self) -> bool:
        """Say whether as many refusals are held back as may be."""
        return self.delayed >= DELAYED_MAX

    def next_delay(self, source: str, now: float) -> float:
        """Count one more wrong token of `source`, and return the seconds to wait."""
        count, last = self._failures.pop(source, (0, now))
        if now - last > FORGET_SECONDS:
            count = 0
        self._failures[source] = (count + 1, now)
        if len(self._failures) > GROUPS_MAX:
            del self._failures[next(iter(self._failures))]
        if count < FREE_FAILURES:
            return 0.0
        doublings = min(count - FREE_FAILURES, 10)
        return float(min(self._seconds_max, DELAY_SECONDS_FIRST * 2**doublings))
