"""Slices are planned under ids that nobody has yet."""

from exit_story.values import held
from squareoff.core.exits.client_order_ids import client_order_id
from squareoff.core.exits.planning import free_attempt
from squareoff.domain.ids import ClientOrderId
from squareoff.domain.orders import OrderRole


def exit_id(attempt: int, slice_number: int) -> ClientOrderId:
    """Return the id of an exit order of the default position."""
    tracker = held()
    return client_order_id(
        tracker.account_id,
        tracker.tracker_id,
        OrderRole.EXIT,
        attempt=attempt,
        slice_number=slice_number,
    )


def test_an_attempt_with_a_taken_id_is_passed_over() -> None:
    """One taken id among its slices is enough; what lies beyond the slices counts for nothing."""
    taken = frozenset({exit_id(1, 1), exit_id(2, 3), exit_id(3, 4)})

    assert free_attempt(held(), 1, 3, frozenset()) == 1
    assert free_attempt(held(), 1, 3, taken) == 3
    assert free_attempt(held(), 1, 4, taken) == 4
    assert free_attempt(held(), 2, 2, taken) == 2
