"""The programs as processes: the simulator, the engine against it, the doctor, and their ends."""

import http.client
import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine_process.environment import clean_environment, simulator_environment
from engine_process.programs import Program, running

MAIN = (sys.executable, "-c", "from squareoff.cli.main import main; main()")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Give a running simulator."""
    folder = tmp_path_factory.mktemp("simulator")
    with running(folder, "sim", "--port", "0", "--json") as program:
        yield program


def test_the_engine_runs_against_the_simulator_and_ends_in_order(
    simulator: Program, tmp_path: Path
) -> None:
    """It announces its API, answers with the token of its file, and SIGTERM ends it with 0."""
    environment = simulator_environment(simulator.said["port"])
    with running(tmp_path, "run", "--json", environment=environment) as engine:
        token_path = Path(engine.said["token_path"])
        token = token_path.read_text().strip()
        status, answer = _get(engine.said["api"], "/api/v1/status", token)
        ended = engine.end(signal.SIGTERM)
        log = engine.log()

    assert engine.said["mode"] == "live"
    assert stat.S_IMODE(token_path.stat().st_mode) == 0o600
    assert (status, json.loads(answer)["mode"]) == (200, "live")
    assert ended == 0
    assert "canary-access-token" not in log
    assert token not in log


def test_a_second_engine_on_the_account_is_refused(simulator: Program, tmp_path: Path) -> None:
    """Two engines on one account and database: the second ends with 1 and says why."""
    environment = simulator_environment(simulator.said["port"])
    with running(tmp_path, "run", "--json", environment=environment):
        second = _run(tmp_path, "run", **environment)

    assert second.returncode == 1
    assert "another engine owns this account" in second.stderr
    assert second.stderr.count("\n") == 1


def test_the_simulator_ends_in_order(tmp_path: Path) -> None:
    """SIGINT ends it with 0."""
    with running(tmp_path, "sim", "--port", "0", "--json") as program:
        assert program.end(signal.SIGINT) == 0


def test_a_taken_simulator_port_is_one_line(simulator: Program, tmp_path: Path) -> None:
    """A port that is taken ends with 1 and names it."""
    port = str(simulator.said["port"])
    refused = _run(tmp_path, "sim", "--port", port)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"squareoff: the simulator cannot serve on port {port}")


def test_the_doctor_finds_a_healthy_set_up(simulator: Program, tmp_path: Path) -> None:
    """Against the simulator every check passes, and nothing is left behind in the database."""
    environment = simulator_environment(simulator.said["port"])
    healthy = _run(tmp_path, "doctor", "--json", **environment)
    findings = json.loads(healthy.stdout)["items"]

    assert healthy.returncode == 0, healthy.stdout
    assert [found["name"] for found in findings] == [
        "settings", "files", "disk", "alarms", "database", "instruments", "clock", "token",
        "renewal", "market feed", "static IP", "order stream",
    ]  # fmt: skip
    assert all(found["ok"] for found in findings)
    assert not (tmp_path / "squareoff.db").exists()


def test_the_doctor_says_what_is_wrong(simulator: Program, tmp_path: Path) -> None:
    """Each fault is one line, the status is 1, and no token is shown."""
    environment = simulator_environment(simulator.said["port"]) | {
        "DHAN_REST_URL": "http://127.0.0.1:1/v2",
        "DHAN_MARKET_FEED_URL": "ws://127.0.0.1:1/feed",
    }
    ill = _run(tmp_path, "doctor", **environment)

    assert ill.returncode == 1
    faults = [line for line in ill.stdout.splitlines() if line.startswith("FAULT")]
    assert [line.split("  ")[1] for line in faults] == [
        "clock", "token", "market feed", "static IP",
    ]  # fmt: skip
    assert ill.stderr == "squareoff: not fit to run: clock, token, market feed, static IP\n"
    assert "canary-access-token" not in ill.stdout + ill.stderr


def _run(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*MAIN, *words],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _get(url: str, path: str, token: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    status, text = answer.status, answer.read().decode()
    connection.close()
    return status, text
