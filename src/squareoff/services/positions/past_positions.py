"""Keeps positions that have ended for good out of memory, and brings one back when it is asked for.

`core.state.past` says which they are. Invariants:
1. Whoever names a position by its id is answered, however long ago it ended.
2. A clock that runs ahead gives nothing away that ended today: what is past is told by the newest
   entry of the journal at the start, and by the trusted time later.
"""

from collections.abc import Callable, Collection

from squareoff.core.state.past import ended_since_ns, held_since, is_past
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.states import PositionStatus
from squareoff.ports import Clock, Journal, TrackerStore
from squareoff.services.positions.position_book import PositionBook
from squareoff.services.prices.rule_clock import RuleClock

ROUND_SECONDS = 3600.0


class PastPositions:
    """The positions of one account that rest in the database."""

    def __init__(
        self,
        book: PositionBook,
        *,
        store: TrackerStore,
        journal: Journal,
        clock: Clock,
        rule_clock: RuleClock,
    ) -> None:
        self._book = book
        self._store = store
        self._journal = journal
        self._clock = clock
        self._rule_clock = rule_clock
        self._listeners: list[Callable[[PositionTracker], None]] = []

    def on_let_go(self, listener: Callable[[PositionTracker], None]) -> None:
        """Call `listener` with each position that leaves the book."""
        self._listeners.append(listener)

    async def load_others(self) -> tuple[PositionTracker, ...]:
        """Return every position that does not rest, oldest first.

        Raises:
            StoreUnavailable: the database is away.
        """
        now_ns = self._clock.now().wall_ns
        head = await self._journal.head()
        for entry in await self._journal.entries(after_seq=head - 1, limit=1):
            now_ns = min(now_ns, entry.time_ns)
        return await self._store.load_current(ended_since_ns(now_ns))

    async def recall(self, tracker_id: TrackerId) -> None:
        """Take a position that rests back into the book, until the next round.

        Raises:
            StoreUnavailable: the database is away, and the position is not in the book.
        """
        if self._book.get(tracker_id) is not None or not _may_be_an_id(tracker_id):
            return
        tracker = await self._store.load(tracker_id)
        # One that is not at its end is just being opened, and comes into the book by that.
        is_past = tracker is not None and tracker.status.is_final
        if tracker is not None and is_past and self._book.get(tracker_id) is None:
            self._book.add(tracker)

    async def resting(self, statuses: Collection[PositionStatus]) -> tuple[PositionTracker, ...]:
        """Return the positions that rest and have one of these statuses; they go on resting.

        Raises:
            StoreUnavailable: the database is away.
        """
        finals = [status for status in statuses if status.is_final]
        ended = await self._store.load_all(finals)
        return tuple(each for each in ended if self._book.get(each.tracker_id) is None)

    async def run(self) -> None:
        """Let go of what has become past, every hour; never returns."""
        while True:
            await self._clock.sleep(ROUND_SECONDS)
            self.let_go()

    def let_go(self) -> None:
        """Take what is past out of the book, but what something is under way for."""
        since_ns = ended_since_ns(self._rule_clock.look().steady.wall_ns)
        held = held_since(actor.tracker for actor in self._book)
        for actor in self._book:
            if is_past(actor.tracker, since_ns, held) and not actor.is_busy:
                self._book.let_go(actor)
                for listener in self._listeners:
                    listener(actor.tracker)


def _may_be_an_id(text: str) -> bool:
    """Say whether a text may be asked for: no database takes every character."""
    return text.isascii() and text.isprintable()
