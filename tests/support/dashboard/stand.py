"""One engine at the simulator for the dashboard to look at, and what happens to it."""

from pathlib import Path
from typing import Any

from engine_process import BrokerProcess, EngineProcess, wait_until
from throwaway.programs import free_loopback_port

SECURITY_ID = "49543"
ENTRY = "26000.00"
LOOK_SECONDS_MAX = 30.0


class Stand:
    """One running engine with an account of its own; a context manager."""

    def __init__(
        self, folder: Path, broker: BrokerProcess, client_id: str, *, settings: str = ""
    ) -> None:
        self.broker = broker
        port = free_loopback_port()
        self.engine = EngineProcess(folder, broker, client_id, port, settings=settings)

    def __enter__(self) -> "Stand":
        self.price(ENTRY)
        self.engine.start()
        self.engine.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.broker.admin("DELETE", "faults")
        self.engine.stop()

    def price(self, price: str, available: int | None = None) -> None:
        """Print a price; `available` units may trade at it."""
        self.broker.push(SECURITY_ID, price, available)

    def hold(self, rules: dict[str, Any], *, quantity: int = 150, product: str = "INTRADAY") -> str:
        """Have the broker hold a long position beside the others, take it under watch."""
        self.hold_unwatched(quantity, product)
        body = {
            "exchange_segment": "NSE_FNO",
            "security_id": SECURITY_ID,
            "product_type": product,
            "side": "LONG",
            "quantity": quantity,
            "entry_price": ENTRY,
            "rules": rules,
        }
        tracker_id: str = self.engine.api("POST", "/trackers", body)["id"]
        return tracker_id

    def hold_unwatched(self, quantity: int, product: str) -> None:
        """Have the broker hold so many more, which no tracker knows."""
        self.broker.admin(
            "POST",
            "positions",
            {
                "dhan_client_id": self.engine.client_id,
                "exchange_segment": "NSE_FNO",
                "security_id": SECURITY_ID,
                "product_type": product,
                "net_quantity": quantity,
                "price": ENTRY,
            },
        )

    def status_of(self, tracker_id: str) -> str:
        """Return a position's status by the API."""
        status: str = self.engine.api("GET", f"/trackers/{tracker_id}")["status"]
        return status

    def wait_status(self, tracker_id: str, status: str) -> None:
        """Wait until the API shows this status."""
        what = f"{status}; {self.engine.log_tail()}"
        wait_until(lambda: self.status_of(tracker_id) == status, what, LOOK_SECONDS_MAX)

    def lift(self) -> None:
        """Lift the kill switch."""
        body = {"active": False, "reason": "test over"}
        self.engine.api("POST", "/kill-switch", body)

    def journal_head(self) -> int:
        """Return the journal's newest sequence number."""
        seq: int = self.engine.api("GET", "/replica")["seq"]
        return seq
