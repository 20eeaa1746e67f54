"""Secrets of a rehearsed engine are canaries, and a canary is found wherever it comes out."""

from pathlib import Path

import pytest

from squareoff.config import load_settings
from squareoff.config.names import setting_names
from squareoff.simulator.rehearsal import canaries
from squareoff.simulator.rehearsal.canaries import files_with_canaries, holds_canary, secrets_of

ELSEWHERE = {"SQUAREOFF_DATABASE_URL", "SQUAREOFF_REDIS_URL", "SQUAREOFF_ALERT_URLS"}
"""Addresses of services that no rehearsal has; tests/controls/test_host.py plants in them."""

NO_SECRET = {"DHAN_CLIENT_ID"}
"""The account's number, which every journal names; only its faults are told without it."""


def test_every_secret_is_a_canary_that_the_engine_takes() -> None:
    """A secret that is added to the settings is missed here until it gets a canary."""
    secrets = secrets_of("77000001")
    wanted = {name.environment.name for name in setting_names() if name.is_sensitive}

    assert set(secrets) == wanted - ELSEWHERE - NO_SECRET
    assert all(holds_canary(value.encode()) for value in secrets.values())
    load_settings(None, secrets | {"SQUAREOFF_MODE": "live", "DHAN_CLIENT_ID": "77000001"})


@pytest.mark.parametrize("secret", secrets_of("77000001").values())
@pytest.mark.parametrize("before", [0, 1, 59, 60])
def test_a_canary_is_found_in_any_file(
    secret: str, before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However deep the file lies and wherever the canary stands in it, in any case."""
    monkeypatch.setattr(canaries, "_CHUNK_BYTES", 64)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "engine.log").write_text("x" * before + secret.swapcase() + "x" * 200)
    (tmp_path / "engine.db").write_bytes(b"\x00" * 500)

    assert files_with_canaries(tmp_path, but="credentials.json") == ["logs/engine.log"]


def test_the_simulators_own_list_is_left_out(tmp_path: Path) -> None:
    """The simulator must know the tokens; its file of them is no leak."""
    (tmp_path / "credentials.json").write_text(secrets_of("77000001")["DHAN_ACCESS_TOKEN"])

    assert files_with_canaries(tmp_path, but="credentials.json") == []
