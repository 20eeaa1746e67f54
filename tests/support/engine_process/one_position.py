"""The one position that stories of whole processes are about: a long with a stop 50 points away."""

from engine_process.broker import BrokerProcess
from engine_process.engine import EngineProcess

SECURITY_ID, QUANTITY = "49543", 150
ENTRY, HIT = "26000.00", "25949.00"


def give(broker: BrokerProcess, client_id: str, quantity: int = QUANTITY) -> None:
    """Let an account hold it at the broker, with the market at its entry price."""
    broker.push(SECURITY_ID, ENTRY)
    position = {
        "dhan_client_id": client_id,
        "exchange_segment": "NSE_FNO",
        "security_id": SECURITY_ID,
        "product_type": "INTRADAY",
        "net_quantity": quantity,
        "price": ENTRY,
    }
    broker.admin("POST", "positions", position)


def track(engine: EngineProcess, quantity: int = QUANTITY) -> str:
    """Take it under watch and return the tracker's id."""
    body = {
        "exchange_segment": "NSE_FNO",
        "security_id": SECURITY_ID,
        "product_type": "INTRADAY",
        "side": "LONG",
        "quantity": quantity,
        "entry_price": ENTRY,
        "rules": {"stop_loss": {"points": "50"}},
    }
    tracker_id: str = engine.api("POST", "/trackers", body)["id"]
    return tracker_id
