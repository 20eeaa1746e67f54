"""A copy is one whole instant of a database in use, and goes back in one piece."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from squareoff.adapters.sql import backups
from squareoff.adapters.sql.backups import (
    back_up,
    back_up_ours,
    is_damaged,
    put_back,
    replace_damaged,
)
from squareoff.domain.errors import StoreError


def _database(path: Path, *numbers: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO numbers VALUES (?)", [(each,) for each in numbers])
        database.commit()


def _numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT number FROM numbers ORDER BY number")]


def test_a_copy_is_made_beside_an_open_transaction(tmp_path: Path) -> None:
    """What is not committed is not in it, what is in the log alone is, and the writer goes on."""
    path, copy = tmp_path / "live.db", tmp_path / "copy.db"
    _database(path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO numbers VALUES (2)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO numbers VALUES (3)")
        back_up(path, copy)
        writer.execute("COMMIT")

    assert _numbers(copy) == [1, 2]
    assert _numbers(path) == [1, 2, 3]
    assert not list(tmp_path.glob("copy.db-*")), "a copy is one file"


def test_who_has_the_database_open_sees_the_restored_one(tmp_path: Path) -> None:
    """A restore goes into the very file, so nobody goes on with the old one unseen."""
    path, copy = tmp_path / "live.db", tmp_path / "copy.db"
    _database(path, 1)
    back_up(path, copy)
    with closing(sqlite3.connect(path, isolation_level=None)) as standby:
        standby.execute("INSERT INTO numbers VALUES (2)")
        put_back(copy, path)

        assert standby.execute("SELECT number FROM numbers").fetchall() == [(1,)]


def test_a_database_in_use_is_not_replaced_half_way(tmp_path: Path) -> None:
    """A writer that holds the lock makes the restore fail, with everything as it was."""
    path, copy = tmp_path / "live.db", tmp_path / "copy.db"
    _database(path, 1)
    back_up(path, copy)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO numbers VALUES (2)")
        with pytest.raises(StoreError, match="cannot be written"):
            put_back(copy, path, wait_seconds=0.0)
        writer.execute("COMMIT")

    assert _numbers(path) == [1, 2]


def test_a_copy_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A missing folder is told in one line."""
    path = tmp_path / "live.db"
    _database(path, 1)

    with pytest.raises(StoreError, match="cannot be written: No such file"):
        back_up(path, tmp_path / "nowhere" / "copy.db")
    assert {each.name for each in tmp_path.iterdir()} == {"live.db"}


def test_a_damaged_database_is_not_passed_off_as_a_copy(tmp_path: Path) -> None:
    """Pages that do not hold together are found before the copy gets its name."""
    path, copy = tmp_path / "live.db", tmp_path / "copy.db"
    _database(path, *range(5_000))
    raw = bytearray(path.read_bytes())
    raw[8_192:12_288] = b"\xff" * 4_096
    path.write_bytes(raw)

    with pytest.raises(StoreError):
        back_up(path, copy)
    assert not copy.exists()


def test_a_damaged_database_gives_its_place_with_its_log(tmp_path: Path) -> None:
    """A log without its database, or beside another one, would be read wrongly."""
    path, copy, aside = tmp_path / "live.db", tmp_path / "copy.db", tmp_path / "aside.db"
    path.write_text("broken")
    (tmp_path / "live.db-wal").write_text("log")
    _database(copy, 7)
    replace_damaged(path, copy, aside)

    assert _numbers(path) == [7]
    assert (aside.read_text(), (tmp_path / "aside.db-wal").read_text()) == ("broken", "log")
    assert {each.name for each in tmp_path.iterdir()} == {
        *("live.db", "copy.db", "aside.db", "aside.db-wal")
    }


def test_a_damaged_database_stays_where_its_successor_finds_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that found no database, or an empty one, would begin from nothing."""
    path, copy, aside = tmp_path / "live.db", tmp_path / "copy.db", tmp_path / "aside.db"
    path.write_text("broken")
    _database(copy, 7)
    monkeypatch.setattr(backups, "_copy", _disk_full)

    with pytest.raises(StoreError, match=r"cannot be written: database or disk is full"):
        replace_damaged(path, copy, aside)
    assert path.read_text() == "broken"
    assert not list(tmp_path.glob("aside*")) + list(tmp_path.glob("live.db?*"))


def _disk_full(_path: Path, _target: Path) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_what_was_kept_aside_before_is_not_written_over(tmp_path: Path) -> None:
    """Two restores within one second choose the same name."""
    path, copy, aside = tmp_path / "live.db", tmp_path / "copy.db", tmp_path / "aside.db"
    path.write_text("broken")
    aside.write_text("precious")
    _database(copy, 7)

    with pytest.raises(StoreError, match="is there already"):
        replace_damaged(path, copy, aside)
    assert (path.read_text(), aside.read_text()) == ("broken", "precious")


def test_a_locked_database_is_not_called_damaged(tmp_path: Path) -> None:
    """Nor is a sound one; a torn page is."""
    path = tmp_path / "live.db"
    _database(path, *range(2_000))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("INSERT INTO numbers VALUES (-1)")
        locked = is_damaged(path)
    sound = is_damaged(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)

    assert (locked, sound, is_damaged(path)) == (False, False, True)


def test_what_is_no_database_is_named_itself(tmp_path: Path) -> None:
    """The target is not blamed for its source, and nothing is left of it."""
    path = tmp_path / "live.db"
    path.write_text("broken" * 1_000)

    with pytest.raises(StoreError, match=r"live\.db cannot be read as a database"):
        back_up(path, tmp_path / "copy.db")
    assert {each.name for each in tmp_path.iterdir()} == {"live.db"}


def test_a_copy_leaves_the_database_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month of nightly copies would fill the disk, and a full disk stops every exit."""
    path = tmp_path / "live.db"
    _database(path, 1)
    free = backups.FREE_BYTES_MIN + path.stat().st_size - 1
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    with pytest.raises(StoreError, match="would leave 255 MB, and a full disk stops every exit"):
        back_up_ours(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_strange_database_is_not_copied_as_ours(tmp_path: Path) -> None:
    """Whoever relies on the copy would find no journal in it."""
    path = tmp_path / "live.db"
    _database(path, 1)

    with pytest.raises(StoreError, match=r"live\.db is no database of squareoff"):
        back_up_ours(path, tmp_path / "copy.db")
    assert {each.name for each in tmp_path.iterdir()} == {"live.db"}
