"""What a run takes instead of drawing it: the positions, and what else happens."""

from typing import Protocol

from squareoff.simulator.virtual.plans import PlanMaker
from squareoff.simulator.virtual.workload import Workload
from squareoff.simulator.virtual.world import World


class Script(Protocol):
    """A hand-written run: its positions instead of drawn ones, and what else happens."""

    @property
    def draw(self) -> PlanMaker:
        """What draws the positions."""
        ...

    def begin(self, world: World, workload: Workload) -> None:
        """Put faults and people on the world's clock, before the engine starts."""
        ...
