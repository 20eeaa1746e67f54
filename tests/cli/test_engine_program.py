"""The banner of `squareoff run`: the mode cannot be mistaken, the token is not shown."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from squareoff.cli.engine_program import announce, broker_name
from squareoff.config import Settings

LIVE = {"credentials": {"client_id": "1", "access_token": "x"}, "mode": "live"}


@pytest.mark.parametrize(
    ("settings", "mode", "warning"),
    [
        (Settings(), "PAPER", "no order leaves this machine"),
        (Settings(**LIVE), "LIVE", "REAL ORDERS go to the broker, with real money"),
        (
            Settings(**LIVE, dhan={"rest_url": "http://127.0.0.1:8800/v2"}),
            "LIVE",
            "orders go to a broker on this machine: http://127.0.0.1:8800/v2",
        ),
    ],
    ids=["paper", "live", "rehearsal"],
)
def test_the_mode_cannot_be_mistaken(
    settings: Settings, mode: str, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Mode, what orders mean, address and token file are on the banner."""
    announce(settings, "http://127.0.0.1:8700", Path("/some/token"), as_json=False)
    shown = capsys.readouterr().out

    assert mode in shown
    assert warning in shown
    assert "http://127.0.0.1:8700/ " in shown
    assert "http://127.0.0.1:8700/api/v1" in shown
    assert "/some/token" in shown


def test_scripts_get_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON line; a given token has no path."""
    announce(Settings(), "http://127.0.0.1:9", None, as_json=True)
    said = json.loads(capsys.readouterr().out)

    assert (said["mode"], said["api"], said["token_path"]) == ("paper", "http://127.0.0.1:9", None)
    assert said["dashboard"] == "http://127.0.0.1:9/"


def test_a_database_that_was_made_just_now_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A start in another folder begins with an empty one, and says so instead of looking well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for is_new in (True, False):
        announce(Settings(), "http://127.0.0.1:9", None, as_json=False, is_new_database=is_new)
        shown = capsys.readouterr().out

        assert f"{tmp_path}/squareoff.db" in shown
        assert ("made just now: no position is under watch" in shown) is is_new


REFUSED_STARTS: dict[str, tuple[int, str]] = {
    "no prices": (2, 'mode = "paper"\n'),
    "no such recording": (2, '[paper]\nticks = ["NSE_FNO:49543=nowhere.csv"]\n'),
    # No wrong setting: the service manager has to try again, for whoever has it may go.
    "a port in use": (1, '[api]\nport = {port}\n[paper]\nticks = ["NSE_FNO:49543=ticks.csv"]\n'),
}


@pytest.mark.parametrize("name", REFUSED_STARTS)
def test_a_refused_start_leaves_nothing_behind(
    name: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No database, no lock and no token of an engine that never ran."""
    for variable in ("DHAN_CLIENT_ID", "DHAN_ACCESS_TOKEN", "SQUAREOFF_API_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, text = REFUSED_STARTS[name]
        (tmp_path / "squareoff.toml").write_text(text.format(port=taken.getsockname()[1]))
        refused = run("run")

    assert (refused.status, refused.out) == (status, "")
    assert [path.name for path in tmp_path.iterdir()] == ["squareoff.toml"]


def test_a_short_token_is_refused_before_the_account_is_taken(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is misuse, told in one line with what to do, and there is no database after it."""
    for variable in ("DHAN_CLIENT_ID", "DHAN_ACCESS_TOKEN", "SQUAREOFF_API_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    token = tmp_path / "squareoff-api-token"
    token.write_text("short")
    token.chmod(0o600)
    assert run("init", "--recorded").status == 0
    refused = run("run")

    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "squareoff-api-token holds no token of 16 printable characters" in refused.err
    assert "remove it" in refused.err
    assert not (tmp_path / "squareoff.db").exists()


def test_the_dashboard_names_whom_orders_go_to() -> None:
    """The real broker, a rehearsal and paper cannot be taken for one another."""
    rehearsal = Settings(**LIVE, dhan={"rest_url": "http://127.0.0.1:8800/v2"})

    assert broker_name(Settings(**LIVE)) == "Dhan (api.dhan.co)"
    assert broker_name(rehearsal) == "rehearsal broker at 127.0.0.1"
    assert broker_name(Settings()) == "built-in paper broker"
