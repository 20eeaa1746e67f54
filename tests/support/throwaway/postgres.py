"""A throw-away PostgreSQL server, and databases on it.

PostgreSQL refuses to run as root, so root runs it as the user `postgres`, or else `nobody`.
fsync stays on, as in production; only `initdb` may skip it, since its files are thrown away.
"""

import asyncio
import os
import pwd
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from throwaway.programs import (
    ServerFailed,
    as_user,
    find_program,
    free_loopback_port,
    running,
    throwaway_folder,
)

PACKAGE = "postgresql"
_SUPERUSER = "squareoff"
_STARTING_UP = (OSError, asyncpg.CannotConnectNowError)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a fresh server's database `postgres`: `postgresql://user:word@host:port/db`.

    Raises:
        ServerMissing: PostgreSQL is not installed.
        ServerFailed: it is installed and did not start.
    """
    programs = _find_programs()
    user = _unprivileged_user()
    with throwaway_folder(user) as folder:
        password = secrets.token_hex(16)
        _initialise(programs / "initdb", folder, user, password)
        port = free_loopback_port()
        url = f"postgresql://{_SUPERUSER}:{password}@127.0.0.1:{port}/postgres"
        command = _server_command(programs / "postgres", folder, port)
        with running(command, folder, user=user, is_ready=lambda: _answers(url)):
            yield url


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Create an empty database of a unique name, yield its URL, and drop it with its sessions."""
    name = f"squareoff_test_{os.getpid()}_{secrets.token_hex(4)}"
    asyncio.run(_execute(server_url, f'CREATE DATABASE "{name}"'))
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        asyncio.run(_execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


def _find_programs() -> Path:
    newest = "usr/lib/postgresql/*/bin/initdb"
    # Debian keeps the server programs out of PATH, or links only some of them into it.
    return find_program("initdb", PACKAGE, newest).resolve().parent


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


def _initialise(initdb: Path, folder: Path, user: str | None, password: str) -> None:
    password_file = folder / "password"
    password_file.write_text(password)
    password_file.chmod(0o644)  # the folder itself is closed to others
    command = [str(initdb), "--pgdata", str(folder / "data"), "--username", _SUPERUSER]
    command += ["--auth", "scram-sha-256", "--pwfile", str(password_file)]
    command += ["--encoding", "UTF8", "--no-locale", "--no-sync"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, **as_user(user)
    )
    if done.returncode != 0:
        raise ServerFailed(f"initdb failed:\n{done.stdout[-1_000:]}{done.stderr[-1_000:]}")


def _server_command(postgres: Path, folder: Path, port: int) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        "max_connections": "50",
        "shared_buffers": "32MB",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(postgres), "-D", str(folder / "data"), *options]


def _answers(url: str) -> bool:
    try:
        asyncio.run(_execute(url, "SELECT 1"))
    except _STARTING_UP:
        return False
    return True


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
