"""The account's order-rate budget over all horizons, and the circuit breaker of order writes.

Both only look at a clock that is handed in; the queue that waits for them is `order_router`.
Source of the horizons: dhanhq-v2.md 9.1 (10/s, 250/min, 1000/h, 7000/day); the window type is not
documented, so windows slide.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from squareoff.domain.rules import Urgency
from squareoff.domain.time import seconds_to_ns

EXIT_RESERVE_SHARE = 0.25
"""This share of every horizon is kept for exits: entries can never starve them."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Most order writes in any rolling window."""

    per_second: int = 8
    per_minute: int = 240
    per_hour: int = 950
    per_day: int = 6800

    def windows(self) -> tuple[tuple[int, int], ...]:
        """Return (window in ns, limit) pairs."""
        return (
            (seconds_to_ns(1), self.per_second),
            (seconds_to_ns(60), self.per_minute),
            (seconds_to_ns(3_600), self.per_hour),
            (seconds_to_ns(86_400), self.per_day),
        )


class RateBudget:
    """Counts order writes in sliding windows of monotonic time."""

    def __init__(self, limits: RateLimits) -> None:
        self._windows = [(span, limit, deque[int]()) for span, limit in limits.windows()]

    def wait_ns(self, now_ns: int, urgency: Urgency) -> int:
        """Return how long until a write of this urgency fits, 0 if it fits now."""
        longest = 0
        for span, limit, taken in self._windows:
            while taken and taken[0] <= now_ns - span:
                taken.popleft()
            allowed = limit
            if urgency is Urgency.ENTRY:
                allowed = max(1, limit - max(1, round(limit * EXIT_RESERVE_SHARE)))
            if len(taken) >= allowed:
                frees_at = taken[len(taken) - allowed] + span
                longest = max(longest, frees_at - now_ns)
        return longest

    def take(self, now_ns: int) -> None:
        """Count one write."""
        for _span, _limit, taken in self._windows:
            taken.append(now_ns)

    def used(self) -> tuple[int, ...]:
        """Return the writes counted in each window, shortest first."""
        return tuple(len(taken) for _span, _limit, taken in self._windows)


class BreakerState(str, Enum):
    """Where the circuit breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


BREAKER_FAILURES = 5
"""Failures in a row that open the breaker: three tries of one order and two of the next."""

BREAKER_OPEN_SECONDS = 3.0
"""Pause before the probe. An open breaker delays exits, it never loses or refuses them."""


class CircuitBreaker:
    """Opens after failures in a row; then lets one probe through, which is an exit if one waits."""

    def __init__(self) -> None:
        self._failures = 0
        self._opened_at_ns: int | None = None
        self._probe_is_out = False

    def state(self, now_ns: int) -> BreakerState:
        """Return the state at an instant."""
        if self._opened_at_ns is None:
            return BreakerState.CLOSED
        if now_ns - self._opened_at_ns >= seconds_to_ns(BREAKER_OPEN_SECONDS):
            return BreakerState.HALF_OPEN
        return BreakerState.OPEN

    def wait_ns(self, now_ns: int) -> int | None:
        """Return how long until a write may try, None while a probe's answer is awaited."""
        match self.state(now_ns):
            case BreakerState.CLOSED:
                return 0
            case BreakerState.HALF_OPEN:
                return None if self._probe_is_out else 0
            case BreakerState.OPEN:
                assert self._opened_at_ns is not None, "open since some instant"
                return self._opened_at_ns + seconds_to_ns(BREAKER_OPEN_SECONDS) - now_ns

    def note_permit(self, now_ns: int) -> None:
        """A write was let through; while half open it is the probe."""
        if self.state(now_ns) is BreakerState.HALF_OPEN:
            self._probe_is_out = True

    def note_answer(self) -> None:
        """The broker answered (acceptance or refusal): it is there."""
        self._failures = 0
        self._opened_at_ns = None
        self._probe_is_out = False

    def note_failure(self, now_ns: int) -> None:
        """The broker could not be reached or gave no answer that can be trusted."""
        self._failures += 1
        if self._probe_is_out or self._failures >= BREAKER_FAILURES:
            self._opened_at_ns = now_ns
        self._probe_is_out = False

    def note_unused(self) -> None:
        """The write that was let through was not made."""
        self._probe_is_out = False
