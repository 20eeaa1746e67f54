"""`squareoff db restore` where the disk or another program is in its way."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from squareoff.adapters.sql import backups


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
