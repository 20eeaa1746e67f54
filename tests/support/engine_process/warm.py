"""Start `squareoff` as a process of its own without importing it each time (`warm_program`).

A hundred engines are started by these tests; each would import for longer than it then runs.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from engine_process.environment import clean_environment
from engine_process.waiting import wait_until

MESSAGE_BYTES_MAX = 200_000


class WarmProcess:
    """One forked process, with the part of `subprocess.Popen` that tests need."""

    def __init__(self, starter: "Starter", pid: int) -> None:
        self._starter = starter
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        if self.returncode is None:
            self.returncode = self._starter.ask({"status": self.pid})
        return self.returncode

    def wait(self, within_seconds: float) -> int:
        """Wait until it has ended and return how."""
        wait_until(lambda: self.poll() is not None, f"the end of {self.pid}", within_seconds)
        assert self.returncode is not None, "waited for"
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class Starter:
    """One process that has imported squareoff, and forks."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = Path(__file__).with_name("warm_program.py")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(program), str(theirs.fileno()), str(MESSAGE_BYTES_MAX)],
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def start(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> WarmProcess:
        """Start `squareoff` with these words."""
        start = {"words": list(words), "folder": str(cwd), "environment": dict(env)}
        message = json.dumps({"start": start}).encode()
        assert len(message) < MESSAGE_BYTES_MAX
        socket.send_fds(self._line, [message], [stdout.fileno(), stderr.fileno()])
        return WarmProcess(self, json.loads(self._line.recv(MESSAGE_BYTES_MAX)))

    def ask(self, question: Any) -> Any:
        """Ask and return the answer."""
        self._line.send(json.dumps(question).encode())
        return json.loads(self._line.recv(MESSAGE_BYTES_MAX))


@cache
def starter() -> Starter:
    """Return this process's own; it ends with us."""
    return Starter()
