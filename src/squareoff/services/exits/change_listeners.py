"""Tell the services that follow trackers what was committed, in the order of the commits.

Where an order leaves by a commit, the order goes first: ten services are told in the next turn of
the event loop, for what they do is a tenth of the way from the tick to the first byte.
Invariants:
1. Every listener hears of every commit once, facts before trackers, older commits first.
2. Nobody is told of what is not committed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from squareoff.core.state.facts import TrackerFact
from squareoff.core.state.tracker import PositionTracker
from squareoff.ports import Clock
from squareoff.services.monitoring.fact_log import OnFacts

OnChange = Callable[[PositionTracker], None]


class ChangeListeners:
    """Who is to hear of trackers, and what they have not heard yet."""

    def __init__(self, clock: Clock) -> None:
        self._on_change: list[OnChange] = []
        self._on_facts: list[OnFacts] = []
        self._clock = clock
        self._untold: deque[tuple[PositionTracker, Sequence[TrackerFact], int]] = deque()

    def add(self, *, on_change: OnChange | None = None, on_facts: OnFacts | None = None) -> None:
        """Tell these from now on."""
        if on_change is not None:
            self._on_change.append(on_change)
        if on_facts is not None:
            self._on_facts.append(on_facts)

    def tell(self, tracker: PositionTracker, facts: Sequence[TrackerFact] = ()) -> None:
        """Tell of a committed state, and of the facts it follows from, before returning."""
        self._note(tracker, facts)
        self._tell_untold()

    def tell_soon(
        self,
        tracker: PositionTracker,
        facts: Sequence[TrackerFact],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Tell after the tasks that were begun before this call have had their turn.

        A listener that fails is a defect and ends the group, as it does in `tell`.
        """
        self._note(tracker, facts)
        tasks.create_task(self._tell_in_turn())

    def _note(self, tracker: PositionTracker, facts: Sequence[TrackerFact]) -> None:
        self._untold.append((tracker, facts, self._clock.now().wall_ns))

    async def _tell_in_turn(self) -> None:
        self._tell_untold()

    def _tell_untold(self) -> None:
        while self._untold:
            tracker, facts, at_ns = self._untold.popleft()
            for on_facts in self._on_facts:
                on_facts(tracker, facts, at_ns)
            for on_change in self._on_change:
                on_change(tracker)
