"""One recognised REST call: what every handler is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from squareoff.domain.instruments import InstrumentId
from squareoff.exchange.engine import MatchingEngine
from squareoff.simulator.catalogue import Listing
from squareoff.simulator.conduct import BrokerConduct, DelayRange
from squareoff.simulator.desk import OrderDesk
from squareoff.simulator.faults import FaultDecision
from squareoff.simulator.identity import Identity
from squareoff.simulator.market import InstrumentDay
from squareoff.simulator.orders import Account
from squareoff.simulator.wire import WireRequest


class BrokerParts(Protocol):
    """What the handlers need of the broker."""

    desk: OrderDesk
    engine: MatchingEngine
    identity: Identity
    days: dict[InstrumentId, InstrumentDay]

    @property
    def conduct(self) -> BrokerConduct:
        """The knobs in force."""
        ...

    def listings(self) -> Mapping[InstrumentId, Listing]:
        """Return all instruments."""
        ...

    def adopt(self, client_id: str | None) -> Account | None:
        """Return the account of a recognised client, None where it is refused."""
        ...

    def end_dead_sockets(self) -> None:
        """End the sockets of tokens that were killed, where the conduct says so."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known account at one moment, with the fault that befalls it."""

    broker: BrokerParts
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
