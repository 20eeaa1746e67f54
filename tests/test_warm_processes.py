"""A forked `squareoff` is what a fresh one is: words, folder, environment, output, end."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine_process.environment import clean_environment
from engine_process.warm import WarmProcess, starter

WITHIN_SECONDS = 60.0


def _warm(folder: Path, *words: str, **environment: str) -> WarmProcess:
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return starter().start(
            words, cwd=folder, env=clean_environment(**environment), stdout=out, stderr=err
        )


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (("--version",), "paper"),
        (("moon",), "paper"),
        (("run", "--config", "missing.toml"), "paper"),
        (("run",), "both"),
    ],
)
def test_it_says_and_ends_as_a_fresh_one(words: tuple[str, ...], mode: str, tmp_path: Path) -> None:
    """Done, misused and refused; the folder and the environment are those asked for."""
    fresh = subprocess.run(
        [sys.executable, "-c", "from squareoff.cli.main import main; main()", *words],
        cwd=tmp_path,
        env=clean_environment(SQUAREOFF_MODE=mode),
        capture_output=True,
        check=False,
    )
    warm = _warm(tmp_path, *words, SQUAREOFF_MODE=mode)

    assert warm.wait(WITHIN_SECONDS) == fresh.returncode
    assert (tmp_path / "out").read_bytes() == fresh.stdout
    assert (tmp_path / "err").read_bytes() == fresh.stderr


def test_a_signal_ends_it(tmp_path: Path) -> None:
    """How it ended is told as of a process of our own, each time it is asked."""
    process = _warm(tmp_path, "sim", "--port", "0")
    assert process.poll() is None
    process.kill()

    assert process.wait(WITHIN_SECONDS) == -signal.SIGKILL
    process.kill()
    assert process.poll() == -signal.SIGKILL
