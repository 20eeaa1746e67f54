"""The broker's fault plan, heard: every rule that fires is told by the name of its class."""

import random
from collections.abc import Callable

from squareoff.simulator.faults import FaultDecision, FaultPlan, FaultPoint


class HeardFaultPlan(FaultPlan):
    """A fault plan that tells `on_strike` which class struck; a rule's id is `class/detail`."""

    def __init__(self, chance: random.Random, on_strike: Callable[[str], None]) -> None:
        super().__init__(chance)
        self._on_strike = on_strike

    def decide(self, point: FaultPoint, now_ns: int) -> FaultDecision:
        """Return what befalls this event, and tell."""
        decision = super().decide(point, now_ns)
        for rule_id in decision.rule_ids:
            self._on_strike(rule_id.partition("/")[0])
        return decision
