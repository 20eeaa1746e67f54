"""Pauses between tries of a connection that is to stand for ever."""

from http import HTTPStatus

from squareoff.domain.time import Now, seconds_to_ns
from squareoff.ports import Chance

BACKOFF_FIRST_SECONDS = 0.5
"""Half a second is nothing to a broker, and much of a minute's blindness to us."""

BACKOFF_MAX_SECONDS = 30.0
"""A connection that is back is found within half a minute."""

STANDING_SECONDS = 10.0
"""A connection that lived this long stood; one that ends sooner counts as one more failure, or a
broker that accepts and hangs up would be called twice a second."""

COOL_DOWN_SECONDS = 60.0
"""After HTTP 429 on the upgrade the broker wants at least a minute (dhanhq-v2.md 6.4)."""


class Backoff:
    """Growing pauses with full jitter; back to the start after a connection that stood."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._failures = 0
        self._connected_at_ns: int | None = None

    def note_connected(self, now: Now) -> None:
        """The connection is up; whether it stands, its end will tell."""
        self._connected_at_ns = now.monotonic_ns

    def has_stood(self, now: Now) -> bool:
        """Say whether the connection that ends now was up for long enough to count as one."""
        since = self._connected_at_ns
        return since is not None and now.monotonic_ns - since >= seconds_to_ns(STANDING_SECONDS)

    def next_seconds(self, code: int | None, now: Now) -> float:
        """Return the pause before the next try, after a connection or a try has ended."""
        if self.has_stood(now):
            self._failures = 0
        self._connected_at_ns = None
        self._failures += 1
        ceiling = min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** (self._failures - 1))
        pause = self._chance.uniform(BACKOFF_FIRST_SECONDS / 2, ceiling)
        return pause + COOL_DOWN_SECONDS if code == HTTPStatus.TOO_MANY_REQUESTS else pause
