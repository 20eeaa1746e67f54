"""What the broker's reads show: the truth of some time ago, in the shapes the conduct asks for."""

from decimal import Decimal
from typing import Any

from squareoff.domain.instruments import InstrumentId, ProductType
from squareoff.exchange.ledger import ZERO, Ledger
from squareoff.simulator.catalogue import Listing
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.market import InstrumentDay
from squareoff.simulator.orders import Account, BrokerOrder, Delivery
from squareoff.simulator.rows import (
    funds_row,
    holding_row,
    order_row,
    position_row,
    segment_is_derivative,
    trade_row,
)
from squareoff.simulator.wire import day_first_text

Days = dict[InstrumentId, InstrumentDay]
# Part of a position's value that is blocked: a plain figure, real margins need SPAN files.
_DERIVATIVE_MARGIN = Decimal("0.15")


def seen_row(
    order: BrokerOrder, conduct: BrokerConduct, now_ns: int, lag_ns: int
) -> dict[str, Any] | None:
    """Return the order's row as of `lag_ns` ago, None where no book of then shows it."""
    if order.is_past:
        return None
    if lag_ns == 0 and not conduct.average_lags_fill:
        return order_row(order, conduct)
    seen = (row for time_ns, row in reversed(order.history) if time_ns <= now_ns - lag_ns)
    return next(seen, None)


def order_book(
    account: Account, conduct: BrokerConduct, now_ns: int, lag_ns: int
) -> list[dict[str, Any]]:
    """Return GET /orders, newest first."""
    rows = [seen_row(order, conduct, now_ns, lag_ns) for order in account.orders.values()]
    return [row for row in reversed(rows) if row is not None]


def trade_book(
    account: Account, conduct: BrokerConduct, now_ns: int, lag_ns: int
) -> list[dict[str, Any]]:
    """Return GET /trades, newest first; carried and app trades of today included."""
    return [
        trade_row(trade, account.orders[trade.order_id], conduct)
        for trade in reversed(account.trades)
        if trade.time_ns <= now_ns - lag_ns
        and not (trade.is_carried or trade.trade_id in account.busted)
        and not account.orders[trade.order_id].is_past
    ]


def trade_history(
    account: Account, conduct: BrokerConduct, now_ns: int, lag_ns: int
) -> list[dict[str, Any]]:
    """Return the fills of every day, newest first."""
    return [
        trade_row(trade, account.orders[trade.order_id], conduct)
        for trade in reversed(account.trades)
        if trade.time_ns <= now_ns - lag_ns
        and not (trade.is_carried or trade.trade_id in account.busted)
    ]


def positions(
    account: Account, conduct: BrokerConduct, days: Days, now_ns: int, lag_ns: int
) -> list[dict[str, Any]]:
    """Return GET /positions."""
    rows = []
    for position in ledger_seen(account, now_ns, lag_ns).positions():
        day = days[position.instrument_id]
        last_price = day.last_price
        rows.append(position_row(position, day.listing, account.client_id, last_price, conduct))
    return rows


def ledger_seen(account: Account, now_ns: int, lag_ns: int) -> Ledger:
    """Return the positions as a read that lags so far knows them."""
    return account.ledger_as_of(now_ns - lag_ns) if lag_ns else account.ledger


def holdings(
    account: Account, conduct: BrokerConduct, days: Days, seen: Ledger | None = None
) -> list[dict[str, Any]]:
    """Return GET /holdings; an instrument of which nothing shows any more has no row.

    `seen` holds today's trades as this read knows them, by default all.
    """
    rows = []
    for instrument_id in dict.fromkeys(name for name, _ in account.deliveries):
        cnc = _delivery_and_sale(account, instrument_id, ProductType.CNC, seen)
        mtf = _delivery_and_sale(account, instrument_id, ProductType.MTF, seen)
        day = days[instrument_id]
        row = holding_row(day.listing, conduct, cnc, mtf, day.last_price)
        if row["totalQty"] or row["mtf_qty"]:
            rows.append(row)
    return rows


def unsold_delivery(account: Account, instrument_id: InstrumentId, product: ProductType) -> int:
    """Return how many delivered shares can still be sold today."""
    delivery, sold = _delivery_and_sale(account, instrument_id, product)
    return max(0, delivery.quantity - sold)


def _delivery_and_sale(
    account: Account, instrument_id: InstrumentId, product: ProductType, seen: Ledger | None = None
) -> tuple[Delivery, int]:
    """Return what was delivered, and how much of it was sold today."""
    delivery = account.deliveries.get((instrument_id, product), Delivery())
    ledger = account.ledger if seen is None else seen
    net = ledger.position(instrument_id, product).net_quantity if delivery.quantity else 0
    return delivery, max(0, min(delivery.quantity, -net))


def funds(
    account: Account, conduct: BrokerConduct, days: Days, seen: Ledger | None = None
) -> dict[str, Any]:
    """Return GET /fundlimit: realized profit and a plain margin on what is open.

    The sale of delivered shares opens nothing; its money comes with the night.
    """
    used = ZERO
    for position in (account.ledger if seen is None else seen).positions():
        listing = days[position.instrument_id].listing
        _, sold = _delivery_and_sale(account, position.instrument_id, position.product_type, seen)
        used += margin(listing, abs(position.net_quantity) - sold, position.cost_price)
        used -= position.realized_profit
    return funds_row(account.client_id, conduct.fund_start_of_day + account.earlier_cash, used)


def margin(listing: Listing, quantity: int, price: Decimal) -> Decimal:
    """Return rupees blocked for `quantity` units at `price`."""
    is_derivative = segment_is_derivative(listing.instrument_id.exchange_segment)
    return quantity * price * (_DERIVATIVE_MARGIN if is_derivative else 1)


def quote(day: InstrumentDay, kind: str, newest: tuple[int | None, Decimal]) -> dict[str, Any]:
    """Return one instrument of POST /marketfeed/{ltp,ohlc,quote} (dhanhq-v2.md 8.1).

    `newest` is the last trade that this read knows of, time (None for never) and rupees; the rest
    is of now. Prices are floats on this wire, also where they are whole.
    """
    traded_ns, last_price = newest
    values: dict[str, Any] = {"last_price": float(last_price)}
    if kind == "ltp":
        return values
    values["ohlc"] = {
        "open": float(day.day_open),
        "close": float(day.listing.previous_close),
        "high": float(day.day_high),
        "low": float(day.day_low),
    }
    if kind == "ohlc":
        return values
    instrument = day.listing.instrument
    return values | {
        "average_price": float(day.average_price()),
        "buy_quantity": day.total_buy_quantity,
        "sell_quantity": day.total_sell_quantity,
        "last_quantity": day.last_quantity,
        "last_trade_time": day_first_text(traded_ns),
        "lower_circuit_limit": float(instrument.lower_circuit or 0),
        "upper_circuit_limit": float(instrument.upper_circuit or 0),
        "net_change": float(last_price - day.listing.previous_close),
        "volume": day.volume,
        "oi": day.open_interest,
        "oi_day_high": day.open_interest_high,
        "oi_day_low": day.open_interest_low,
        "depth": {"buy": _levels(day, "bids"), "sell": _levels(day, "asks")},
    }


def _levels(day: InstrumentDay, side: str) -> list[dict[str, Any]]:
    levels = [
        {"quantity": level.quantity, "orders": level.orders, "price": float(level.price)}
        for level in getattr(day.depth, side)[:5]
    ]
    empty = {"quantity": 0, "orders": 0, "price": 0.0}
    return levels + [dict(empty) for _ in range(5 - len(levels))]
