"""The market feed's process, and what it noted."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from squareoff.ports import Clock
from squareoff.simulator.rehearsal.processes import (
    POLL_SECONDS,
    START_SECONDS_MAX,
    STOP_SECONDS_MAX,
    RehearsalFailed,
)


class FeedProcess:
    """Started with a plan; told by lines; its record is read at any time."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._record = folder / "feed.jsonl"
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    async def start(self, plan: dict[str, Any]) -> None:
        """Start it, and wait until it listens."""
        config = self._folder / "feed.json"
        config.write_text(json.dumps(plan | {"record": str(self._record)}))
        command = [sys.executable, "-m", "squareoff.simulator.soak.feed_server", str(config)]
        self._process = _spawn(command, self._folder / "feed.log")
        for _ in range(round(START_SECONDS_MAX / POLL_SECONDS)):
            for note in self.notes():
                self.port = int(note["port"])
                return
            await self._clock.sleep(POLL_SECONDS)
        raise RehearsalFailed(f"the feed did not start: {(self._folder / 'feed.log').read_text()}")

    def tell(self, command: dict[str, Any]) -> None:
        """Let something befall."""
        assert self._process is not None, "started before"
        assert self._process.stdin is not None, "opened with a pipe"
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def notes(self) -> list[dict[str, Any]]:
        """Return what it noted so far; a line that is being written is left out."""
        if not self._record.exists():
            return []
        lines = self._record.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    @property
    def process_id(self) -> int:
        """The process."""
        assert self._process is not None, "started before"
        return self._process.pid

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_SECONDS_MAX)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


def _spawn(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
