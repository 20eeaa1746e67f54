"""The words of `squareoff sim`."""

from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from squareoff.cli import simulating


@pytest.mark.parametrize(
    ("words", "ticks"),
    [
        ("", ()),
        ("--ticks A.csv", ("A.csv",)),
        ("--ticks A.csv B.csv", ("A.csv", "B.csv")),
        ("--ticks A.csv --ticks B.csv", ("A.csv", "B.csv")),
        ("--ticks=A.csv B.csv C.csv#loop --port 9", ("A.csv", "B.csv", "C.csv#loop")),
        (
            "--ticks A.csv B.csv --port 9 --ticks NSE_EQ:7=C.csv",
            ("A.csv", "B.csv", "NSE_EQ:7=C.csv"),
        ),
    ],
    ids=str,
)
def test_recordings_follow_one_option_or_each_its_own(
    monkeypatch: pytest.MonkeyPatch, words: str, ticks: tuple[str, ...]
) -> None:
    """`--ticks A B` names as many recordings as `--ticks A --ticks B`."""
    status, told = _sim(monkeypatch, words)

    assert (status, told["ticks"]) == (0, ticks)
    assert told["port"] == (9 if "--port" in words else 8800)


@pytest.mark.parametrize("words", ["A.csv", "--port 9 A.csv", "--paused A.csv", "--ticks"])
def test_a_word_that_belongs_to_no_option_is_misuse(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """A recording without its option, and the option without a recording, end with 2."""
    assert _sim(monkeypatch, words) == (2, {})


def _sim(monkeypatch: pytest.MonkeyPatch, words: str) -> tuple[int, dict[str, Any]]:
    told: dict[str, Any] = {}
    program = SimpleNamespace(run=lambda **options: told.update(options))
    monkeypatch.setattr(simulating, "load_late", lambda _: program)
    app = typer.Typer()
    app.callback()(lambda: None)
    simulating.register(app)
    return CliRunner().invoke(app, ["sim", *words.split()]).exit_code, told
