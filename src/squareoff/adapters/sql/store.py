"""The store of one account: trackers, journal, alarms, kill switch, remembered answers.

Every method is one transaction. State and the facts it follows from are written together or not at
all, and are durable when `commit` or `record` returns.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from squareoff.adapters.sql import (
    account_days,
    account_rows,
    journal_rows,
    tracker_reads,
    tracker_writes,
)
from squareoff.adapters.sql.group_commit import Work
from squareoff.adapters.sql.journal_rows import ChainReport
from squareoff.adapters.sql.runners import Result, Runner
from squareoff.core.state.change import Change
from squareoff.core.state.facts import AccountFact, JournalEntry
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.states import PositionStatus
from squareoff.ports import (
    AccountDayState,
    Alarm,
    ExitAllState,
    KillSwitchState,
    RememberedAnswer,
    SignsOfLife,
)


class SqlStore:
    """Fulfils the ports `TrackerStore` and `Journal`; raises the store errors they name.

    `epoch` is the owner number under which an engine took the account: `commit` and `record` are
    refused with `OwnershipLost` once it is not the newest. None writes unfenced (tests, tools).
    `signs` is told of each of them that was durable.
    """

    def __init__(
        self,
        runner: Runner,
        account_id: AccountId,
        epoch: int | None = None,
        signs: SignsOfLife | None = None,
    ) -> None:
        self._runner = runner
        self._account_id = account_id
        self._epoch = epoch
        self._signs = signs

    async def commit(self, change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
        """Write state and facts in one transaction, durable on return.

        Raises:
            LostUpdate: the stored version is not `change.before`'s, or a second live intent was
                claimed; nothing was written.
            OwnershipLost: another engine has taken the account over; nothing was written.
            InvariantBroken: the facts do not account for the step from before to after.
        """
        _assert_sound(change, self._account_id)
        return await self._write_journal(
            partial(
                _commit,
                account_id=self._account_id,
                change=change,
                at_ns=at_ns,
                epoch=self._epoch,
            )
        )

    async def record(self, facts: Sequence[AccountFact], at_ns: int) -> tuple[JournalEntry, ...]:
        """Journal facts that belong to no tracker change, with alarms and kill switch."""
        return await self._write_journal(
            partial(
                _record,
                account_id=self._account_id,
                facts=tuple(facts),
                at_ns=at_ns,
                epoch=self._epoch,
            )
        )

    async def _write_journal(
        self, work: Work[tuple[JournalEntry, ...]]
    ) -> tuple[JournalEntry, ...]:
        if self._signs is None:
            return await self._runner.write(work)
        began_ns = self._signs.begin_sign()
        entries = await self._runner.write(work)
        if entries:
            self._signs.note_sign(began_ns)
        return entries

    async def load(self, tracker_id: TrackerId) -> PositionTracker | None:
        """Return one tracker as stored, after every commit that was begun before."""
        return await self._read_back(
            partial(tracker_reads.load_tracker, account_id=self._account_id, tracker_id=tracker_id)
        )

    async def _read_back(self, work: Work[Result]) -> Result:
        return await self._runner.read_back(
            partial(_after_commits, account_id=self._account_id, work=work)
        )

    async def load_all(
        self, statuses: Sequence[PositionStatus] | None = None
    ) -> tuple[PositionTracker, ...]:
        """Return the account's trackers, oldest first; None means all statuses."""
        return await self._runner.read(
            partial(tracker_reads.load_trackers, account_id=self._account_id, statuses=statuses)
        )

    async def load_current(self, ended_since_ns: int) -> tuple[PositionTracker, ...]:
        """Return the account's trackers but those that are past (`core.state.past`)."""
        return await self._runner.read(
            partial(
                tracker_reads.load_current,
                account_id=self._account_id,
                ended_since_ns=ended_since_ns,
            )
        )

    async def alarms(
        self, *, open_only: bool = False, since_ns: int | None = None
    ) -> tuple[Alarm, ...]:
        """Return alarms, oldest first."""
        return await self._runner.read(
            partial(
                account_rows.read_alarms,
                account_id=self._account_id,
                open_only=open_only,
                since_ns=since_ns,
            )
        )

    async def kill_switch(self) -> KillSwitchState:
        """Return the kill switch as last set."""
        return await self._runner.read(
            partial(account_rows.read_kill_switch, account_id=self._account_id)
        )

    async def exit_all(self) -> ExitAllState | None:
        """Return the newest wish to close everything, None where there never was one.

        The owner reads its own wish back; who only looks on must not hold the owner up.
        """
        work = partial(account_rows.read_exit_all, account_id=self._account_id)
        return await (self._runner.read(work) if self._epoch is None else self._read_back(work))

    async def account_day(self) -> AccountDayState | None:
        """Return what the account's rules remember of their newest day."""
        return await self._runner.read(
            partial(account_days.read_account_day, account_id=self._account_id)
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

    async def write_times(self, *, since_ns: int, limit: int) -> tuple[int, ...]:
        """Return when order writes were journalled since `since_ns`, the newest `limit` of them."""
        return await self._runner.read(
            partial(
                journal_rows.read_write_times,
                account_id=self._account_id,
                since_ns=since_ns,
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


def _after_commits(connection: Connection, account_id: AccountId, work: Work[Result]) -> Result:
    """Do the work once no earlier write holds the journal's head, as each does until its end."""
    journal_rows.wait_for_head(connection, account_id)
    return work(connection)


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
    connection: Connection,
    account_id: AccountId,
    change: Change,
    at_ns: int,
    epoch: int | None,
) -> tuple[JournalEntry, ...]:
    # The tracker before the journal, always: two writers that lock in one order cannot deadlock.
    if change.before is not None:
        tracker_writes.update_tracker(connection, change.before, change.after)
    facts = (*change.facts, *change.account_facts)
    entries = journal_rows.append_facts(connection, account_id, facts, at_ns, epoch)
    if change.before is None:
        tracker_writes.insert_tracker(connection, change.after, opened_seq=entries[0].seq)
    tracker_writes.write_parts(connection, change, at_ns)
    account_rows.project_entries(connection, account_id, entries)
    return entries


def _record(
    connection: Connection,
    account_id: AccountId,
    facts: Sequence[AccountFact],
    at_ns: int,
    epoch: int | None,
) -> tuple[JournalEntry, ...]:
    entries = journal_rows.append_facts(connection, account_id, facts, at_ns, epoch)
    account_rows.project_entries(connection, account_id, entries)
    return entries
