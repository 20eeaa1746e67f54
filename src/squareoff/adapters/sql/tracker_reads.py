"""Read trackers with all their parts, inside the caller's read transaction.

Five statements whatever the number of trackers; the transaction must give them one snapshot.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
)

from squareoff.adapters.sql.prepared import Prepared
from squareoff.adapters.sql.rows import Row, intent_of, order_of, tracker_of
from squareoff.adapters.sql.tables import (
    broker_orders,
    exit_intents,
    order_sends,
    orders,
    trackers,
)
from squareoff.core.state.past import held_since
from squareoff.core.state.tracker import PositionTracker, TrackedOrder
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.states import PositionStatus


def load_tracker(
    connection: Connection, account_id: AccountId, tracker_id: TrackerId
) -> PositionTracker | None:
    """Return one tracker of the account, or None."""
    keys = {"account_id": account_id, "tracker_id": tracker_id}
    found = _load(connection, _queries_of_one(), keys)
    return found[0] if found else None


def load_trackers(
    connection: Connection, account_id: AccountId, statuses: Sequence[PositionStatus] | None
) -> tuple[PositionTracker, ...]:
    """Return the account's trackers in the order of their opening; None means all statuses."""
    queries = _queries_of_all(None if statuses is None else frozenset(statuses))
    return _load(connection, queries, {"account_id": account_id})


def load_current(
    connection: Connection, account_id: AccountId, ended_since_ns: int
) -> tuple[PositionTracker, ...]:
    """Return the trackers that `is_past` does not give away, oldest first.

    A held key whose first position is older than `ended_since_ns` takes statements of its own:
    there are few, and what ended since then is among the rest.
    """
    ended = {"account_id": account_id, "ended_since_ns": ended_since_ns}
    found = list(_load(connection, _queries_of_current(), ended))
    known = {tracker.tracker_id for tracker in found}
    for key, since_ns in held_since(found).items():
        if since_ns >= ended_since_ns:
            continue
        wanted = {
            "account_id": account_id,
            "exchange_segment": key.instrument_id.exchange_segment.value,
            "security_id": key.instrument_id.security_id,
            "product_type": key.product_type.value,
            "ended_since_ns": since_ns,
        }
        on_key = _load(connection, _queries_of_key(), wanted)
        found += [tracker for tracker in on_key if tracker.tracker_id not in known]
    return tuple(sorted(found, key=lambda tracker: tracker.created_at_ns))


@dataclass(frozen=True, slots=True)
class _Queries:
    """The five statements for one kind of wanted trackers."""

    trackers: Prepared
    intents: Prepared
    orders: Prepared
    sends: Prepared
    broker_orders: Prepared


_OF_ACCOUNT = trackers.c.account_id == bindparam("account_id")


@cache
def _queries_of_one() -> _Queries:
    return _queries(_OF_ACCOUNT & (trackers.c.tracker_id == bindparam("tracker_id")))


@cache
def _queries_of_all(statuses: frozenset[PositionStatus] | None) -> _Queries:
    if statuses is None:
        return _queries(_OF_ACCOUNT)
    return _queries(_OF_ACCOUNT & _has_one_of(statuses))


def _has_one_of(statuses: Iterable[PositionStatus]) -> ColumnElement[bool]:
    return or_(false(), *(trackers.c.status == status.value for status in sorted(statuses)))


_HAS_NOT_ENDED_BEFORE = func.coalesce(
    trackers.c.exited_at_ns, trackers.c.created_at_ns
) >= bindparam("ended_since_ns")


@cache
def _queries_of_current() -> _Queries:
    is_open = _has_one_of(each for each in PositionStatus if not each.is_final)
    is_frozen = trackers.c.over_exited_quantity != 0
    return _queries(_OF_ACCOUNT & or_(is_open, is_frozen, _HAS_NOT_ENDED_BEFORE))


@cache
def _queries_of_key() -> _Queries:
    on_key = (
        trackers.c[name] == bindparam(name)
        for name in ("exchange_segment", "security_id", "product_type")
    )
    return _queries(and_(_OF_ACCOUNT, *on_key, _HAS_NOT_ENDED_BEFORE))


def _queries(wanted: ColumnElement[bool]) -> _Queries:
    newest = select(exit_intents).join(trackers, trackers.c.intent_id == exit_intents.c.intent_id)
    placed = select(orders).join(trackers, trackers.c.tracker_id == orders.c.tracker_id)
    return _Queries(
        Prepared(select(trackers).where(wanted).order_by(trackers.c.opened_seq)),
        Prepared(newest.where(wanted)),
        Prepared(placed.where(wanted).order_by(orders.c.tracker_id, orders.c.position)),
        _parts_of_orders(order_sends, order_sends.c.number, wanted),
        _parts_of_orders(broker_orders, broker_orders.c.position, wanted),
    )


def _parts_of_orders(
    table: FromClause, rank: ColumnElement[Any], wanted: ColumnElement[bool]
) -> Prepared:
    return Prepared(
        select(table)
        .join(orders, orders.c.client_order_id == table.c.client_order_id)
        .join(trackers, trackers.c.tracker_id == orders.c.tracker_id)
        .where(wanted)
        .order_by(table.c.client_order_id, rank)
    )


def _load(connection: Connection, queries: _Queries, keys: Row) -> tuple[PositionTracker, ...]:
    found = queries.trackers.rows(connection, keys)
    if not found:
        return ()
    newest = queries.intents.rows(connection, keys)
    intents = {row["tracker_id"]: intent_of(row) for row in newest}
    placed = _orders_by_tracker(connection, queries, keys)
    return tuple(
        tracker_of(row, intents.get(row["tracker_id"]), placed.get(row["tracker_id"], ()))
        for row in found
    )


def _orders_by_tracker(
    connection: Connection, queries: _Queries, keys: Row
) -> dict[str, tuple[TrackedOrder, ...]]:
    order_rows = queries.orders.rows(connection, keys)
    if not order_rows:
        return {}
    sends = _by_order(queries.sends.rows(connection, keys))
    records = _by_order(queries.broker_orders.rows(connection, keys))
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


def _by_order(found: Sequence[Row]) -> dict[str, list[Row]]:
    return {key: list(group) for key, group in groupby(found, key=_client_order_id)}


def _tracker_id(row: Row) -> str:
    return str(row["tracker_id"])


def _client_order_id(row: Row) -> str:
    return str(row["client_order_id"])
