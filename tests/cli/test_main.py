"""The program as a whole: version, help, settings at fault, and ends."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from engine_process.environment import clean_environment
from generated_docs.tables import leaf_commands
from squareoff import __version__
from squareoff.cli.main import app

COMMANDS = {
    "run", "sim", "demo", "positions", "orders", "journal", "metrics", "track", "exit",
    "exit-all", "kill", "resume", "reconcile", "status", "db", "doctor", "replay",
}  # fmt: skip


def test_every_command_speaks_json() -> None:
    """`--json` is an option of each, for scripts."""
    without = [
        path
        for path, command in leaf_commands(typer.main.get_command(app))
        if "--json" not in {name for parameter in command.params for name in parameter.opts}
    ]

    assert without == []


def test_a_shell_can_complete_commands(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell asks for on the tab key is answered with our commands."""
    monkeypatch.setenv("_SQUAREOFF_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "squareoff posi")
    monkeypatch.setenv("COMP_CWORD", "1")

    assert run().out.split() == ["positions"]
    assert "--install-completion" in Path(__file__).parents[2].joinpath(
        "docs/command-line.md"
    ).read_text(encoding="utf-8")


def test_the_version_is_told(run: Any) -> None:
    """`--version` names the program and its version."""
    assert run("--version").out == f"squareoff {__version__}\n"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("db", "upgrade", "--json"), 0),
        (("--version",), 0),
        (("kill", "--levels"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_reader_that_goes_away_changes_no_status(
    words: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    """`| head -1` is no refusal, and what is refused stays so; no traceback either way."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", "from squareoff.cli.main import main; main()", *words],
            cwd=tmp_path, env=clean_environment(), stdout=writing, stderr=subprocess.PIPE,
            text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)

    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


@pytest.mark.parametrize("words", [("--version",), ("init", "-"), ("fly", "--json")])
def test_an_output_that_is_full_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    """`> positions.txt` on a full disk tells so in words."""
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", "from squareoff.cli.main import main; main()", *words],
            cwd=tmp_path, env=clean_environment(), stdout=full, stderr=subprocess.PIPE,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    assert "Traceback" not in ended.stderr
    assert "could not be written: No space left on device\n" in ended.stderr
    assert ended.returncode == 1


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--version",), 0, __version__),
        (("--help",), 0, "Usage: squareoff [OPTIONS] COMMAND"),
        (("fly",), 2, "No such command 'fly'"),
        (("positions",), 2, "squareoff: api.token_path: "),
    ],
)
def test_the_package_is_the_command(
    words: tuple[str, ...], status: int, said: str, tmp_path: Path
) -> None:
    """`python -m squareoff` says what `squareoff` says, under that name, with the same status."""
    ended = subprocess.run(
        [sys.executable, "-m", "squareoff", *words],
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert ended.returncode == status, ended.stderr
    assert said in ended.stdout + ended.stderr


def test_a_question_is_seen_where_the_answer_goes_to_a_file(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`squareoff exit-all --reason x > log` must not wait for a yes that nobody is asked for."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    ended = run("db", "restore", "copy.db")

    assert (ended.status, ended.out.strip()) == (1, "")
    assert "Replace the database by copy.db? [y/N]" in ended.err


def test_help_lists_every_command(run: Any) -> None:
    """Each documented command is in the help."""
    helped = run("--help")

    assert helped.status == 0
    assert {name for name in COMMANDS if f" {name} " not in helped.out} == set()


@pytest.mark.parametrize("command", [("positions",), ("run",), ("db", "upgrade"), ("status",)])
def test_settings_at_fault_are_misuse(command: tuple[str, ...], run: Any, tmp_path: Path) -> None:
    """Every fault of the settings is one line, and the status is 2."""
    (tmp_path / "squareoff.toml").write_text('mode = "real"\n[api]\nprot = 1\n')
    misused = run(*command)

    assert (misused.status, misused.out) == (2, "")
    assert misused.err.splitlines() == [
        "squareoff: squareoff.toml: mode: must be 'paper' or 'live', was 'real'",
        "squareoff: squareoff.toml: api.prot: unknown setting; did you mean api.port?",
    ]


_CREDENTIALS = ("DHAN_CLIENT_ID", "DHAN_ACCESS_TOKEN", "DHAN_PIN", "DHAN_TOTP_SECRET")


@pytest.mark.parametrize(
    "command",
    [
        ("kill", "--level", "all"),
        ("resume", "--yes"),
        ("exit-all", "--reason", "x", "--yes"),
        ("positions",),
        ("status",),
        ("alarms",),
        ("reconcile",),
    ],
    ids=" ".join,
)
def test_who_asks_a_live_engine_needs_no_broker_credentials(
    command: tuple[str, ...], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command goes as far as the engine, which here is down."""
    for name in _CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SQUAREOFF_MODE", "live")
    monkeypatch.setenv("SQUAREOFF_API_TOKEN", "some-token-0123456789")
    monkeypatch.setenv("SQUAREOFF_API_PORT", "1")
    refused = run(*command)

    assert refused.err == "squareoff: no engine answers at 127.0.0.1:1: is `squareoff run` up?\n"
    assert refused.status == 1


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_an_engine_in_live_mode_needs_them(
    command: str, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What speaks to the broker asks for its credentials, one line each."""
    for name in _CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SQUAREOFF_MODE", "live")
    misused = run(command)

    assert misused.status == 2
    assert [line.split(": ")[1] for line in misused.err.splitlines()] == [
        "DHAN_CLIENT_ID",
        "DHAN_ACCESS_TOKEN",
    ]


def test_another_settings_file_can_be_named(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--config` and SQUAREOFF_CONFIG name the file; one that is missing is a fault."""
    (tmp_path / "other.toml").write_text("bogus = 1\n")

    assert "other.toml: bogus: unknown setting" in run("status", "--config", "other.toml").err
    monkeypatch.setenv("SQUAREOFF_CONFIG", "missing.toml")
    assert "missing.toml: could not be read" in run("status").err


def test_asking_where_no_engine_ever_ran(run: Any) -> None:
    """Without a token the answer says where one would come from."""
    refused = run("positions")

    assert refused.status == 2
    assert "the engine makes it at its first start" in refused.err


def test_asking_an_engine_that_is_down(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a token but without an engine the answer is one line and status 1."""
    monkeypatch.setenv("SQUAREOFF_API_TOKEN", "some-token-0123456789")
    monkeypatch.setenv("SQUAREOFF_API_PORT", "1")
    refused = run("positions")

    assert refused.status == 1
    assert refused.err == "squareoff: no engine answers at 127.0.0.1:1: is `squareoff run` up?\n"
