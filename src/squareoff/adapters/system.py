"""The real clock, ids, chance and checkpoints of a running process."""

import asyncio
import os
import random
import secrets
import signal
import time
from collections.abc import Mapping

from squareoff.domain.time import Now

_MONOTONIC_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Where there is one, the clock that goes on while the machine is suspended: what was decided
before the lid was closed is old when it opens."""


class SystemClock:
    """Wall and monotonic time of this machine."""

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        return Now(time.time_ns(), time.clock_gettime_ns(_MONOTONIC_CLOCK))

    async def sleep(self, seconds: float) -> None:
        """Wait on the loop's monotonic clock."""
        await asyncio.sleep(seconds)


def pause(seconds: float) -> None:
    """Let real time pass, for a replay that is watched."""
    time.sleep(seconds)


class RandomIds:
    """Ids of 60 random bits, written for people: `trk-` and 12 characters."""

    _ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
    _SHIFTS = range(0, 60, 5)

    def new_id(self, prefix: str) -> str:
        """Return a fresh id."""
        number = secrets.randbits(60)
        tail = "".join([self._ALPHABET[number >> shift & 31] for shift in self._SHIFTS])
        return f"{prefix}-{tail}"


class SystemChance:
    """Randomness for jitter."""

    def __init__(self) -> None:
        self._random = random.Random(secrets.randbits(64))

    def uniform(self, low: float, high: float) -> float:
        """Return a number in [low, high]."""
        return self._random.uniform(low, high)


class NoCheckpoints:
    """Production: nothing happens at a checkpoint."""

    def reach(self, name: str) -> None:
        """Do nothing."""


class RehearsalCheckpoints:
    """Rehearsal: note, freeze or kill this process when a named point is reached.

    Kill and stop are `name:n`: the n-th time that the point is reached since the start.
    """

    def __init__(self, *, kill_at: str = "", stop_at: str = "", note_to: str = "") -> None:
        self._kill_at = _checked(kill_at)
        self._stop_at = _checked(stop_at)
        self._note_to = note_to
        self._counts: dict[str, int] = {}

    def reach(self, name: str) -> None:
        """Count, and do what was asked for at this point."""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        point = f"{name}:{count}"
        if self._note_to:
            with open(self._note_to, "a", encoding="utf-8") as notes:
                notes.write(f"{point}\n")
        if point == self._stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        if point == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


REHEARSAL_VARIABLES = {
    "kill_at": "SQUAREOFF_REHEARSAL_KILL_AT",
    "stop_at": "SQUAREOFF_REHEARSAL_STOP_AT",
    "note_to": "SQUAREOFF_REHEARSAL_NOTE_TO",
}
"""Set by rehearsals only: `name:n` to die (SIGKILL) or to freeze (SIGSTOP) at, and a file that
takes the name of every point reached. Never set them otherwise."""


def checkpoints_from_environment(
    environment: Mapping[str, str],
) -> NoCheckpoints | RehearsalCheckpoints:
    """Return the checkpoints that the rehearsal variables ask for, none where none is set.

    Raises:
        ValueError: a point is not `name:n` with n from 1.
    """
    asked = {key: environment.get(name, "") for key, name in REHEARSAL_VARIABLES.items()}
    return RehearsalCheckpoints(**asked) if any(asked.values()) else NoCheckpoints()


def _checked(point: str) -> str:
    """Return `name:n`; `name` alone is its first time."""
    if not point:
        return ""
    name, _, count = point.partition(":")
    if not name or not (count or "1").isdecimal() or int(count or "1") < 1:
        raise ValueError(f"a rehearsal point is name:n, was {point!r}")
    return f"{name}:{int(count or '1')}"
