"""The hash chain of the journal, and its numbers."""

import pytest
from sqlalchemy import Connection, delete, text, update

from async_body import run_async
from sql_samples.histories import ACCOUNT, START_NS
from squareoff.adapters.sql.journal_rows import chained_hash, read_head, verify_chain
from squareoff.adapters.sql.store import SqlStore
from squareoff.adapters.sql.tables import journal, journal_head
from squareoff.core.state.facts import AlarmRaised, Severity
from squareoff.domain.errors import StoreError

ENTRIES = 5


def _facts() -> list[AlarmRaised]:
    return [AlarmRaised(Severity.WARNING, f"code_{n}", "message") for n in range(ENTRIES)]


def _edit_text(connection: Connection) -> None:
    entry = update(journal).where(journal.c.seq == 3)
    connection.execute(entry.values(data='{"code":"code_9"}'))


def _edit_time(connection: Connection) -> None:
    connection.execute(update(journal).where(journal.c.seq == 3).values(time_ns=1))


def _edit_hash(connection: Connection) -> None:
    connection.execute(update(journal).where(journal.c.seq == 3).values(entry_hash="0" * 64))


def _remove(connection: Connection) -> None:
    connection.execute(delete(journal).where(journal.c.seq == 3))


def _remove_last(connection: Connection) -> None:
    connection.execute(delete(journal).where(journal.c.seq == ENTRIES))


def _remove_and_renumber(connection: Connection) -> None:
    _remove(connection)
    for seq in (4, 5):
        connection.execute(update(journal).where(journal.c.seq == seq).values(seq=seq - 1))


def _edit_and_rehash(connection: Connection) -> None:
    """A careful forger who makes the entry itself consistent again."""
    _edit_time(connection)
    rows = connection.execute(journal.select().order_by(journal.c.seq)).mappings().all()
    fields = {name: rows[2][name] for name in rows[2] if name != "entry_hash"}
    forged = chained_hash(rows[1]["entry_hash"], fields)
    connection.execute(update(journal).where(journal.c.seq == 3).values(entry_hash=forged))


def _remove_head(connection: Connection) -> None:
    connection.execute(delete(journal_head))


TAMPERINGS = {
    "an edited text": (_edit_text, 3),
    "an edited time": (_edit_time, 3),
    "an edited hash": (_edit_hash, 3),
    "a removed entry": (_remove, 3),
    "a removed last entry": (_remove_last, ENTRIES),
    "a removed entry, the rest renumbered": (_remove_and_renumber, 3),
    "an edited entry with its own hash mended": (_edit_and_rehash, 4),
    "a removed head": (_remove_head, ENTRIES + 1),
}


@pytest.mark.parametrize(("tamper", "fault_seq"), TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_the_chain_shows_where_the_journal_was_touched(opened, tamper, fault_seq: int) -> None:
    """Any edit or removal breaks the chain, and the first broken number is named."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record(_facts(), START_NS)
            assert (await store.verify_chain()).entries == ENTRIES
            await database.runner.write(tamper)

            report = await store.verify_chain()
            assert not report.is_intact
            assert report.fault_seq == fault_seq, report

    run_async(body())


def test_an_empty_journal_is_intact(opened) -> None:
    """No entries and no head are a whole journal of length 0."""

    async def body() -> None:
        async with opened() as database:
            report = await database.runner.read(lambda c: verify_chain(c, ACCOUNT))
            assert report.is_intact and report.entries == 0
            assert await database.runner.read(lambda c: read_head(c, ACCOUNT)) == 0

    run_async(body())


def test_a_chain_longer_than_one_batch_is_verified_whole(opened, monkeypatch) -> None:
    """Reading in batches skips no entry at their borders."""
    monkeypatch.setattr("squareoff.adapters.sql.journal_rows.VERIFY_BATCH_ENTRIES", 2)

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record(_facts(), START_NS)
            assert (await store.verify_chain()).entries == ENTRIES

    run_async(body())


def test_transactions_follow_each_other_without_a_gap(opened) -> None:
    """The numbers of one transaction go on where the last one ended, and so does the chain."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            for count in (1, 3, 2):
                await store.record(_facts()[:count], START_NS)

            assert [entry.seq for entry in await store.entries()] == [1, 2, 3, 4, 5, 6]
            assert (await store.verify_chain()).entries == 6

    run_async(body())


def test_no_facts_are_no_entries(opened) -> None:
    """Recording nothing takes no number."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            assert await store.record([], START_NS) == ()
            assert await store.head() == 0

    run_async(body())


def test_an_unknown_kind_in_the_journal_is_a_clear_error(opened) -> None:
    """Reading an entry of a newer version raises a StoreError that names the kind."""

    async def body() -> None:
        async with opened() as database:
            store = SqlStore(database.runner, ACCOUNT)
            await store.record(_facts(), START_NS)
            rename = text("UPDATE journal SET kind = 'alarm_sung' WHERE seq = 2")
            await database.runner.write(lambda connection: connection.execute(rename))

            with pytest.raises(StoreError, match="alarm_sung"):
                await store.entries()

    run_async(body())
