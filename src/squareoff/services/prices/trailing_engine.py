"""Make moved stops durable: at once in memory, in the journal right after.

A stop moves in the trigger book with the price (`core.rules.trigger_book`). What is committed is
its newest place: while one commit of a position is under way, later moves wait for the next.

Invariants:
1. A stop never loosens, over duplicates, restarts and rule changes (`core.rules.levels`).
2. The level in memory is never looser than the durable one.
"""

import asyncio
from collections.abc import Iterable

from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.state.inputs import PeakReached
from squareoff.domain.ids import TrackerId
from squareoff.services.exits.exit_engine import ExitEngine


class TrailingEngine:
    """Commits the moved stops of all armed positions."""

    def __init__(self, engine: ExitEngine, watch: PriceWatch) -> None:
        self._engine = engine
        self._watch = watch
        self._saving: set[TrackerId] = set()

    def save(self, moved: Iterable[TrackerId], tasks: asyncio.TaskGroup) -> None:
        """Commit the newest stops of these positions, each as soon as its last commit is done."""
        for tracker_id in moved:
            if tracker_id not in self._saving:
                self._saving.add(tracker_id)
                tasks.create_task(self._commit(tracker_id))

    async def _commit(self, tracker_id: TrackerId) -> None:
        actor = self._engine.book.get(tracker_id)
        assert actor is not None, "what is watched is in the book"
        told: PeakReached | None = None
        try:
            while (reached := self._reached(tracker_id)) is not None and reached != told:
                told = reached
                await self._engine.tell(actor, reached)
        finally:
            self._saving.discard(tracker_id)
        self._watch.settle(tracker_id)

    def _reached(self, tracker_id: TrackerId) -> PeakReached | None:
        """Return the best price of a position with the stop that it reached: rules that are set
        while this waits for its commit may put a stop of theirs farther away."""
        current = self._watch.current(tracker_id)
        if current is None or current.peak_price is None:
            return None
        return PeakReached(current.peak_price, current.stop_level, current.stop_rule)
