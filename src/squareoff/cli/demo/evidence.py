"""What both sides say at the end: the engine by its API, the broker by its own records."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from squareoff.cli.demo.clients import EngineClient, SimulatorClient
from squareoff.cli.demo.scenario import DemoPosition

APP_SOURCE = "N"
"""Origin letter of orders made in the broker's own app: the demo's opening trades."""


@dataclass(frozen=True, slots=True)
class BrokerTrade:
    """One execution in the broker's books; units and rupees."""

    order_id: str
    key: tuple[str, str, str]
    side: str
    quantity: int
    price: Decimal
    time_ns: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything the audit looks at. `tracker_ids` maps a position's name to its tracker."""

    tracker_ids: dict[str, str]
    trackers: dict[str, dict[str, Any]]
    engine_orders: list[dict[str, Any]]
    alarms: list[dict[str, Any]]
    journal: list[dict[str, Any]]
    broker_orders: list[dict[str, Any]]
    trades: list[BrokerTrade]
    faults_fired: dict[str, int]

    def tracker(self, position: DemoPosition) -> dict[str, Any]:
        """Return what the engine says of a position."""
        return self.trackers[self.tracker_ids[position.name]]

    def facts(self, position: DemoPosition) -> list[dict[str, Any]]:
        """Return the journal of one position, oldest first."""
        tracker_id = self.tracker_ids[position.name]
        return [fact for fact in self.journal if fact["tracker_id"] == tracker_id]

    def orders_of(self, position: DemoPosition) -> list[dict[str, Any]]:
        """Return the broker's orders that bear an id which the engine made for this position."""
        tracker_id = self.tracker_ids[position.name]
        ids = {o["client_order_id"] for o in self.engine_orders if o["tracker_id"] == tracker_id}
        return [order for order in self.broker_orders if order["correlation_id"] in ids]

    def exits_of(self, position: DemoPosition) -> list[BrokerTrade]:
        """Return the broker's trades of those orders, in order of time."""
        ids = {order["order_id"] for order in self.orders_of(position)}
        return [trade for trade in self.trades if trade.order_id in ids]


async def gather_evidence(
    engine: EngineClient,
    simulator: SimulatorClient,
    tracker_ids: dict[str, str],
    journal: list[dict[str, Any]],
) -> Evidence:
    """Ask both sides; `journal` is what was read of it so far."""
    seen = journal[-1]["seq"] if journal else 0
    state = await simulator.state("orders,trades,faults")
    return Evidence(
        tracker_ids=tracker_ids,
        trackers=await engine.trackers(),
        engine_orders=await engine.orders(),
        alarms=await engine.alarms(),
        journal=[*journal, *await engine.journal_after(seen)],
        broker_orders=state["orders"],
        trades=[_trade(row) for row in state["trades"]],
        faults_fired={item["rule"]["id"]: item["fired"] for item in state["faults"]},
    )


def _trade(row: dict[str, Any]) -> BrokerTrade:
    return BrokerTrade(
        order_id=row["order_id"],
        key=(row["exchange_segment"], row["security_id"], row["product_type"]),
        side=row["side"],
        quantity=row["quantity"],
        price=Decimal(row["price"]),
        time_ns=row["time_ns"],
    )
