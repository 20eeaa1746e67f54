"""Find server programs, start them on free loopback ports, and end them.

Invariants:
1. A server is ended through the process object that started it, never by name.
2. Its folder is removed after it has ended.
"""

import contextlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS_MAX = 30.0
"""A loaded two-core machine starts PostgreSQL within 3 s; ten times that is a fault."""

STOP_SECONDS_MAX = 20.0
_POLL_SECONDS = 0.05
_SERVER_PORTS = range(20_000, 32_000)
_PORT_TRIES = 100


class ServerMissing(Exception):
    """A server program is not installed; `package` is its Debian name."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed")
        self.program = program
        self.package = package


class ServerFailed(Exception):
    """A server program is installed but did not start; carries the end of its output."""


def find_program(name: str, package: str, *patterns: str) -> Path:
    """Return the program's path, from PATH or else the newest match of `patterns` below `/`.

    Raises:
        ServerMissing: neither holds it.
    """
    on_path = shutil.which(name)
    if on_path is not None:
        return Path(on_path)
    for pattern in patterns:
        matches = sorted(Path("/").glob(pattern), key=_version_of)
        if matches:
            return matches[-1]
    raise ServerMissing(name, package)


def free_loopback_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on.

    It lies below the range from which the system serves `port 0`, so that a test which opens
    sockets meanwhile cannot take it before the server binds it.

    Raises:
        ServerFailed: a hundred ports in a row were taken.
    """
    for _ in range(_PORT_TRIES):
        port = secrets.choice(_SERVER_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerFailed(f"no free port was found in {_SERVER_PORTS}")


@contextmanager
def throwaway_folder(owner: str | None) -> Iterator[Path]:
    """Yield a fresh folder with mode 0700, owned by the user `owner` (None: by us)."""
    folder = Path(tempfile.mkdtemp(prefix="squareoff-test-"))
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(
    command: list[str], folder: Path, *, user: str | None, is_ready: Callable[[], bool]
) -> Iterator[None]:
    """Run a server until the block ends; enter the block once `is_ready()` says so.

    Raises:
        ServerFailed: it ended, or was not ready within START_SECONDS_MAX.
    """
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **as_user(user),
        )
    try:
        _wait_until_ready(process, is_ready, log_path)
        yield
    finally:
        _stop(process)


def as_user(user: str | None) -> dict[str, Any]:
    """Return the Popen arguments that run a program as `user` and nobody else's groups."""
    if user is None:
        return {}
    return {"user": user, "group": _main_group_of(user), "extra_groups": []}


def _version_of(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parts if part.isdigit())


def _main_group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool], log_path: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log_path.read_text(errors="replace")[-2_000:]
            raise ServerFailed(f"{process.args!r} did not start; its output ends with:\n{tail}")
        time.sleep(_POLL_SECONDS)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    # SIGINT is PostgreSQL's fast shutdown and an orderly stop for Redis.
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
