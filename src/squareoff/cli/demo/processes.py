"""The demo's child processes: started, watched, killed on purpose, and always cleaned up.

Invariants:
1. Only processes that were started here are ever signalled, each by its own process object.
2. A child's output goes to its log file; nothing of it reaches the demo's own screen.
3. Children stand in a session of their own: Ctrl-C reaches the demo, and the demo ends them.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from squareoff.cli.demo.failure import DemoFailure

STOP_SECONDS = 8.0
"""A polite end takes well under a second; after this the child is killed."""

LOG_LINES_SHOWN = 12
OWN_PREFIXES = ("SQUAREOFF_", "DHAN_")


class Child:
    """One child process with a name for people."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Say whether it runs."""
        return self._process.returncode is None

    def check(self) -> None:
        """Raise DemoFailure with the end of its log where it is no longer alive."""
        if not self.is_alive:
            raise DemoFailure(
                f"the {self.name} ended with status {self._process.returncode}; its log ends:",
                *_last_lines(self._log),
            )

    async def kill_hard(self) -> None:
        """Kill it with SIGKILL, as a power cut would, and wait until it is gone."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End it politely, and by force where that does not help."""
        if not self.is_alive:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self.kill_hard()


async def start_child(
    name: str, arguments: Sequence[str], *, folder: Path, secrets: Mapping[str, str]
) -> Child:
    """Start `squareoff ARGUMENTS` in `folder`; its output is appended to `NAME.log` there.

    `secrets` are set in its environment; settings of the caller's shell are kept away from it.
    """
    log = folder / f"{name}.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OWN_PREFIXES)}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *program(),
            *arguments,
            cwd=folder,
            env=environment | dict(secrets),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Child(name, process, log)


def program() -> list[str]:
    """Return how to start squareoff: the script of this environment, else the package itself."""
    script = Path(sys.executable).with_name("squareoff")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "squareoff"]


def free_port(preferred: int) -> int:
    """Return the preferred port of 127.0.0.1, or a free one where it is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise DemoFailure("no port of 127.0.0.1 is free")


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
