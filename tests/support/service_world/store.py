"""The real SQL store with failures on request."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from ready_databases import ready_in_memory
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.change import Change
from squareoff.core.state.facts import AccountFact, JournalEntry
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import CommitOutcomeUnknown
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.ports import Alarm, KillSwitchState


class LostAfterCommit(CommitOutcomeUnknown):
    """Scripted: the commit took place, its answer was lost."""


class FaultyStore:
    """Delegates to a store; `failures` holds what the next commits raise.

    An exception is raised before anything is written; `LostAfterCommit` after it was.
    `record_failures` holds what the next records raise after they were written. `load_errors`
    does the same for reads. `gate` delays every commit, after it was written, and `alarms_gate`
    every reading of alarms, after it was read.
    """

    def __init__(self, inner: SqlStore) -> None:
        self._inner = inner
        self.failures: deque[Exception] = deque()
        self.record_failures: deque[Exception] = deque()
        self.load_errors: deque[Exception] = deque()
        self.down: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.alarms_gate: asyncio.Event | None = None
        self.commits: list[Change] = []

    async def commit(self, change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
        """Commit, or fail as told."""
        if self.down is not None:
            raise self.down
        failure = self.failures.popleft() if self.failures else None
        if failure is not None and not isinstance(failure, LostAfterCommit):
            raise failure
        entries = await self._inner.commit(change, at_ns)
        self.commits.append(change)
        if self.gate is not None:
            await self.gate.wait()
        if failure is not None:
            raise failure
        return entries

    async def record(self, facts: Sequence[AccountFact], at_ns: int) -> tuple[JournalEntry, ...]:
        """Record, or fail while down."""
        if self.down is not None:
            raise self.down
        entries = await self._inner.record(facts, at_ns)
        if self.record_failures:
            raise self.record_failures.popleft()
        return entries

    def turn_to(self, other: "FaultyStore") -> None:
        """Go on with another database, as after a failover."""
        self._inner = other._inner

    async def load(self, tracker_id: TrackerId) -> PositionTracker | None:
        """Load, or fail as told."""
        if self.load_errors:
            raise self.load_errors.popleft()
        return await self._inner.load(tracker_id)

    async def kill_switch(self) -> KillSwitchState:
        """Read the kill switch, or fail while down."""
        if self.down is not None:
            raise self.down
        return await self._inner.kill_switch()

    async def alarms(
        self, *, open_only: bool = False, since_ns: int | None = None
    ) -> tuple[Alarm, ...]:
        """Read alarms, or fail while down."""
        if self.down is not None:
            raise self.down
        found = await self._inner.alarms(open_only=open_only, since_ns=since_ns)
        if self.alarms_gate is not None:
            await self.alarms_gate.wait()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def memory_store(account_id: AccountId) -> FaultyStore:
    """Return a store on a fresh database in memory."""
    database = await ready_in_memory()
    return FaultyStore(SqlStore(database.runner, account_id))
