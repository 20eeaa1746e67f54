"""Size an exit in the decision that claims it, where a warm reading covers it all.

Then claim, plan and send are one commit, and the order leaves right after it. In every other case
the reading of the positions begins beside the commit of the claim.
"""

import asyncio
from dataclasses import replace

from squareoff.core.exits.sizing import is_plainly_covered
from squareoff.core.state.inputs import PositionsRead
from squareoff.core.state.step import Decision
from squareoff.domain.rules import Urgency
from squareoff.services.orders.send_terms import SendTerms
from squareoff.services.positions.position_book import PositionActor
from squareoff.services.positions.sizing_readings import SizingReadings


class ClaimSizing:
    """What the exit engine asks before it claims an exit."""

    def __init__(self, readings: SizingReadings, terms: SendTerms) -> None:
        self._readings = readings
        self._terms = terms
        self._tasks: asyncio.TaskGroup | None = None

    def connect(self, tasks: asyncio.TaskGroup) -> None:
        """Give it its task group."""
        self._tasks = tasks

    def at_hand(self, actor: PositionActor, urgency: Urgency) -> PositionsRead | None:
        """Return a reading that covers the exit, with permits taken; else begin a new one.

        The caller holds the key's lock until its decision is committed, then calls `return_unused`.
        """
        event = self._readings.warm_input(actor.tracker)
        if event is not None and is_plainly_covered(actor.tracker, event):
            ready = self._terms.ready(actor.tracker, urgency)
            if ready is not None:
                return replace(event, ready=ready)
        self.begin(actor)
        return None

    def begin(self, actor: PositionActor) -> None:
        """Begin the reading for an exit that is about to be claimed."""
        assert self._tasks is not None, "connected before any exit"
        self._readings.begin(actor.tracker, self._tasks)

    def return_unused(self, event: PositionsRead | None, decision: Decision | None) -> None:
        """The decision was committed, or was not (None): unused permits are free again."""
        if event is not None:
            self._terms.return_unused(event.ready, decision)
