"""Copy a PostgreSQL database with the server's own program, `pg_dump`.

Invariant: the password goes through the environment of that one process, never its arguments.
"""

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import URL, make_url

from squareoff.domain.errors import StoreError

PROGRAM = "pg_dump"
DUMP_SECONDS_MAX = 3_600
"""A year of journal is dumped in minutes; what takes longer hangs."""

_FILE_MODE = 0o600


def dump(url: str, target: Path) -> int:
    """Write the database to a new file in pg_dump's custom form; return its size in bytes.

    Raises:
        StoreError: the program is not installed, the server refuses it, or the file is there.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise StoreError(
            f"{PROGRAM} is not installed here (Debian: postgresql-client); run it where it is: "
            f"`{PROGRAM} --format=custom --file={target} --dbname=URL`"
        )
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE))
    except FileExistsError:
        raise StoreError(f"{target} is there already and stays as it is: name another file") from (
            None
        )
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
    try:
        _run(program, url, target)
    except BaseException:
        target.unlink()
        raise
    return target.stat().st_size


def _run(program: str, url: str, target: Path) -> None:
    parts = make_url(url)
    environment = dict(os.environ)
    query = dict(parts.query)
    password = query.pop("password", parts.password)
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    bare = URL.create(
        "postgresql", parts.username, None, parts.host, parts.port, parts.database, query
    )
    address = bare.render_as_string(hide_password=False)  # there is none in it
    command = [program, "--format=custom", "--no-password", f"--file={target}", address]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, timeout=DUMP_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        raise StoreError(f"{PROGRAM} did not end within {DUMP_SECONDS_MAX} s") from None
    if ended.returncode != 0:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        raise StoreError(f"{PROGRAM} failed: {said[0] if said else ended.returncode}")
