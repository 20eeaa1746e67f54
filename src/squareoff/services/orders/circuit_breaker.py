"""Circuit breakers of one account: one per class of broker calls, so that each fails alone.

Each only looks at a clock that is handed in; the queue that waits for them is `permit_queue`.
Invariants:
1. An open breaker delays; it never refuses and never loses: every wait it tells is bounded.
2. While half open one probe is out, and an entry never takes an exit's turn.
3. Only calls let through since it last opened move it: what was let through before says nothing
   new, begun or not.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from squareoff.domain.time import seconds_to_ns


class Endpoint(str, Enum):
    """A class of broker calls that fail together."""

    PLACEMENTS = "placements"
    """New orders."""
    CHANGES = "changes"
    """Modifies and cancels."""
    READS = "reads"
    """Books, positions, quotes: their breaker is shown and never holds a read back."""


class BreakerState(str, Enum):
    """Where a circuit breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


BREAKER_WINDOW_SECONDS = 30.0
"""Calls of this long count for the error rate: the time in which a mass exit runs its course."""

BREAKER_CALLS_MIN = 20
"""Fewer calls in the window make no rate: with three of ten answers lost by bad luck alone, twelve
of the first twenty are lost once in two hundred times."""

BREAKER_ERROR_RATE = 0.6
"""This share of failed calls opens the breaker."""

BREAKER_FAILURES_IN_A_ROW = 8
"""So many failures in a row open it at once: a broker that still answers seven calls of ten shows
eight in a row about once in eighty mass exits, one that is gone shows it within a second."""

BREAKER_OPEN_SECONDS = (1.0, 2.0, 4.0, 5.0)
"""Pauses before the probe, by openings in a row; the last one repeats: a broker that is away is
asked at least this often while an exit waits."""

PROBE_SECONDS_MAX = 15.0
"""A probe without any end after this long counts as lost: a gateway call ends within 8 s."""

ENTRY_PROBE_DELAY_SECONDS = 1.0
"""An entry may probe only so long after an exit could have: exits are asked for again by then."""


@dataclass(slots=True)
class _Opening:
    """One time that the breaker is open."""

    until_ns: int
    older_permits: int
    """Calls that were let through before and are neither begun nor given back; they come first,
    for each is made at once, and the probe is let through a pause later."""
    probe_since_ns: int | None = None


class CircuitBreaker:
    """Opens by error rate or failures in a row; then lets one probe through, whose end decides."""

    def __init__(self) -> None:
        self._calls: deque[tuple[int, bool]] = deque()
        self._failed = 0
        self._in_a_row = 0
        self._opening: _Opening | None = None
        self._opened_count = 0
        self._permits = 0
        self._openings_in_a_row = 0
        self._closed_at_ns: int | None = None

    def state(self, now_ns: int) -> BreakerState:
        """Return the state at an instant."""
        if self._opening is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now_ns < self._opening.until_ns else BreakerState.HALF_OPEN

    def wait_ns(self, now_ns: int, *, is_exit: bool) -> int:
        """Return how long until a call may try, 0 for now; a probe that ends shortens it."""
        opening = self._opening
        if opening is None:
            return 0
        opens_at = opening.until_ns
        if not is_exit:
            opens_at += seconds_to_ns(ENTRY_PROBE_DELAY_SECONDS)
        if opening.probe_since_ns is not None:
            opens_at = max(opens_at, opening.probe_since_ns + seconds_to_ns(PROBE_SECONDS_MAX))
        return max(0, opens_at - now_ns)

    def note_permit(self, now_ns: int) -> None:
        """A call was let through; while not closed it is the probe."""
        self._permits += 1
        if self._opening is not None:
            self._opening.probe_since_ns = now_ns

    def note_unused(self) -> None:
        """A call that was let through is not made."""
        if not self._was_let_through_before() and self._opening is not None:
            self._opening.probe_since_ns = None

    def begin(self) -> int:
        """A call begins; hand the number back with its end."""
        return self._opened_count - self._was_let_through_before()

    def _was_let_through_before(self) -> bool:
        """A permit ends: say whether it was given before the breaker last opened."""
        self._permits = max(0, self._permits - 1)  # reads need none
        if self._opening is None or self._opening.older_permits == 0:
            return False
        self._opening.older_permits -= 1
        return True

    def note_unsent(self, began: int) -> None:
        """Nothing of a call left, by our own choice."""
        if began == self._opened_count and self._opening is not None:
            self._opening.probe_since_ns = None

    def note_answer(self, began: int, now_ns: int) -> None:
        """The broker answered (acceptance, refusal, too many requests): it is there."""
        if began != self._opened_count:
            return
        if self._opening is not None:
            self._close(now_ns)
        self._note(now_ns, failed=False)

    def note_failure(self, began: int, now_ns: int) -> None:
        """The broker could not be reached or gave no answer that can be trusted."""
        if began != self._opened_count:
            return
        self._note(now_ns, failed=True)
        if self._opening is not None or self._is_too_much():
            self._open(now_ns)

    def _note(self, now_ns: int, *, failed: bool) -> None:
        self._calls.append((now_ns, failed))
        self._failed += failed
        self._in_a_row = self._in_a_row + 1 if failed else 0
        while self._calls[0][0] <= now_ns - seconds_to_ns(BREAKER_WINDOW_SECONDS):
            self._failed -= self._calls.popleft()[1]

    def _is_too_much(self) -> bool:
        count = len(self._calls)
        by_rate = count >= BREAKER_CALLS_MIN and self._failed >= BREAKER_ERROR_RATE * count
        return by_rate or self._in_a_row >= BREAKER_FAILURES_IN_A_ROW

    def _open(self, now_ns: int) -> None:
        calm_ns = seconds_to_ns(BREAKER_WINDOW_SECONDS)
        if self._closed_at_ns is not None and now_ns - self._closed_at_ns > calm_ns:
            self._openings_in_a_row = 0
        step = min(self._openings_in_a_row, len(BREAKER_OPEN_SECONDS) - 1)
        self._openings_in_a_row += 1
        self._opened_count += 1
        until_ns = now_ns + seconds_to_ns(BREAKER_OPEN_SECONDS[step])
        self._opening = _Opening(until_ns, self._permits)

    def _close(self, now_ns: int) -> None:
        self._opening = None
        self._closed_at_ns = now_ns
        self._calls.clear()
        self._failed = self._in_a_row = 0
