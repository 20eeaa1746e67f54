"""The journal as rows: append with numbers and chained hashes, read back, verify.

Every entry's hash is SHA-256 over the hash before it (64 hex digits, none for the first) and the
canonical JSON of its row, so an edited, removed or swapped entry breaks the chain at that place.
The newest number and hash are in `journal_head`; they show that the end is missing.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, union, update

from squareoff.adapters.sql.codec import decode_fact, encode_fact
from squareoff.adapters.sql.keyed_inserts import insert_if_absent
from squareoff.adapters.sql.prepared import Prepared
from squareoff.adapters.sql.rows import Row
from squareoff.adapters.sql.tables import journal, journal_head
from squareoff.core.state.facts import (
    Fact,
    JournalEntry,
    OrderCancelSent,
    OrderModifySent,
    OrderSent,
    fact_kind,
)
from squareoff.domain.errors import OwnershipLost
from squareoff.domain.ids import AccountId, TrackerId

# A batch of this many rows is some 300 kB: small beside everything else in memory.
VERIFY_BATCH_ENTRIES = 1_000

WRITE_KINDS = frozenset(fact_kind(fact) for fact in (OrderSent, OrderModifySent, OrderCancelSent))
"""The facts that are committed right before a write leaves."""

_INSERT_ENTRY = Prepared(insert(journal))
_AFTER = select(journal).where(
    journal.c.account_id == bindparam("account_id"), journal.c.seq > bindparam("after_seq")
)
_READ_ENTRIES = Prepared(_AFTER.order_by(journal.c.seq).limit(bindparam("limit")))
_READ_ENTRIES_OF_ONE = Prepared(
    _AFTER.where(journal.c.tracker_id == bindparam("tracker_id"))
    .order_by(journal.c.seq)
    .limit(bindparam("limit"))
)
_READ_HEAD = Prepared(
    select(journal_head.c.seq, journal_head.c.entry_hash)
    .where(journal_head.c.account_id == bindparam("account_id"))
    .with_for_update()
)
_OF_ACCOUNT = update(journal_head).where(journal_head.c.account_id == bindparam("key_account_id"))
_MOVE_HEAD = Prepared(_OF_ACCOUNT)
_MOVE_HEAD_FENCED = Prepared(_OF_ACCOUNT.where(journal_head.c.epoch == bindparam("key_epoch")))


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What verifying the chain found: entries that hold, and the first that does not.

    `fault_seq` is None where all hold; `fault_text` then is empty.
    """

    entries: int
    fault_seq: int | None = None
    fault_text: str = ""

    @property
    def is_intact(self) -> bool:
        """Say whether every entry holds and none is missing."""
        return self.fault_seq is None


def append_facts(
    connection: Connection,
    account_id: AccountId,
    facts: Sequence[Fact],
    at_ns: int,
    epoch: int | None = None,
) -> tuple[JournalEntry, ...]:
    """Append facts in their order, all at `at_ns`, and return their entries.

    The head stays locked until the transaction ends, so numbers are gapless and entries become
    visible in their order, also with several writers on PostgreSQL.

    Raises:
        OwnershipLost: `epoch` (None: not asked) is not the account's newest; the transaction must
            be rolled back.
    """
    if not facts:
        return ()
    seq, entry_hash = _locked_head(connection, account_id)
    entries: list[JournalEntry] = []
    new_rows: list[dict[str, object]] = []
    for fact in facts:
        seq += 1
        row = _row_of(account_id, seq, at_ns, fact)
        entry_hash = chained_hash(entry_hash, row)
        new_rows.append(row | {"entry_hash": entry_hash})
        entries.append(JournalEntry(seq, at_ns, fact, entry_hash))
    _INSERT_ENTRY.change_each(connection, new_rows)
    _move_head(connection, account_id, seq, entry_hash, epoch)
    return tuple(entries)


def read_entries(
    connection: Connection,
    account_id: AccountId,
    *,
    after_seq: int,
    tracker_id: TrackerId | None,
    limit: int,
) -> tuple[JournalEntry, ...]:
    """Return at most `limit` entries above `after_seq`, oldest first, of one tracker or all."""
    span = {"account_id": account_id, "after_seq": after_seq, "limit": limit}
    if tracker_id is None:
        found = _READ_ENTRIES.rows(connection, span)
    else:
        found = _READ_ENTRIES_OF_ONE.rows(connection, span | {"tracker_id": tracker_id})
    return tuple(
        JournalEntry(
            row["seq"], row["time_ns"], decode_fact(row["kind"], row["data"]), row["entry_hash"]
        )
        for row in found
    )


def read_write_times(
    connection: Connection, account_id: AccountId, *, since_ns: int, limit: int
) -> tuple[int, ...]:
    """Return when order writes were journalled, in the journal's order, the newest `limit`.

    The journal is read backward in batches and no further than to the first batch that lies wholly
    before `since_ns`; a clock that was set back for less than a batch hides nothing. All of every
    batch counts: a clock set forward since makes the newest writes look old.
    """
    found: list[int] = []
    below = read_head(connection, account_id) + 1
    while below > 1 and len(found) < limit:
        query = (
            select(journal.c.time_ns, journal.c.kind)
            .where(
                journal.c.account_id == account_id,
                journal.c.seq < below,
                journal.c.seq >= below - VERIFY_BATCH_ENTRIES,
            )
            .order_by(journal.c.seq.desc())
        )
        batch = connection.execute(query).all()
        found += [row.time_ns for row in batch if row.kind in WRITE_KINDS]
        if all(row.time_ns < since_ns for row in batch):
            break
        below -= VERIFY_BATCH_ENTRIES
    return tuple(reversed(found[:limit]))


def read_head(connection: Connection, account_id: AccountId) -> int:
    """Return the newest sequence number, 0 for an empty journal."""
    query = select(journal_head.c.seq).where(journal_head.c.account_id == account_id)
    return connection.execute(query).scalar_one_or_none() or 0


def wait_for_head(connection: Connection, account_id: AccountId) -> None:
    """Wait until whoever appends to the journal has ended. Where a database is of one writer that
    has the end of its own commits, nobody is waited for."""
    _READ_HEAD.first(connection, {"account_id": account_id})


def count_entries(connection: Connection) -> int:
    """Return how many entries the journals of all accounts have."""
    return connection.execute(select(func.count()).select_from(journal)).scalar_one()


def verify_chain(connection: Connection, account_id: AccountId) -> ChainReport:
    """Check numbers and hashes of the account's whole journal against its head."""
    seq, entry_hash = 0, ""
    for row in _all_rows(connection, account_id):
        if row["seq"] != seq + 1:
            return ChainReport(seq, seq + 1, f"entry {seq + 1} is missing")
        fields = {name: row[name] for name in row if name != "entry_hash"}
        if chained_hash(entry_hash, fields) != row["entry_hash"]:
            return ChainReport(seq, seq + 1, f"entry {seq + 1} was changed after it was written")
        seq, entry_hash = row["seq"], row["entry_hash"]
    query = select(journal_head.c.seq, journal_head.c.entry_hash)
    head = connection.execute(query.where(journal_head.c.account_id == account_id)).one_or_none()
    expected = (0, "") if head is None else (head.seq, head.entry_hash)
    if expected != (seq, entry_hash):
        return ChainReport(seq, seq + 1, f"the journal ends at {seq}, its head says otherwise")
    return ChainReport(seq)


def verify_chains(connection: Connection) -> dict[AccountId, ChainReport]:
    """Check the journal of every account of the database, as `verify_chain` does, in their order.

    An account counts that has entries or a head: whoever takes one away leaves the other.
    """
    accounts = union(select(journal_head.c.account_id), select(journal.c.account_id))
    found = sorted(connection.execute(accounts).scalars())
    return {AccountId(each): verify_chain(connection, AccountId(each)) for each in found}


def chained_hash(previous_hash: str, row: Row) -> str:
    """Return the hash of an entry: over the one before and its row without `entry_hash`."""
    canonical = msgspec.json.encode(dict(row), order="sorted")
    return hashlib.sha256(previous_hash.encode() + canonical).hexdigest()


def _row_of(account_id: AccountId, seq: int, at_ns: int, fact: Fact) -> dict[str, object]:
    return {
        "account_id": account_id,
        "seq": seq,
        "time_ns": at_ns,
        "kind": fact_kind(type(fact)),
        "tracker_id": fact.tracker_id,
        "client_order_id": getattr(fact, "client_order_id", None),
        "data": encode_fact(fact),
    }


def _locked_head(connection: Connection, account_id: AccountId) -> tuple[int, str]:
    key = {"account_id": account_id}
    head = _READ_HEAD.first(connection, key)
    if head is None:
        # Two processes may write an account's first entry at once; both then wait for one row.
        insert_if_absent(connection, journal_head, key | {"seq": 0, "entry_hash": ""})
        head = _READ_HEAD.first(connection, key)
    assert head is not None, "inserted above, or by whoever was first"
    seq, entry_hash = head
    return seq, entry_hash


def _move_head(
    connection: Connection, account_id: AccountId, seq: int, entry_hash: str, epoch: int | None
) -> None:
    """Note the new end. The fence costs no statement: a passed epoch matches no row here."""
    head: dict[str, object] = {
        "key_account_id": account_id,
        "seq": seq,
        "entry_hash": entry_hash,
    }
    if epoch is None:
        _MOVE_HEAD.change(connection, head)
    elif _MOVE_HEAD_FENCED.change(connection, head | {"key_epoch": epoch}) != 1:
        raise OwnershipLost(
            f"this engine was owner number {epoch} of the account and another engine has taken it "
            "over: nothing was written"
        )


def _all_rows(connection: Connection, account_id: AccountId) -> Iterator[Row]:
    after_seq = 0
    while True:
        query = select(journal).where(journal.c.account_id == account_id, journal.c.seq > after_seq)
        ordered = query.order_by(journal.c.seq).limit(VERIFY_BATCH_ENTRIES)
        batch = cast(Sequence[Row], connection.execute(ordered).mappings().all())
        yield from batch
        if len(batch) < VERIFY_BATCH_ENTRIES:
            return
        after_seq = batch[-1]["seq"]
