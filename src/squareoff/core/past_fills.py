"""Fills of earlier days: the broker's trade book holds today's alone.

An exit that filled in the last moments of a day may have to be confirmed on the next one, by the
trade history.
"""

from datetime import date

from squareoff.core.tracker import PositionTracker
from squareoff.domain.orders import OrderRole
from squareoff.domain.time import Now, ist_date


def days_to_confirm(tracker: PositionTracker, now: Now) -> tuple[date, ...]:
    """Return the earlier days (IST) on which exits were sent that filled, oldest first."""
    today = ist_date(now.wall_ns)
    days = {
        ist_date(send.sent_at_ns)
        for order in tracker.orders
        if order.role is OrderRole.EXIT and order.cumulative_quantity > 0
        for send in order.sends
    }
    return tuple(sorted(day for day in days if day < today))
