"""Rules about time: how long a position is held, and when it must be gone."""

from squareoff.core.tracker import PositionTracker
from squareoff.domain.rules import RuleName
from squareoff.domain.time import Now, seconds_to_ns


def due_time_rule(tracker: PositionTracker, now: Now) -> RuleName | None:
    """Return the time rule that is due, None where none is.

    A square-off time that has passed today is due at once: starting late is no reason to hold on.
    """
    rules = tracker.rules
    if rules.square_off_at is not None and now.ist().time() >= rules.square_off_at:
        return RuleName.SQUARE_OFF
    if rules.max_holding_minutes is not None:
        held_ns = now.wall_ns - tracker.created_at_ns
        if held_ns >= seconds_to_ns(rules.max_holding_minutes * 60):
            return RuleName.MAX_HOLDING
    return None
