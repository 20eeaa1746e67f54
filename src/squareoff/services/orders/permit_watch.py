"""Watch the exits that wait for a send permit: say so where they wait long, and why.

Answers for: an exit that its circuit breaker holds up shows BLOCKED with that reason (and keeps its
place in the queue), and a queue in which an exit waits too long raises an alarm. Sends nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from squareoff.core.state.facts import Severity
from squareoff.core.state.inputs import ExitHindered
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason, IntentStatus
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.monitoring.alarm_desk import AlarmDesk
from squareoff.services.orders.circuit_breaker import BreakerState, Endpoint
from squareoff.services.orders.permit_queue import PermitQueue
from squareoff.services.positions.position_book import PositionActor

LOOK_INTERVAL_SECONDS = 0.5
BREAKER_WAIT_SECONDS = 2.0
"""An exit held up by the breaker for longer than this is shown as blocked: the first pause, of a
second, is not worth a person's attention."""

BREAKER_LOOK_AGAIN_SECONDS = 30.0
"""How long the block stands on paper; the exit keeps its place in the queue and may go sooner."""

EXIT_WAIT_ALARM_SECONDS = 10.0
"""An exit that waits longer for its turn is told to a person: at 8 writes a second more than
eighty orders stand before it, or something else holds them all up."""

_BREAKER_TEXT = (
    "the broker did not answer the last orders and is asked with one at a time (circuit breaker); "
    "exits keep their places in the queue and go by themselves"
)


class PermitWatch:
    """Knows which positions have an exit in the queue, and since when."""

    def __init__(
        self, engine: ExitEngine, queue: PermitQueue, alarms: AlarmDesk, clock: Clock
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._alarms = alarms
        self._clock = clock
        self._waiting: dict[int, tuple[PositionActor, int]] = {}
        self._count = 0
        self._has_told_of_queue = False
        # Alarms of the last process may stand.
        self._may_stand_of_queue = self._may_stand_of_breaker = True

    @contextmanager
    def waiting(self, actor: PositionActor, urgency: Urgency) -> Iterator[None]:
        """Note that an order of this position waits for its permit within the block."""
        if urgency is Urgency.ENTRY:
            yield
            return
        self._count += 1
        number = self._count
        self._waiting[number] = actor, self._clock.now().monotonic_ns
        try:
            yield
        finally:
            del self._waiting[number]

    async def run(self) -> None:
        """Look at the queue for ever."""
        while True:
            await self._clock.sleep(LOOK_INTERVAL_SECONDS)
            await self._complain_if_slow()
            is_closed = self._queue.breaker_state(Endpoint.PLACEMENTS) is BreakerState.CLOSED
            if not is_closed:
                await self._block_those_held_up()
            elif self._may_stand_of_breaker:
                self._may_stand_of_breaker = False
                await self._alarms.clear("order_breaker_open", "the breaker lets orders through")

    async def _block_those_held_up(self) -> None:
        since_ns = self._clock.now().monotonic_ns - seconds_to_ns(BREAKER_WAIT_SECONDS)
        for number, (actor, asked_ns) in tuple(self._waiting.items()):
            intent = actor.tracker.intent
            is_open = intent is not None and intent.status is IntentStatus.OPEN
            if number not in self._waiting or asked_ns > since_ns or not is_open:
                continue
            reason, again = BlockReason.BREAKER_OPEN, BREAKER_LOOK_AGAIN_SECONDS
            await self._engine.tell(actor, ExitHindered(reason, _BREAKER_TEXT, again))
            self._may_stand_of_breaker = True
            await self._alarms.raise_alarm(
                Severity.CRITICAL, "order_breaker_open", f"Exits wait: {_BREAKER_TEXT}."
            )

    async def _complain_if_slow(self) -> None:
        is_slow = self._queue.oldest_exit_wait_seconds() >= EXIT_WAIT_ALARM_SECONDS
        if is_slow and not self._has_told_of_queue:
            self._has_told_of_queue = self._may_stand_of_queue = True
            await self._alarms.raise_alarm(
                Severity.WARNING,
                "exit_queue_slow",
                f"An exit has waited {EXIT_WAIT_ALARM_SECONDS:g} s for its turn: "
                f"{self._queue.waiting()} order writes wait, the most urgent go first. "
                "They go by themselves as the rate limit and the breaker allow.",
            )
        elif self._may_stand_of_queue and self._queue.waiting() == 0:
            self._has_told_of_queue = self._may_stand_of_queue = False
            await self._alarms.clear("exit_queue_slow", "no order write waits")
