"""Run one check in a copy of the project, with or without a bug, and say what it showed.

A check that cannot run (no such test, a broken import, a crash of the runner) catches nothing: only
a test that failed or a seed that was violated counts.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from seeded_bugs.bug import Bug

COPIED = ("src", "tests", "scripts", "pyproject.toml")
_TEST_FAILED, _TESTS_PASSED = 1, 0
_LINE_LENGTH_MAX = 160
_FAILURE = re.compile(r"FAILED |ERROR |I\d+[a-z]?: ")
_VIOLATED = "VIOLATED"


class Verdict(str, Enum):
    """What became of one bug."""

    CAUGHT = "caught"
    SURVIVED = "NOT CAUGHT"
    TIMED_OUT = "timeout"
    BROKEN = "check did not run"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, how long it took, and the first line that tells of it."""

    verdict: Verdict
    seconds: float
    line: str


@contextmanager
def project_copy(project: Path) -> Iterator[Path]:
    """Give a copy of what a check needs; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="seeded-bug-") as name:
        copy = Path(name)
        for part in COPIED:
            source = project / part
            if source.is_dir():
                shutil.copytree(source, copy / part)
            else:
                shutil.copy2(source, copy / part)
        yield copy


def imported_from(copy: Path) -> str:
    """Return the file that `import squareoff` takes in the copy: the proof that it is the copy."""
    done = _start(copy, ("-c", "import squareoff; print(squareoff.__file__)"))
    return done.communicate()[0].strip()


def try_bug(project: Path, bug: Bug, *, patience: float = 1.0) -> Outcome:
    """Apply the bug to a copy and run its check there.

    Args:
        patience: stretches the time box, for a machine that is not idle.
    """
    with project_copy(project) as copy:
        bug.apply(copy)
        return run_check(copy, bug.check, bug.seconds * patience)


def run_check(copy: Path, check: Sequence[str], seconds_max: float) -> Outcome:
    """Run a check in a copy; end it with all its children when its time is over."""
    began = time.monotonic()
    process = _start(copy, check)
    try:
        output, _ = process.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Outcome(Verdict.TIMED_OUT, time.monotonic() - began, "its time box ran out")
    verdict = judge(check, process.returncode, output)
    return Outcome(verdict, time.monotonic() - began, first_line(output, verdict))


def judge(check: Sequence[str], status: int, output: str) -> Verdict:
    """Return the verdict on a check that ended by itself."""
    if status == _TESTS_PASSED:
        return Verdict.SURVIVED
    is_simulated = "pytest" not in check
    if status == _TEST_FAILED and (not is_simulated or _VIOLATED in output):
        return Verdict.CAUGHT
    return Verdict.BROKEN


def first_line(output: str, verdict: Verdict) -> str:
    """Return the first line that names the failure; the last line where none does."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if _FAILURE.match(line)]
    if verdict is Verdict.SURVIVED or not lines:
        return ""
    return (told[0] if told else lines[-1])[:_LINE_LENGTH_MAX]


def _start(copy: Path, arguments: Sequence[str]) -> "subprocess.Popen[str]":
    environment = os.environ | {
        "PYTHONPATH": str(copy / "src"),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
