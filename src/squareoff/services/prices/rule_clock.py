"""The clock of the rules about time: the time that is trusted, and how long a position is held.

What to believe is decided by `core.session.trusted_time`. `ClockWatch` tells how far the wall clock
is from the broker's.

Invariants:
1. Within one life of the process a position's holding time grows with the monotonic clock, from
   what the wall clock said when it was first seen here. It is never less than the time since then.
"""

from collections import deque

from squareoff.core.session.trusted_time import TrustedNow, TrustedTime
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now
from squareoff.ports import Clock

WALLS_KEPT = 3
"""A clock that was set wrong and put right has stood at three times."""


class RuleClock:
    """The trusted time of one engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.trusted = TrustedTime(clock.now())
        self._first_seen: dict[TrackerId, tuple[int, int]] = {}
        self._wall_leads = deque[int](maxlen=WALLS_KEPT)

    def look(self) -> TrustedNow:
        """Return what is believed of this instant."""
        return self._look(self._clock.now())

    def _look(self, now: Now) -> TrustedNow:
        lead_ns = now.wall_ns - now.monotonic_ns
        if not self._wall_leads or abs(lead_ns - self._wall_leads[-1]) >= NANOSECONDS_PER_SECOND:
            self._wall_leads.append(lead_ns)
        return self.trusted.look(now)

    def note(self, tracker: PositionTracker) -> None:
        """Count a position's holding time from its first unit on; drop it with the position."""
        tracker_id = tracker.tracker_id
        if tracker.status.is_final:
            self._first_seen.pop(tracker_id, None)
        elif tracker.quantity and tracker_id not in self._first_seen:
            stamp_ns = tracker.held_since_ns or tracker.created_at_ns
            now = self._clock.now()
            steady_ns = self._look(now).steady.wall_ns
            # Stamped by the wall clock as it stands, or, right before it was set, as it stood.
            earlier = (now.monotonic_ns + lead_ns for lead_ns in self._wall_leads)
            walls = (now.wall_ns, steady_ns, *earlier)
            ages = (wall_ns - stamp_ns for wall_ns in walls)
            # Between two looks a clock is slewed by less than a step: then the age is nothing.
            near = (max(age, 0) for age in ages if age > -NANOSECONDS_PER_SECOND)
            age_ns = min(near, default=None)
            # A stamp of the future stands: it is the clock of now that may be put right yet.
            opened_ns = stamp_ns if age_ns is None else steady_ns - age_ns
            self._first_seen[tracker_id] = opened_ns, now.monotonic_ns

    def held_ns(self, tracker: PositionTracker, now: TrustedNow) -> int:
        """Return how long a position that was noted is held by now; 0 while nothing of it is."""
        known = self._first_seen.get(tracker.tracker_id)
        if known is None:
            return 0
        opened_ns, seen_ns = known
        return max(now.steady.wall_ns - opened_ns, now.steady.monotonic_ns - seen_ns)
