"""The sound protocol keeps every rule in every state of every budget, and never gets stuck."""

import pytest

from squareoff.simulator.protocol_model.budgets import BUDGETS, Budget
from squareoff.simulator.protocol_model.exploration import Exploration, explore
from squareoff.simulator.protocol_model.protocol import Protocol

STATES_MIN = 1_000_000

EVERY_FAULT = (
    "is killed",
    "is paused",
    "the lease and send deadline of engine",
    "takes the account",
    "wakes, sends nothing and ends",
    "the request is lost",
    "the reply is lost",
    "the modify is lost",
    "the cancel is lost",
    "gives up waiting while the request is under way",
    "the broker refuses the order",
    "the broker accepts, then rejects the order",
    "the broker rejects the order at the door",
    "one unit fills and the rest rests",
    "the order is cancelled by others",
    "the broker takes the modify",
    "the broker takes the cancel",
    "cancels an order that was moved enough",
    "declares the order absent after the quarantine",
    "somebody else closes one unit",
    "foreign trades explain it",
    "foreign trades explain what an exit at rest would close",
    "the kill switch is thrown",
    "the kill switch stops the order before its first byte",
    "the kill switch holds the exit back",
    "the net across zero is seen and told",
    "without a reading",
    "is told REJECTED 0",
)


def _story(found: Exploration) -> str:
    return "\n\n".join(violation.text() for violation in found.violations)


def test_a_million_states_hold_every_rule() -> None:
    """Every combination of three faults, explored to the end: no violation, no stuck state."""
    found = explore(Protocol(BUDGETS["full"]))
    print(f"{found.states:,} states, {found.transitions:,} transitions, depth {found.depth}")

    assert found.violations == [], _story(found)
    assert found.is_complete
    assert found.states >= STATES_MIN
    assert [fault for fault in EVERY_FAULT if not any(fault in s for s in found.labels)] == []


@pytest.mark.parametrize("name", sorted(BUDGETS.keys() - {"full", "pairs"}))
def test_the_smaller_worlds_hold_every_rule(name: str) -> None:
    """Slices, larger positions, and what is beyond the bound: no violation, no stuck state.

    `pairs` is a part of `full` and not explored again.
    """
    found = explore(Protocol(BUDGETS[name]))

    assert found.violations == [], _story(found)
    assert found.is_complete


def test_the_same_world_has_the_same_states() -> None:
    """An exploration depends on its budget alone."""
    first, second = (explore(Protocol(Budget(crash=1, drop=1))) for _ in range(2))

    assert (first.states, first.transitions, first.depth) == (
        second.states,
        second.transitions,
        second.depth,
    )


def test_without_faults_there_is_one_end() -> None:
    """With nothing going wrong every way leads to the one state in which the exit is done."""
    found = explore(Protocol(Budget()))

    assert (found.ends, found.violations) == (1, [])
