"""Orders at the broker under ids of our shape that this database does not know.

They are of a database that was replaced by an older copy of itself, or of a second engine on this
account. Invariants:
1. While one can still fill, no exit on its key is sent beside it: both would close the same units.
   Nor is one until readings of the positions surely hold what it filled. Orders are for the day:
   one that no record of this day shows has ended, though its end was never read.
2. Its id is never given to an order of ours: the broker's lookups could not tell the two apart.
"""

from squareoff.core.exits.client_order_ids import is_ours
from squareoff.core.state.inputs import ExitHindered
from squareoff.core.state.policy import READING_LAG_SECONDS
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import PositionKey
from squareoff.domain.orders import OrderReport
from squareoff.domain.states import BlockReason
from squareoff.domain.time import ist_day_number, seconds_to_ns
from squareoff.ports import Clock

RETRY_SECONDS = 1.0


class UnknownOrders:
    """What was seen of them; told by the one who finds that an order has no owner."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._orders: dict[BrokerOrderId, OrderReport] = {}
        self._ended_ns: dict[BrokerOrderId, int] = {}
        self._read_days: dict[BrokerOrderId, int] = {}

    def note(self, report: OrderReport) -> bool:
        """Take the record of an order that nobody owns; say whether it is new and of our shape."""
        if not is_ours(report.client_order_id):
            return False
        self._read_days[report.broker_order_id] = self._today()
        known = self._orders.get(report.broker_order_id)
        # Records come in any order; what has ended stays so.
        if known is None or not known.status.is_terminal:
            self._orders[report.broker_order_id] = report
            if report.status.is_terminal and report.cumulative_quantity > 0:
                self._ended_ns[report.broker_order_id] = self._clock.now().monotonic_ns
        return known is None

    def ids(self) -> frozenset[ClientOrderId]:
        """Return the ids that they carry."""
        found = (report.client_order_id for report in self._orders.values())
        return frozenset(each for each in found if each is not None)

    def hindrance(self, key: PositionKey) -> ExitHindered | None:
        """Return what keeps exits on a key from going: one of them that can still fill there."""
        for report in self._orders.values():
            is_there = (report.instrument_id, report.product_type) == (
                key.instrument_id,
                key.product_type,
            )
            if is_there and self._may_close_unseen(report):
                text = (
                    f"order {report.broker_order_id} at the broker carries an id of ours that this "
                    "database does not know, and may close the same units; cancel it in the "
                    "broker's app, or let it fill"
                )
                return ExitHindered(BlockReason.UNKNOWN_ORDER, text, RETRY_SECONDS)
        return None

    def _may_close_unseen(self, report: OrderReport) -> bool:
        """Say whether a reading of the positions made now may lack what the order closes."""
        if not report.status.is_terminal:
            return self._read_days[report.broker_order_id] == self._today()
        ended_ns = self._ended_ns.get(report.broker_order_id)
        if ended_ns is None:
            return False
        return self._clock.now().monotonic_ns - ended_ns < seconds_to_ns(READING_LAG_SECONDS)

    def _today(self) -> int:
        return ist_day_number(self._clock.now().wall_ns)
