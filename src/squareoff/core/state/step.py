"""One decision in the making: the tracker as it becomes, the facts and commands so far.

A `Step` lives inside one call of `decide` and never leaves it; what comes out is a frozen
`Decision`. The facts are folded as they are recorded, so every later line of the decision sees the
state that the journal will rebuild.
"""

from dataclasses import dataclass
from typing import Any

from squareoff.core.state.commands import Command, TransmitOrder
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import AlarmRaised, Severity, TrackerFact
from squareoff.core.state.pacing import OrderPacing, Pacing
from squareoff.core.state.policy import RETRY_DELAYS_SECONDS, ExitPolicy
from squareoff.core.state.tracker import ExitIntent, PositionTracker
from squareoff.domain.copies import replace
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.time import Now, seconds_to_ns


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one decision: commit `facts` and `alarms`, then carry out `commands`.

    `wake_at_ns` is the monotonic instant to be woken at if nothing else happens, None for never.
    """

    tracker: PositionTracker
    pacing: Pacing
    facts: tuple[TrackerFact, ...]
    alarms: tuple[AlarmRaised, ...]
    commands: tuple[Command, ...]
    wake_at_ns: int | None

    @property
    def sends_an_order(self) -> bool:
        """Say whether an order is to leave at once."""
        return any(isinstance(command, TransmitOrder) for command in self.commands)


class Step:
    """Collects one decision."""

    def __init__(
        self, tracker: PositionTracker, pacing: Pacing, now: Now, policy: ExitPolicy
    ) -> None:
        self.tracker = tracker
        self.pacing = pacing
        self.now = now
        self.policy = policy
        self._facts: list[TrackerFact] = []
        self._alarms: list[AlarmRaised] = []
        self._commands: list[Command] = []
        self._wake_at_ns: int | None = None

    @property
    def intent(self) -> ExitIntent:
        """The live intent; asserts that there is one."""
        assert self.tracker.intent is not None, f"{self.tracker.tracker_id} has no intent"
        return self.tracker.intent

    def record(self, fact: TrackerFact) -> None:
        """Add a fact and fold it."""
        self.tracker = evolve(self.tracker, fact, self.now.wall_ns)
        self._facts.append(fact)

    def alarm(self, severity: Severity, code: str, message: str) -> None:
        """Add an alarm about this tracker."""
        self._alarms.append(AlarmRaised(severity, code, message, self.tracker.tracker_id))

    def command(self, command: Command) -> None:
        """Queue a command, carried out after this decision is committed."""
        self._commands.append(command)

    def wake_at(self, monotonic_ns: int) -> None:
        """Ask to be woken no later than this instant."""
        if self._wake_at_ns is None or monotonic_ns < self._wake_at_ns:
            self._wake_at_ns = monotonic_ns

    def after(self, seconds: float) -> int:
        """Return the monotonic instant `seconds` from now."""
        return self.now.monotonic_ns + seconds_to_ns(seconds)

    def is_due(self, monotonic_ns: int) -> bool:
        """Say whether the instant has come; if not, ask to be woken then."""
        if self.now.monotonic_ns >= monotonic_ns:
            return True
        self.wake_at(monotonic_ns)
        return False

    def pace(self, **changes: Any) -> None:
        """Replace fields of the tracker's pacing."""
        self.pacing = replace(self.pacing, **changes)

    def pace_order(self, client_order_id: ClientOrderId, **changes: Any) -> None:
        """Replace fields of one order's pacing."""
        known = self.pacing.of(client_order_id)
        fresh: OrderPacing = replace(known, **changes)
        if fresh != known:
            self.pacing = self.pacing.with_order(client_order_id, fresh)

    def decision(self) -> Decision:
        """Return what was decided."""
        return Decision(
            self.tracker,
            self.pacing,
            tuple(self._facts),
            tuple(self._alarms),
            tuple(self._commands),
            self._wake_at_ns,
        )


def retry_delay_seconds(failures: int) -> float:
    """Return the pause after this many failures in a row (counting from 1)."""
    return RETRY_DELAYS_SECONDS[min(max(failures, 1), len(RETRY_DELAYS_SECONDS)) - 1]
