"""The doctor's look at this machine: each fault says what to do."""

from pathlib import Path
from typing import Any

import pytest

from squareoff.cli import local_checks
from squareoff.cli.engine_program import refuse_open_files
from squareoff.config import load_settings
from squareoff.domain.errors import ConfigError

TICKS = "NSE_FNO:1=recording.csv"


def _settings(folder: Path, **environment: str) -> Any:
    environment.setdefault("SQUAREOFF_DATABASE_URL", f"sqlite:///{folder / 'a.db'}")
    return load_settings(None, environment)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["a.db", "a.db-wal", "squareoff-api-token", "token"])
def test_a_file_that_others_may_read_is_named(tmp_path: Path, name: str) -> None:
    """With the command that closes it; closed, all is well."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    settings = _settings(tmp_path, DHAN_ACCESS_TOKEN_FILE=str(token))
    path = tmp_path / name
    path.touch()
    path.chmod(0o640)
    ok, text = local_checks.files(settings)

    assert not ok
    assert "chmod 600" in text
    assert name in text
    path.chmod(0o600)
    assert local_checks.files(settings)[0]


def test_a_folder_that_everybody_may_write_is_named(tmp_path: Path) -> None:
    """The engine refuses to start on such a database, so it is not fit to run."""
    settings = _settings(tmp_path)
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="chmod o-w"):
        refuse_open_files(settings)
    ok, text = local_checks.files(settings)

    assert not ok
    assert text.endswith(f"chmod o-w {tmp_path}")
    tmp_path.chmod(0o700)
    assert local_checks.files(settings)[0]


def test_a_recording_that_has_no_place_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine goes on without it and only logs that, so the day would be gone."""
    (tmp_path / "a.toml").write_text('[recording]\nfolder = "deep/feed"\n')
    settings = load_settings(tmp_path / "a.toml", {})
    assert local_checks.disk(settings)[0]
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    ok, text = local_checks.disk(settings)

    assert not ok
    assert text.startswith("recording.folder deep/feed cannot be written")


def test_a_full_disk_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the least the doctor says where to make room."""
    settings = _settings(tmp_path)
    assert local_checks.disk(settings)[0]
    monkeypatch.setattr(local_checks, "DISK_MEGABYTES_MIN", 1 << 40)
    ok, text = local_checks.disk(settings)

    assert not ok
    assert str(tmp_path) in text


def test_addresses_of_alarms_are_read_and_not_shown(tmp_path: Path) -> None:
    """None is no fault; one that cannot be read is, by its kind alone."""
    assert local_checks.alerts(_settings(tmp_path))[0]
    good = _settings(tmp_path, SQUAREOFF_ALERT_URLS="json://127.0.0.1/secret")
    assert local_checks.alerts(good) == (True, "go to 1 address")
    ok, text = local_checks.alerts(_settings(tmp_path, SQUAREOFF_ALERT_URLS="nosuch://secret-part"))

    assert not ok
    assert "secret-part" not in text


def test_paper_mode_needs_prices(tmp_path: Path) -> None:
    """Recorded ones that are there, or an account for the live feed."""
    ok, text = local_checks.paper_prices(_settings(tmp_path))
    assert not ok
    assert "squareoff init --recorded" in text
    assert local_checks.paper_prices(_settings(tmp_path, DHAN_CLIENT_ID="1"))[0]
    (tmp_path / "squareoff.toml").write_text(f'[paper]\nticks = ["{TICKS}"]\n')
    settings = load_settings(tmp_path / "squareoff.toml", {})
    assert local_checks.paper_prices(settings) == (
        False,
        f"{tmp_path / 'recording.csv'} of paper.ticks is not there",
    )
    (tmp_path / "recording.csv").touch()
    assert local_checks.paper_prices(settings)[0]
