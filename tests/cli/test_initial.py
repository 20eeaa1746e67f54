"""`squareoff init` writes a settings file once, and says how to go on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from squareoff.config import load_settings


def test_a_first_file_is_written_for_its_owner_only(run: Any, tmp_path: Path) -> None:
    """The files are there with mode 0600, and the next steps are told."""
    ended = run("init")

    assert ended.status == 0
    assert "squareoff doctor" in ended.out
    for name in ("squareoff.toml", ".env.example"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_never_written_over(run: Any, tmp_path: Path) -> None:
    """The command is refused and the file stays; a lone .env.example is left alone too."""
    (tmp_path / "squareoff.toml").write_text("mode = 'live'\n")
    (tmp_path / ".env.example").write_text("MINE\n")
    refused, other = run("init"), run("init", "other.toml", "--json")

    assert refused.status == 1
    assert refused.err == "squareoff: squareoff.toml is there already and stays as it is\n"
    assert (tmp_path / "squareoff.toml").read_text() == "mode = 'live'\n"
    assert json.loads(other.out)["written"] == ["other.toml"]
    assert (tmp_path / ".env.example").read_text() == "MINE\n"


def test_the_settings_can_be_printed_instead(run: Any, tmp_path: Path) -> None:
    """With '-' the text of the file comes out, alone, and nothing is written."""
    printed = run("init", "--recorded", "-")
    assert (printed.status, list(tmp_path.glob("*.toml")), list(tmp_path.glob(".env*"))) == (
        0,
        [],
        [],
    )
    run("init", "--recorded", "same.toml")

    assert printed.out == (tmp_path / "same.toml").read_text()


def test_a_folder_that_is_missing_is_refused(run: Any) -> None:
    """One line, no traceback."""
    refused = run("init", "nowhere/squareoff.toml")

    assert (refused.status, refused.out) == (1, "")
    assert "nowhere/squareoff.toml cannot be written" in refused.err


def test_a_full_disk_leaves_no_half_file(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there would be the settings of the next start, and keep `init` from writing them."""
    opened = os.fdopen

    def open_full(descriptor: int, *given: Any, **named: Any) -> Any:
        os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)
        return opened(descriptor, *given, **named)

    monkeypatch.setattr("squareoff.cli.initial.os.fdopen", open_full)
    refused = run("init")
    monkeypatch.undo()

    assert refused.status == 1
    assert refused.err == ("squareoff: squareoff.toml cannot be written: No space left on device\n")
    assert list(tmp_path.iterdir()) == []


def test_the_next_steps_name_the_file_that_was_written(run: Any, tmp_path: Path) -> None:
    """A file that is not found by itself is named in each command; the token goes to a file."""
    (tmp_path / "my settings").mkdir()
    usual, other = run("init"), run("init", "my settings/live.toml", "--json")
    recorded = json.loads(run("init", "my settings/rec.toml", "--recorded", "--json").out)["next"]
    following = json.loads(other.out)["next"]

    assert "--config" not in usual.out
    assert "DHAN_ACCESS_TOKEN_FILE" in usual.out
    assert following[0] == "cp 'my settings/.env.example' .env; chmod 600 .env"
    named = "--config 'my settings/live.toml'"
    assert [line.split("  ")[0] for line in following if named in line] == [
        f"squareoff doctor {named} is all of it fit to run?",
        f"squareoff run {named} paper mode: no order leaves this machine",
    ]
    assert recorded[0].startswith("squareoff run --config 'my settings/rec.toml' ")


def test_recorded_prices_run_without_an_account(run: Any, tmp_path: Path) -> None:
    """With `--recorded` the doctor finds nothing wrong and the recording exists."""
    written, examined = run("init", "--recorded"), run("doctor", "--json")
    settings = load_settings(tmp_path / "squareoff.toml", {})

    assert (written.status, examined.status) == (0, 0)
    assert settings.session == "always"
    assert Path(settings.paper.ticks[0].partition("=")[2]).is_file()
