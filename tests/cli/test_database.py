"""`squareoff db`: make and upgrade, verify the journal, copy while in use, put a copy back."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.locks import FileAccountLock, lock_path
from squareoff.adapters.sql.store import SqlStore
from squareoff.bootstrap import PAPER_ACCOUNT
from squareoff.core.state.facts import (
    AccountFact,
    AccountRuleFired,
    EngineStarted,
    ExitAllAsked,
    ExitAllEnded,
    KillSwitchSet,
)
from squareoff.domain.account_rules import AccountRuleName
from squareoff.domain.ids import AccountId


def test_a_database_is_made_once(run: Any, tmp_path: Path) -> None:
    """From nothing to this program's revision, and no further."""
    first, again = run("db", "upgrade", "--json"), run("db", "upgrade", "--json")
    made, found = json.loads(first.out), json.loads(again.out)

    assert (first.status, again.status) == (0, 0)
    assert (tmp_path / "squareoff.db").exists()
    assert made["was"] == ""
    assert found["was"] == found["revision"] == made["revision"]
    assert "revision" in run("db", "upgrade").out


def _key(path: Path, key: str | None = None) -> list[str]:
    """Write an idempotency key into a database, if one is given; return all that it holds."""
    with closing(sqlite3.connect(path)) as database:
        if key is not None:
            row = ("PAPER", key, "h", 200, "{}", 1)
            database.execute("INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?)", row)
            database.commit()
        return [
            found[0] for found in database.execute("SELECT idempotency_key FROM idempotency_keys")
        ]


def test_a_copy_can_be_put_back(run: Any, tmp_path: Path) -> None:
    """What was written after the copy is gone from the database, and kept beside it."""
    run("db", "upgrade")
    _key(tmp_path / "squareoff.db", "early")
    copied = run("db", "backup", "copy.db")
    _key(tmp_path / "squareoff.db", "late")
    restored = run("db", "restore", "copy.db", "--json")
    kept = Path(json.loads(restored.out)["kept_aside"])

    assert (copied.status, restored.status) == (0, 0)
    assert _key(tmp_path / "squareoff.db") == ["early"]
    assert _key(tmp_path / kept) == ["early", "late"]
    for path in (tmp_path / "copy.db", tmp_path / kept, tmp_path / "squareoff.db"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.restoring*")) + list(tmp_path.glob("*.part"))


def test_a_copy_never_replaces_a_file(run: Any, tmp_path: Path) -> None:
    """A backup to a name that is taken is refused, and the file stays."""
    run("db", "upgrade")
    (tmp_path / "copy.db").write_text("precious")
    refused = run("db", "backup", "copy.db")

    assert refused.status == 1
    assert "is there already" in refused.err
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_there_must_be_something_to_copy(run: Any, tmp_path: Path) -> None:
    """No database, no copy, and none is made on the way."""
    refused = run("db", "backup", "copy.db")

    assert (refused.status, list(tmp_path.iterdir())) == (1, [])
    assert "there is no database at squareoff.db" in refused.err


@contextmanager
def _engine_of(account_id: AccountId, database: Path) -> Iterator[None]:
    """Hold the lock that a running engine of the account holds."""
    lock = FileAccountLock(lock_path(database, account_id))
    asyncio.run(lock.acquire())
    try:
        yield
    finally:
        asyncio.run(lock.release())


@pytest.mark.parametrize("account_id", [PAPER_ACCOUNT, AccountId("another")])
def test_no_restore_under_a_running_engine(run: Any, tmp_path: Path, account_id: AccountId) -> None:
    """An engine of any account on the database keeps it, and nothing is changed."""
    run("db", "upgrade")
    run("db", "backup", "copy.db")
    _key(tmp_path / "squareoff.db", "late")
    with _engine_of(account_id, tmp_path / "squareoff.db"):
        refused = run("db", "restore", "copy.db", "--yes")

    assert refused.status == 1
    assert "another engine owns this account" in refused.err
    assert _key(tmp_path / "squareoff.db") == ["late"]
    assert run("db", "restore", "copy.db", "--yes").status == 0


def test_a_damaged_copy_changes_nothing(run: Any, tmp_path: Path) -> None:
    """A cut file, a file that is no database, and a missing one are refused."""
    run("db", "upgrade")
    run("db", "backup", "whole.db")
    whole = (tmp_path / "whole.db").read_bytes()
    (tmp_path / "cut.db").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.db").write_text("no database at all")
    before = (tmp_path / "squareoff.db").read_bytes()

    for name in ("cut.db", "text.db", "none.db"):
        assert run("db", "restore", name, "--yes").status == 1
    assert (tmp_path / "squareoff.db").read_bytes() == before


def test_a_copy_whose_journal_was_edited_is_refused(run: Any, tmp_path: Path) -> None:
    """The chain of the journal is verified before anything is replaced."""
    run("db", "upgrade")
    run("db", "backup", "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        database.execute("INSERT INTO journal_head VALUES ('PAPER', 7, 'abc', 1)")
        database.commit()
    refused = run("db", "restore", "copy.db", "--yes")

    assert refused.status == 1
    assert "journal does not hold" in refused.err


def test_a_copy_of_another_version_is_told_apart(run: Any, tmp_path: Path) -> None:
    """A newer revision is refused."""
    run("db", "upgrade")
    run("db", "backup", "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        database.execute("UPDATE schema_revision SET version_num = '9999'")
        database.commit()
    refused = run("db", "restore", "copy.db", "--yes")

    assert refused.status == 1
    assert "revision 9999" in refused.err


def test_a_damaged_database_is_replaced_and_kept(run: Any, tmp_path: Path) -> None:
    """The reason for a restore may be that the database is broken: it is moved aside as it is."""
    run("db", "upgrade")
    run("db", "backup", "copy.db")
    (tmp_path / "squareoff.db").write_text("broken" * 1_000)
    restored = run("db", "restore", "copy.db", "--json")

    assert restored.status == 0
    found = json.loads(restored.out)
    kept = tmp_path / found["kept_aside"]
    assert kept.read_text() == "broken" * 1_000
    assert ["cannot be read" in line for line in found["carried_over"]] == [True]
    assert _key(tmp_path / "squareoff.db") == []


def test_a_restore_makes_a_missing_database(run: Any, tmp_path: Path) -> None:
    """On a new machine there is nothing to keep aside."""
    run("db", "upgrade")
    run("db", "backup", "copy.db")
    (tmp_path / "squareoff.db").unlink()
    restored = run("db", "restore", "copy.db", "--json")

    assert json.loads(restored.out)["kept_aside"] is None
    assert json.loads(restored.out)["carried_over"] == []
    assert _key(tmp_path / "squareoff.db") == []


def test_a_server_is_restored_by_its_own_program(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL the command says what to run, and never shows the password."""
    monkeypatch.setenv("SQUAREOFF_DATABASE_URL", "postgresql://user:secret-word@127.0.0.1/none")
    (tmp_path / "copy.dump").write_text("x")
    refused = run("db", "restore", "copy.dump", "--yes")

    assert refused.status == 1
    assert "pg_restore" in refused.err
    assert "secret-word" not in refused.err


def test_a_live_restore_asks_for_the_account_and_nothing_more(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client id names the engine to keep out; all else of the credentials is not needed."""
    for name in ("DHAN_CLIENT_ID", "DHAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SQUAREOFF_MODE", "live")
    statuses = [run("db", *words).status for words in (("upgrade",), ("backup", "copy.db"))]
    refused = run("db", "restore", "copy.db", "--yes")
    monkeypatch.setenv("DHAN_CLIENT_ID", "1100000001")

    assert statuses == [0, 0]
    assert refused.status == 2
    assert refused.err.startswith("squareoff: DHAN_CLIENT_ID: is needed to restore in live mode")
    assert run("db", "restore", "copy.db", "--yes").status == 0


REAL = AccountId("1100000001")
FACTS = (EngineStarted("1.0", "paper", 0), EngineStarted("1.1", "paper", 0))


def _edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def test_the_journal_is_verified(run: Any, tmp_path: Path) -> None:
    """A journal as written passes; one edited byte in it is found and named."""
    run("db", "upgrade")
    asyncio.run(_write(tmp_path / "squareoff.db", PAPER_ACCOUNT, FACTS))
    whole, told = run("db", "verify", "--json"), run("db", "verify")
    _edit(
        tmp_path / "squareoff.db",
        "UPDATE journal SET data = replace(data, '1.1', '1.2') WHERE seq = 2",
    )
    edited = run("db", "verify")

    assert (whole.status, json.loads(whole.out)["entries"]) == (0, 2)
    assert "account PAPER: 2 journal entries, every one as written" in told.out
    assert edited.status == 1
    assert "account PAPER: entry 2 was changed after it was written" in edited.err


TAMPERINGS = {
    "an entry edited": "UPDATE journal SET data = replace(data, '1.1', '1.2') WHERE seq = 2 AND",
    "the end cut off": "DELETE FROM journal WHERE seq = 2 AND",
    "every entry removed": "DELETE FROM journal WHERE",
    "the head removed": "DELETE FROM journal_head WHERE",
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_every_account_is_verified_whichever_the_settings_name(
    name: str, run: Any, tmp_path: Path
) -> None:
    """A shell in paper mode, the default, does not pass a tampered journal of the real account."""
    run("db", "upgrade")
    for account_id in (PAPER_ACCOUNT, REAL):
        asyncio.run(_write(tmp_path / "squareoff.db", account_id, FACTS))
    whole = json.loads(run("db", "verify", "--json").out)
    _edit(tmp_path / "squareoff.db", f"{TAMPERINGS[name]} account_id = '{REAL}'")
    tampered = run("db", "verify", "--json")
    found = json.loads(tampered.out)

    assert (whole["entries"], whole["intact"], whole["fault"]) == (4, True, "")
    assert [(each["account"], each["entries"]) for each in whole["accounts"]] == [
        (REAL, 2),
        (PAPER_ACCOUNT, 2),
    ]
    assert tampered.status == 1
    assert [each["intact"] for each in found["accounts"]] == [False, True]
    assert not found["intact"]
    assert found["fault"].startswith(f"account {REAL}: ")
    assert run("db", "backup", "copy.db").status == 0
    assert "does not hold" in run("db", "restore", "copy.db", "--yes").err


def test_what_is_not_there_is_not_verified(run: Any, tmp_path: Path) -> None:
    """No database, an empty file, and a database without a journal: refused, and none is made."""
    missing = run("db", "verify")
    left = list(tmp_path.iterdir())
    (tmp_path / "squareoff.db").touch()
    empty = run("db", "verify")
    (tmp_path / "squareoff.db").unlink()
    run("db", "upgrade")
    unwritten = run("db", "verify")

    assert [ended.status for ended in (missing, empty, unwritten)] == [1, 1, 1]
    assert missing.err == "squareoff: there is no database at squareoff.db\n"
    assert left == []
    assert "the database is empty" in empty.err
    assert "holds no journal" in unwritten.err


def test_a_copy_tells_how_much_it_holds(run: Any, tmp_path: Path) -> None:
    """The journal's entries are counted in the copy itself, in words and for scripts."""
    run("db", "upgrade")
    asyncio.run(_write(tmp_path / "squareoff.db", PAPER_ACCOUNT, FACTS))
    told, for_scripts = run("db", "backup", "a.db"), run("db", "backup", "b.db", "--json")

    assert ", 2 journal entries, checked" in told.out
    assert json.loads(for_scripts.out) == {
        "file": "b.db",
        "bytes": (tmp_path / "b.db").stat().st_size,
        "entries": 2,
    }


def test_a_database_of_others_is_not_backed_up(run: Any, tmp_path: Path) -> None:
    """A wrong database_url is told tonight, not on the day on which the copy is needed."""
    _edit(tmp_path / "squareoff.db", "CREATE TABLE songs (name TEXT)")
    refused = run("db", "backup", "copy.db")

    assert refused.status == 1
    assert "squareoff.db is no database of squareoff" in refused.err
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [(("backup", "x"), "squareoff.db"), (("restore", "junk.db", "--yes"), "junk.db")],
    ids=["backup", "restore"],
)
def test_the_broken_file_is_the_one_that_is_named(
    words: tuple[str, ...], named: str, run: Any, tmp_path: Path
) -> None:
    """Not the file that was to be written."""
    for name in ("squareoff.db", "junk.db"):
        (tmp_path / name).write_text("junk" * 1_000)
    refused = run("db", *words)

    assert refused.status == 1
    assert refused.err.startswith(f"squareoff: {named} cannot be read as a database: ")


@pytest.mark.xdist_group("postgres_url")
def test_a_server_is_verified_and_copied_the_same_way(
    run: Any, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every account on PostgreSQL too; an empty database there is no database of ours."""
    monkeypatch.setenv("SQUAREOFF_DATABASE_URL", postgres_database)
    strange = run("db", "backup", "copy.dump")
    run("db", "upgrade")
    for account_id in (PAPER_ACCOUNT, REAL):
        asyncio.run(_write_to(postgres_database, account_id, FACTS))
    verified, copied = run("db", "verify", "--json"), run("db", "backup", "copy.dump", "--json")

    assert strange.status == 1
    assert "is no database of squareoff" in strange.err
    assert [each["entries"] for each in json.loads(verified.out)["accounts"]] == [2, 2]
    assert (copied.status, json.loads(copied.out)["entries"]) == (0, 4)


async def _write(path: Path, account_id: AccountId, facts: tuple[EngineStarted, ...]) -> None:
    await _write_to(f"sqlite:///{path}", account_id, facts)


async def _write_to(url: str, account_id: AccountId, facts: tuple[EngineStarted, ...]) -> None:
    database = open_database(url)
    await SqlStore(database.runner, account_id).record(facts, 1)
    await database.close()


def _record(path: Path, *facts: AccountFact) -> None:
    """Write facts of the account as an engine does."""

    async def record() -> None:
        database = open_database(f"sqlite:///{path}")
        try:
            await SqlStore(database.runner, PAPER_ACCOUNT).record(facts, 1_789_440_000_000_000_000)
        finally:
            await database.close()

    asyncio.run(record())


def test_a_restore_takes_back_no_switch_and_brings_no_wish_to_life(
    run: Any, tmp_path: Path
) -> None:
    """What a person and the account's rules have said is carried over, told, and journalled."""
    path = tmp_path / "squareoff.db"
    run("db", "upgrade")
    _record(path, ExitAllAsked("all-1", "storm", False, False))
    run("db", "backup", "copy.db")
    loss = AccountRuleName.MAX_LOSS
    fired = AccountRuleFired("2026-09-15", loss, "loss", (loss,), closes_all=True)
    _record(path, ExitAllEnded("all-1", "closed", ""), KillSwitchSet(True, "all", "fire"), fired)
    restored = run("db", "restore", "copy.db", "--yes")
    verified = json.loads(run("db", "verify", "--json").out)
    with closing(sqlite3.connect(path)) as database:
        outcomes = database.execute("SELECT outcome FROM exit_all").fetchall()
        switch = database.execute("SELECT active, level, reason FROM kill_switch").fetchall()
        day = database.execute("SELECT day, spent, reason FROM account_day").fetchall()

    assert restored.status == 0
    assert (outcomes, switch) == ([("lifted",)], [(1, "all", "fire")])
    assert day == [("2026-09-15", "max_loss", "loss")]
    assert (verified["intact"], verified["entries"]) == (True, 4)
    assert "4 journal entries" in restored.out
    for told in ("exit-all: ended", "on at level all", "max_loss fired on 2026-09-15"):
        assert told in restored.out


def test_an_older_copy_is_put_back_and_its_silence_told(run: Any, tmp_path: Path) -> None:
    """It takes its upgrade first; nothing is written to it, and the person hears of that."""
    run("db", "upgrade")
    run("db", "backup", "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        database.execute("UPDATE schema_revision SET version_num = '0001'")
        database.commit()
    restored = json.loads(run("db", "restore", "copy.db", "--json").out)

    assert restored["needs_upgrade"]
    assert ["older version" in line for line in restored["carried_over"]] == [True]
