"""`squareoff run` as a process of its own, in live mode against the simulator."""

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from engine_process.broker import BrokerProcess, token_of
from engine_process.environment import clean_environment, simulator_environment
from engine_process.http import Refused, call
from engine_process.waiting import wait_until
from engine_process.warm import WarmProcess, starter

START_SECONDS_MAX = 60.0
KILLED_SECONDS_MAX = 40.0
STOP_SECONDS_MAX = 20.0
PAUSES_MAX = 20
API_TOKEN = "token-of-the-engine-under-test"

_SETTINGS = """
[timeouts]
order_seconds = 1.0
[settle]
quarantine_seconds = 2.5
[exit]
chase_interval_seconds = 0.7
[reconcile]
in_flight_seconds = 0.3
[ownership]
lease_seconds = 1.0
"""


class EngineProcess:
    """One engine's folder (settings, database, logs) and its present process, if any."""

    def __init__(
        self,
        folder: Path,
        broker: BrokerProcess,
        client_id: str,
        api_port: int = 0,
        *,
        settings: str = "",
    ) -> None:
        self.folder = folder
        self._api_port = api_port
        self.client_id = client_id
        self.database_url = f"sqlite:///{folder / 'engine.db'}"
        self._broker = broker
        self._process: WarmProcess | None = None
        self._starts = 0
        self._url = ""
        (folder / "settings.toml").write_text(_SETTINGS + settings)

    def start(self, kill_at: str | None = None, *words: str, stop_at: str | None = None) -> None:
        """Start the process; with `kill_at` it kills itself at that point (`name:n`).

        Args:
            words: further words of the command, such as `--standby`.
            stop_at: the point at which it stops itself with SIGSTOP.
        """
        self._starts += 1
        announced = self.folder / f"announced-{self._starts}.json"
        log = self.folder / f"engine-{self._starts}.log"
        with announced.open("wb") as out, log.open("wb") as err:
            self._process = starter().start(
                ["run", "--json", "--config", "settings.toml", *words],
                cwd=self.folder,
                env=self.environment(kill_at, stop_at),
                stdout=out,
                stderr=err,
            )
        self._announced, self._log = announced, log

    def environment(self, kill_at: str | None = None, stop_at: str | None = None) -> dict[str, str]:
        """Return the environment of the process, and of commands about the same engine."""
        ours = simulator_environment(self._broker.port, self.client_id, token_of(self.client_id))
        ours["SQUAREOFF_DATABASE_URL"] = self.database_url
        ours["SQUAREOFF_API_TOKEN"] = API_TOKEN
        ours["SQUAREOFF_API_PORT"] = str(self._api_port)
        if kill_at is not None:
            ours["SQUAREOFF_REHEARSAL_KILL_AT"] = kill_at
        if stop_at is not None:
            ours["SQUAREOFF_REHEARSAL_STOP_AT"] = stop_at
        environment = clean_environment(**ours)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # dozens of starts: compile once
        return environment

    def wait_ready(self) -> None:
        """Wait until the engine says that it is ready."""
        wait_until(self._is_ready, f"{self.client_id} ready; {self.log_tail()}", START_SECONDS_MAX)

    def wait_announced(self) -> None:
        """Wait until the engine says where its API is; one that is halted is never ready."""
        wait_until(self._is_announced, f"{self.client_id}; {self.log_tail()}", START_SECONDS_MAX)

    def _is_announced(self) -> bool:
        assert self._process is not None, "started before"
        assert self._process.poll() is None, f"the engine ended: {self.log_tail()}"
        text = self._announced.read_text().strip()
        if not text:
            return False
        self._url = json.loads(text.splitlines()[0])["api"]
        return True

    def _is_ready(self) -> bool:
        if not self._is_announced():
            return False
        try:
            call("GET", f"{self._url}/readyz")
        except (Refused, OSError):
            return False
        return True

    def announced_text(self) -> str:
        """Return what the newest process printed so far: one JSON line each."""
        return self._announced.read_text().strip()

    def log_tail(self) -> str:
        """Return the end of the newest log, for messages."""
        return self._log.read_text(errors="replace")[-2000:]

    @property
    def url(self) -> str:
        """The address of the API and the dashboard, once it was ready."""
        return self._url

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the engine's API."""
        return call(method, f"{self._url}/api/v1{path}", body, API_TOKEN)

    def wait_killed(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until the process was ended by SIGKILL: the point was reached."""
        process = self._process
        assert process is not None, "started before"

        def ask() -> int | None:
            meanwhile()
            return process.poll()

        what = f"the kill point was not reached; {self.log_tail()}"
        status = wait_until(ask, what, KILLED_SECONDS_MAX)
        assert status == -9, f"ended with {status}: {self.log_tail()}"

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None, "started before"
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the process with SIGKILL now."""
        assert self._process is not None, "started before"
        self._process.kill()
        self._process.wait(STOP_SECONDS_MAX)

    def pause(self) -> None:
        """Stop the process with SIGSTOP, at a moment when it holds nothing in the database.

        A process that is stopped inside of a transaction keeps every other writer of the file out.
        """
        assert self._process is not None, "started before"
        for _ in range(PAUSES_MAX):
            self._process.send_signal(signal.SIGSTOP)
            if self._others_can_write():
                return
            self.wake()
        raise AssertionError("the engine was stopped inside of a transaction each time")

    def _others_can_write(self) -> bool:
        if not self.database_url.startswith("sqlite"):
            return True  # a server ends an idle transaction by itself
        path = self.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    def wait_stopped(self) -> None:
        """Wait until the process has stopped itself."""
        assert self._process is not None, "started before"
        state = Path(f"/proc/{self._process.pid}/stat")

        def ask() -> bool:
            return state.read_text().rpartition(")")[2].split()[0] == "T"

        wait_until(ask, f"stopped; {self.log_tail()}", KILLED_SECONDS_MAX)

    def wake(self) -> None:
        """Let a stopped process go on."""
        assert self._process is not None, "started before"
        self._process.send_signal(signal.SIGCONT)

    def wait_ended(self) -> int:
        """Wait until the process ends by itself, and return its exit status."""
        assert self._process is not None, "started before"
        return self._process.wait(STOP_SECONDS_MAX)

    def stop(self) -> None:
        """End the process in whatever state it is."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
