"""`squareoff db upgrade` makes a database and leaves one of this version as it is."""

import json
from pathlib import Path
from typing import Any


def test_a_database_is_made_once(run: Any, tmp_path: Path) -> None:
    """From nothing to this program's revision, and no further."""
    first, again = run("db", "upgrade", "--json"), run("db", "upgrade", "--json")
    made, found = json.loads(first.out), json.loads(again.out)

    assert (first.status, again.status) == (0, 0)
    assert (tmp_path / "squareoff.db").exists()
    assert made["was"] == ""
    assert found["was"] == found["revision"] == made["revision"]
    assert "revision" in run("db", "upgrade").out
