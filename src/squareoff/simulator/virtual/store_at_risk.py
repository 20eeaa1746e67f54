"""The real store as one process sees it: slow, at times away or full, gone when the process dies.

The transaction itself is one instant; the process may die right before it and right after it, and
others run while it is asked and answered.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from squareoff.core.state.change import Change
from squareoff.core.state.facts import AccountFact, JournalEntry
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import CommitOutcomeUnknown, StoreUnavailable
from squareoff.domain.ids import TrackerId
from squareoff.domain.states import PositionStatus
from squareoff.ports import (
    AccountDayState,
    Alarm,
    ExitAllState,
    Journal,
    KillSwitchState,
    RememberedAnswer,
    TrackerStore,
)
from squareoff.simulator.virtual.coverage import Coverage
from squareoff.simulator.virtual.event_classes import STORE_CLASSES, WRITE_REFUSALS
from squareoff.simulator.virtual.incarnation import Incarnation

_LATE_WORD_SHARE = 0.3
"""So often others run between a commit and the word of it; each time costs the loop two rounds."""

SLOW_SECONDS = (0.3, 5.0)


class StoreFaults:
    """How often the database fails, and what lasts now; nothing once the world is healed."""

    def __init__(self, rates: Mapping[str, float]) -> None:
        self.rates = {name: rates[name] for name in STORE_CLASSES if name in rates}
        self.lasting = ""

    def hits(self, name: str, chance: random.Random, strike: Callable[[str], None]) -> bool:
        """Draw one fault and tell of it."""
        rate = self.rates.get(name, 0.0)
        if rate <= 0 or chance.random() >= rate:
            return False
        strike(name)
        return True

    def heal(self) -> None:
        """End every fault."""
        self.rates = {}
        self.lasting = ""


class StoreAtRisk:
    """Fulfils `TrackerStore` and `Journal` over the real store, with faults."""

    def __init__(
        self,
        inner: Any,
        process: Incarnation,
        faults: StoreFaults,
        chance: random.Random,
        *,
        coverage: Coverage,
        strike: Callable[[str], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._store: TrackerStore = inner
        self._journal: Journal = inner
        self._process = process
        self._faults = faults
        self._chance = chance
        self._coverage = coverage
        self._strike = strike
        self._now_ns = now_ns

    async def commit(self, change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
        """Commit, or fail as the seed says."""
        return await self._written("commit", lambda: self._committed(change, at_ns))

    async def _committed(self, change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
        entries = await self._store.commit(change, at_ns)
        self._coverage.take(change, self._now_ns())
        return entries

    async def record(self, facts: Sequence[AccountFact], at_ns: int) -> tuple[JournalEntry, ...]:
        """Record, or fail as the seed says."""
        return await self._written("record", lambda: self._store.record(facts, at_ns))

    async def _written(
        self, name: str, work: Callable[[], Awaitable[tuple[JournalEntry, ...]]]
    ) -> tuple[JournalEntry, ...]:
        await self._begin_write(name)
        if self._breaks("store_commit_unknown"):
            if self._chance.random() < 0.5:
                await work()
            raise CommitOutcomeUnknown("the connection broke in COMMIT")
        entries = await work()
        await self._end(name)
        return entries

    async def load(self, tracker_id: TrackerId) -> PositionTracker | None:
        """Load one tracker."""
        await self._begin("load")
        return await self._store.load(tracker_id)

    async def load_all(
        self, statuses: Sequence[PositionStatus] | None = None
    ) -> tuple[PositionTracker, ...]:
        """Load all trackers."""
        await self._begin("load")
        return await self._store.load_all(statuses)

    async def load_current(self, ended_since_ns: int) -> tuple[PositionTracker, ...]:
        """Load the trackers that are not past."""
        await self._begin("load")
        return await self._store.load_current(ended_since_ns)

    async def alarms(
        self, *, open_only: bool = False, since_ns: int | None = None
    ) -> tuple[Alarm, ...]:
        """Read the alarms."""
        await self._begin("alarms")
        return await self._store.alarms(open_only=open_only, since_ns=since_ns)

    async def kill_switch(self) -> KillSwitchState:
        """Read the kill switch."""
        await self._begin("kill_switch")
        return await self._store.kill_switch()

    async def exit_all(self) -> ExitAllState | None:
        """Read the newest wish to close everything."""
        await self._begin("exit_all")
        return await self._store.exit_all()

    async def account_day(self) -> AccountDayState | None:
        """Read what the account's rules remember."""
        await self._begin("account_day")
        return await self._store.account_day()

    async def recall_answer(self, idempotency_key: str) -> RememberedAnswer | None:
        """Read a remembered answer."""
        await self._begin("recall")
        return await self._store.recall_answer(idempotency_key)

    async def remember_answer(
        self, idempotency_key: str, answer: RememberedAnswer, at_ns: int
    ) -> None:
        """Remember an answer."""
        await self._begin_write("remember")
        await self._store.remember_answer(idempotency_key, answer, at_ns)

    async def entries(
        self, *, after_seq: int = 0, tracker_id: TrackerId | None = None, limit: int = 1000
    ) -> tuple[JournalEntry, ...]:
        """Read the journal."""
        await self._begin("entries")
        return await self._journal.entries(after_seq=after_seq, tracker_id=tracker_id, limit=limit)

    async def write_times(self, *, since_ns: int, limit: int) -> tuple[int, ...]:
        """Read when order writes were journalled."""
        await self._begin("write_times")
        return await self._journal.write_times(since_ns=since_ns, limit=limit)

    async def head(self) -> int:
        """Read the journal's newest number."""
        await self._begin("head")
        return await self._journal.head()

    async def _begin_write(self, name: str) -> None:
        await self._begin(name)
        if self._breaks("store_slow"):
            await asyncio.sleep(self._chance.uniform(*SLOW_SECONDS))
            self._process.check()
        if self._faults.lasting:
            self._strike(self._faults.lasting)
            raise StoreUnavailable(WRITE_REFUSALS[self._faults.lasting])
        if self._breaks("store_io_error"):
            raise StoreUnavailable("disk I/O error; the transaction was rolled back")

    async def _begin(self, name: str) -> None:
        self._process.reach(f"{name}_begins")
        await asyncio.sleep(self._chance.uniform(0.0001, 0.002))
        self._process.check()
        if self._breaks("store_busy"):
            raise StoreUnavailable("the database is busy")

    async def _end(self, name: str) -> None:
        self._process.reach(f"{name}_durable")
        if self._chance.random() < _LATE_WORD_SHARE:
            await asyncio.sleep(self._chance.uniform(0.0001, 0.001))

    def _breaks(self, fault_class: str) -> bool:
        return self._faults.hits(fault_class, self._chance, self._strike)
