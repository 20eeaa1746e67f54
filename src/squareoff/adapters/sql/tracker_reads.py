"""Read trackers with all their parts, inside the caller's read transaction.

Five statements whatever the number of trackers; the transaction must give them one snapshot.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, FromClause, Select, select

from squareoff.adapters.sql.rows import Row, intent_of, order_of, tracker_of
from squareoff.adapters.sql.tables import (
    broker_orders,
    exit_intents,
    order_sends,
    orders,
    trackers,
)
from squareoff.core.tracker import PositionTracker, TrackedOrder
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.states import PositionStatus


def load_tracker(
    connection: Connection, account_id: AccountId, tracker_id: TrackerId
) -> PositionTracker | None:
    """Return one tracker of the account, or None."""
    wanted = (trackers.c.tracker_id == tracker_id) & (trackers.c.account_id == account_id)
    found = _load(connection, wanted)
    return found[0] if found else None


def load_trackers(
    connection: Connection, account_id: AccountId, statuses: Sequence[PositionStatus] | None
) -> tuple[PositionTracker, ...]:
    """Return the account's trackers in the order of their opening; None means all statuses."""
    wanted = trackers.c.account_id == account_id
    if statuses is not None:
        wanted = wanted & trackers.c.status.in_([status.value for status in statuses])
    return _load(connection, wanted)


def _load(connection: Connection, wanted: ColumnElement[bool]) -> tuple[PositionTracker, ...]:
    found = _rows(connection, select(trackers).where(wanted).order_by(trackers.c.opened_seq))
    if not found:
        return ()
    newest = select(exit_intents).join(trackers, trackers.c.intent_id == exit_intents.c.intent_id)
    intents = {row["tracker_id"]: intent_of(row) for row in _rows(connection, newest.where(wanted))}
    placed = _orders_by_tracker(connection, wanted)
    return tuple(
        tracker_of(row, intents.get(row["tracker_id"]), placed.get(row["tracker_id"], ()))
        for row in found
    )


def _orders_by_tracker(
    connection: Connection, wanted: ColumnElement[bool]
) -> dict[str, tuple[TrackedOrder, ...]]:
    order_query = (
        select(orders)
        .join(trackers, trackers.c.tracker_id == orders.c.tracker_id)
        .where(wanted)
        .order_by(orders.c.tracker_id, orders.c.position)
    )
    order_rows = _rows(connection, order_query)
    if not order_rows:
        return {}
    sends = _by_order(connection, order_sends, order_sends.c.number, wanted)
    records = _by_order(connection, broker_orders, broker_orders.c.position, wanted)
    return {
        tracker_id: tuple(
            order_of(
                row,
                sends.get(row["client_order_id"], ()),
                records.get(row["client_order_id"], ()),
            )
            for row in group
        )
        for tracker_id, group in groupby(order_rows, key=_tracker_id)
    }


def _by_order(
    connection: Connection,
    table: FromClause,
    rank: ColumnElement[Any],
    wanted: ColumnElement[bool],
) -> dict[str, list[Row]]:
    query = (
        select(table)
        .join(orders, orders.c.client_order_id == table.c.client_order_id)
        .join(trackers, trackers.c.tracker_id == orders.c.tracker_id)
        .where(wanted)
        .order_by(table.c.client_order_id, rank)
    )
    found = _rows(connection, query)
    return {key: list(group) for key, group in groupby(found, key=_client_order_id)}


def _rows(connection: Connection, query: Select[Any]) -> Sequence[Row]:
    return cast(Sequence[Row], connection.execute(query).mappings().all())


def _tracker_id(row: Row) -> str:
    return str(row["tracker_id"])


def _client_order_id(row: Row) -> str:
    return str(row["client_order_id"])
