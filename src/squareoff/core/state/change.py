"""What one decision changes: the unit that is committed before anything is done about it."""

from dataclasses import dataclass

from squareoff.core.state.facts import AccountFact, TrackerFact
from squareoff.core.state.tracker import PositionTracker


@dataclass(frozen=True, slots=True)
class Change:
    """One tracker before and after, with the facts that lead from one to the other.

    `before` is None for a new tracker. `account_facts` (alarms) are journalled in the same
    transaction, after the tracker's facts.
    """

    before: PositionTracker | None
    after: PositionTracker
    facts: tuple[TrackerFact, ...]
    account_facts: tuple[AccountFact, ...] = ()
