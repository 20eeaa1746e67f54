"""The commands of "Your first hour" do what the page says, typed as they stand there."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import pytest

from console_commands import commands_in
from engine_process import wait_until
from engine_process.environment import clean_environment
from generate_docs import PROJECT_FOLDER

PROGRAM = str(Path(sys.executable).with_name("squareoff"))
SECONDS_MAX = 60.0
_HEADING = "## Close a position of your own, on paper"


def _section(tmp_path: Path) -> list[list[str]]:
    """Return the commands of the page's part about paper trading."""
    text = (PROJECT_FOLDER / "docs" / "first-hour.md").read_text(encoding="utf-8")
    part = tmp_path / "part.md"
    part.write_text(text[text.index(_HEADING) :].split("\n## ")[0], encoding="utf-8")
    return list(commands_in(part))


def _run(words: list[str], folder: Path, port: int) -> str:
    ended = subprocess.run(
        [PROGRAM, *words],
        cwd=folder,
        env=clean_environment(SQUAREOFF_API_PORT=str(port)),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert ended.returncode == 0, f"{shlex.join(words)}: {ended.stderr}"
    return ended.stdout


@contextmanager
def _engine(words: list[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "run.log").open("wb") as log:
        engine = subprocess.Popen(
            [PROGRAM, *words],
            cwd=folder,
            env=clean_environment(SQUAREOFF_API_PORT=str(port)),
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _is_ready(folder, port), "the engine is ready", SECONDS_MAX)
        yield
    finally:
        engine.terminate()
        assert engine.wait(SECONDS_MAX) == 0


def _is_ready(folder: Path, port: int) -> bool:
    try:
        return bool(json.loads(_run(["status", "--json"], folder, port))["is_ready"])
    except AssertionError:
        return False


@pytest.fixture
def port() -> int:
    """Give a port that is free."""
    with socket() as held:
        held.bind(("127.0.0.1", 0))
        free: int = held.getsockname()[1]
        return free


def test_the_first_exit_is_reached_by_the_page_alone(tmp_path: Path, port: int) -> None:
    """From `init` to the journal of a confirmed exit."""
    commands = [words[1:] for words in _section(tmp_path)]
    names = [words[0] for words in commands]
    assert names == ["init", "doctor", "run", "track", "positions", "exit", "journal"]
    folder = tmp_path / "mine"
    folder.mkdir()
    init, doctor, run, track, *rest = commands

    assert "squareoff.toml" in _run(init, folder, port)
    assert "FAULT" not in _run(doctor, folder, port)
    with _engine(run, folder, port):
        tracker_id = json.loads(_run([*track, "--json"], folder, port))["id"]
        told = [
            _run([re.sub("^TRACKER_ID$", tracker_id, word) for word in words], folder, port)
            for words in rest
        ]

    assert tracker_id in told[0]
    assert "exited" in told[1]
    assert "EXITED at" in told[2]
    assert os.stat(folder / "squareoff.db").st_mode & 0o777 == 0o600
