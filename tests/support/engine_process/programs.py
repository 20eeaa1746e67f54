"""Run `squareoff` as a process of its own, as a person would, and end it again."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from engine_process.environment import clean_environment

END_SECONDS_MAX = 30.0


class Program:
    """One running program; `said` is the JSON line it announced itself with."""

    def __init__(self, process: "subprocess.Popen[str]", said: Any, log: Path) -> None:
        self.process = process
        self.said = said
        self._log = log

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(END_SECONDS_MAX)

    def log(self) -> str:
        """Return what it wrote to standard error so far."""
        return self._log.read_text(encoding="utf-8")


@contextmanager
def running(
    folder: Path, *words: str, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run a command that announces itself by one JSON line, and end it afterwards."""
    log = folder / f"{words[0]}.log"
    with log.open("w", encoding="utf-8") as errors:
        process = _start(folder, words, environment, errors)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{words} ended at once: {log.read_text(encoding='utf-8')}"
            yield Program(process, json.loads(line), log)
        finally:
            process.kill()
            process.wait(END_SECONDS_MAX)
            if process.stdout is not None:
                process.stdout.close()


def _start(
    folder: Path, words: tuple[str, ...], environment: Mapping[str, str] | None, errors: IO[str]
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", "from squareoff.cli.main import main; main()", *words],
        cwd=folder,
        env=clean_environment(**(environment or {})),
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
