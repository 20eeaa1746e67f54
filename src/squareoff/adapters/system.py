"""The real clock, ids, chance and checkpoints of a running process."""

import asyncio
import os
import random
import secrets
import signal
import time

from squareoff.domain.time import Now


class SystemClock:
    """Wall and monotonic time of this machine."""

    def now(self) -> Now:
        """Return wall and monotonic time together."""
        return Now(time.time_ns(), time.monotonic_ns())

    async def sleep(self, seconds: float) -> None:
        """Wait on the loop's monotonic clock."""
        await asyncio.sleep(seconds)


class RandomIds:
    """Ids of 60 random bits, written for people: `trk-` and 12 characters."""

    _ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
    _LENGTH = 12

    def new_id(self, prefix: str) -> str:
        """Return a fresh id."""
        tail = "".join(secrets.choice(self._ALPHABET) for _ in range(self._LENGTH))
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


class KillCheckpoints:
    """Rehearsal: kill this process with SIGKILL at the n-th time a named point is reached.

    Set by `SQUAREOFF_REHEARSAL_KILL_AT=name:n`; only tests and the demo set it.
    """

    def __init__(self, name: str, occurrence: int) -> None:
        self._name = name
        self._left = occurrence

    def reach(self, name: str) -> None:
        """Count, and die when it is time."""
        if name != self._name:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def checkpoints_from_environment(text: str | None) -> NoCheckpoints | KillCheckpoints:
    """Return the checkpoints that `name:n` asks for, none for None or empty text.

    Raises:
        ValueError: the text is not `name:n` with n from 1.
    """
    if not text:
        return NoCheckpoints()
    name, _, count = text.partition(":")
    occurrence = int(count or "1")
    if not name or occurrence < 1:
        raise ValueError(f"a rehearsal kill point is name:n, was {text!r}")
    return KillCheckpoints(name, occurrence)
