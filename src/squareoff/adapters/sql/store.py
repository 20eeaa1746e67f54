"""The store of one account: trackers, journal, alarms, kill switch, remembered answers.

Every method is one transaction. State and the facts it follows from are written together or not at
all, and are durable when `commit` or `record` returns.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from squareoff.adapters.sql import account_rows, journal_rows, tracker_reads, tracker_writes
from squareoff.adapters.sql.journal_rows import ChainReport
from squareoff.adapters.sql.runners import Runner
from squareoff.core.change import Change
from squareoff.core.facts import AccountFact, JournalEntry
from squareoff.core.tracker import PositionTracker
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.states import PositionStatus
from squareoff.ports import Alarm, KillSwitchState, RememberedAnswer


class SqlStore:
    """Fulfils the ports `TrackerStore` and `Journal`; raises the store errors they name."""

    def __init__(self, runner: Runner, account_id: AccountId) -> None:
        self._runner = runner
        self._account_id = account_id

    async def commit(self, change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
        """Write state and facts in one transaction, durable on return.

        Raises:
            LostUpdate: the stored version is not `change.before`'s, or a second live intent was
                claimed; nothing was written.
            InvariantBroken: the facts do not account for the step from before to after.
        """
        _assert_sound(change, self._account_id)
        return await self._runner.write(
            partial(_commit, account_id=self._account_id, change=change, at_ns=at_ns)
        )

    async def record(self, facts: Sequence[AccountFact], at_ns: int) -> tuple[JournalEntry, ...]:
        """Journal facts that belong to no tracker change, with alarms and kill switch."""
        return await self._runner.write(
            partial(_record, account_id=self._account_id, facts=tuple(facts), at_ns=at_ns)
        )

    async def load(self, tracker_id: TrackerId) -> PositionTracker | None:
        """Return one tracker as stored."""
        return await self._runner.read(
            partial(tracker_reads.load_tracker, account_id=self._account_id, tracker_id=tracker_id)
        )

    async def load_all(
        self, statuses: Sequence[PositionStatus] | None = None
    ) -> tuple[PositionTracker, ...]:
        """Return the account's trackers, oldest first; None means all statuses."""
        return await self._runner.read(
            partial(tracker_reads.load_trackers, account_id=self._account_id, statuses=statuses)
        )

    async def alarms(self, *, unacknowledged_only: bool = False) -> tuple[Alarm, ...]:
        """Return alarms, oldest first."""
        return await self._runner.read(
            partial(
                account_rows.read_alarms,
                account_id=self._account_id,
                unacknowledged_only=unacknowledged_only,
            )
        )

    async def kill_switch(self) -> KillSwitchState:
        """Return the kill switch as last set."""
        return await self._runner.read(
            partial(account_rows.read_kill_switch, account_id=self._account_id)
        )

    async def recall_answer(self, idempotency_key: str) -> RememberedAnswer | None:
        """Return the answer stored under an idempotency key, if any."""
        return await self._runner.read(
            partial(
                account_rows.read_answer,
                account_id=self._account_id,
                idempotency_key=idempotency_key,
            )
        )

    async def remember_answer(
        self, idempotency_key: str, answer: RememberedAnswer, at_ns: int
    ) -> None:
        """Store the first answer under a key; a later one under the same key changes nothing."""
        await self._runner.write(
            partial(
                account_rows.store_answer,
                account_id=self._account_id,
                idempotency_key=idempotency_key,
                answer=answer,
                at_ns=at_ns,
            )
        )

    async def entries(
        self, *, after_seq: int = 0, tracker_id: TrackerId | None = None, limit: int = 1000
    ) -> tuple[JournalEntry, ...]:
        """Return entries with a higher sequence number, oldest first."""
        return await self._runner.read(
            partial(
                journal_rows.read_entries,
                account_id=self._account_id,
                after_seq=after_seq,
                tracker_id=tracker_id,
                limit=limit,
            )
        )

    async def head(self) -> int:
        """Return the newest sequence number, 0 for an empty journal."""
        return await self._runner.read(partial(journal_rows.read_head, account_id=self._account_id))

    async def verify_chain(self) -> ChainReport:
        """Check the whole journal for changed, removed and missing entries."""
        return await self._runner.read(
            partial(journal_rows.verify_chain, account_id=self._account_id)
        )


def _assert_sound(change: Change, account_id: AccountId) -> None:
    before, after = change.before, change.after
    if after.account_id != account_id:
        raise InvariantBroken(f"tracker {after.tracker_id} belongs to another account")
    steps = after.version + 1 if before is None else after.version - before.version
    if steps != len(change.facts):
        raise InvariantBroken(
            f"tracker {after.tracker_id}: {len(change.facts)} facts cannot account for {steps} "
            "steps of its version, so the journal would not rebuild it"
        )


def _commit(
    connection: Connection, account_id: AccountId, change: Change, at_ns: int
) -> tuple[JournalEntry, ...]:
    # The tracker before the journal, always: two writers that lock in one order cannot deadlock.
    if change.before is not None:
        tracker_writes.update_tracker(connection, change.before, change.after)
    facts = (*change.facts, *change.account_facts)
    entries = journal_rows.append_facts(connection, account_id, facts, at_ns)
    if change.before is None:
        tracker_writes.insert_tracker(connection, change.after, opened_seq=entries[0].seq)
    tracker_writes.write_parts(connection, change, at_ns)
    account_rows.project_entries(connection, account_id, entries)
    return entries


def _record(
    connection: Connection, account_id: AccountId, facts: Sequence[AccountFact], at_ns: int
) -> tuple[JournalEntry, ...]:
    entries = journal_rows.append_facts(connection, account_id, facts, at_ns)
    account_rows.project_entries(connection, account_id, entries)
    return entries
