"""The day's P&L of the account as its positions change: what each one adds today.

What a position had realised before today is no part of today. Of a position that was carried over
with a part of it closed, the journal tells how much that was.
Invariants:
1. A position that ended before today adds nothing, and neither does an intraday one of an earlier
   day, whenever its end is booked: the broker has closed it on its own day.
2. What is first learned from trades of an earlier day, closes by others and fills of our own,
   counts on the day of the last of them, whenever it is booked.
"""

from collections.abc import Iterable, Sequence

from squareoff.core.account.account_pnl import AccountPnl, Share, share_of
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import (
    ClosedExternally,
    FillsConfirmed,
    OrderReported,
    TrackerFact,
)
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.copies import replace
from squareoff.domain.ids import TrackerId
from squareoff.ports import Journal
from squareoff.services.positions.position_journal import entries_of

_NOTHING = Share(0, 0, 0)


class AccountBook:
    """What every position adds to the day."""

    def __init__(self, pnl: AccountPnl, journal: Journal) -> None:
        self._pnl = pnl
        self._journal = journal
        self._trackers: dict[TrackerId, PositionTracker] = {}
        self._realized_before: dict[TrackerId, int] = {}
        self.midnight_ns = 0

    def note(self, tracker: PositionTracker, facts: Sequence[TrackerFact]) -> None:
        """Take the facts of a change in, right before its `put`."""
        if not any(_is_early(fact, self.midnight_ns) for fact in facts):
            return
        before = self._trackers.get(tracker.tracker_id)
        if before is None or before.version + len(facts) != tracker.version:
            return  # what came between is not known here; the next start reads it
        early = 0
        for fact in facts:
            after = evolve(before, fact, self.midnight_ns)
            early += _gain(before, after) if _is_early(fact, self.midnight_ns) else 0
            before = after
        known = self._realized_before.get(tracker.tracker_id, 0)
        self._realized_before[tracker.tracker_id] = known + early

    def put(self, tracker: PositionTracker) -> None:
        """Take a position in, or its change."""
        tracker_id = tracker.tracker_id
        self._trackers[tracker_id] = tracker
        if tracker.has_ended_before(self.midnight_ns):
            del self._trackers[tracker_id]
            self._realized_before.pop(tracker_id, None)
            self._pnl.drop(tracker_id)
            return
        if tracker.is_of_an_ended_day(self.midnight_ns):
            share = _NOTHING
        else:
            share = share_of(tracker)
            today = share.realized - self._realized_before.get(tracker_id, 0)
            share = replace(share, realized=today)
        self._pnl.put(tracker_id, tracker.instrument.instrument_id, share)

    @property
    def realized_before(self) -> int:
        """What the positions that add to the day had realised before it."""
        return sum(
            self._realized_before.get(tracker_id, 0)
            for tracker_id, tracker in self._trackers.items()
            if not tracker.is_of_an_ended_day(self.midnight_ns)
        )

    async def begin(self, midnight_ns: int) -> None:
        """Begin with the day that began then; raises StoreError where the journal is away."""
        before: dict[TrackerId, int] = {}
        read: dict[TrackerId, PositionTracker] = {}
        while changed := [t for t in self._trackers.values() if read.get(t.tracker_id) is not t]:
            for tracker in changed:
                read[tracker.tracker_id] = tracker
                is_carried = tracker.created_at_ns < midnight_ns and tracker.exited_quantity
                is_over = tracker.has_ended_before(midnight_ns)
                if is_carried and not is_over and not tracker.is_of_an_ended_day(midnight_ns):
                    early = await self._realized_before_day(tracker, midnight_ns)
                    before[tracker.tracker_id] = early
        self._realized_before = before
        self._begin(midnight_ns)

    def roll(self, midnight_ns: int) -> None:
        """Go over into the day that begins now; prices of the one before count no more."""
        self._pnl.forget_day()
        self._realized_before = {
            tracker.tracker_id: share_of(tracker).realized for tracker in self._trackers.values()
        }
        self._begin(midnight_ns)

    def trackers(self) -> Iterable[PositionTracker]:
        """Return every position that is held or ended today."""
        return tuple(self._trackers.values())

    def _begin(self, midnight_ns: int) -> None:
        self.midnight_ns = midnight_ns
        for tracker in tuple(self._trackers.values()):
            self.put(tracker)

    async def _realized_before_day(self, tracker: PositionTracker, midnight_ns: int) -> int:
        """Return what a position had realised before a day began, as its journal tells.

        Everything up to the first entry of the day counts: a clock that was set back may date what
        follows earlier. Of what follows, only what trades of an earlier day told.
        """
        realized, is_today = 0, False
        before: PositionTracker | None = None
        async for entry in entries_of(self._journal, tracker.tracker_id):
            if not isinstance(entry.fact, TrackerFact):
                continue
            is_today = is_today or entry.time_ns >= midnight_ns
            after = evolve(before, entry.fact, entry.time_ns)
            if not is_today or _is_early(entry.fact, midnight_ns):
                realized += _gain(before, after)
            before = after
        return realized


def _is_early(fact: TrackerFact, midnight_ns: int) -> bool:
    """Say whether trades of an earlier day tell what a fact says of closes; untold is today."""
    match fact:
        case ClosedExternally() | OrderReported() | FillsConfirmed():
            return (fact.last_trade_ns or midnight_ns) < midnight_ns
        case _:
            return False


def _gain(before: PositionTracker | None, after: PositionTracker) -> int:
    """Return what a position realised between two of its states."""
    return share_of(after).realized - (0 if before is None else share_of(before).realized)
