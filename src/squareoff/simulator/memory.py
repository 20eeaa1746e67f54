"""The simulator's memory across restarts: orders, trades and the market, as one JSON value.

Listings are kept where they differ from the built-in ones. Requests on their way at the moment of
saving are remembered as orders in TRANSIT and reach the exchange after the restart. Tokens, faults
and the conduct are not kept.
"""

from dataclasses import fields
from decimal import Decimal
from typing import Any

import msgspec

from squareoff.domain.instruments import InstrumentId, ProductType
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.ledger import Ledger, Trade
from squareoff.exchange.orders import TimeInForce, WorkingOrder
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.catalogue import Listing, default_listings
from squareoff.simulator.market import MarketUpdate
from squareoff.simulator.orders import Account, BrokerOrder, Delivery

MEMORY_VERSION = 1
_ENUMS: dict[str, Any] = {
    "side": Side, "product_type": ProductType, "order_type": OrderType, "shown_type": OrderType,
    "time_in_force": TimeInForce,
}  # fmt: skip
_MONEY = (
    "price", "trigger_price", "notional", "last_fill_price", "stop_price", "limit_price",
    "average_price",
)  # fmt: skip


def save_memory(broker: SimulatedBroker) -> dict[str, Any]:
    """Return what the broker must still know after a restart, as JSON values."""
    return {
        "version": MEMORY_VERSION,
        "sequence": broker.engine.sequence,
        "order_count": broker.desk.order_count,
        "listings": _own_listings(broker),
        "accounts": [_account_value(account) for account in broker.desk.accounts.values()],
        "working": [
            _plain(working)
            for name in broker.desk.orders
            if (working := broker.engine.working_order(name)) is not None
        ],
        "prices": [
            {"instrument": str(identity), "last_price": str(day.last_price)}
            for identity, day in broker.days.items()
            if day.last_price is not None
        ],
    }


def load_memory(broker: SimulatedBroker, value: dict[str, Any], now_ns: int) -> None:
    """Bring a fresh broker to what `save_memory` returned.

    Raises:
        ValueError: the value is of another version.
        KeyError: an instrument of the memory is not listed.
    """
    if value.get("version") != MEMORY_VERSION:
        raise ValueError(f"the state file is of version {value.get('version')}, not known here")
    for each in value.get("listings", ()):
        broker.list_instrument(msgspec.convert(each, Listing))
    for price in value["prices"]:
        instrument_id = InstrumentId.from_text(price["instrument"])
        broker.push_market(MarketUpdate(instrument_id, Decimal(price["last_price"])), now_ns)
    broker.engine.sequence = value["sequence"]
    broker.desk.order_count = value["order_count"]
    broker.desk.accounts = {}
    for item in value["accounts"]:
        _load_account(broker, item)
    for item in value["working"]:
        broker.engine.restore(_working(item))
    for order in list(broker.desk.orders.values()):
        if order.is_terminal:
            continue
        if broker.engine.working_order(order.order_id) is None:
            broker.desk.arrive(order, now_ns)
        elif order.status == "TRANSIT":
            order.status = order.open_status


def _own_listings(broker: SimulatedBroker) -> list[dict[str, Any]]:
    built_in = {each.instrument_id: each for each in default_listings()}
    own = [each for name, each in broker.listings().items() if each != built_in.get(name)]
    return [msgspec.to_builtins(each) for each in own]


def _account_value(account: Account) -> dict[str, Any]:
    return {
        "client_id": account.client_id,
        "kill_switch_is_on": account.kill_switch_is_on,
        "orders": [_plain(order) for order in account.orders.values()],
        "trades": [_plain(trade) for trade in account.trades],
        "deliveries": [
            {"instrument_id": str(identity), "product_type": product.value, **_plain(delivery)}
            for (identity, product), delivery in account.deliveries.items()
        ],
        "carried": [_plain(trade) for trade in account.carried],
        "settled": sorted(account.settled),
        "earlier_cash": str(account.earlier_cash),
    }


def _load_account(broker: SimulatedBroker, item: dict[str, Any]) -> None:
    account = Account(item["client_id"], kill_switch_is_on=item["kill_switch_is_on"])
    broker.desk.accounts[account.client_id] = account
    for each in item["orders"]:
        identity = InstrumentId.from_text(each.pop("listing"))
        order = BrokerOrder(listing=broker.days[identity].listing, **_typed(each))
        account.orders[order.order_id] = order
        broker.desk.orders[order.order_id] = order
    account.trades = [_trade(each) for each in item["trades"]]
    account.carried = [_trade(each) for each in item.get("carried", ())]
    for each in item.get("deliveries", ()):
        identity = InstrumentId.from_text(each.pop("instrument_id"))
        product = ProductType(each.pop("product_type"))
        account.deliveries[identity, product] = Delivery(**_typed(each))
    account.settled = set(item.get("settled", ()))
    account.earlier_cash = Decimal(item.get("earlier_cash", 0))
    of_today = (trade for trade in account.trades if trade.trade_id not in account.settled)
    account.ledger = Ledger.of([*account.carried, *of_today])


def _trade(item: dict[str, Any]) -> Trade:
    identity = InstrumentId.from_text(item.pop("instrument_id"))
    return Trade(instrument_id=identity, **_typed(item))


def _working(item: dict[str, Any]) -> WorkingOrder:
    identity = InstrumentId.from_text(item.pop("instrument_id"))
    return WorkingOrder(instrument_id=identity, **_typed(item))


def _plain(record: BrokerOrder | Trade | WorkingOrder | Delivery) -> dict[str, Any]:
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    return {name: _plain_value(name, value) for name, value in values.items()}


def _plain_value(name: str, value: Any) -> Any:
    if name == "listing":
        return str(value.instrument_id)
    if name == "history":
        return [[time_ns, row] for time_ns, row in value[-1:]]
    if isinstance(value, (Decimal, InstrumentId)):
        return str(value)
    return value.value if name in _ENUMS else value


def _typed(item: dict[str, Any]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for name, value in item.items():
        if name in _ENUMS:
            typed[name] = _ENUMS[name](value)
        elif name in _MONEY and value is not None:
            typed[name] = Decimal(value)
        elif name == "history":
            typed[name] = [(time_ns, row) for time_ns, row in value]
        else:
            typed[name] = value
    return typed
