"""Make durable the best prices that moved no stop, and those seen while an exit is open.

Under the rules of now nothing depends on them: a stop that they do not move stands where it would
without them. Rules that are set later, an entry price that is told later, and a position that is
watched again after its exit was taken back do. So they are written without haste: each position is
looked at in its turn, and one commit follows the other.
"""

from squareoff.core.rules.levels import is_better
from squareoff.core.state.inputs import BestPriceSeen
from squareoff.domain.ids import TrackerId
from squareoff.ports import Clock
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.prices.risk_manager import RiskManager

LOOK_SECONDS = 1.0
LOOKS_PER_ROUND = 30
"""A kill may take half a minute of best prices that moved no stop."""

POSITIONS_PER_LOOK_MAX = 20
"""Commits a second at the most, for the journal keeps each of them; beyond 600 positions a round
takes longer."""


class BestPriceKeeper:
    """Keeps the best prices of one engine's positions."""

    def __init__(self, engine: ExitEngine, risk: RiskManager, clock: Clock) -> None:
        self._engine = engine
        self._risk = risk
        self._clock = clock
        self._waiting: list[TrackerId] = []
        self._share = 0

    async def run(self) -> None:
        """Look every second; never returns."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look at those whose turn it is, and write what is better than what is durable."""
        if not self._waiting:
            held = (each.tracker for each in self._engine.book if not each.tracker.status.is_final)
            self._waiting = [tracker.tracker_id for tracker in held]
            share = -(-len(self._waiting) // LOOKS_PER_ROUND)
            self._share = min(share, POSITIONS_PER_LOOK_MAX)
        turn, self._waiting = self._waiting[: self._share], self._waiting[self._share :]
        for tracker_id in turn:
            await self._keep(tracker_id)

    async def _keep(self, tracker_id: TrackerId) -> None:
        actor, best = self._engine.book.get(tracker_id), self._risk.best_price(tracker_id)
        if actor is None or best is None:
            return
        if is_better(actor.tracker.side, best, actor.tracker.peak_price):
            await self._engine.tell(actor, BestPriceSeen(best))
