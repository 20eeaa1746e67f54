"""Explore a protocol breadth first to the end, and judge every state of it.

Answers for completeness: a result says `is_complete` only if no state was left out. A violation is
kept with the shortest trace that leads to it.
"""

import gc
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from squareoff.simulator.protocol_model.layout import describe
from squareoff.simulator.protocol_model.protocol import Protocol
from squareoff.simulator.protocol_model.rules import SENTENCES, Rule

STATES_MAX = 20_000_000
"""A budget that is larger than this by mistake ends with an error, not with the memory."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, and the steps from the beginning to it, one line each."""

    rule: Rule
    trace: tuple[str, ...]

    def text(self) -> str:
        """Return the rule and its numbered trace."""
        lines = [f"{number:3} {line}" for number, line in enumerate(self.trace)]
        return "\n".join([f"VIOLATED: {SENTENCES[self.rule]}", *lines])


@dataclass(slots=True)
class Exploration:
    """What one exploration found."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    ends: int = 0
    labels: set[str] = field(default_factory=set)
    """Every kind of step that was taken at least once."""
    is_complete: bool = False
    violations: list[Violation] = field(default_factory=list)


class _Graph:
    """The explored states, who led to each, and the progress edges between them."""

    def __init__(self, first: bytes) -> None:
        self.states = [first]
        self.numbers = {first: 0}
        self.parents = array("I", [0])
        self.edges = array("I")
        self.edge_starts = array("I")
        self.ends = bytearray()


def explore(protocol: Protocol) -> Exploration:
    """Explore all states; stop at the first level with a broken rule."""
    with _no_garbage_collection():
        return _explore(protocol)


def _explore(protocol: Protocol) -> Exploration:
    found = Exploration()
    graph = _Graph(protocol.budget.first_state())
    level_end, number = 1, 0
    while number < len(graph.states):
        if number == level_end:
            found.depth += 1
            level_end = len(graph.states)
        if len(graph.states) > STATES_MAX:
            raise OverflowError(f"more than {STATES_MAX} states: the budget is too large")
        rule = _visit(protocol, graph, number, found)
        number += 1
        if rule is not None:
            found.violations.append(Violation(rule, _trace(protocol, graph, number - 1)))
            break
    found.states = len(graph.states)
    if not found.violations:
        found.is_complete = True
        stuck = _first_stuck(graph)
        if stuck is not None:
            found.violations.append(Violation(Rule.STUCK, _trace(protocol, graph, stuck)))
    return found


def _visit(protocol: Protocol, graph: _Graph, number: int, found: Exploration) -> Rule | None:
    """Judge one state and note where it leads."""
    state = graph.states[number]
    rule = protocol.broken_rule(state)
    if rule is not None:
        return rule
    graph.edge_starts.append(len(graph.edges))
    numbers, states, parents, edges = graph.numbers, graph.states, graph.parents, graph.edges
    labels = found.labels
    steps = protocol.steps(state)
    moves_on = False
    for after, is_progress, label, _ in steps:
        labels.add(label)
        target = numbers.setdefault(after, len(states))
        if target == len(states):
            states.append(after)
            parents.append(number)
        if is_progress:
            moves_on = True
            edges.append(target)
    found.transitions += len(steps)
    graph.ends.append(not moves_on)
    if moves_on:
        return None
    found.ends += 1
    return protocol.rule_of_end(state)


def _first_stuck(graph: _Graph) -> int | None:
    """Return the first state from which progress alone reaches no end, None if there is none."""
    reaches = bytearray(graph.ends)
    edges, starts = graph.edges, array("I", graph.edge_starts)
    starts.append(len(edges))
    has_changed = True
    while has_changed:
        has_changed = False
        for number in range(len(reaches) - 1, -1, -1):
            if reaches[number]:
                continue
            for target in edges[starts[number] : starts[number + 1]]:
                if reaches[target]:
                    reaches[number] = has_changed = True
                    break
    first = reaches.find(0)
    return None if first < 0 else first


def _trace(protocol: Protocol, graph: _Graph, number: int) -> tuple[str, ...]:
    way = [number]
    while way[-1]:
        way.append(graph.parents[way[-1]])
    way.reverse()
    lines = [f"at first: {describe(graph.states[0])}"]
    for before, after in pairwise(way):
        state = graph.states[after]
        step = next(s for s in protocol.steps(graph.states[before]) if s.state == state)
        order = f"order {step.place}: " if step.place else ""
        lines.append(f"{order}{step.label}\n      -> {describe(state)}")
    return tuple(lines)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of small tuples live at once and none is in a circle: collecting only costs time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
