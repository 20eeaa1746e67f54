"""Split a quantity into orders that the exchange takes."""


def slice_quantity(quantity: int, lot_size: int, freeze_quantity: int | None) -> tuple[int, ...]:
    """Return slice quantities, largest possible first, that sum to `quantity` (units).

    Every slice but the last is the largest lot multiple within the freeze quantity; a remainder
    that is no lot multiple stays in the last slice, for only the broker can say whether it may go.

    Raises:
        ValueError: quantity or lot size not above zero, or the freeze quantity below one lot.
    """
    if quantity <= 0 or lot_size <= 0:
        raise ValueError(f"cannot slice quantity {quantity} with lot size {lot_size}")
    if freeze_quantity is None or quantity <= freeze_quantity:
        return (quantity,)
    largest = freeze_quantity // lot_size * lot_size
    if largest <= 0:
        raise ValueError(f"freeze quantity {freeze_quantity} is below one lot of {lot_size}")
    full, rest = divmod(quantity, largest)
    return (largest,) * full + ((rest,) if rest else ())
