"""The time that rules about time go by: the wall clock, unless it was set while we looked on.

A wall clock that is set by hours would fire every square-off time that lies between. Two others
can speak against it: the monotonic clock, which nobody sets, and the broker's, once enough of its
answers were seen after the step (`clock_skew`). Two that agree are believed.

Invariants:
1. Without a step seen in this life of the process, it is the wall clock as it stands.
2. After a step it is the time before it plus monotonic time, until the broker's clock agrees with
   either; but for a time of the day at most `DOUBT_SECONDS`, then the wall clock counts again: no
   exit is withheld for ever because of a clock in doubt.
3. A duration is never shortened or lengthened by a step, however long the doubt lasts.
"""

from dataclasses import dataclass

from squareoff.core.session.clock_skew import JUMP_SECONDS_MIN, wall_jump_seconds
from squareoff.domain.time import Now, seconds_to_ns

DOUBT_SECONDS = 60.0
"""The broker's answers settle it within some seconds; of a broker that does not answer for a
minute an exit is not to wait longer for the time of the day."""

AGREES_SECONDS = 5.0
"""More than a fast clock gains between two settings by a time server, and less than any time rule
of a person means."""


@dataclass(frozen=True, slots=True)
class TrustedNow:
    """One instant as it is believed: `day` for times of the day, `steady` for durations. Both have
    the monotonic time of the clock."""

    day: Now
    steady: Now


class TrustedTime:
    """Follows one process's clock: `look` at it every second or so."""

    def __init__(self, now: Now) -> None:
        self._seen = now
        self._day_lead = 0.0  # how far the wall clock is ahead of what is believed, seconds
        self._steady_lead = 0.0
        self._offset: float | None = None
        self._doubt_until_ns: int | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Say whether the wall clock was set, and the broker's has not said which time is right."""
        return self._doubt_until_ns is not None

    @property
    def lead_seconds(self) -> float:
        """How far the wall clock is taken to be ahead for times of the day."""
        return self._day_lead

    def note_offset(self, ahead_seconds: float | None) -> None:
        """Take how far the wall clock is ahead of the broker's by answers since its last step."""
        self._offset = ahead_seconds

    def look(self, now: Now) -> TrustedNow:
        """Return what is believed of this instant, which must not lie before the last one."""
        jump = wall_jump_seconds(self._seen, now)
        self._seen = now
        if jump:
            self._take_step(jump, now)
        self._judge(now)
        return TrustedNow(_less(now, self._day_lead), _less(now, self._steady_lead))

    def _take_step(self, seconds: float, now: Now) -> None:
        self._offset = None  # of the clock as it stood
        self._day_lead = _more_than_nothing(self._day_lead + seconds)
        self._steady_lead = _more_than_nothing(self._steady_lead + seconds)
        if not self._day_lead:
            self._doubt_until_ns = None  # it was set back to where it stood
        elif self._doubt_until_ns is None:
            self._doubt_until_ns = now.monotonic_ns + seconds_to_ns(DOUBT_SECONDS)

    def _judge(self, now: Now) -> None:
        if not (self._day_lead or self._steady_lead):
            return
        offset = self._offset
        if offset is not None and abs(offset) < JUMP_SECONDS_MIN:
            self._believe(0.0)
        elif offset is not None and abs(offset - self._steady_lead) < AGREES_SECONDS:
            self._believe(offset)
        elif self._doubt_until_ns is not None and now.monotonic_ns >= self._doubt_until_ns:
            self._day_lead, self._doubt_until_ns = 0.0, None

    def _believe(self, lead_seconds: float) -> None:
        self._day_lead = self._steady_lead = lead_seconds
        self._doubt_until_ns = None


def _more_than_nothing(lead_seconds: float) -> float:
    return lead_seconds if abs(lead_seconds) >= JUMP_SECONDS_MIN else 0.0


def _less(now: Now, seconds: float) -> Now:
    return Now(now.wall_ns - seconds_to_ns(seconds), now.monotonic_ns) if seconds else now
