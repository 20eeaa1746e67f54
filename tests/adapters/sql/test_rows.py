"""Rows and trackers are each other's inverse."""

import pytest

from sql_samples.histories import change_of, claimed, legal_history
from sql_samples.histories import opened as opening
from squareoff.adapters.sql import rows
from squareoff.core.state.tracker import PositionTracker


def _through_rows(tracker: PositionTracker) -> PositionTracker:
    intent = None
    if tracker.intent is not None:
        columns = rows.claim_columns(tracker.tracker_id, tracker.intent)
        intent = rows.intent_of(columns | rows.intent_columns(tracker.intent))
    orders = tuple(
        rows.order_of(
            rows.plan_columns(tracker.tracker_id, position, order) | rows.order_columns(order),
            [rows.send_columns(send) for send in order.sends],
            [rows.broker_order_columns(n, record) for n, record in enumerate(order.broker_orders)],
        )
        for position, order in enumerate(tracker.orders)
    )
    columns = rows.opening_columns(tracker) | rows.changing_columns(tracker)
    return rows.tracker_of(columns, intent, orders)


@pytest.mark.parametrize("seed", range(10))
def test_a_tracker_survives_the_way_through_rows(seed: int) -> None:
    """Every field of every part is in exactly one column and comes back from it."""
    for _, change in legal_history(seed, "trk-1", 40):
        assert _through_rows(change.after) == change.after


def test_opening_and_changing_columns_do_not_overlap() -> None:
    """A column is fixed by the opening or changed by facts, never both."""
    tracker = change_of(None, opening(), claimed()).after

    assert not rows.opening_columns(tracker).keys() & rows.changing_columns(tracker).keys()
