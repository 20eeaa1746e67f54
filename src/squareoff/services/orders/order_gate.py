"""The last gate before the broker: no order passes that its own position does not bear out.

Answers for: what leaves is what was committed, on the right side, within what is held, in a shape
that the exchange can take. It trusts no decision: fills and open orders are counted here once more,
from the record, right before every try. Pure checks on memory; it never waits and never sends.
Invariants:
1. An exit passes only if all fills, what others closed and everything that may still fill, this
   order included, stay within what is held.
2. What the committed state itself does not bear out is a defect of ours (`InvariantBroken`); what
   was borne out then and was overtaken since is held back, and sized anew.
"""

from decimal import Decimal

from squareoff.core.exits.client_order_ids import CLIENT_ORDER_ID_LENGTH_MAX, FLATTEN_PREFIX
from squareoff.core.state.policy import MODIFICATIONS_MAX
from squareoff.core.state.tracker import PositionTracker, TrackedOrder
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import OrderModification, OrderRequest, OrderRole
from squareoff.domain.prices import is_on_tick
from squareoff.domain.states import OrderState
from squareoff.services.positions.position_book import PositionBook

_NO_BROKER_ORDER = BrokerOrderId("")
_Owner = tuple[PositionTracker, TrackedOrder]


class OrderGate:
    """Checks every placement and modify of one account against its positions."""

    def __init__(self, book: PositionBook) -> None:
        self._book = book

    def overtaken_exit(self, request: OrderRequest, *, decided_version: int) -> str | None:
        """Check an exit; return why it must be held back now, None where it may go.

        Args:
            decided_version: the tracker's version whose decision wants this order sent.

        Raises:
            InvariantBroken: it must never go.
        """
        if request.client_order_id.startswith(FLATTEN_PREFIX):
            self._check_flattening(request)
            return None
        tracker, order = self._owner(request.client_order_id, OrderRole.EXIT)
        _check_placement(tracker, order, request)
        _require(
            request.side is tracker.side.exit_order_side,
            f"exit {request.client_order_id} would {request.side.value} a {tracker.side.value} "
            "position",
        )
        _check_lots(tracker, order)
        most = most_that_may_close(tracker, order)
        if most <= tracker.quantity:
            return None
        text = (
            f"exit {request.client_order_id} of {request.order_quantity} could bring what is "
            f"closed to {most} of {tracker.quantity} held"
        )
        _require(tracker.version != decided_version, text)
        return text

    def _check_flattening(self, request: OrderRequest) -> None:
        """What takes back an over-exit is at most what was closed too much."""
        tracker, order = self._owner(request.client_order_id, OrderRole.FLATTEN)
        _check_placement(tracker, order, request)
        _require(
            request.side is tracker.side.entry_order_side,
            f"{request.client_order_id} would {request.side.value} into what was over-closed",
        )
        total = sum(
            o.order_quantity
            for o in tracker.orders
            if o.attempt == order.attempt and o.role is OrderRole.FLATTEN
        )
        _require(
            total <= tracker.over_exited_quantity,
            f"{request.client_order_id} and its slices would take back {total} of "
            f"{tracker.over_exited_quantity} closed too much",
        )

    def check_entry(self, request: OrderRequest) -> None:
        """Check an entry.

        Raises:
            InvariantBroken: it must never go.
        """
        tracker, order = self._owner(request.client_order_id, OrderRole.ENTRY)
        _check_placement(tracker, order, request)
        _require(
            request.side is tracker.side.entry_order_side,
            f"entry {request.client_order_id} would {request.side.value} into a "
            f"{tracker.side.value} position",
        )

    def check_modification(self, modification: OrderModification) -> None:
        """Check a modify of an exit.

        Raises:
            InvariantBroken: it must never go.
        """
        name = modification.client_order_id
        tracker, order = self._owner(name, OrderRole.EXIT)
        _check_shape(tracker, name, modification.order_quantity, modification.limit_price)
        _require(
            modification.order_quantity == order.order_quantity,
            f"modify of {name} would change its quantity from {order.order_quantity} to "
            f"{modification.order_quantity}",
        )
        _require(
            0 < order.modifications <= MODIFICATIONS_MAX,
            f"modify number {order.modifications} of {name}: the broker takes {MODIFICATIONS_MAX}",
        )
        _require(
            modification.broker_order_id in {each.broker_order_id for each in order.broker_orders},
            f"modify of {name} names {modification.broker_order_id}, which is not its order",
        )

    def _owner(self, name: ClientOrderId, role: OrderRole) -> _Owner:
        owner = self._book.owner_of(name, _NO_BROKER_ORDER)
        order = None if owner is None else owner[0].tracker.order(name)
        if owner is None or order is None:
            raise InvariantBroken(f"order {name} belongs to no position of ours")
        _require(
            order.role is role, f"order {name} is an {order.role.value}, was sent as {role.value}"
        )
        return owner[0].tracker, order


def most_that_may_close(tracker: PositionTracker, sending: TrackedOrder) -> int:
    """Return what is closed in the worst case once `sending` is out.

    Counts every fill known, what others closed, the rest of every exit that may still fill, and
    the whole of `sending` once more for each earlier send of it whose end is not known.
    """
    total = tracker.externally_closed_quantity
    for order in tracker.exit_orders:
        filled = sum(record.cumulative_quantity for record in order.broker_orders)
        total += filled
        if order.client_order_id == sending.client_order_id:
            unknown = sum(not send.outcome.is_resolved for send in order.sends)
            total += order.order_quantity * max(1, unknown)
        elif order.state.is_live:
            total += max(0, order.order_quantity - filled)
    return total


def _check_placement(tracker: PositionTracker, order: TrackedOrder, request: OrderRequest) -> None:
    name = request.client_order_id
    _check_shape(tracker, name, request.order_quantity, request.limit_price)
    _require(request.key == tracker.key, f"order {name} names {request.key}, not {tracker.key}")
    _require(
        (request.order_quantity, request.side) == (order.order_quantity, order.side),
        f"order {name} would {request.side.value} {request.order_quantity}, was committed as "
        f"{order.side.value} {order.order_quantity}",
    )
    _require(
        bool(order.sends) and order.state is not OrderState.PLANNED,
        f"order {name} was not committed for sending",
    )


def _check_lots(tracker: PositionTracker, order: TrackedOrder) -> None:
    """Whole lots, but for one slice of an attempt: what is left below a lot goes with the last.

    Whether the broker takes that remainder only it can say; held back it would never be closed.
    """
    lot = tracker.instrument.lot_size
    odd = [
        each.client_order_id
        for each in tracker.exit_orders
        if each.attempt == order.attempt and each.order_quantity % lot
    ]
    _require(
        order.client_order_id not in odd or len(odd) == 1,
        f"exits {', '.join(odd)} are no whole lots of {lot}: only the last slice may be odd",
    )


def _check_shape(
    tracker: PositionTracker, name: ClientOrderId, quantity: int, limit_price: Decimal | None
) -> None:
    freeze, tick = tracker.instrument.freeze_quantity, tracker.instrument.tick_size
    _require(
        0 < len(name) <= CLIENT_ORDER_ID_LENGTH_MAX,
        f"order id {name!r:.60} has {len(name)} characters, the broker takes "
        f"{CLIENT_ORDER_ID_LENGTH_MAX}",
    )
    _require(quantity > 0, f"order {name} has a quantity of {quantity}")
    _require(
        freeze is None or quantity <= freeze,
        f"order {name} has {quantity} units, the exchange takes {freeze} at once",
    )
    _require(
        limit_price is None or (limit_price > 0 and is_on_tick(limit_price, tick)),
        f"order {name} has the price {limit_price}, the tick is {tick}",
    )


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise InvariantBroken(text)
