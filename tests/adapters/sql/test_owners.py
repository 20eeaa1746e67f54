"""Owners of an account in the database: epochs, signs of life, and who is refused."""

import asyncio
from dataclasses import replace

import pytest

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS, change_of
from sql_samples.histories import opened as opening
from squareoff.adapters.sql import owners as owners_module
from squareoff.adapters.sql import postgres_engine
from squareoff.adapters.sql.database import Database, open_database
from squareoff.adapters.sql.owners import SqlOwnerStore
from squareoff.adapters.sql.paper_state import PaperStateStore
from squareoff.adapters.sql.schema import prepare
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.session.lease import AccountOwner, OwnerClaim, TakeoverCause
from squareoff.core.state.facts import AccountTaken, AlarmRaised, Severity
from squareoff.domain.errors import LostUpdate, OwnershipLost, StoreUnavailable
from squareoff.domain.ids import AccountId
from squareoff.ports import OwnerStore

FIRST = OwnerClaim("one", 1, "key-1", "1.0", "abc", 5.0)
SECOND = replace(FIRST, host="two", process_id=2, process_key="", lease_seconds=0.5)
ALARM = AlarmRaised(Severity.WARNING, "x", "y")


def _owners(database: Database) -> OwnerStore:
    """The type checker proves here that the store fulfils the port."""
    return SqlOwnerStore(database.runner, ACCOUNT)


async def _take(
    owners: OwnerStore, claim: OwnerClaim, before: AccountOwner | None, at_ns: int = START_NS
) -> int:
    return await owners.take(
        claim, TakeoverCause.LAPSED, before, holds_lock=before is None, at_ns=at_ns
    )


def test_each_taking_raises_the_epoch_and_is_journalled(opened) -> None:
    """The owner that was stored is read back, and the journal tells each change of hands."""

    async def body() -> None:
        async with opened() as database:
            owners = _owners(database)
            assert await owners.owner() is None
            assert await _take(owners, FIRST, None) == 1
            first = await owners.owner()
            assert first == AccountOwner(
                1, FIRST, True, False, 0, START_NS, START_NS + 5_000_000_000, journal_seq=1
            )
            assert await _take(owners, SECOND, first, START_NS + 9) == 2
            second = await owners.owner()
            assert second is not None and (second.epoch, second.claim) == (2, SECOND)
            assert not second.holds_lock

            entries = await SqlStore(database.runner, ACCOUNT).entries()
            assert [entry.fact for entry in entries] == [
                AccountTaken(1, "lapsed", "one", 1, "1.0", "abc", ""),
                AccountTaken(2, "lapsed", "two", 2, "1.0", "abc", first.describe()),
            ]
            assert [entry.time_ns for entry in entries] == [START_NS, START_NS + 9]
            assert (await SqlStore(database.runner, ACCOUNT).verify_chain()).is_intact

    run_async(body())


def test_an_account_with_a_journal_of_old_can_be_taken(opened) -> None:
    """What was written before there were epochs stays; the first owner has number 1."""

    async def body() -> None:
        async with opened() as database:
            await SqlStore(database.runner, ACCOUNT).record((ALARM,), START_NS)
            assert await _take(_owners(database), FIRST, None) == 1

            store = SqlStore(database.runner, ACCOUNT, 1)
            await store.record((ALARM,), START_NS)
            assert await store.head() == 3

    run_async(body())


def test_an_epoch_that_is_not_the_newest_writes_nothing(opened) -> None:
    """Commit, record and the paper ledger of an owner that was followed are refused whole; those
    of its successor, of other accounts and of tools without an epoch go on."""

    async def body() -> None:
        async with opened() as database:
            owners = _owners(database)
            await _take(owners, FIRST, None)
            old = SqlStore(database.runner, ACCOUNT, 1)
            await old.record((ALARM,), START_NS)
            await PaperStateStore(database.runner, ACCOUNT, 1).save(b"one")
            await _take(owners, SECOND, await owners.owner())
            head = await old.head()

            with pytest.raises(OwnershipLost, match="owner number 1"):
                await old.record((ALARM,), START_NS)
            with pytest.raises(OwnershipLost, match="owner number 1"):
                await old.commit(change_of(None, opening()), START_NS)
            with pytest.raises(OwnershipLost, match="owner number 1"):
                await PaperStateStore(database.runner, ACCOUNT, 1).save(b"two")
            assert (await old.head(), await old.load_all()) == (head, ())
            assert await PaperStateStore(database.runner, ACCOUNT).load() == b"one"

            new = SqlStore(database.runner, ACCOUNT, 2)
            await new.commit(change_of(None, opening()), START_NS)
            await PaperStateStore(database.runner, ACCOUNT, 2).save(b"three")
            await SqlStore(database.runner, ACCOUNT).record((ALARM,), START_NS)
            await SqlStore(database.runner, AccountId("other")).record((ALARM,), START_NS)
            assert (await new.verify_chain()).is_intact

    run_async(body())


def test_an_epoch_that_nobody_took_writes_nothing(opened) -> None:
    """A fenced store on an account without any owner is refused too."""

    async def body() -> None:
        async with opened() as database:
            with pytest.raises(OwnershipLost):
                await SqlStore(database.runner, ACCOUNT, 1).record((ALARM,), START_NS)
            assert await SqlStore(database.runner, ACCOUNT).head() == 0

    run_async(body())


def test_a_sign_of_life_keeps_the_account(opened) -> None:
    """Invariant 2: who saw an owner before its newest renewal cannot take the account from it."""

    async def body() -> None:
        async with opened() as database:
            owners = _owners(database)
            await _take(owners, FIRST, None)
            seen = await owners.owner()
            await owners.renew(1, holds_lock=False, lease_until_ns=START_NS + 77)
            renewed = await owners.owner()
            assert renewed is not None and seen is not None
            assert (renewed.renewals, renewed.lease_until_ns) == (1, START_NS + 77)

            for stale in (seen, None):
                with pytest.raises(LostUpdate):
                    await _take(owners, SECOND, stale)
            assert await owners.owner() == renewed
            assert await SqlStore(database.runner, ACCOUNT).head() == 1
            assert await _take(owners, SECOND, renewed) == 2

    run_async(body())


def test_a_commit_is_a_sign_of_life(opened) -> None:
    """Who saw an owner before its newest journal entry cannot take the account from it."""

    async def body() -> None:
        async with opened() as database:
            owners = _owners(database)
            await _take(owners, FIRST, None)
            seen = await owners.owner()
            await SqlStore(database.runner, ACCOUNT, 1).record((ALARM,), START_NS)

            with pytest.raises(LostUpdate):
                await _take(owners, SECOND, seen)
            now = await owners.owner()
            assert now is not None and now.journal_seq == 2
            assert await SqlStore(database.runner, ACCOUNT).head() == 2
            assert await _take(owners, SECOND, now) == 2

    run_async(body())


# A Parse message of `SELECT 1` and a Flush, without the Sync that ends a statement.
_HALF_A_STATEMENT = b"P\x00\x00\x00\x10\x00SELECT 1\x00\x00\x00" + b"H\x00\x00\x00\x04"


@pytest.mark.xdist_group("postgres_url")
@pytest.mark.parametrize(
    ("half", "state"), [(b"", "idle in transaction"), (_HALF_A_STATEMENT, "active")]
)
def test_a_session_that_is_stuck_in_a_transaction_is_ended(
    postgres_database, monkeypatch, half: bytes, state: str
) -> None:
    """A stopped owner's locks keep its successor out for one try only, also where it was stopped
    between the messages of one statement, which no limit of the server ends."""
    monkeypatch.setattr(owners_module, "STUCK_SECONDS", 1.0)

    async def body() -> None:
        database = open_database(postgres_database)
        await prepare(database)
        owners = _owners(database)
        await _take(owners, FIRST, None)
        stuck = await postgres_engine.connect(postgres_database)
        await stuck.execute("BEGIN")
        await stuck.execute("UPDATE account_owner SET renewals = renewals")
        stuck._transport.write(half)
        async with asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(_refused_take(owners))
            assert await _state_of_stuck(postgres_database, state)
        assert taking.result()

        assert await _take(owners, SECOND, await owners.owner()) == 2
        stuck.terminate()
        await database.close()

    run_async(body())


async def _refused_take(owners: OwnerStore) -> bool:
    with pytest.raises(StoreUnavailable):
        await _take(owners, SECOND, await owners.owner())
    return True


async def _state_of_stuck(url: str, state: str) -> bool:
    """Wait until the server shows a session of ours in this state, waiting for its client."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientRead' AND state = $1"
    watching = await postgres_engine.connect(url)
    while not await watching.fetchval(query, state):
        pass
    await watching.close()
    return True


class NotedSigns:
    """Keeps which writes were told to be durable."""

    def __init__(self) -> None:
        self.begun = 0
        self.noted: list[int] = []

    def begin_sign(self) -> int:
        self.begun += 1
        return self.begun

    def note_sign(self, began_ns: int) -> None:
        self.noted.append(began_ns)


def test_only_durable_journal_writes_are_told_as_signs_of_life(opened) -> None:
    """A refused write, and one that moved nothing, prove no ownership."""

    async def body() -> None:
        async with opened() as database:
            owners, signs = _owners(database), NotedSigns()
            await _take(owners, FIRST, None)
            store = SqlStore(database.runner, ACCOUNT, 1, signs)
            await store.record((ALARM,), START_NS)
            await store.commit(change_of(None, opening()), START_NS)
            await store.record((), START_NS)
            await _take(owners, SECOND, await owners.owner())
            with pytest.raises(OwnershipLost):
                await store.record((ALARM,), START_NS)
            assert (signs.begun, signs.noted) == (4, [1, 2])

    run_async(body())


def test_an_owner_that_was_followed_cannot_renew_or_release(opened) -> None:
    """Its renewal is refused, its release changes nothing of the successor's row."""

    async def body() -> None:
        async with opened() as database:
            owners = _owners(database)
            await _take(owners, FIRST, None)
            await _take(owners, SECOND, await owners.owner())

            with pytest.raises(OwnershipLost, match="owner number 1"):
                await owners.renew(1, holds_lock=True, lease_until_ns=1)
            await owners.release(1)
            owner = await owners.owner()
            assert owner is not None and not owner.is_released
            await owners.release(2)
            released = await owners.owner()
            assert released is not None and released.is_released

    run_async(body())


def test_of_many_takers_one_wins(shared_opened) -> None:
    """Standbys that saw the same silent owner take it at once: one epoch, one winner."""

    async def body() -> None:
        async with shared_opened() as one, shared_opened() as two, shared_opened() as three:
            await _take(_owners(one), FIRST, None)
            before = await _owners(one).owner()
            takers = [_take(_owners(each), SECOND, before) for each in (one, two, three)]
            results = await asyncio.gather(*takers, return_exceptions=True)

            assert sorted(type(each).__name__ for each in results) == [
                "LostUpdate",
                "LostUpdate",
                "int",
            ]
            owner = await _owners(one).owner()
            assert owner is not None and owner.epoch == 2

    run_async(body())


async def _take_when_silent(owners: OwnerStore) -> int:
    """Look and take until no sign of life came between the two."""
    while True:
        try:
            return await _take(owners, SECOND, await owners.owner())
        except LostUpdate:
            continue


def test_a_commit_and_a_taking_at_once_leave_one_order(shared_opened) -> None:
    """Whichever came first, nothing of the old epoch follows the taking in the journal."""

    async def body() -> None:
        async with shared_opened() as one, shared_opened() as two:
            await _take(_owners(one), FIRST, None)
            old = SqlStore(one.runner, ACCOUNT, 1)
            writes = [old.record((ALARM,), START_NS) for _ in range(20)]
            results = await asyncio.gather(
                _take_when_silent(_owners(two)), *writes, return_exceptions=True
            )

            entries = await old.entries()
            written = sum(isinstance(each, tuple) for each in results)
            lost = [each for each in results if isinstance(each, OwnershipLost)]
            assert results[0] == 2
            assert (len(entries), len(lost)) == (2 + written, 20 - written)
            assert isinstance(entries[-1].fact, AccountTaken)

    run_async(body())
