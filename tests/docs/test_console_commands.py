"""Commands shown in the docs exist: `$ squareoff ...` and `$ make ...` in ```console blocks."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from console_commands import commands_in
from generate_docs import PROJECT_FOLDER, documents
from generated_docs.reading import SOURCE_FOLDER, load
from generated_docs.tables import leaf_commands

_CLI_APPLICATION = "squareoff.cli.main.app"
HAS_CLI = (SOURCE_FOLDER / "cli" / "main.py").exists()

sample = typer.Typer()


@sample.callback()
def _sample() -> None:
    """Stand in for the real application."""


@sample.command("exit")
def _sample_exit(tracker_id: str, reason: str = "", json: bool = False) -> None:
    """Do nothing."""


def test_the_commands_in_the_docs_exist() -> None:
    """Every squareoff command and option that the docs show is one that the program has."""
    shown = [(path.name, words) for path in documents() for words in commands_in(path)]
    ours = [(name, words) for name, words in shown if words[0] == "squareoff"]

    if ours:
        application = typer.main.get_command(load(_CLI_APPLICATION))
        wrong = [f"{name}: {fault_of(words[1:], application)}" for name, words in ours]
        assert [line for line in wrong if not line.endswith(": ")] == []


def test_the_make_targets_in_the_docs_exist() -> None:
    """Every make target that the docs show is one of the Makefile."""
    makefile = (PROJECT_FOLDER / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))

    for path in documents():
        for words in commands_in(path):
            if words[0] == "make":
                assert {word for word in words[1:] if "=" not in word} <= targets, path.name


@pytest.mark.skipif(not HAS_CLI, reason="there is no command line yet")
def test_every_command_has_a_help_text() -> None:
    """Every command of the program says what it does."""
    application = typer.main.get_command(load(_CLI_APPLICATION))

    commands = list(leaf_commands(application))
    assert len(commands) > 1
    assert [path for path, command in commands if not command.help] == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("exit T-1 --reason x --json", ""),
        ("--help", ""),
        ("exit --help", ""),
        ("exit T-1 --reason=x", ""),
        ("exits T-1", "no command 'exits'"),
        ("exit T-1 --why x", "no option '--why'"),
    ],
)
def test_a_wrong_command_is_found(line: str, fault: str) -> None:
    """A command or option that does not exist is named; ones that exist pass."""
    assert fault_of(shlex.split(line), typer.main.get_command(sample)) == fault


def test_commands_are_read_from_console_blocks_only(tmp_path: Path) -> None:
    """Prompts count inside console blocks, with settings before and continued lines after."""
    page = tmp_path / "page.md"
    page.write_text(
        "```\n$ squareoff no\n```\n```console\n$ A=1 squareoff run \\\n    --port 1\nout\n"
        "$ make demo # comment\n```\n"
    )

    assert list(commands_in(page)) == [["squareoff", "run", "--port", "1"], ["make", "demo"]]


def fault_of(words: list[str], command: Any) -> str:
    """Return what is wrong with a command line below `command`, "" when nothing is."""
    children = getattr(command, "commands", None)
    options = {name for found in command.params for name in (*found.opts, *found.secondary_opts)}
    for position, word in enumerate(words):
        if word.startswith("--"):
            if word.partition("=")[0] not in options | {"--help"}:
                return f"no option {word.partition('=')[0]!r}"
        elif children is not None:
            if word not in children:
                return f"no command {word!r}"
            return fault_of(words[position + 1 :], children[word])
    return ""
