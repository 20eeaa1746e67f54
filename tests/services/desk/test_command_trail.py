"""The trail: a command before its effects, nothing held back by a journal that is away."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from squareoff.core.state.facts import (
    AccountFact,
    CallerSeen,
    CallsRefused,
    CommandAnswered,
    CommandAsked,
)
from squareoff.domain.errors import StoreUnavailable
from squareoff.domain.time import Now
from squareoff.services.desk.command_trail import OTHERS, SOURCES_MAX, Command, CommandTrail

COMMAND = Command("POST /api/v1/exit-all", "", "admin", "127.0.0.1", "key-1")


class _Store:
    """A journal in memory, which may be away."""

    def __init__(self) -> None:
        self.facts: list[AccountFact] = []
        self.is_away = False

    async def record(self, facts: Sequence[AccountFact], at_ns: int) -> tuple[()]:
        """Write, or fail."""
        if self.is_away:
            raise StoreUnavailable("the disk is full")
        self.facts.extend(facts)
        await asyncio.sleep(0)
        return ()


class _Clock:
    """A clock that stands."""

    def now(self) -> Now:
        """Return the beginning of time."""
        return Now(0, 0)


class _Ids:
    """Ids by number."""

    def new_id(self, prefix: str) -> str:
        """Return the only id."""
        return f"{prefix}-1"


def trail_over(store: Any) -> CommandTrail:
    """Return a trail over fakes."""
    clock: Any = _Clock()
    return CommandTrail(store, clock, _Ids())


@pytest.mark.parametrize("is_away", [False, True])
def test_a_command_stands_before_its_effects_and_is_never_held_back(is_away: bool) -> None:
    """Asked, effect, answered, in this order; without a journal the effect comes all the same."""
    store = _Store()
    store.is_away = is_away
    effects: list[int] = []

    async def act() -> str:
        effects.append(len(store.facts))
        return "done"

    answer = asyncio.run(trail_over(store).take(COMMAND, act, lambda text: (200, "")))

    assert (answer, effects) == ("done", [0 if is_away else 1])
    asked = CommandAsked("cmd-1", "POST /api/v1/exit-all", "", "admin", "127.0.0.1", "key-1")
    assert store.facts == ([] if is_away else [asked, CommandAnswered("cmd-1", 200, "")])


def test_a_flood_of_refusals_is_a_few_facts() -> None:
    """Refusals are counted by code and source; too many sources are counted as one."""
    store = _Store()
    trail = trail_over(store)
    for _ in range(1_000):
        trail.note_refusal("unauthorized", "127.0.0.1")
    for number in range(SOURCES_MAX + 50):
        trail.note_refusal("host_refused", f"10.0.0.{number}")
    trail.note_caller("admin", "127.0.0.1")
    trail.note_caller("admin", "127.0.0.1")
    asyncio.run(trail.write_counted())
    asyncio.run(trail.write_counted())

    assert store.facts[0] == CallerSeen("admin", "127.0.0.1")
    assert store.facts[1] == CallsRefused("unauthorized", "127.0.0.1", 1_000)
    assert store.facts[-1] == CallsRefused("host_refused", OTHERS, 51)
    assert len(store.facts) == 1 + SOURCES_MAX + 1
