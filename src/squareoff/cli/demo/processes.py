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
from itertools import chain
from pathlib import Path

from squareoff.cli.demo.failure import DemoFailure
from squareoff.ports import Clock

STOP_SECONDS = 8.0
"""A polite end takes well under a second; after this the child is killed."""

LOG_LINES_SHOWN = 12
_OWN_PREFIXES = ("SQUAREOFF_", "DHAN_")
_POLL_SECONDS = 0.05
_LASTING_PORTS = range(20_000, 32_000)
_SPREAD = 7_919


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
    """Return how to start squareoff: the script of this environment, else its package."""
    script = Path(sys.executable).with_name("squareoff")
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-m", "squareoff"]


def free_ports(*preferred: int) -> list[int]:
    """Return for each preferred port of 127.0.0.1 (0: no wish) that one, or another if it is taken.

    The others lie below the range from which the system serves `port 0`: an engine that was killed
    comes back at its address, and meanwhile no program can have been given that port.

    Raises:
        DemoFailure: too few were free.
    """
    # Two demos at once begin far apart, also where one process follows the other.
    first = os.getpid() * _SPREAD % len(_LASTING_PORTS)
    others = chain(_LASTING_PORTS[first:], _LASTING_PORTS[:first])
    free_others = filter(_is_free, others)
    chosen = [wish if wish and _is_free(wish) else next(free_others, 0) for wish in preferred]
    if 0 in chosen:
        raise DemoFailure("no port of 127.0.0.1 is free")
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
