"""`squareoff db restore` where the disk or another program is in its way."""

import fcntl
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from squareoff.adapters.sql import backups
from squareoff.adapters.sql.locks import lock_paths


def _switch(path: Path, reason: str | None = None) -> list[str]:
    """Set the kill switch, if a reason is given; return the reasons that the database holds."""
    with closing(sqlite3.connect(path)) as database:
        if reason is not None:
            row = ("PAPER", 1, "all", reason, 1)
            database.execute("INSERT INTO kill_switch VALUES (?, ?, ?, ?, ?)", row)
            database.commit()
        return [found[0] for found in database.execute("SELECT reason FROM kill_switch")]


@pytest.mark.parametrize("words", ["database or disk is full", "another process is writing to it"])
def test_a_sound_database_that_cannot_be_kept_aside_stays(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """It was moved away as if it were damaged, and the next start began with an empty one."""
    path = tmp_path / "squareoff.db"
    run("db", "upgrade")
    run("db", "backup", "copy.db")
    _switch(path, "fire")
    copy = backups._copy

    def copy_with_no_room_aside(source: Path, target: Path) -> None:
        if "before-restore" in target.name:
            raise sqlite3.OperationalError(words)
        copy(source, target)

    monkeypatch.setattr(backups, "_copy", copy_with_no_room_aside)
    refused = run("db", "restore", "copy.db", "--yes")

    assert refused.status == 1
    assert words in refused.err
    assert _switch(path) == ["fire"]
    assert not list(tmp_path.glob("*before-restore*"))


@pytest.fixture
def heeds_interruption() -> Iterator[None]:
    """Heed Ctrl-C also where this process was begun in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interruption")
@pytest.mark.parametrize("step", ["back_up", "put_back"])
def test_an_interrupted_restore_says_what_it_did(
    step: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C leaves the database alone, or comes too late and the restore is told as done."""
    run("db", "upgrade")
    run("db", "backup", "copy.db")
    path, whole = tmp_path / "squareoff.db", getattr(backups, step)
    _switch(path, "late")
    held: list[bool] = []

    def interrupted(*given: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        whole(*given)
        held.extend(_is_locked(each) for each in lock_paths(path))

    monkeypatch.setattr(backups, step, interrupted)
    ended = run("db", "restore", "copy.db", "--yes")

    is_done = step == "put_back"
    assert ended.status == (0 if is_done else 130)
    assert ("restored" in ended.out) is is_done
    assert _switch(path) == ([] if is_done else ["late"])
    assert held
    assert all(held)
    assert not list(tmp_path.glob("*.restoring*"))


def _is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
