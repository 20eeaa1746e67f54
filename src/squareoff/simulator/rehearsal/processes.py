"""The processes of a rehearsal: one broker simulator and one engine, over loopback.

Invariants:
1. Only processes that were started here are ever signalled, each by its own process object.
2. The engine is `squareoff run` itself, a fresh program with its own database file.
3. Its secrets are canaries, which it may tell the broker and nobody else.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from squareoff.adapters.system import REHEARSAL_VARIABLES
from squareoff.ports import Clock
from squareoff.simulator.rehearsal.canaries import (
    API_TOKEN,
    access_token_of,
    files_with_canaries,
    holds_canary,
    secrets_of,
)

START_SECONDS_MAX = 90.0
"""Many engines start side by side on few cores: each start is a second of pure computing."""

STOP_SECONDS_MAX = 20.0
CALL_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1
_CREDENTIALS = "credentials.json"
"""What the simulator knows its accounts by: the one file that has their tokens."""

_OURS = ("SQUAREOFF_", "DHAN_")
_PROGRAM = (sys.executable, "-m", "squareoff")


class RehearsalFailed(Exception):
    """The rehearsal itself could not go on: a process did not start, or an answer never came."""


class CallRefused(Exception):
    """A call was answered with an error status."""


def client_ids(count: int) -> list[str]:
    """Return the accounts of one simulator; each rehearsal takes one of its own."""
    return [f"77{number:06d}" for number in range(count)]


class BrokerProcess:
    """`squareoff sim` on a free port, and its admin."""

    def __init__(self, folder: Path, clock: Clock, http: aiohttp.ClientSession) -> None:
        self._folder = folder
        self._clock = clock
        self._http = http
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    async def start(self, accounts: Sequence[str]) -> None:
        """Start it, and wait until it listens."""
        credentials = self._folder / _CREDENTIALS
        named = [{"client_id": name, "access_token": access_token_of(name)} for name in accounts]
        credentials.write_text(json.dumps(named))
        port_file = self._folder / "sim.port"
        command = [*_PROGRAM, "sim", "--port", "0", "--port-file", str(port_file)]
        command += ["--credentials", str(credentials)]
        log = self._folder / "sim.log"
        self._process = _spawn(command, self._folder, _environment(), log, log)
        for _ in range(round(START_SECONDS_MAX / POLL_SECONDS)):
            if port_file.exists() and port_file.read_text().strip():
                self.port = int(port_file.read_text())
                return
            await self._clock.sleep(POLL_SECONDS)
        raise RehearsalFailed(f"the simulator did not start: {_tail(self._folder / 'sim.log')}")

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS_MAX)

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin."""
        url = f"http://127.0.0.1:{self.port}/admin/{path}"
        return await _call(self._http, method, url, body, {})


class EngineProcess:
    """One engine's folder (settings, database, logs) and its present process, if any."""

    def __init__(
        self,
        folder: Path,
        broker_port: int,
        client_id: str,
        *,
        settings: str,
        clock: Clock,
        http: aiohttp.ClientSession,
        feed_url: str = "",
    ) -> None:
        self.folder = folder
        self.client_id = client_id
        self.database = folder / "engine.db"
        self._broker_port = broker_port
        self._clock = clock
        self._http = http
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._url = ""
        self._told: list[str] = []
        self._feed_url = feed_url or f"ws://127.0.0.1:{broker_port}/feed"
        (folder / "settings.toml").write_text(settings)

    def start(self, *, kill_at: str = "", stop_at: str = "", wrapper: Sequence[str] = ()) -> None:
        """Start the next life; it kills or freezes itself at those points (`name:n`)."""
        self.starts += 1
        self._url = ""
        asked = {"kill_at": kill_at, "stop_at": stop_at, "note_to": str(self._points_file)}
        points = {REHEARSAL_VARIABLES[key]: value for key, value in asked.items() if value}
        command = [*wrapper, *_PROGRAM, "run", "--json", "--config", "settings.toml"]
        environment = _environment(self._connection() | points)
        self._process = _spawn(command, self.folder, environment, self._announced, self._log)
        self._look_at("its command line", _command_line(self._process.pid))

    @property
    def _announced(self) -> Path:
        return self.folder / f"announced-{self.starts}.json"

    @property
    def _log(self) -> Path:
        return self.folder / f"engine-{self.starts}.log"

    @property
    def _points_file(self) -> Path:
        return self.folder / f"points-{self.starts}.txt"

    def points(self) -> list[str]:
        """Return the points that the present life has reached so far, in order."""
        return self._points_file.read_text().split() if self._points_file.exists() else []

    def _connection(self) -> dict[str, str]:
        root = f"127.0.0.1:{self._broker_port}"
        return {
            "DHAN_REST_URL": f"http://{root}/v2",
            "DHAN_ORDER_UPDATE_URL": f"ws://{root}/order-update",
            "DHAN_MARKET_FEED_URL": self._feed_url,
            "DHAN_CLIENT_ID": self.client_id,
            "SQUAREOFF_INSTRUMENTS": f"http://{root}/instruments.csv",
            "SQUAREOFF_MODE": "live",
            "SQUAREOFF_SESSION": "always",
            "SQUAREOFF_API_PORT": "0",
            "SQUAREOFF_DATABASE_URL": f"sqlite:///{self.database}",
        } | secrets_of(self.client_id)

    async def is_ready(self) -> bool:
        """Say whether exits would go out now."""
        if not self._url:
            text = self._announced.read_text().strip() if self._announced.exists() else ""
            if not text:
                return False
            self._url = str(json.loads(text.splitlines()[0])["api"])
        try:
            await self._ask("GET", "/readyz")
        except (CallRefused, OSError, aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def wait_ready(self) -> None:
        """Wait until it is ready.

        Raises:
            RehearsalFailed: it ended, or was not in time.
        """
        for _ in range(round(START_SECONDS_MAX / POLL_SECONDS)):
            if await self.is_ready():
                return
            if self.ended_with() is not None:
                break
            await self._clock.sleep(POLL_SECONDS)
        raise RehearsalFailed(f"the engine did not become ready: {self.log_tail()}")

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the engine's API; it must have been ready once."""
        text = await self._ask(method, f"/api/v1{path}", body)
        return json.loads(text) if text else None

    async def metrics(self) -> str:
        """Return the engine's metrics in Prometheus' text format."""
        return await self._ask("GET", "/metrics")

    async def _ask(self, method: str, path: str, body: Any = None) -> str:
        headers = {"authorization": f"Bearer {API_TOKEN}"}
        where = f"an answer to {method} {path}"
        try:
            text = await _text(self._http, method, f"{self._url}{path}", body, headers)
        except CallRefused as refused:
            self._look_at(where, str(refused).encode())
            raise
        self._look_at(where, text.encode())
        return text

    def _look_at(self, where: str, text: bytes) -> None:
        if holds_canary(text):
            self._told.append(where)

    def secrets_told(self) -> list[str]:
        """Return where a secret came out: a command line, answers, files of the folder."""
        places = [*self._told, *files_with_canaries(self.folder, but=_CREDENTIALS)]
        return [f"secret told: {place}" for place in places]

    @property
    def process_id(self) -> int:
        """The present process."""
        assert self._process is not None, "started before"
        return self._process.pid

    def ended_with(self) -> int | None:
        """Return the exit status, negative for a signal; None while it lives."""
        assert self._process is not None, "started before"
        return self._process.poll()

    def is_frozen(self) -> bool:
        """Say whether the process stands still by SIGSTOP."""
        assert self._process is not None, "started before"
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"  # "t" is a tracer at work

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, where it still lives."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """End the process in whatever state it is."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_SECONDS_MAX)

    async def end_politely(self) -> None:
        """End the process by SIGTERM, and by force where that does not help."""
        self.signal(signal.SIGTERM)
        for _ in range(round(STOP_SECONDS_MAX / POLL_SECONDS)):
            if self.ended_with() is not None:
                return
            await self._clock.sleep(POLL_SECONDS)
        self.stop()

    def log_tail(self) -> str:
        """Return the end of the newest log, for messages."""
        return _tail(self._log)


def _spawn(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path, errors: Path
) -> "subprocess.Popen[bytes]":
    with output.open("ab") as out, errors.open("ab") as err:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)


def _command_line(process_id: int) -> bytes:
    """Return what the process list shows of a process; nothing where it is gone."""
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return b""


def _environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of starts: compile once
    return kept | dict(changes or {})


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1_500:] if log.exists() else "(no log)"


async def _call(
    http: aiohttp.ClientSession, method: str, url: str, body: Any, headers: Mapping[str, str]
) -> Any:
    text = await _text(http, method, url, body, headers)
    return json.loads(text) if text else None


async def _text(
    http: aiohttp.ClientSession, method: str, url: str, body: Any, headers: Mapping[str, str]
) -> str:
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS_MAX)
    async with http.request(method, url, json=body, headers=headers, timeout=timeout) as response:
        text = await response.text()
        if response.status >= 400:
            raise CallRefused(f"{method} {url}: HTTP {response.status}: {text[:300]}")
    return text
