"""The ledger's judge bites: doubled, lost, unknown and mispriced exits are all found."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from squareoff.simulator.rehearsal.ledger_audit import audit

CLIENT, TAG = "1", "sqx-a"

_TABLES = """
CREATE TABLE journal (seq, kind, data);
CREATE TABLE trackers (tracker_id, status, side, quantity, exit_price, externally_closed_quantity);
CREATE TABLE orders (client_order_id, tracker_id, role);
CREATE TABLE broker_orders (client_order_id, broker_order_id, cumulative_quantity);
INSERT INTO journal VALUES (1, 'order_sent', '{"client_order_id": "sqx-a"}');
INSERT INTO trackers VALUES ('t', 'EXITED', 'LONG', 75, '10.5', 0);
INSERT INTO orders VALUES ('sqx-a', 't', 'EXIT');
INSERT INTO broker_orders VALUES ('sqx-a', '2', 75);
"""


def _order(name: str, tag: str | None, status: str = "TRADED") -> dict[str, Any]:
    return {
        "order_id": name,
        "client_id": CLIENT,
        "correlation_id": tag,
        "status": status,
        "filled_quantity": 75,
    }


def _trade(order: str, side: str, price: str = "10.5") -> dict[str, Any]:
    return {"order_id": order, "side": side, "quantity": 75, "price": price}


ORDERS = [_order("1", None), _order("2", TAG)]
TRADES = [_trade("1", "BUY"), _trade("2", "SELL")]


def _judge(folder: Path, change: str = "", orders: Any = ORDERS, trades: Any = TRADES) -> list[str]:
    database = folder / "engine.db"
    rows = sqlite3.connect(database)
    rows.executescript(_TABLES + change)
    rows.close()
    return audit(orders, trades, database, CLIENT, 75)


def test_a_good_exit_is_found_good(tmp_path: Path) -> None:
    """One position, one order, one price."""
    assert _judge(tmp_path) == []


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "double exit": (
        "",
        {
            "orders": [*ORDERS, _order("3", TAG)],
            "trades": [*TRADES, _trade("3", "SELL")],
        },
    ),
    "lost exit": ("", {"trades": TRADES[:1]}),
    "is still PENDING": ("", {"orders": [ORDERS[0], _order("2", TAG, "PENDING")]}),
    "after 0 journalled sends": ("DELETE FROM journal;", {}),
    "our row says 50": ("UPDATE broker_orders SET cumulative_quantity = 50;", {}),
    "lost exit: t is EXITING": ("UPDATE trackers SET status = 'EXITING';", {}),
    "says 10.4": ("UPDATE trackers SET exit_price = '10.4';", {}),
    "of 150 closed": ("UPDATE trackers SET quantity = 150;", {}),
    "the journal has a gap": ("UPDATE journal SET seq = 3;", {}),
}


@pytest.mark.parametrize("name", BAD)
def test_every_kind_of_wrong_is_found(name: str, tmp_path: Path) -> None:
    """Each change makes the good exit above a bad one."""
    change, books = BAD[name]

    found = _judge(tmp_path, change, **books)

    assert any(name in text for text in found), found
