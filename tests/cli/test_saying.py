"""What an engine says at its start never decides whether it runs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from engine_process.environment import clean_environment

_ANNOUNCE = """
import sys
from squareoff.cli.engine_program import announce
from squareoff.cli.logs import configure_logs
from squareoff.config import Settings

configure_logs()
announce(Settings(), "http://127.0.0.1:9", None, as_json={as_json})
print("later")
sys.stdout.flush()
print("went on", file=sys.stderr)
"""


@contextmanager
def _full_disk() -> Iterator[int]:
    with open("/dev/full", "wb") as full:
        yield full.fileno()


@contextmanager
def _reader_gone() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("output", [_full_disk, _reader_gone])
def test_an_output_that_takes_nothing_ends_no_engine(
    output: Callable[[], AbstractContextManager[int]], as_json: bool
) -> None:
    """A full disk failed the start, a reader that was gone ended it as if it were told to."""
    with output() as descriptor:
        ended = subprocess.run(
            [sys.executable, "-c", _ANNOUNCE.format(as_json=as_json)],
            env=clean_environment(), stdout=descriptor, stderr=subprocess.PIPE, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == "went on"
    assert "not_said" in ended.stderr


def test_a_closed_output_is_no_failure(tmp_path: Path) -> None:
    """`>&-` is how some supervisors start their programs."""
    ended = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -m squareoff db upgrade --json >&-'],
        cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (0, "")
