"""Write what a change made of one tracker: only the rows that differ, inside the caller's
transaction.

The tracker's own row goes first: its conditional update takes the row lock and proves the version
before anything else is touched.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, update

from squareoff.adapters.sql import rows
from squareoff.adapters.sql.prepared import Prepared
from squareoff.adapters.sql.tables import (
    broker_orders,
    exit_intents,
    order_sends,
    orders,
    trackers,
)
from squareoff.core.state.change import Change
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import ExitClaimed
from squareoff.core.state.tracker import ExitIntent, PositionTracker, TrackedOrder
from squareoff.domain.errors import LostUpdate

_INSERT_TRACKER = Prepared(insert(trackers))
_INSERT_INTENT = Prepared(insert(exit_intents))
_INSERT_ORDER = Prepared(insert(orders))
_INSERT_SEND = Prepared(insert(order_sends))
_INSERT_BROKER_ORDER = Prepared(insert(broker_orders))

# The names of bound keys must differ from the columns that the same statement sets.
_UPDATE_TRACKER = Prepared(
    update(trackers).where(
        trackers.c.tracker_id == bindparam("key_tracker_id"),
        trackers.c.account_id == bindparam("key_account_id"),
        trackers.c.version == bindparam("key_version"),
    )
)
_UPDATE_INTENT = Prepared(
    update(exit_intents).where(exit_intents.c.intent_id == bindparam("key_intent_id"))
)
_UPDATE_ORDER = Prepared(
    update(orders).where(orders.c.client_order_id == bindparam("key_client_order_id"))
)
_UPDATE_SEND = Prepared(
    update(order_sends).where(
        order_sends.c.client_order_id == bindparam("key_client_order_id"),
        order_sends.c.number == bindparam("key_number"),
    )
)
_UPDATE_BROKER_ORDER = Prepared(
    update(broker_orders).where(
        broker_orders.c.client_order_id == bindparam("key_client_order_id"),
        broker_orders.c.broker_order_id == bindparam("key_broker_order_id"),
    )
)

_Rows = list[dict[str, Any]]


def insert_tracker(connection: Connection, tracker: PositionTracker, opened_seq: int) -> None:
    """Write the row of a new tracker; the database refuses one that exists."""
    row = rows.opening_columns(tracker) | rows.changing_columns(tracker)
    _INSERT_TRACKER.change(connection, row | {"opened_seq": opened_seq})


def update_tracker(connection: Connection, before: PositionTracker, after: PositionTracker) -> None:
    """Bring the tracker's row from `before` to `after`.

    Raises:
        LostUpdate: the stored row is not of `before`'s version, or there is none.
    """
    keys = {
        "key_tracker_id": before.tracker_id,
        "key_account_id": before.account_id,
        "key_version": before.version,
    }
    if _UPDATE_TRACKER.change(connection, keys | rows.changing_columns(after)) != 1:
        raise LostUpdate(
            f"tracker {before.tracker_id} is no longer at version {before.version}: "
            "somebody else changed it first, so it must be read and decided again"
        )


def write_parts(connection: Connection, change: Change, at_ns: int) -> None:
    """Write intents, orders, sends and broker orders that differ between before and after."""
    before = change.before
    _write_intents(connection, change, at_ns)
    old_orders = {} if before is None else {o.client_order_id: o for o in before.orders}
    batch = _OrderBatch()
    for position, order in enumerate(change.after.orders):
        old = old_orders.get(order.client_order_id)
        if order is not old and order != old:
            batch.add(change.after.tracker_id, position, old, order)
    batch.write(connection)


def _write_intents(connection: Connection, change: Change, at_ns: int) -> None:
    before = None if change.before is None else change.before.intent
    known = None if before is None else before.intent_id
    for intent in _touched_intents(change, at_ns):
        if intent == before:
            continue
        if intent.intent_id == known:
            columns = rows.intent_columns(intent)
            _UPDATE_INTENT.change(connection, {"key_intent_id": known} | columns)
        else:
            claim = rows.claim_columns(change.after.tracker_id, intent)
            _INSERT_INTENT.change(connection, claim | rows.intent_columns(intent))


def _touched_intents(change: Change, at_ns: int) -> Sequence[ExitIntent]:
    """Return every intent of the change in its last form, older first.

    Almost always that is the one of `after`. Where one change ends an intent and claims the next,
    the ended one is in neither tracker and must be found by folding the facts.
    """
    before = None if change.before is None else change.before.intent
    claims = sum(isinstance(fact, ExitClaimed) for fact in change.facts)
    if claims + (before is not None) <= 1 or claims == 0:
        return () if change.after.intent is None else (change.after.intent,)
    found: dict[str, ExitIntent] = {}
    tracker = change.before
    for fact in change.facts:
        tracker = evolve(tracker, fact, at_ns)
        if tracker.intent is not None:
            found[tracker.intent.intent_id] = tracker.intent
    return tuple(found.values())


class _OrderBatch:
    """Gathers row changes of orders, so that each table takes one statement per kind of change."""

    def __init__(self) -> None:
        self._order_inserts: _Rows = []
        self._order_updates: _Rows = []
        self._send_inserts: _Rows = []
        self._send_updates: _Rows = []
        self._broker_inserts: _Rows = []
        self._broker_updates: _Rows = []

    def add(
        self, tracker_id: str, position: int, old: TrackedOrder | None, order: TrackedOrder
    ) -> None:
        columns = rows.order_columns(order)
        if old is None:
            plan = rows.plan_columns(tracker_id, position, order)
            self._order_inserts.append(plan | columns)
        elif rows.order_columns(old) != columns:
            key = {"key_client_order_id": order.client_order_id}
            self._order_updates.append(key | columns)
        self._add_sends(old, order)
        self._add_broker_orders(old, order)

    def _add_sends(self, old: TrackedOrder | None, order: TrackedOrder) -> None:
        known = {} if old is None else {send.number: send for send in old.sends}
        for send in order.sends:
            columns = rows.send_columns(send)
            if send.number not in known:
                own = {"client_order_id": order.client_order_id}
                self._send_inserts.append(own | columns)
            elif known[send.number] != send:
                key = {"key_client_order_id": order.client_order_id, "key_number": send.number}
                self._send_updates.append(key | columns)

    def _add_broker_orders(self, old: TrackedOrder | None, order: TrackedOrder) -> None:
        known = {} if old is None else {each.broker_order_id: each for each in old.broker_orders}
        for position, record in enumerate(order.broker_orders):
            columns = rows.broker_order_columns(position, record)
            if record.broker_order_id not in known:
                own = {"client_order_id": order.client_order_id}
                self._broker_inserts.append(own | columns)
            elif known[record.broker_order_id] != record:
                key = {
                    "key_client_order_id": order.client_order_id,
                    "key_broker_order_id": record.broker_order_id,
                }
                self._broker_updates.append(key | columns)

    def write(self, connection: Connection) -> None:
        """Orders before their parts, as the foreign keys ask."""
        for statement, batch in self._statements():
            statement.change_each(connection, batch)

    def _statements(self) -> Iterator[tuple[Prepared, _Rows]]:
        yield _INSERT_ORDER, self._order_inserts
        yield _UPDATE_ORDER, self._order_updates
        yield _INSERT_SEND, self._send_inserts
        yield _UPDATE_SEND, self._send_updates
        yield _INSERT_BROKER_ORDER, self._broker_inserts
        yield _UPDATE_BROKER_ORDER, self._broker_updates
