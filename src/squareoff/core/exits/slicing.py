"""Split a quantity into orders that the exchange takes.

Invariants:
1. Slices sum to the quantity and none is above the limit.
2. A limit that cannot be one (below a lot, or beyond any exchange's) is taken for none: an exit
   that is refused for its size is sliced smaller, an exit that is never sent is lost.
"""

from collections.abc import Iterable

from squareoff.core.exits.rejections import was_too_large
from squareoff.core.state.tracker import TrackedOrder
from squareoff.domain.instruments import Instrument

FREEZE_QUANTITY_MAX = 10_000_000_000
"""The exchanges' largest freeze quantities are some hundred million shares."""


def slice_limit(instrument: Instrument, exit_orders: Iterable[TrackedOrder]) -> int | None:
    """Return the most units one exit order may carry, in whole lots; None where nothing limits it.

    The instrument's freeze quantity counts where it is plausible, and half of every quantity that
    was turned away as too large: the file may be old, or give the first quantity that is refused.
    """
    lot = instrument.lot_size
    limits = [
        max(lot, order.order_quantity // 2 // lot * lot)
        for order in exit_orders
        if was_too_large(order)
    ]
    freeze = instrument.freeze_quantity
    if freeze is not None and lot <= freeze <= FREEZE_QUANTITY_MAX:
        limits.append(freeze // lot * lot)
    return min(limits, default=None)


def slice_quantity(quantity: int, lot_size: int, limit: int | None) -> tuple[int, ...]:
    """Return slice quantities, largest possible first, that sum to `quantity` (units).

    Every slice but the last is the largest lot multiple within the limit; a remainder that is no
    lot multiple stays in the last slice, for only the broker can say whether it may go.

    Raises:
        ValueError: quantity or lot size not above zero, or the limit below one lot.
    """
    if quantity <= 0 or lot_size <= 0:
        raise ValueError(f"cannot slice quantity {quantity} with lot size {lot_size}")
    if limit is None:
        return (quantity,)
    largest = limit // lot_size * lot_size
    if largest <= 0:
        raise ValueError(f"limit {limit} is below one lot of {lot_size}")
    full, rest = divmod(quantity, largest)
    return (largest,) * full + ((rest,) if rest else ())
