"""The trail of what callers asked for: who, from where, under which key, and with what result.

Invariants:
1. A command stands in the journal before everything that it brings about: its write is asked for
   first, and writes take effect in the order in which they were asked for.
2. A journal that cannot be written holds no command back; the log says so instead.
3. Refused calls are counted and journalled a few at a time: a flood of them writes next to nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from squareoff.core.state.facts import (
    AccountFact,
    CallerSeen,
    CallsRefused,
    CommandAnswered,
    CommandAsked,
)
from squareoff.domain.errors import StoreError
from squareoff.ports import Clock, IdSource, RememberedAnswer, TrackerStore

_log = structlog.get_logger("squareoff.command_trail")

WRITE_INTERVAL_SECONDS = 5.0
"""Between two writings of refusals: one row a code and source, however many calls were refused."""

SOURCES_MAX = 100
"""Counted apart; what comes from still more is counted together."""

OTHERS = "others"

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Command:
    """One change that was asked for; the fields are those of `CommandAsked`."""

    call: str
    about: str
    actor: str
    source: str
    key: str


class CommandTrail:
    """Journals commands, refusals, and who was let in; keeps what was answered under a key."""

    def __init__(self, store: TrackerStore, clock: Clock, ids: IdSource) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._refusals: dict[tuple[str, str], int] = {}
        self._seen: set[tuple[str, str]] = set()
        self._to_tell: list[CallerSeen] = []

    async def take(
        self,
        command: Command,
        act: Callable[[], Awaitable[_Answer]],
        result_of: Callable[[_Answer], tuple[int, str]],
    ) -> _Answer:
        """Carry a command out between its two facts, and return its answer.

        Args:
            act: does it; answers refusals too, and raises nothing.
            result_of: the HTTP status of an answer, and the code of a refusal or "".
        """
        command_id = self._ids.new_id("cmd")
        asked = CommandAsked(
            command_id,
            command.call,
            command.about,
            command.actor,
            command.source,
            command.key,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._record(asked))
            await asyncio.sleep(0)  # its write is asked for now, before any that the act asks for
            answer = await act()
        status, code = result_of(answer)
        await self._record(CommandAnswered(command_id, status, code))
        return answer

    async def recall_answer(self, idempotency_key: str) -> RememberedAnswer | None:
        """Return the answer stored under an idempotency key, if any."""
        return await self._store.recall_answer(idempotency_key)

    async def remember_answer(self, idempotency_key: str, answer: RememberedAnswer) -> None:
        """Store the first answer under a key."""
        await self._store.remember_answer(idempotency_key, answer, self._clock.now().wall_ns)

    def note_refusal(self, code: str, source: str) -> None:
        """Count a refused call; never waits."""
        group = (code, source)
        if group not in self._refusals and len(self._refusals) >= SOURCES_MAX:
            group = (code, OTHERS)
        self._refusals[group] = self._refusals.get(group, 0) + 1

    def note_caller(self, actor: str, source: str) -> None:
        """Note who was let in; never waits."""
        if (actor, source) in self._seen or len(self._seen) >= SOURCES_MAX:
            return
        self._seen.add((actor, source))
        self._to_tell.append(CallerSeen(actor, source))

    async def run(self) -> None:
        """Journal what was counted, again and again; never returns."""
        while True:
            await self._clock.sleep(WRITE_INTERVAL_SECONDS)
            await self.write_counted()

    async def write_counted(self) -> None:
        """Journal who was let in and what was refused since the last time."""
        facts = self._counted()
        if facts:
            await self._record(*facts)

    def _counted(self) -> list[AccountFact]:
        seen, self._to_tell = self._to_tell, []
        refusals, self._refusals = self._refusals, {}
        refused = [CallsRefused(code, source, n) for (code, source), n in refusals.items()]
        return [*seen, *refused]

    async def _record(self, *facts: AccountFact) -> None:
        try:
            await self._store.record(facts, self._clock.now().wall_ns)
        except StoreError as error:
            kinds = [type(fact).__name__ for fact in facts]
            _log.error("command_not_journalled", facts=kinds, error=str(error))
