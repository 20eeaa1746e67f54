"""Make many writes durable with one COMMIT: what is asked for while a commit is under way goes
together in the next one.

A tick that fires hundreds of exits asks for hundreds of commits at once, and the disk is asked for
each of them to be durable. A write that comes alone is committed alone, as soon as it comes.

Invariants:
1. Writes take effect in the order in which they were asked for.
2. A write that fails takes no other with it: the group is rolled back and each tried by itself.
3. Whoever asked is answered after the COMMIT that holds his write, and not before.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from squareoff.domain.errors import CommitOutcomeUnknown, StoreUnavailable

Result = TypeVar("Result")
Work = Callable[[Connection], Result]
"""What a write does in its transaction, and nowhere else: rolled back, it may be done again."""

GROUP_MAX = 256
"""A group keeps the database for itself, and its first member waits for its last."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one write: its result, or why it failed."""

    result: Any = None
    error: BaseException | None = None


def write_each(transact: Callable[[Work[Any]], Any], works: Sequence[Work[Any]]) -> list[Outcome]:
    """Do all in one transaction, or each in its own where one of them fails.

    Args:
        transact: does one work in a transaction of its own and commits it.

    Raises:
        StoreUnavailable, CommitOutcomeUnknown: of the whole group alike.
    """
    if len(works) > 1:
        try:
            results = transact(lambda connection: [work(connection) for work in works])
        except (StoreUnavailable, CommitOutcomeUnknown):
            raise
        except Exception:  # noqa: BLE001 - found again, and told, by the one whose failure it is
            return _one_by_one(transact, works)
        return [Outcome(result) for result in results]
    return _one_by_one(transact, works)


def _one_by_one(transact: Callable[[Work[Any]], Any], works: Sequence[Work[Any]]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for work in works:
        try:
            outcomes.append(Outcome(transact(work)))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
            outcomes.append(Outcome(error=error))
    return outcomes


@dataclass(frozen=True, slots=True)
class _Asked:
    work: Work[Any]
    answer: "asyncio.Future[Any]"


class GroupCommit:
    """Gathers the writes of one event loop. `write_group` begins a group and returns its future."""

    def __init__(
        self,
        write_group: Callable[[tuple[Work[Any], ...]], "asyncio.Future[list[Outcome]]"],
    ) -> None:
        self._write_group = write_group
        self._waiting: list[_Asked] = []
        self._written: asyncio.Future[list[Outcome]] | None = None

    def add(self, work: Work[Result]) -> "asyncio.Future[Result]":
        """Ask for a write; the future is done once it is durable or has failed."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(work, answer))
        if self._written is None:
            self._begin()
        return answer

    def _begin(self) -> None:
        group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
        self._written = self._write_group(tuple(asked.work for asked in group))
        self._written.add_done_callback(lambda written: self._end(group, written))

    def _end(self, group: list[_Asked], written: "asyncio.Future[list[Outcome]]") -> None:
        self._written = None
        if written.cancelled():
            outcomes = [Outcome(error=asyncio.CancelledError())] * len(group)
        elif (failure := written.exception()) is not None:
            outcomes = [Outcome(error=failure)] * len(group)
        else:
            outcomes = written.result()
        for asked, outcome in zip(group, outcomes, strict=True):
            _answer(asked.answer, outcome)
        if self._waiting:
            self._begin()


def _answer(answer: "asyncio.Future[Any]", outcome: Outcome) -> None:
    if answer.done():
        return
    if outcome.error is None:
        answer.set_result(outcome.result)
    elif isinstance(outcome.error, asyncio.CancelledError):
        answer.cancel()
    else:
        answer.set_exception(outcome.error)
