"""What systemd and a container would run is valid, hardened, and our own command line."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from engine_process.environment import clean_environment
from generate_docs import PROJECT_FOLDER
from generated_docs.tables import leaf_commands
from squareoff.cli.main import DONE, MISUSED, REFUSED, app
from squareoff.config import load_settings
from squareoff.config.names import FILE_SUFFIX, setting_names

DEPLOY = PROJECT_FOLDER / "deploy"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
PROGRAM = "/opt/squareoff/.venv/bin/squareoff"
_COMMANDS = dict(leaf_commands(typer.main.get_command(app)))


def _unit(name: str) -> dict[str, list[str]]:
    """Return the settings of a unit, each with all its values in order."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


_CONTAINER_CONFIG = "/etc/squareoff/squareoff.toml"


def _fault_of(words: list[str]) -> str:
    """Return what the program would refuse in a command line, "" for nothing."""
    path = tuple(word for word in words if not word.startswith("-"))
    known = next((path[:n] for n in (2, 1) if path[:n] in _COMMANDS), None)
    if known is None:
        return f"no command {path[:1]}"
    try:
        _COMMANDS[known].make_context("squareoff", words[len(known) :], resilient_parsing=False)
    except Exception as error:  # noqa: BLE001 - whatever it says is the fault
        return str(error)
    return ""


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_unit(path: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, where it is installed."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "squareoff"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for each in UNITS:
        text = each.read_text(encoding="utf-8").replace(PROGRAM, str(program))
        (tmp_path / each.name).write_text(text)
    shutil.copytree(DEPLOY / "squareoff.service.d", tmp_path / "squareoff.service.d")
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / path.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in ended.stderr.splitlines() if str(tmp_path) in line]

    assert told == []
    assert ended.returncode == 0, ended.stderr


def test_the_unit_runs_a_command_of_ours() -> None:
    """The words after the program are taken by it; the check would see one that is not."""
    (command,) = _unit("squareoff.service")["ExecStart"]
    program, *words = shlex.split(command)

    assert program == PROGRAM
    assert _fault_of(words) == ""
    assert _fault_of([*words, "--fast"]) != ""
    assert _fault_of(["runs"]) != ""


def test_the_backup_unit_runs_a_command_of_ours() -> None:
    """So does the shell that names the file."""
    (command,) = _unit("squareoff-backup.service")["ExecStart"]
    shell, option, script = shlex.split(command)
    named = re.sub(r"\$\(date [^)]*\)", "2026-11-21", script)
    words = shlex.split(named.removeprefix(f"exec {PROGRAM} "))

    assert (shell, option) == ("/bin/sh", "-c")
    assert _fault_of(words) == ""


def test_the_backup_unit_copies_the_database_of_a_live_engine(tmp_path: Path) -> None:
    """Its command, its environment and its folders are enough: no secret of the engine is there."""
    unit = _unit("squareoff-backup.service")
    state, settings = tmp_path / "lib", tmp_path / "etc"
    (state / "backups").mkdir(parents=True)
    settings.mkdir()
    (settings / "squareoff.toml").write_text('mode = "live"\n')
    environment = clean_environment(DHAN_CLIENT_ID="1100000001")
    places = {
        PROGRAM: str(Path(sys.executable).with_name("squareoff")),
        "/etc/squareoff": str(settings),
        "%%": "%",
    }
    (script,) = unit["ExecStart"]
    for ours, theirs in places.items():
        script = script.replace(ours, theirs)
    upgrade = [places[PROGRAM], "db", "upgrade", "--config", str(settings / "squareoff.toml")]
    subprocess.run(upgrade, cwd=state, env=environment, check=True, capture_output=True)
    ended = subprocess.run(
        shlex.split(script), cwd=state, env=environment, capture_output=True, text=True, check=False
    )

    assert unit["WorkingDirectory"] == ["/var/lib/squareoff"]
    assert unit["StateDirectory"] == ["squareoff squareoff/backups"], "the log lies in the first"
    assert unit["EnvironmentFile"] == _unit("squareoff.service")["EnvironmentFile"]
    assert not (DEPLOY / "squareoff-backup.service.d").exists()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(list((state / "backups").glob("*.db"))) == 1


def test_the_documented_command_line_speaks_as_the_service(tmp_path: Path) -> None:
    """The function of docs/running.md takes the service's user, settings, environment, folder."""
    text = (PROJECT_FOLDER / "docs" / "running.md").read_text(encoding="utf-8")
    (function,) = re.findall(r"```sh\n(squareoff\(\) \{.*?\n\}\n)```", text, re.DOTALL)
    state, settings = tmp_path / "lib", tmp_path / "etc"
    state.mkdir()
    settings.mkdir()
    (settings / "squareoff.toml").write_text('mode = "live"\n[api]\nport = 1\n')
    (settings / "environment").write_text("SQUAREOFF_API_TOKEN=of-the-service-0123\n")
    places = {
        PROGRAM: str(Path(sys.executable).with_name("squareoff")),
        "/etc/squareoff": str(settings),
        "/var/lib/squareoff": str(state),
        "sudo -u squareoff": "",
    }
    for ours, theirs in places.items():
        assert ours in function
        function = function.replace(ours, theirs)

    def ended(words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "-c", f"{function}\nsquareoff {words}"],
            env=clean_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert ended("db upgrade").returncode == 0
    assert (state / "squareoff.db").exists()
    assert "no engine answers at 127.0.0.1:1" in ended("kill --reason 'two words'").stderr


def test_the_restart_policy_fits_the_exit_statuses() -> None:
    """Refused is tried again for ever, misused is not, done stays done."""
    unit = _unit("squareoff.service")

    assert (DONE, REFUSED, MISUSED) == (0, 1, 2)
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == [str(MISUSED)]
    assert unit["RestartForceExitStatus"] == ["SIGHUP"], "by itself a clean end to systemd"
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["Type"] == ["notify"]
    assert "WatchdogSec" in unit


def test_the_unit_is_hardened() -> None:
    """No root, no rights, no files for others, no memory on disk."""
    unit = _unit("squareoff.service")
    expected = {
        "User": "squareoff",
        "UMask": "0077",
        "LimitCORE": "0",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "StateDirectoryMode": "0700",
    }

    assert {name: unit[name] for name in expected} == {n: [v] for n, v in expected.items()}


def test_the_credentials_are_settings_of_ours(tmp_path: Path) -> None:
    """Every variable is known, each credential that is named is loaded, and no secret is here."""
    unit = _unit("squareoff.service.d/credentials.conf")
    given = dict(line.split("=", 1) for line in unit["Environment"])
    loaded = {line.split(":")[0] for line in unit["LoadCredential"]}
    named = {value.removeprefix("%d/") for value in given.values() if value.startswith("%d/")}
    known = {n.environment.name for n in setting_names() if n.environment is not None}

    assert named == loaded
    assert {name.removesuffix(FILE_SUFFIX) for name in given} <= known
    for name, value in given.items():
        path = tmp_path / Path(value).name
        path.write_text("ABCDEFGH234567AB")
        given[name] = str(path)
    assert load_settings(None, given).credentials.totp_secret is not None


def test_the_container_is_without_root_and_runs_our_program() -> None:
    """A numbered user, a health check, and a command that the program takes."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    steps = re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE)
    last = dict(steps)
    entry, words = (re.findall(r'"([^"]*)"', last[step]) for step in ("ENTRYPOINT", "CMD"))

    assert last["USER"].split(":")[0].isdecimal()
    assert last["USER"].split(":")[0] != "0"
    assert "/healthz" in last["HEALTHCHECK"]
    assert entry == ["squareoff"]
    assert _fault_of(words) == ""
    guide = (PROJECT_FOLDER / "docs/running.md").read_text(encoding="utf-8")
    assert "--restart unless-stopped" in guide, "a reboot ends the engine in good order"
    assert f"squareoff.toml:{_CONTAINER_CONFIG}:ro" in guide
    assert f"SQUAREOFF_CONFIG={_CONTAINER_CONFIG}" in last["ENV"].split()
    copied = [word for step, rest in steps if step == "COPY" for word in rest.split()[:-1]]
    for word in copied:
        if not word.startswith(("--", "/")):
            assert (PROJECT_FOLDER / word).exists(), word
