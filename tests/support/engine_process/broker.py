"""`squareoff sim` as a process of its own, with its admin."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine_process.http import call
from engine_process.waiting import wait_until

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0


CLIENT_IDS = tuple(f"77000{number:03d}" for number in range(200))
"""Accounts at the simulator; each test takes one of its own."""


def token_of(client_id: str) -> str:
    """Return the access token of an account."""
    return f"token-of-{client_id}"


class BrokerProcess:
    """A running simulator on a free port, with `CLIENT_IDS`; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port_file = folder / "sim.port"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> "BrokerProcess":
        command = [str(Path(sys.executable).with_name("squareoff")), "sim", "--port", "0"]
        command += ["--port-file", str(self._port_file)]
        command += ["--credentials", str(self._write_credentials())]
        log = (self._folder / "sim.log").open("wb")
        with log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        self.port = wait_until(self._read_port, "the simulator's port", START_SECONDS_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None, "entered before"
        self._process.terminate()
        self._process.wait(STOP_SECONDS_MAX)

    def _write_credentials(self) -> Path:
        path = self._folder / "credentials.json"
        named = [{"client_id": c, "access_token": token_of(c)} for c in CLIENT_IDS]
        path.write_text(json.dumps(named))
        return path

    def _read_port(self) -> int | None:
        assert self._process is not None, "started before"
        assert self._process.poll() is None, (self._folder / "sim.log").read_text()
        if not self._port_file.exists():
            return None
        text = self._port_file.read_text().strip()
        return int(text) if text else None

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin."""
        return call(method, f"http://127.0.0.1:{self.port}/admin/{path}", body)

    def push(self, security_id: str, price: str, available: int | None = None) -> None:
        """Print a price of an NSE_FNO instrument; `available` units may trade at it."""
        tick: dict[str, Any] = {
            "exchange_segment": "NSE_FNO",
            "security_id": security_id,
            "last_price": price,
        }
        if available is not None:
            tick["available_quantity"] = available
        self.admin("POST", "ticks", tick)

    def orders_of(self, client_id: str) -> list[dict[str, Any]]:
        """Return every order of an account that did not come from the broker's own app."""
        state = self.admin("GET", "state")
        return [o for o in state["orders"] if o["client_id"] == client_id and o["correlation_id"]]
