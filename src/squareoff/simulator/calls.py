"""One recognised REST call: what every handler is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from squareoff.simulator.conduct import BrokerConduct, DelayRange
from squareoff.simulator.faults import FaultDecision
from squareoff.simulator.orders import Account
from squareoff.simulator.wire import WireRequest

if TYPE_CHECKING:
    from squareoff.simulator.broker import SimulatedBroker


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known account at one moment, with the fault that befalls it."""

    broker: SimulatedBroker
    account: Account
    request: WireRequest
    now_ns: int
    decision: FaultDecision

    @property
    def conduct(self) -> BrokerConduct:
        """The knobs in force."""
        return self.broker.conduct

    def lag_ns(self, span: DelayRange) -> int:
        """Return how far this read lags: as the fault says, else as the conduct says."""
        if self.decision.lag_ns is not None:
            return self.decision.lag_ns
        return self.broker.desk.draw_ns(span)
