"""The command line as a person uses it: words in, exit status and both outputs out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from api_rig import TOKEN, ApiRig
from squareoff.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiRig]:
    """Give a running engine behind its API."""
    with ApiRig() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give what runs the program with these words, in an empty folder and a clean environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("SQUAREOFF_API_PORT", "SQUAREOFF_SESSION", "SQUAREOFF_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["squareoff", *words])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return call


@pytest.fixture
def ask(run: Run, rig: ApiRig, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give the same, pointed at the running engine."""
    monkeypatch.setenv("SQUAREOFF_API_PORT", str(rig.port))
    monkeypatch.setenv("SQUAREOFF_API_TOKEN", TOKEN)
    return run
