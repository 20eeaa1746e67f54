"""What has ended for good: nothing that is still to come can be about it."""

from dataclasses import replace

import pytest

from exit_story.values import held
from squareoff.core.state.past import KEPT_DAYS, ended_since_ns, held_since, is_past
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import DAY_NS, ist_midnight_ns

NOON_NS = ist_midnight_ns(1_790_000_000_000_000_000) + DAY_NS // 2


def ended(days_ago: float, **changes: object) -> PositionTracker:
    """Return a position that was opened an hour before it ended."""
    at_ns = NOON_NS - round(days_ago * DAY_NS)
    tracker = replace(
        held(), status=PositionStatus.EXITED, exited_at_ns=at_ns, created_at_ns=at_ns - DAY_NS // 24
    )
    return replace(tracker, **changes)


def is_past_now(tracker: PositionTracker, *others: PositionTracker) -> bool:
    """Say whether it may rest at noon, beside others."""
    return is_past(tracker, ended_since_ns(NOON_NS), held_since([tracker, *others]))


@pytest.mark.parametrize(
    ("tracker", "is_expected"),
    [
        (ended(KEPT_DAYS + 0.6), True),
        (ended(KEPT_DAYS + 0.4), False),  # a whole day is kept
        (ended(400.0), True),
        (ended(400.0, over_exited_quantity=1), False),
        (ended(400.0, status=PositionStatus.ACTIVE, exited_at_ns=None), False),
        (ended(400.0, status=PositionStatus.EXITING, exited_at_ns=None), False),
        (ended(400.0, status=PositionStatus.PENDING, exited_at_ns=None), False),
        (ended(400.0, status=PositionStatus.CANCELLED), True),
        (ended(400.0, status=PositionStatus.UNTRACKED, exited_at_ns=None), True),
    ],
)
def test_what_may_still_change_stays(tracker: PositionTracker, is_expected: bool) -> None:
    """Only a final state of long ago, with nothing closed too much, rests."""
    assert is_past_now(tracker) is is_expected


@pytest.mark.parametrize(
    ("opened_days_ago", "product_type", "is_expected"),
    [
        (21.0, ProductType.INTRADAY, False),  # held while the other one was closed
        (20.3, ProductType.INTRADAY, False),  # opened earlier on the same day
        (19.7, ProductType.INTRADAY, False),  # opened after it, but on the same day
        (18.9, ProductType.INTRADAY, True),
        (21.0, ProductType.MARGIN, True),  # another position of the broker
    ],
)
def test_what_was_closed_beside_a_held_position_stays(
    opened_days_ago: float, product_type: ProductType, is_expected: bool
) -> None:
    """The trades of every day since a held position was opened have to be known as ours."""
    other = replace(
        held(),
        tracker_id=TrackerId("trk-2"),
        product_type=product_type,
        created_at_ns=NOON_NS - round(opened_days_ago * DAY_NS),
    )

    assert is_past_now(ended(20.0), other) is is_expected
