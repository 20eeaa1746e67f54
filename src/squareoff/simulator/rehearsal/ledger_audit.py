"""Judge one rehearsal: the broker's ledger against the database, by raw SQL and plain arithmetic.

Written apart from the engine: orders and trades come from the broker's own record, rows by
`sqlite3`. Only the replay of the journal uses the engine's fold, which is what it is about.

1. Nothing doubled: the account is flat at the end and its net never crosses zero.
2. Nothing lost: every position is EXITED with its whole quantity, at its trades' average price.
3. No order of ours at the broker without its committed `order_sent`; never more orders than sends.
4. The journal has no gap, its chain holds, and its fold gives the stored rows.
"""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

from squareoff.adapters.sql.database import open_inline_database
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.evolve import fold
from squareoff.core.state.facts import JournalEntry, TrackerFact
from squareoff.domain.ids import AccountId

PRICE_STEP = Decimal("0.00000001")
OUR_PREFIX = "sq"
_LIVE = ("TRANSIT", "PENDING", "PART_TRADED")

Row = dict[str, Any]


def audit(
    orders: list[Row], trades: list[Row], database: Path, client_id: str, quantity: int
) -> list[str]:
    """Return what is wrong; empty where every promise was kept.

    Args:
        orders: the broker's orders of all accounts.
        trades: the broker's trades of all accounts, in order.
        database: the engine's file, with no engine on it.
        client_id: the account judged.
        quantity: how much was opened in the account, all positions together.
    """
    ours = [order for order in orders if order["client_id"] == client_id]
    names = {order["order_id"] for order in ours}
    mine = [trade for trade in trades if trade["order_id"] in names]
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as rows:
        rows.row_factory = sqlite3.Row
        found = _check_net(mine, quantity)
        found += _check_orders(ours, rows)
        found += _check_trackers(ours, mine, rows)
        found += _check_file(rows)
    rows.close()
    return found


async def audit_replay(database: Path, client_id: str) -> list[str]:
    """Return where the journal's chain is broken, or its fold does not give the stored rows."""
    opened = open_inline_database(f"sqlite:///{database}")
    try:
        return await replay_faults(SqlStore(opened.runner, AccountId(client_id)))
    finally:
        await opened.close()


async def replay_faults(store: SqlStore) -> list[str]:
    """Return where the chain is broken, or the fold of the journal is not what is stored."""
    report = await store.verify_chain()
    found = [] if report.is_intact else [f"journal: {report.fault_text}"]
    entries: list[JournalEntry] = []
    while batch := await store.entries(after_seq=len(entries)):
        entries.extend(batch)
    for tracker in await store.load_all():
        facts: list[Any] = [
            (entry.time_ns, entry.fact)
            for entry in entries
            if isinstance(entry.fact, TrackerFact) and entry.fact.tracker_id == tracker.tracker_id
        ]
        if fold(facts) != tracker:
            found.append(f"the journal does not rebuild {tracker.tracker_id}")
    return found


def _check_net(trades: list[Row], quantity: int) -> list[str]:
    found, net, opened = [], 0, 0
    for trade in trades:
        before = net
        net += trade["quantity"] if trade["side"] == "BUY" else -trade["quantity"]
        if before * net < 0:
            found.append(f"double exit: the net went from {before} to {net}")
        opened += max(0, abs(net) - abs(before))
    if opened != quantity:
        found.append(f"double exit: {opened} were opened in all, {quantity} by the story")
    if net:
        found.append(f"lost exit: the net is {net} at the end")
    return found


def _check_orders(orders: list[Row], rows: sqlite3.Connection) -> list[str]:
    found = []
    sends: dict[str, int] = {}
    for (text,) in rows.execute("SELECT data FROM journal WHERE kind = 'order_sent'"):
        name = json.loads(text)["client_order_id"]
        sends[name] = sends.get(name, 0) + 1
    known = {
        row["broker_order_id"]: row["cumulative_quantity"]
        for row in rows.execute("SELECT broker_order_id, cumulative_quantity FROM broker_orders")
    }
    arrived: dict[str, int] = {}
    for order in orders:
        tag, name = order["correlation_id"] or "", order["order_id"]
        if not tag.startswith(OUR_PREFIX):
            continue
        arrived[tag] = arrived.get(tag, 0) + 1
        if order["status"] in _LIVE:
            found.append(f"{name} is still {order['status']}")
        if known.get(name) != order["filled_quantity"]:
            told = f"{name} filled {order['filled_quantity']}, our row says {known.get(name)}"
            found.append(told)
    for tag, count in arrived.items():
        if count > sends.get(tag, 0):
            found.append(f"{count} orders under {tag} after {sends.get(tag, 0)} journalled sends")
    return found


def _check_trackers(orders: list[Row], trades: list[Row], rows: sqlite3.Connection) -> list[str]:
    found = []
    tag_of = {order["order_id"]: order["correlation_id"] or "" for order in orders}
    for row in rows.execute("SELECT * FROM trackers").fetchall():
        name = row["tracker_id"]
        if row["status"] != "EXITED":
            found.append(f"lost exit: {name} is {row['status']}")
            continue
        tags = {
            tag
            for (tag,) in rows.execute(
                "SELECT client_order_id FROM orders WHERE tracker_id = ? AND role = 'EXIT'",
                (name,),
            )
        }
        by_us = [trade for trade in trades if tag_of[trade["order_id"]] in tags]
        closed = sum(trade["quantity"] for trade in by_us)
        if closed + row["externally_closed_quantity"] != row["quantity"]:
            text = f"{closed} by us and {row['externally_closed_quantity']} by others"
            found.append(f"{name} is EXITED with {text} of {row['quantity']} closed")
        side = "SELL" if row["side"] == "LONG" else "BUY"
        if row["externally_closed_quantity"]:
            by_us = [trade for trade in trades if trade["side"] == side]
        found += _check_price(name, row["exit_price"], by_us)
    return found


def _check_price(name: str, stored: object, trades: list[Row]) -> list[str]:
    quantity = sum(trade["quantity"] for trade in trades)
    if not quantity:
        return [f"{name} is EXITED without a trade"]
    value = sum((Decimal(t["price"]) * t["quantity"] for t in trades), Decimal(0))
    if abs(Decimal(str(stored)) * quantity - value) > PRICE_STEP * quantity:
        return [f"{name} says {stored}, its trades say {value} / {quantity}"]
    return []


def _check_file(rows: sqlite3.Connection) -> list[str]:
    found = []
    (verdict,) = rows.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        found.append(f"the file is damaged: {verdict}")
    numbers = [seq for (seq,) in rows.execute("SELECT seq FROM journal ORDER BY seq")]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append("the journal has a gap")
    return found
