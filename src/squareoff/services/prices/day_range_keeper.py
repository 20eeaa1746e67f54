"""Make durable from which range of the day a position takes part, and find it again at the start.

So a restart knows what was traded while nobody looked: a new high or low beyond what was durable
(`core.prices.day_ranges`). One fact for each position and day, one more after its rules changed,
and after its stop moved at most one in NOTE_AGAIN_SECONDS; those of one look are one commit.
Nothing waits for it.
"""

from collections.abc import Sequence

import structlog

from squareoff.core.prices.day_ranges import Baseline, DayRangeTold
from squareoff.core.prices.silence import waits_for_prices
from squareoff.core.state.facts import (
    DayRangeNoted,
    ExitWithdrawn,
    FillsConfirmed,
    JournalEntry,
    OrderReported,
    RulesChanged,
    StopMoved,
)
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import SquareoffError
from squareoff.domain.ids import TrackerId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import ist_day_number, seconds_to_ns
from squareoff.ports import Clock, Journal, TrackerStore
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.positions.position_journal import entries_of
from squareoff.services.prices.risk_manager import RiskManager

_log = structlog.get_logger("squareoff.day_ranges")
LOOK_SECONDS = 1.0
NOTE_AGAIN_SECONDS = 60.0
"""After a stop moved, the durable range says nothing of the new stop for so long at the most."""

FACTS_PER_COMMIT_MAX = 500
_LEVELS_CHANGE = (RulesChanged, ExitWithdrawn, OrderReported, FillsConfirmed)


class DayRangeKeeper:
    """Keeps the ranges of one engine's positions."""

    def __init__(
        self,
        engine: ExitEngine,
        risk: RiskManager,
        *,
        store: TrackerStore,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._risk = risk
        self._store = store
        self._journal = journal
        self._clock = clock
        self._unwritten: dict[TrackerId, None] = {}
        self._noted: dict[TrackerId, tuple[int, int | None]] = {}
        engine.on_change(self._on_tracker_changed)

    async def run(self) -> None:
        """Find what was durable, then look every second; never returns."""
        loaded = [actor.tracker for actor in self._engine.book if _takes_part(actor.tracker)]
        for tracker in loaded:
            await self._recover(tracker)
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Note who takes part from now on, and whose stop has moved since it was noted."""
        now = self._clock.now()
        prices = self._risk.prices
        for tracker_id in prices.ranges.prove(now.wall_ns, prices.told):
            self._unwritten[tracker_id] = None
        self._note_moved(now.monotonic_ns)
        due = self._due()
        if not due:
            return
        facts = tuple(
            DayRangeNoted(name, told.day, PriceUnits(told.high), PriceUnits(told.low))
            for name, told in due.items()
        )
        try:
            await self._store.record(facts, now.wall_ns)
        except SquareoffError as error:
            _log.warning("day_ranges_not_written", positions=len(due), error=str(error))
            return
        for name in due:
            self._unwritten.pop(name, None)
            actor = self._engine.book.get(name)
            if actor is not None and _takes_part(actor.tracker):
                self._noted[name] = now.monotonic_ns, actor.tracker.stop_level

    def _due(self) -> dict[TrackerId, DayRangeTold]:
        """Return the ranges to write as they are now: one of before the stop last moved, written
        after it, would let the next process fire on what that stop never saw."""
        due: dict[TrackerId, DayRangeTold] = {}
        for name in list(self._unwritten)[:FACTS_PER_COMMIT_MAX]:
            actor = self._engine.book.get(name)
            told = None if actor is None else self._risk.prices.ranges.range_of(actor.tracker)
            if told is None:
                del self._unwritten[name]  # it is proved anew where it takes part again
            else:
                due[name] = told
        return due

    def _note_moved(self, now_ns: int) -> None:
        for name, (noted_ns, stop_level) in self._noted.items():
            actor = self._engine.book.get(name)
            if actor is None or now_ns - noted_ns < seconds_to_ns(NOTE_AGAIN_SECONDS):
                continue
            told = self._risk.prices.ranges.range_of(actor.tracker)
            if told is not None and actor.tracker.stop_level != stop_level:
                self._unwritten[name] = None

    def _on_tracker_changed(self, tracker: PositionTracker) -> None:
        if not _takes_part(tracker):
            self._noted.pop(tracker.tracker_id, None)
            self._unwritten.pop(tracker.tracker_id, None)

    async def _recover(self, tracker: PositionTracker) -> None:
        try:
            entries = [each async for each in entries_of(self._journal, tracker.tracker_id)]
        except SquareoffError as error:
            _log.warning("day_range_not_recovered", tracker_id=tracker.tracker_id, error=str(error))
            return
        baseline = baseline_in(tracker, entries, ist_day_number(self._clock.now().wall_ns))
        if baseline is None or not baseline.can_fire:
            # The stop goes on as it was durable, the tightest that is known.
            _log.info("stop_in_gap_not_known", tracker_id=tracker.tracker_id)
        if baseline is not None:
            self._risk.recover_range(baseline)


def baseline_in(
    tracker: PositionTracker, entries: Sequence[JournalEntry], day: int
) -> Baseline | None:
    """Return what the journal holds of a loaded position's range today, None for nothing usable.

    A range noted before the position's rules or size changed says nothing of its levels; one noted
    before its stop moved still proves a best price, but not that the stop was reached.
    """
    told: DayRangeTold | None = None
    can_fire = True
    for entry in entries:
        match entry.fact:
            case DayRangeNoted(_, noted_day, high, low):
                told, can_fire = DayRangeTold(noted_day, high, low), True
            case StopMoved():
                can_fire = False
            case fact if isinstance(fact, _LEVELS_CHANGE):
                told = None
    if told is None or told.day != day:
        return None
    return Baseline(tracker, told, can_fire)


def _takes_part(tracker: PositionTracker) -> bool:
    return tracker.status is PositionStatus.ACTIVE and waits_for_prices(tracker)
