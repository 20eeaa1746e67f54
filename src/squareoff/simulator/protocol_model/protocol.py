"""The whole transition relation: every step from one state, of engines, broker, network and people.

`Protocol(budget, shortcut).steps(state)` is deterministic. A step is marked as progress if it
happens by itself once faults stop: what the engine does, what is under way arriving, the market
filling an order near it, a dead process being started. Faults and people are no progress.
"""

from squareoff.simulator.protocol_model import layout as at
from squareoff.simulator.protocol_model.budgets import Budget
from squareoff.simulator.protocol_model.order_moves import FREE, Move
from squareoff.simulator.protocol_model.owner import OwnerSteps
from squareoff.simulator.protocol_model.processes import ProcessSteps, unlocked_claims
from squareoff.simulator.protocol_model.rules import Rule, end_rule
from squareoff.simulator.protocol_model.situation import Situation, Step
from squareoff.simulator.protocol_model.variants import Shortcut


class Protocol:
    """The protocol in one world: a budget, and perhaps a shortcut that a broken engine takes."""

    def __init__(self, budget: Budget, shortcut: Shortcut = Shortcut.SOUND) -> None:
        self.budget = budget
        self._at = Situation(budget, shortcut)
        self._owner = OwnerSteps(self._at)
        self._processes = ProcessSteps(self._at)
        self._environment: dict[bytes, list[Move]] = {}
        self._book: dict[bytes, list[Move]] = {}

    def broken_rule(self, state: bytes) -> Rule | None:
        """Return the rule that this state breaks, None where all hold."""
        if state[at.BROKEN]:
            return Rule(state[at.BROKEN])
        if state[at.INTENT] == at.TWICE:
            return Rule.TWO_INTENTS
        body = self._at.body(state)
        if body.is_overbooked:
            return Rule.OVERBOOKED
        if body.is_unjournalled:
            return Rule.UNJOURNALLED
        allowed = self._at.held - state[at.EXTERNAL_SIZED]
        if body.filled + body.reach > allowed and not state[at.BEYOND]:
            return Rule.TOO_MUCH
        return None

    def rule_of_end(self, state: bytes) -> Rule | None:
        """Return the rule that a state without further progress breaks, None for a true end."""
        is_book_true = self._at.body(state).is_book_true
        return end_rule(state, self._at.net(state), is_book_true=is_book_true)

    def steps(self, state: bytes) -> list[Step]:
        """Return every step from this state."""
        body = self._at.body(state)
        orders = body.orders
        out: list[Step] = []
        self._environment_steps(state, orders, out)
        out.extend(self._processes.of_processes(state, orders))
        out.extend(self._processes.of_people(state))
        owner = state[at.OWNER]
        if state[at.MODES + owner] == at.OWNING:
            self._book_steps(state, orders, out)
            out.extend(self._owner.of_owner(state, body, owner))
        for engine in (0, 1):
            if not body.waits_for[engine]:
                continue
            out.extend(self._owner.first_bytes(state, orders, engine))
        if self._at.shortcut is Shortcut.READ_THEN_WRITE_CLAIM:
            out.extend(unlocked_claims(state))
        return out

    def _environment_steps(self, state: bytes, orders: tuple[bytes, ...], out: list[Step]) -> None:
        for place, order in enumerate(orders, start=1):
            if order[at.PHASE] == at.UNUSED:
                continue
            moves = self._environment.get(order)
            if moves is None:
                moves = self._environment[order] = self._at.moves.environment(order)
            for move in moves:
                if move.budget == FREE or state[move.budget]:
                    after = self._at.moved(state, place, move)
                    out.append(Step(after, move.is_progress, move.label, place))

    def _book_steps(self, state: bytes, orders: tuple[bytes, ...], out: list[Step]) -> None:
        """The owner learns: answers, reports, absence. What follows at once is one commit."""
        for place, order in enumerate(orders, start=1):
            if order[at.PHASE] == at.UNUSED:
                continue
            moves = self._book.get(order)
            if moves is None:
                moves = self._book[order] = self._at.moves.engine(order)
            for move in moves:
                if move.budget == FREE or state[move.budget]:
                    new = bytearray(self._at.moved(state, place, move))
                    new[at.LATELY] = min(self._at.held, new[at.LATELY] + move.newly_booked)
                    if self._at.shortcut is Shortcut.EXITED_ON_ACCEPT and "accepted" in move.label:
                        new[at.INTENT] = at.EXITED
                        new[at.BROKEN] = new[at.BROKEN] or self._at.exit_fault(new)
                    after = self._at.advanced(new)
                    out.append(Step(after, move.is_progress, move.label, place))
