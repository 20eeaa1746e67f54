"""How many shares of earlier days a position still has, whatever way the broker books their sale.

Shares bought for delivery leave the positions overnight, for the holdings. A sale of them shows as
a negative net among the positions; whether the holdings fall by it at once or only overnight is
not known (docs/decisions/0016). What was there before the day's sales, plus the day's net, is what
is held either way, so it is that quantity which is looked for.

Invariants:
1. The quantity is never above what was there before the day's sales.
2. Where it may be too small, `is_sure` says so: nobody may conclude that shares are gone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from squareoff.domain.instruments import PositionKey, ProductType
from squareoff.domain.orders import BrokerPosition, Holding


@dataclass(frozen=True, slots=True)
class DayTrades:
    """What the positions show of one key today: signed net, bought and sold."""

    net: int
    bought: int
    sold: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """Shares of earlier days as they were before the sales of today."""

    quantity: int
    is_sure: bool


def day_trades(rows: Iterable[BrokerPosition], key: PositionKey) -> DayTrades:
    """Return what positions that count nothing delivered in show of a key."""
    own = [row for row in rows if row.is_on(key)]
    net = sum(row.net_quantity for row in own)
    sold = sum(row.sell_quantity for row in own)
    return DayTrades(net, sum(row.buy_quantity for row in own), max(sold, -net))


def shown_quantity(holdings: Iterable[Holding], key: PositionKey) -> int | None:
    """Return what a reading of the holdings shows for a key; None where it cannot be read.

    One instrument has one row; of two nobody knows whether they are the same shares.
    """
    instrument_id = key.instrument_id
    rows = [
        row
        for row in holdings
        if row.security_id == instrument_id.security_id
        and row.exchange_segment in (None, instrument_id.exchange_segment)
    ]
    if not rows:
        return 0
    if len(rows) > 1:
        return None
    is_funded = key.product_type is ProductType.MTF
    return rows[0].mtf_quantity if is_funded else rows[0].cnc_quantity


def delivered_before_sales(
    shown: int | None, day: DayTrades, *, noted: int | None, proved: int
) -> Delivered:
    """Return what was there before the sales of today.

    Args:
        shown: what the holdings show now, None where that cannot be read.
        day: what the positions show of today.
        noted: what the holdings showed today before anything was sold, None where nobody looked.
        proved: what an earlier process saw of it at least.
    """
    if shown is None:
        return Delivered(0, is_sure=False)
    # Bought again on the same day, it need not be back among the holdings: what is noted may count
    # all sales, a guess only those that surely came out of them.
    at_most = shown + (max(0, -day.net) if noted is None else day.sold)
    known = proved if noted is None else max(noted, proved)
    quantity = max(shown, min(known, at_most))
    return Delivered(quantity, is_sure=noted is not None or quantity == at_most)
