"""The queue of order writes that wait for rate budget and breaker: who may write next.

Answers for: exits before entries by urgency; within one urgency cancels, then placements, then
modifies, each with the largest value at stake first.
Invariants:
1. A permit is granted only with room in every window of the budget and by its endpoint's breaker.
2. A waiter whose endpoint is held by its breaker keeps its place and holds nobody else up.
3. A cancelled waiter takes no permit with it.
"""

import asyncio
from bisect import insort
from dataclasses import dataclass, field
from decimal import Decimal

from squareoff.domain.rules import Urgency
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.circuit_breaker import BreakerState, CircuitBreaker, Endpoint
from squareoff.services.orders.rate_budget import HORIZONS, Flight, RateBudget, WriteKind

_WORST_FIRST = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)
_LEVELS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_WRITING = (Endpoint.PLACEMENTS, Endpoint.CHANGES)

GATHERED_EXITS_MIN = 8
"""So many exits of one tick fit into one second of the budget: their order does not matter."""

GATHER_SECONDS_MAX = 0.3
"""How long the first of many exits waits for the others, so that the largest go first: nothing
beside the seconds that the last of them will wait."""


@dataclass(frozen=True, slots=True)
class WriteFlight:
    """One write under way, as budget and breaker know it."""

    endpoint: Endpoint
    budget: Flight
    breaker: int


@dataclass(frozen=True, slots=True, order=True)
class _Waiter:
    rank: tuple[int, int, Decimal, int]
    urgency: Urgency = field(compare=False)
    kind: WriteKind = field(compare=False)
    asked_ns: int = field(compare=False)
    future: asyncio.Future[None] = field(compare=False)

    @property
    def is_exit(self) -> bool:
        return self.urgency is not Urgency.ENTRY


def endpoint_of(kind: WriteKind) -> Endpoint:
    """Return the class of calls that a write belongs to."""
    return Endpoint.PLACEMENTS if kind is WriteKind.PLACE else Endpoint.CHANGES


class PermitQueue:
    """Grants permits for the order writes of one account."""

    def __init__(self, budget: RateBudget, *, clock: Clock, metrics: Metrics) -> None:
        self._budget = budget
        self._breakers = {endpoint: CircuitBreaker() for endpoint in Endpoint}
        self._clock = clock
        self._metrics = metrics
        self._waiting: list[_Waiter] = []
        self._asked_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._gathers_until_ns = 0
        self._gathers = 0
        self._returned = 0
        metrics.before_rendering(self._set_gauges)

    async def permit(
        self, urgency: Urgency, risk: Decimal = Decimal(0), kind: WriteKind = WriteKind.PLACE
    ) -> None:
        """Wait until such a write may go; whoever returns from here must begin it or call
        `give_back`.

        Args:
            risk: the value at stake in rupees; within one urgency and kind the largest goes first.
        """
        asked_ns = self._now_ns()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked_count += 1
        rank = (urgency.value, kind.value, -risk, self._asked_count)
        insort(self._waiting, _Waiter(rank, urgency, kind, asked_ns, future))
        self.pump()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back(kind)
            raise
        waited = (self._now_ns() - asked_ns) / NANOSECONDS_PER_SECOND
        self._metrics.permit_wait_seconds.labels(urgency.name.lower()).observe(waited)

    def take_now(self, urgency: Urgency, count: int) -> int:
        """Take up to `count` permits for placements without waiting; return how many there were.

        None while anybody waits, or is expected: whoever comes later may not go first.
        """
        breaker, now_ns = self._breakers[Endpoint.PLACEMENTS], self._now_ns()
        if now_ns < self._gathers_until_ns or self.waiting() > 0:
            return 0
        for taken in range(count):
            held = breaker.wait_ns(now_ns, is_exit=urgency is not Urgency.ENTRY)
            if max(held, self._budget.wait_ns(now_ns, urgency, WriteKind.PLACE)) > 0:
                return taken
            self._budget.hold(now_ns)
            breaker.note_permit(now_ns)
            self._metrics.permit_wait_seconds.labels(urgency.name.lower()).observe(0.0)
        return count

    def give_back(self, kind: WriteKind) -> None:
        """A permit will not be used: its place in the budget is free again.

        Exits that waited too long are sized anew when their turn comes: where the whole queue came
        back, they come again together.
        """
        self._budget.release(self._now_ns())
        self._breakers[endpoint_of(kind)].note_unused()
        self._returned += 1
        self.pump()
        if not self._waiting:
            self.expect_exits(self._returned)
            self._returned = 0

    def is_any_held(self) -> bool:
        """Say whether a permit still counts. None does for a process that stood still since it was
        granted: whoever would write by it wrote into a second that is full already."""
        return self._budget.holds(self._now_ns())

    def begin(self, kind: WriteKind) -> WriteFlight:
        """The write of a granted permit begins; `end_...` must follow."""
        endpoint, now_ns = endpoint_of(kind), self._now_ns()
        self._returned = 0
        return WriteFlight(endpoint, self._budget.begin(now_ns), self._breakers[endpoint].begin())

    def end_answered(self, flight: WriteFlight) -> None:
        """The broker answered: with an acceptance or a refusal of its own."""
        now_ns = self._now_ns()
        self._budget.note_in_rate(flight.budget)
        self._budget.end(flight.budget, now_ns)
        self._breakers[flight.endpoint].note_answer(flight.breaker, now_ns)
        self.pump()

    def end_rate_limited(self, flight: WriteFlight) -> None:
        """The broker said "too many requests": it is there, and everybody slows down."""
        now_ns = self._now_ns()
        self._budget.note_rate_limited(flight.budget, now_ns)
        self._budget.end(flight.budget, now_ns)
        self._breakers[flight.endpoint].note_answer(flight.breaker, now_ns)
        self._metrics.rate_limited.inc()
        self.pump()

    def end_unreached(self, flight: WriteFlight) -> None:
        """The broker could not be reached: nothing of the write left."""
        now_ns = self._now_ns()
        self._budget.withdraw(flight.budget, now_ns)
        self._breakers[flight.endpoint].note_failure(flight.breaker, now_ns)
        self.pump()

    def end_failed(self, flight: WriteFlight) -> None:
        """The broker gave no answer that can be trusted."""
        now_ns = self._now_ns()
        self._budget.end(flight.budget, now_ns)
        self._breakers[flight.endpoint].note_failure(flight.breaker, now_ns)
        self.pump()

    def end_unsent(self, flight: WriteFlight) -> None:
        """We held it back ourselves, before its first byte: that tells nothing about the broker."""
        self._budget.withdraw(flight.budget, self._now_ns())
        self._breakers[flight.endpoint].note_unsent(flight.breaker)
        self.pump()

    def note_read(self, is_answered: bool) -> None:
        """A read ended; its breaker is shown and holds nothing back."""
        now_ns, breaker = self._now_ns(), self._breakers[Endpoint.READS]
        note = breaker.note_answer if is_answered else breaker.note_failure
        note(breaker.begin(), now_ns)

    def seed(self, stamps: list[int]) -> None:
        """Count writes of earlier processes (monotonic stamps, oldest first)."""
        self._budget.seed(stamps)

    def expect_exits(self, count: int) -> None:
        """So many exits were fired together: let them come before the first places are given."""
        if count > GATHERED_EXITS_MIN:
            self._gathers = count
            self._gathers_until_ns = self._now_ns() + seconds_to_ns(GATHER_SECONDS_MAX)

    def pump(self) -> None:
        """Let through whoever may go now; come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = [waiter for waiter in self._waiting if not waiter.future.done()]
        if not self._waiting:
            return
        if len(self._waiting) >= self._gathers:
            self._gathers_until_ns = 0
        wait_ns: int | None = self._gathers_until_ns - self._now_ns()
        if wait_ns is not None and wait_ns <= 0:
            wait_ns = self._grant_all()
        if wait_ns is not None:
            delay = wait_ns / NANOSECONDS_PER_SECOND
            self._timer = asyncio.get_running_loop().call_later(delay, self.pump)

    def _grant_all(self) -> int | None:
        """Grant what fits; return how long the next one has to wait, None if nobody waits."""
        still_waiting: list[_Waiter] = []
        waits: list[int] = []
        now_ns = self._now_ns()
        for place, waiter in enumerate(self._waiting):
            wait_ns = self._wait_ns(waiter, now_ns)
            if wait_ns == 0:
                self._budget.hold(now_ns)
                self._breakers[endpoint_of(waiter.kind)].note_permit(now_ns)
                waiter.future.set_result(None)
                continue
            waits.append(wait_ns)
            still_waiting.append(waiter)
            if self._budget.wait_ns(now_ns, Urgency.KILL_SWITCH, WriteKind.CANCEL) > 0:
                still_waiting.extend(self._waiting[place + 1 :])
                break  # no room for anybody
        self._waiting = still_waiting
        return min(waits, default=None)

    def _wait_ns(self, waiter: _Waiter, now_ns: int) -> int:
        breaker = self._breakers[endpoint_of(waiter.kind)]
        return max(
            breaker.wait_ns(now_ns, is_exit=waiter.is_exit),
            self._budget.wait_ns(now_ns, waiter.urgency, waiter.kind),
        )

    def breaker_state(self, *endpoints: Endpoint) -> BreakerState:
        """Return where the worst of these breakers stands now; by default of those for writes."""
        now_ns = self._now_ns()
        states = {self._breakers[each].state(now_ns) for each in endpoints or _WRITING}
        return next(state for state in _WORST_FIRST if state in states)

    def waiting(self, urgency: Urgency | None = None) -> int:
        """Return how many writes wait, of one urgency or of all."""
        return sum(
            1
            for waiter in self._waiting
            if not waiter.future.done() and urgency in (None, waiter.urgency)
        )

    def oldest_exit_wait_seconds(self) -> float:
        """Return how long the exit that waits longest has waited, 0 if none waits."""
        now_ns = self._now_ns()
        waits = (
            now_ns - waiter.asked_ns
            for waiter in self._waiting
            if waiter.is_exit and not waiter.future.done()
        )
        return max(waits, default=0) / NANOSECONDS_PER_SECOND

    def budget_used(self) -> tuple[int, ...]:
        """Return the writes counted per second, minute, hour and day."""
        return self._budget.used(self._now_ns())

    def _set_gauges(self) -> None:
        is_open = self.breaker_state() is not BreakerState.CLOSED
        self._metrics.breaker_open.set(1 if is_open else 0)
        for urgency in Urgency:
            self._metrics.permits_waiting.labels(urgency.name.lower()).set(self.waiting(urgency))
        self._metrics.oldest_exit_wait_seconds.set(self.oldest_exit_wait_seconds())
        for endpoint in Endpoint:
            level = _LEVELS[self.breaker_state(endpoint)]
            self._metrics.breaker_state.labels(endpoint.value).set(level)
        for horizon, used in zip(HORIZONS, self.budget_used(), strict=True):
            self._metrics.budget_used.labels(horizon).set(used)

    def _now_ns(self) -> int:
        return self._clock.now().monotonic_ns
