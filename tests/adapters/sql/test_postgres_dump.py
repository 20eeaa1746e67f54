"""A PostgreSQL database is copied by pg_dump, with the password out of sight."""

import stat
from pathlib import Path

import pytest

from squareoff.adapters.sql.postgres_dump import dump
from squareoff.domain.errors import StoreError


def test_a_dump_is_written_for_its_owner_only(postgres_database: str, tmp_path: Path) -> None:
    """The file has pg_dump's custom form and mode 0600; it replaces nothing."""
    target = tmp_path / "copy.dump"
    size = dump(postgres_database, target)

    assert target.read_bytes()[:5] == b"PGDMP"
    assert size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(StoreError, match="is there already"):
        dump(postgres_database, target)


@pytest.mark.parametrize(
    "url",
    ["postgresql://user:word@127.0.0.1:1/name", "postgresql://user@127.0.0.1:1/name?password=word"],
)
def test_a_dump_that_fails_leaves_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program's word is passed on, the password is in its environment alone."""
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "refused $PGPASSWORD" "$@" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    target = tmp_path / "copy.dump"

    with pytest.raises(StoreError) as refused:
        dump(url, target)
    said = str(refused.value)
    assert "refused word" in said, "the password came by the environment"
    assert "user@127.0.0.1:1/name" in said
    assert said.count("word") == 1 + said.count("--no-password"), "and by no argument"
    assert not target.exists()


def test_without_the_program_the_command_to_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without PostgreSQL's programs is told what to run elsewhere."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StoreError, match=r"pg_dump --format=custom --file=.*copy\.dump"):
        dump("postgresql://user:word@127.0.0.1:1/name", tmp_path / "copy.dump")
