"""What earlier days have to do with today: the broker's trade book holds today's fills alone.

An exit that filled in the last moments of a day may have to be confirmed on the next one, and who
closed a position while the engine was down is told by the trades of that day: both are in the
trade history.
"""

from datetime import date

from squareoff.core.tracker import PositionTracker
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
