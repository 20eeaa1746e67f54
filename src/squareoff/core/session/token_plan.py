"""What to do about an access token that lives a day: renew it in time, or tell a person in time.

Pure arithmetic over instants (UTC ns). The token's own `exp` and the broker's word may differ; the
earlier end counts.
"""

from dataclasses import dataclass

from squareoff.domain.time import NANOSECONDS_PER_SECOND

RENEW_AHEAD_SECONDS = 90 * 60.0
"""From here on a token is renewed as soon as no exit is under way: a renewal kills the old token,
and half an hour is left to do so before people are warned."""

RENEW_ANYWAY_SECONDS = 20 * 60.0
"""From here on it is renewed whatever is under way: a second without one beats none at all."""

SESSION_MARGIN_SECONDS = 15 * 60.0
"""A token must outlive the day's last session by this, in which the last exits settle."""

RENEWAL_PAUSE_SECONDS = 600.0
"""Between two renewals, and after one that failed: a renewal kills a token that lives."""

TOKEN_LIFE_SECONDS = 24 * 60 * 60.0
"""How long a new token lives (dhanhq-v2.md 1.3); a session of MCX and its margin may be longer."""

_YOUNG_SECONDS = RENEWAL_PAUSE_SECONDS + 60.0
"""A token younger than this was just made: another one would hardly outlive it."""

WARN_AHEAD_SECONDS = (60 * 60.0, 15 * 60.0)
"""How long before the end a person is told, where nothing renewed the token until then."""


@dataclass(frozen=True, slots=True)
class TokenOutlook:
    """How long the token and the day's last session go on, seconds; None where it is not known."""

    token_seconds: float | None
    session_seconds: float | None

    @property
    def ends_in_session(self) -> bool:
        """Say whether the token ends before the session is safely over."""
        if self.token_seconds is None or self.session_seconds is None:
            return False
        return self.token_seconds < self.session_seconds + SESSION_MARGIN_SECONDS

    @property
    def falls_short(self) -> bool:
        """Say whether the token ends in the session and a new one would live notably longer."""
        if self.token_seconds is None:
            return False
        is_young = self.token_seconds >= TOKEN_LIFE_SECONDS - _YOUNG_SECONDS
        return self.ends_in_session and not is_young


def earliest_end_ns(*ends_ns: int | None) -> int | None:
    """Return the earliest of the ends that are known."""
    return min((end_ns for end_ns in ends_ns if end_ns is not None), default=None)


def seconds_until(end_ns: int | None, now_ns: int) -> float | None:
    """Return the time to an end, below zero once it has passed."""
    return None if end_ns is None else (end_ns - now_ns) / NANOSECONDS_PER_SECOND


def renewal_is_due(outlook: TokenOutlook, *, is_busy: bool) -> bool:
    """Say whether to renew now. `is_busy`: an exit is under way, which a renewal would hold up."""
    left = outlook.token_seconds
    if left is None:
        return False
    if left <= RENEW_ANYWAY_SECONDS:
        return True
    return not is_busy and (left <= RENEW_AHEAD_SECONDS or outlook.falls_short)


def warnings_due(outlook: TokenOutlook) -> tuple[str, ...]:
    """Return the names of the warnings that this outlook deserves; each is given once a token."""
    left = outlook.token_seconds
    if left is None or left <= 0:
        return ()
    names = [f"{ahead:g}" for ahead in WARN_AHEAD_SECONDS if left <= ahead]
    return (*(["session"] if outlook.falls_short else []), *names)
