"""Who owns an account, in the database: taking, renewing and giving back.

Invariants:
1. The epoch of `journal_head` and of `account_owner` rise together, by one, in the transaction that
   journals the taking. From its commit on, every write of an older epoch is refused.
2. An owner who gives a sign of life (a renewal, a commit) before the taking commits keeps the
   account: the taking names the very sign of life that it follows.
"""

from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, select, text, update

from squareoff.adapters.sql.journal_rows import append_facts
from squareoff.adapters.sql.keyed_inserts import insert_if_absent
from squareoff.adapters.sql.prepared import Prepared, Row
from squareoff.adapters.sql.runners import Runner
from squareoff.adapters.sql.tables import account_owner, journal_head
from squareoff.core.session.lease import AccountOwner, OwnerClaim, TakeoverCause
from squareoff.core.state.facts import AccountTaken
from squareoff.domain.errors import LostUpdate, OwnershipLost, StoreUnavailable
from squareoff.domain.ids import AccountId
from squareoff.domain.time import NANOSECONDS_PER_SECOND

STUCK_SECONDS = 10.0
"""The limit that our sessions set for an idle transaction; no healthy one comes near it."""

_MILLISECONDS_PER_SECOND = 1_000
_END_STUCK_SESSIONS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name LIKE 'squareoff pid %' AND wait_event = 'ClientRead' "
    "AND xact_start < now() - make_interval(secs => CAST(:seconds AS double precision))"
)
_OWN_ROW = account_owner.c.account_id == bindparam("key_account_id")
_RENEW = (
    update(account_owner)
    .where(_OWN_ROW, account_owner.c.epoch == bindparam("key_epoch"))
    .values(renewals=account_owner.c.renewals + 1)
)
_RELEASE = (
    update(account_owner)
    .where(_OWN_ROW, account_owner.c.epoch == bindparam("key_epoch"))
    .values(is_released=True)
)
_REPLACE = update(account_owner).where(
    _OWN_ROW,
    account_owner.c.epoch == bindparam("key_epoch"),
    account_owner.c.renewals == bindparam("key_renewals"),
)
_RAISE_EPOCH = update(journal_head).where(
    journal_head.c.account_id == bindparam("key_account_id"),
    journal_head.c.epoch == bindparam("key_epoch"),
)

_RAISE_EPOCH_OF_THE_SILENT = _RAISE_EPOCH.where(journal_head.c.seq == bindparam("key_seq"))
_READ = Prepared(
    select(account_owner, journal_head.c.seq.label("journal_seq"))
    .join(journal_head, journal_head.c.account_id == account_owner.c.account_id)
    .where(account_owner.c.account_id == bindparam("account_id"))
)


class SqlOwnerStore:
    """Fulfils the port `OwnerStore` for one account."""

    def __init__(self, runner: Runner, account_id: AccountId) -> None:
        self._runner = runner
        self._account_id = account_id

    async def owner(self) -> AccountOwner | None:
        """Return the newest owner, None where nobody ever took the account."""
        return await self._runner.read(partial(_read, account_id=self._account_id))

    async def take(
        self,
        claim: OwnerClaim,
        cause: TakeoverCause,
        before: AccountOwner | None,
        *,
        holds_lock: bool,
        at_ns: int,
    ) -> int:
        """Take the account in one transaction and return the new epoch; see `OwnerStore.take`."""
        epoch = 1 if before is None else before.epoch + 1
        owner = AccountOwner(epoch, claim, holds_lock, False, 0, at_ns, at_ns + claim.lease_ns)
        fact = AccountTaken(
            epoch,
            cause.value,
            claim.host,
            claim.process_id,
            claim.version,
            claim.config_hash,
            "" if before is None else before.describe(),
        )
        work = partial(_take, account_id=self._account_id, owner=owner, before=before, fact=fact)
        try:
            await self._runner.write(work)
        except StoreUnavailable:
            await self._runner.read(_end_stuck_sessions)
            raise
        return epoch

    async def renew(self, epoch: int, *, holds_lock: bool, lease_until_ns: int) -> None:
        """Give a sign of life; see `OwnerStore.renew`."""
        key = {"key_account_id": self._account_id, "key_epoch": epoch}
        signs = {"holds_lock": holds_lock, "lease_until_ns": lease_until_ns}
        await self._runner.write(partial(_renew, parameters=key | signs))

    async def release(self, epoch: int) -> None:
        """Say that the owner ended in good order; see `OwnerStore.release`."""
        key = {"key_account_id": self._account_id, "key_epoch": epoch}
        await self._runner.write(partial(_release, parameters=key))


def _end_stuck_sessions(connection: Connection) -> None:
    """End sessions of ours that hold a transaction open and have said nothing for too long.

    PostgreSQL's own limits do not end a session whose client was stopped between the messages of
    one statement: it counts as active, and its locks would keep every successor out.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_END_STUCK_SESSIONS, {"seconds": STUCK_SECONDS})


def assert_newest(connection: Connection, account_id: AccountId, epoch: int) -> None:
    """Hold the account's epoch still until the transaction ends, and see that it is `epoch`.

    Raises:
        OwnershipLost: it is not the newest.
    """
    query = select(journal_head.c.epoch).where(journal_head.c.account_id == account_id)
    if connection.execute(query.with_for_update()).scalar_one_or_none() != epoch:
        raise _lost(epoch)


def _read(connection: Connection, account_id: AccountId) -> AccountOwner | None:
    for row in _READ.rows(connection, {"account_id": account_id}):
        return _owner_of(row)
    return None


def _take(
    connection: Connection,
    account_id: AccountId,
    owner: AccountOwner,
    before: AccountOwner | None,
    fact: AccountTaken,
) -> None:
    columns = _columns_of(owner)
    if before is None:
        insert_if_absent(connection, account_owner, {"account_id": account_id} | columns)
        first = {"account_id": account_id, "seq": 0, "entry_hash": ""}
        insert_if_absent(connection, journal_head, first)
        raise_epoch, silence = _RAISE_EPOCH, {}
    else:
        raise_epoch, silence = _RAISE_EPOCH_OF_THE_SILENT, {"key_seq": before.journal_seq}
        sign = {"key_epoch": before.epoch, "key_renewals": before.renewals}
        replaced = connection.execute(_REPLACE, columns | sign | {"key_account_id": account_id})
        _assert_first(replaced.rowcount)
    key = {"key_account_id": account_id, "key_epoch": owner.epoch - 1, "epoch": owner.epoch}
    _assert_first(connection.execute(raise_epoch, key | silence).rowcount)
    append_facts(connection, account_id, (fact,), owner.taken_at_ns, owner.epoch)


def _assert_first(row_count: int) -> None:
    if row_count != 1:
        raise LostUpdate(
            "the account changed hands or its owner gave a sign of life; nothing was taken"
        )


def _renew(connection: Connection, parameters: dict[str, Any]) -> None:
    if connection.execute(_RENEW, parameters).rowcount != 1:
        raise _lost(parameters["key_epoch"])


def _lost(epoch: int) -> OwnershipLost:
    return OwnershipLost(
        f"this engine was owner number {epoch} of the account and another engine has taken it "
        "over: nothing more is written or sent here"
    )


def _release(connection: Connection, parameters: dict[str, Any]) -> None:
    connection.execute(_RELEASE, parameters)


def _columns_of(owner: AccountOwner) -> dict[str, Any]:
    claim = owner.claim
    return {
        "epoch": owner.epoch,
        "host": claim.host,
        "process_id": claim.process_id,
        "process_key": claim.process_key,
        "version": claim.version,
        "config_hash": claim.config_hash,
        "holds_lock": owner.holds_lock,
        "is_released": owner.is_released,
        "lease_ms": claim.lease_ns * _MILLISECONDS_PER_SECOND // NANOSECONDS_PER_SECOND,
        "renewals": owner.renewals,
        "taken_at_ns": owner.taken_at_ns,
        "lease_until_ns": owner.lease_until_ns,
    }


def _owner_of(row: Row) -> AccountOwner:
    claim = OwnerClaim(
        row["host"],
        row["process_id"],
        row["process_key"],
        row["version"],
        row["config_hash"],
        row["lease_ms"] / _MILLISECONDS_PER_SECOND,
    )
    return AccountOwner(
        row["epoch"],
        claim,
        row["holds_lock"],
        row["is_released"],
        row["renewals"],
        row["taken_at_ns"],
        row["lease_until_ns"],
        row["journal_seq"],
    )
