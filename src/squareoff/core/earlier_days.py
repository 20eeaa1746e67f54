"""What earlier days have to do with today: the broker's trade book holds today's fills alone.

An exit that filled in the last moments of a day may have to be confirmed on the next one, and who
closed a position while the engine was down is told by the trades of that day: both are in the
trade history.
"""

from datetime import date

from squareoff.core.tracker import PositionTracker
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import OrderRole
from squareoff.domain.time import Now, ist_date


def first_day_to_confirm(tracker: PositionTracker, now: Now) -> date | None:
    """Return the first earlier day (IST) on which an exit was sent that filled, None for none."""
    today = ist_date(now.wall_ns)
    days = {
        ist_date(send.sent_at_ns)
        for order in tracker.orders
        if order.role is OrderRole.EXIT and order.cumulative_quantity > 0
        for send in order.sends
    }
    return min((day for day in days if day < today), default=None)


def has_outlived_its_day(tracker: PositionTracker, now: Now) -> bool:
    """Say whether it is an intraday position of an earlier day: that one was closed, by us or by
    the broker, and what the broker shows under its key today was opened since."""
    if tracker.product_type is not ProductType.INTRADAY:
        return False
    sent = [send.sent_at_ns for order in tracker.entry_orders for send in order.sends]
    opened_ns = max((tracker.created_at_ns, *sent))
    return ist_date(opened_ns) < ist_date(now.wall_ns)
