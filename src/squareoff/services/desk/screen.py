"""What a screen shows beyond the desk's single answers: never live objects.

Answers for: the start of a replica of the journal, what changes between two looks, the chart of a
position, and what an exit would send. Changes nothing.
"""

import asyncio
from dataclasses import dataclass

from squareoff.domain.ids import TrackerId
from squareoff.ports import Clock, Journal, TrackerStore
from squareoff.services.desk.charts import Chart, ChartFold
from squareoff.services.desk.desk_requests import UnknownTracker
from squareoff.services.desk.exit_preview import ExitPreview, ExitPreviews
from squareoff.services.desk.live_look import LiveLook
from squareoff.services.desk.replica import ReplicaStart, replica_start
from squareoff.services.orders.rate_budget import RateLimits
from squareoff.services.positions.position_book import PositionActor, PositionBook
from squareoff.services.positions.position_journal import entries_of
from squareoff.services.prices.price_history import PriceHistory
from squareoff.services.prices.tick_cache import TickCache

FOLDS_MAX = 16
"""Charts that are read on from where they were; a page asks for its own every few seconds."""

FOLDED_AT_ONCE = 50
"""A millisecond's worth of entries: an exit waits no longer for its turn."""


@dataclass(frozen=True, slots=True)
class ScreenMarket:
    """The prices that a screen shows, and when one is too old to be believed."""

    ticks: TickCache
    history: PriceHistory
    stale_after_seconds: float


class Screen:
    """Serves the dashboard of one engine."""

    def __init__(
        self,
        book: PositionBook,
        *,
        store: TrackerStore,
        journal: Journal,
        market: ScreenMarket,
        previews: ExitPreviews,
        clock: Clock,
        budget: RateLimits,
    ) -> None:
        self.budget = budget
        self.stale_after_seconds = market.stale_after_seconds
        self._book = book
        self._store = store
        self._journal = journal
        self._market = market
        self._previews = previews
        self._clock = clock
        self._folds: dict[TrackerId, ChartFold] = {}
        self._charting = asyncio.Lock()

    @property
    def now_ns(self) -> int:
        """The engine's wall clock, UTC ns: what ages on a screen are counted from."""
        return self._clock.now().wall_ns

    async def replica_start(self) -> ReplicaStart:
        """Return the state as of one sequence number; raises StoreUnavailable."""
        return await replica_start(self._book, self._store, self._journal, self._clock)

    def live_look(self) -> LiveLook:
        """Return a look of its own for one onlooker."""
        return LiveLook(self._book, self._market.ticks)

    async def chart(self, tracker_id: TrackerId) -> Chart:
        """Return the chart of one position; raises UnknownTracker."""
        tracker = self._actor(tracker_id).tracker
        async with self._charting:  # two would take the same entries in twice
            fold = self._folds.pop(tracker_id, None) or ChartFold()
            taken = 0
            async for entry in entries_of(self._journal, tracker_id, fold.seq):
                fold.take(entry)
                taken += 1
                if taken % FOLDED_AT_ONCE == 0:
                    await asyncio.sleep(0)
            self._folds[tracker_id] = fold
            if len(self._folds) > FOLDS_MAX:
                del self._folds[next(iter(self._folds))]
        span_seconds, spans = self._market.history.of(tracker.instrument.instrument_id)
        return fold.chart(tracker, span_seconds, spans)

    async def exit_previews(self, tracker_id: TrackerId | None) -> tuple[ExitPreview, ...]:
        """Return what the exit of one position, or of every open one, would send now.

        Raises:
            UnknownTracker: there is no such position.
        """
        if tracker_id is not None:
            return await self._previews.of([self._actor(tracker_id)])
        return await self._previews.of([a for a in self._book if not a.tracker.status.is_final])

    def _actor(self, tracker_id: TrackerId) -> PositionActor:
        actor = self._book.get(tracker_id)
        if actor is None:
            raise UnknownTracker(tracker_id)
        return actor
