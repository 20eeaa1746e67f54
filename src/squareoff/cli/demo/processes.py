"""The demo's child processes: started, watched, killed on purpose, and always cleaned up.

Invariants:
1. Only processes that were started here are ever signalled, each by its own process object.
2. A child is on the list before anything can interrupt, so `kill_all` misses none.
3. A child's output goes to its log file; nothing of it reaches the demo's own screen.
4. Children stand in a session of their own: Ctrl-C reaches the demo alone, and the demo ends them.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from squareoff.cli.demo.failure import DemoFailure
from squareoff.ports import Clock

STOP_SECONDS = 8.0
"""A polite end takes well under a second; after this the child is killed."""

LOG_LINES_SHOWN = 12
_OWN_PREFIXES = ("SQUAREOFF_", "DHAN_")
_POLL_SECONDS = 0.05


class Child:
    """One child process with a name for people."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_running(self) -> bool:
        """Say whether it runs."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise DemoFailure with the end of its log where it is no longer alive."""
        if not self.is_running():
            raise DemoFailure(
                f"the {self.name} ended with status {self._process.returncode}; its log ends:",
                *self._log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:],
            )

    def kill_hard(self) -> None:
        """Kill it with SIGKILL, as a power cut would; returns when it is gone."""
        self._process.kill()
        self._process.wait()

    async def stop(self, clock: Clock) -> None:
        """End it politely, and by force where that does not help."""
        if not self.is_running():
            return
        self._process.terminate()
        for _ in range(round(STOP_SECONDS / _POLL_SECONDS)):
            if not self.is_running():
                return
            await clock.sleep(_POLL_SECONDS)
        self.kill_hard()


class Children:
    """Every process that one demo has started."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(
        self, name: str, arguments: Sequence[str], *, folder: Path, secrets: Mapping[str, str]
    ) -> Child:
        """Start `squareoff ARGUMENTS` in `folder`; its output is appended to `NAME.log` there.

        `secrets` are set in its environment; settings of the caller's shell are kept from it.
        """
        log = folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*program(), *arguments],
                cwd=folder,
                env=_environment(folder) | dict(secrets),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    async def stop_all(self, clock: Clock) -> None:
        """End all politely, the newest first."""
        for child in reversed(self._children):
            await child.stop(clock)

    def kill_all(self) -> None:
        """End at once whatever still runs: the last resort after a second Ctrl-C."""
        for child in self._children:
            if child.is_running():
                child.kill_hard()


def _environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_PREFIXES)}
    if kept.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Compiling everything at each of three starts takes longer than the show: once will do,
        # and what is written stays in the demo's own folder.
        kept["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    return kept


def program() -> list[str]:
    """Return how to start squareoff: the script of this environment, else its function."""
    script = Path(sys.executable).with_name("squareoff")
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-c", "from squareoff.cli.main import main; main()"]


def free_port(preferred: int) -> int:
    """Return the preferred port of 127.0.0.1, or a free one where it is taken.

    Raises:
        DemoFailure: none is free.
    """
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
