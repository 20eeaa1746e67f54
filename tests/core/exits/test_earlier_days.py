"""Fills that only the trade history still tells."""

import pytest

from exit_story.story import Story
from exit_story.values import trade
from squareoff.core.exits.earlier_days import unbooked_fills
from squareoff.domain.orders import BrokerOrderStatus

B = BrokerOrderStatus


@pytest.mark.parametrize(
    ("filled", "told"), [(40, None), (41, (41, B.PART_TRADED)), (100, (100, B.TRADED))]
)
def test_what_trades_tell_beyond_the_record_is_reported(
    filled: int, told: tuple[int, BrokerOrderStatus] | None
) -> None:
    """An order of which a part was traded may fill on: only all of it is its end."""
    story = Story().work()
    story.see(B.PART_TRADED, 40)
    trades = [
        trade(40, exec_id="X1"),
        trade(40, exec_id="X1"),
        trade(100, exec_id="X2", broker_order_id="APP"),
        *([trade(filled - 40, exec_id="X3")] if filled > 40 else []),
    ]

    found = unbooked_fills(story.order(), story.tracker.key, trades)
    assert [(each.cumulative_quantity, each.status) for each in found] == [told] * bool(told)
