"""What the simulator can be told at its start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from squareoff.domain.errors import ConfigError


def test_recording_outside_the_band_moves_the_band(
    make_server: Callable[..., Any], tmp_path: Path
) -> None:
    """A recording of other price levels gets a daily band of its own."""
    path = tmp_path / "low.csv"
    path.write_text("2022-09-19 09:15:00,17254.70\n2022-09-19 09:15:01,17255.20\n")

    sim = make_server(ticks=(f"NSE_FNO:49543={path}",))

    (terms,) = [i for i in sim.admin("GET", "instruments") if i["security_id"] == "49543"]
    assert float(terms["lower_circuit"]) < 17254 < float(terms["upper_circuit"])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"ticks": ("NSE_EQ:7=x.csv",)}, "ticks"),
        ({"conduct": {"nope": 1}}, "conduct"),
        ({"faults": ({"what": {"nope": 1}},)}, "faults"),
        ({"credentials_file": Path("absent.json")}, "credentials"),
    ],
    ids=str,
)
def test_wrong_options_stop_the_start(
    make_server: Callable[..., Any], options: dict[str, Any], word: str
) -> None:
    """A wrong option stops the start with a sentence that names it."""
    with pytest.raises(ConfigError, match=word):
        make_server(**options)


def test_broken_state_file_stops_the_start(make_server: Callable[..., Any], tmp_path: Path) -> None:
    """A state file that cannot be used is never silently replaced."""
    path = tmp_path / "state.json"
    path.write_text("{}")

    with pytest.raises(ConfigError, match="state"):
        make_server(state_file=path)

    assert path.read_text() == "{}"


@pytest.mark.parametrize(
    "text", ["canary", '[{"access_token": "canary"}]', '{"canary": 1}', "[1]", "null"]
)
def test_rubbish_for_credentials_is_told_by_what_it_must_be(
    make_server: Callable[..., Any], text: str, tmp_path: Path
) -> None:
    """The file is named with its form, and nothing of what it holds."""
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"tokens\.json must hold a JSON list of") as refused:
        make_server(credentials_file=path)

    assert "canary" not in str(refused.value)
    assert "Error" not in str(refused.value)
