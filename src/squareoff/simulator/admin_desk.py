"""What the admin can do to the broker, without I/O: instruments, prices, app trades, state.

Bodies are read, and refused, by `admin_words`.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import Instrument, InstrumentId, ProductType
from squareoff.domain.orders import OrderType, Side
from squareoff.exchange.book import Depth
from squareoff.exchange.events import Acknowledged, ExchangeEvent, Filled
from squareoff.exchange.ledger import ZERO, Trade
from squareoff.exchange.orders import TimeInForce
from squareoff.simulator import views
from squareoff.simulator.admin_words import (
    CLOCK,
    INSTRUMENT,
    INSTRUMENT_TERMS,
    LAST_PRICE_NAMES,
    LISTING_TERMS,
    NET_NAMES,
    ORDER_ACTIONS,
    POSITION,
    TICK,
    read_fields,
    take_one,
)
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.catalogue import NO_EXPIRY, Listing, banded
from squareoff.simulator.conduct import conduct_to_json
from squareoff.simulator.market import MarketUpdate
from squareoff.simulator.nights import pass_night
from squareoff.simulator.orders import Account, BrokerOrder, Placement

Body = Mapping[str, Any]
APP_SOURCE = "N"
"""Origin letter of orders that came from the broker's own app (dhanhq-v2.md 6.2)."""


class AdminDesk:
    """The admin's hands on one broker."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self.broker = broker

    def add_instrument(self, body: Body) -> dict[str, Any]:
        """Admit an instrument, or change the terms of a known one."""
        fields = read_fields("instruments", body, INSTRUMENT)
        identity = _instrument_id("instruments", fields)
        day = self.broker.days.get(identity)
        listing = _new_listing(identity, fields) if day is None else day.listing
        listing = _with_terms(listing, fields)
        self.broker.list_instrument(listing)
        if "halted" in fields:
            self.broker.engine.set_halted(identity, fields["halted"])
        return describe_listing(listing)

    def push_tick(self, body: Body, now_ns: int) -> dict[str, Any]:
        """Push a price, depth, or both.

        `last_price` (or `last_traded_price`, `price`, `ltp`), `quantity`, `available_quantity`,
        `volume`, `open_interest`, and `bids` and `asks`, lists of `[price, quantity]` or
        `[price, quantity, orders]`, best first.
        """
        fields = read_fields("ticks", body, TICK)
        identity = _instrument_id("ticks", fields)
        if identity not in self.broker.days:
            raise ConfigError(f"ticks: {identity} is not listed")
        price = take_one("ticks", fields, LAST_PRICE_NAMES)
        has_depth = "bids" in fields or "asks" in fields
        if price is None and not has_depth and fields.get("open_interest") is None:
            raise ConfigError("ticks: a last_price, bids or asks, or an open_interest is needed")
        depth = Depth(fields.get("bids", ()), fields.get("asks", ())) if has_depth else None
        update = MarketUpdate(
            identity,
            last_price=price,
            traded_quantity=fields.get("quantity"),
            volume=fields.get("volume"),
            open_interest=fields.get("open_interest"),
            depth=depth,
            available_quantity=fields.get("available_quantity"),
        )
        self.broker.push_market(update, now_ns)
        return {"instrument": str(identity), "pushed": True}

    def trade_in_app(self, body: Body, now_ns: int) -> dict[str, Any]:
        """Trade as if in the broker's own app: an order of another source, filled at once.

        `net_quantity` (signed), or `transaction_type` and `quantity`; `price` defaults to the last
        price; `carried: true` brings the position over from an earlier day, without an order.
        """
        fields = read_fields("positions", body, POSITION)
        client_id = fields.get("dhan_client_id", "")
        try:
            account = self.broker.account(client_id)
        except KeyError as error:
            raise ConfigError(f"positions: there is no account {client_id!r}") from error
        placement = self._app_placement(fields)
        if fields.get("carried"):
            trade = _trade_of("", f"carried-{len(account.trades)}", placement, now_ns)
            self.broker.desk.post(account, replace(trade, is_carried=True))
        else:
            self._fill_in_app(account, placement, now_ns)
        identity = placement.listing.instrument_id
        lag_free = views.positions(account, self.broker.conduct, self.broker.days, now_ns, 0)
        return next(
            row for row in lag_free
            if row["exchangeSegment"] == identity.exchange_segment.value
            and row["securityId"] == identity.security_id
            and row["productType"] == placement.product_type.value
        )  # fmt: skip

    def square_off(self, now_ns: int) -> dict[str, Any]:
        """Close what is intraday as the broker does before the close: orders, then positions."""
        broker, intraday = self.broker, ProductType.INTRADAY
        for account in broker.desk.accounts.values():
            for order in account.open_orders():
                if order.product_type is intraday:
                    broker.desk.cancel_now(order, now_ns)
            for position in account.ledger.positions():
                if position.product_type is not intraday or position.net_quantity == 0:
                    continue
                identity = position.instrument_id
                terms = {
                    "exchange_segment": identity.exchange_segment,
                    "security_id": identity.security_id,
                    "net_quantity": -position.net_quantity,
                    "price": broker.days[identity].last_price or position.cost_price,
                }
                self._fill_in_app(account, self._app_placement(terms), now_ns)
        return {"done": True}

    def _fill_in_app(self, account: Account, placement: Placement, now_ns: int) -> None:
        order = self.broker.desk.book_order(account, placement, now_ns)
        order.source = APP_SOURCE
        self.broker.desk.take_events(self._app_events(order, now_ns))

    def _app_events(self, order: BrokerOrder, now_ns: int) -> list[ExchangeEvent]:
        self.broker.engine.sequence += 2
        number = self.broker.engine.sequence
        name, price = order.order_id, order.price
        acknowledged = Acknowledged(name, f"13{number:014d}", OrderType.LIMIT, price, now_ns)
        return [acknowledged, Filled(name, order.quantity, price, f"9{number:08d}", now_ns)]

    def _app_placement(self, fields: dict[str, Any]) -> Placement:
        identity = _instrument_id("positions", fields)
        day = self.broker.days.get(identity)
        if day is None:
            raise ConfigError(f"positions: {identity} is not listed")
        net = take_one("positions", fields, NET_NAMES)
        signed = {"transaction_type", "quantity"} & fields.keys()
        if len(signed) != (2 if net is None else 0):
            raise ConfigError(
                "positions: either net_quantity or transaction_type and quantity are needed"
            )
        if net is None:
            side, quantity = fields["transaction_type"], fields["quantity"]
        else:
            side, quantity = Side.BUY if net > 0 else Side.SELL, abs(net)
        price = fields.get("price", day.last_price)
        if price is None or quantity == 0:
            raise ConfigError("positions: a quantity and a price (or a last price) are needed")
        product = fields.get("product_type", ProductType.INTRADAY)
        return Placement(
            listing=day.listing, side=side, product_type=product, order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.DAY, quantity=quantity, disclosed_quantity=0,
            price=price, trigger_price=ZERO, correlation_id=None, is_after_market=False,
        )  # fmt: skip

    def act_on_order(self, order_id: str, action: str, body: Body, now_ns: int) -> dict[str, Any]:
        """Do to a live order what nobody asked for: `fill`, `cancel`, `reject`, `expire`, `free`.

        `fill` takes `quantity` and `price` (defaults: all that is open, at the limit price, at the
        last price where there is none) and needs the order at the exchange;
        `reject` takes `text`; `free` lifts the cap of a rehearsed partial fill.
        """
        broker = self.broker
        order = broker.desk.orders.get(order_id)
        if order is None:
            raise ConfigError(f"orders: {order_id} is not known")
        if action not in ORDER_ACTIONS:
            raise ConfigError(f"orders: {action!r} is no action")
        fields = read_fields(f"orders: {action}", body, ORDER_ACTIONS[action])
        match action:
            case "fill":
                self._fill(order, fields, now_ns)
            case "cancel":
                broker.desk.cancel_now(order, now_ns)
            case "reject":
                broker.desk.reject_now(order, fields.get("text", "Rejected"), now_ns)
            case "expire":
                broker.desk.expire_now(order, now_ns)
            case "free":
                broker.desk.free_now(order, now_ns)
            case _:
                raise ConfigError(f"orders: {action!r} cannot be done")
        return broker_order_state(order)

    def _fill(self, order: BrokerOrder, fields: Mapping[str, Any], now_ns: int) -> None:
        engine = self.broker.engine
        if engine.working_order(order.order_id) is None:
            raise ConfigError(f"orders: fill: {order.order_id} is not at the exchange yet")
        rest = order.quantity - order.filled_quantity
        quantity = fields.get("quantity", rest)
        if quantity > rest:
            raise ConfigError(f"orders: fill: {quantity} is more than the open {rest}")
        last_price = engine.last_price(order.listing.instrument_id)
        price = fields.get("price") or order.price or last_price
        if price is None:
            raise ConfigError("orders: fill: a price is needed, the order has none")
        self.broker.desk.fill_now(order, quantity, price, now_ns)

    def begin_next_day(self, now_ns: int) -> dict[str, Any]:
        """Let the night pass: what still works ends, and the books of a new day begin."""
        pass_night(self.broker, now_ns)
        return {"done": True}

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return everything the broker knows: the oracle of tests. Read from its own records."""
        broker = self.broker
        accounts = list(broker.desk.accounts.values())
        return {
            "now_ns": now_ns,
            "accounts": [account.client_id for account in accounts],
            "orders": [broker_order_state(o) for a in accounts for o in a.orders.values()],
            "trades": [trade_state(t) for a in accounts for t in a.trades],
            "positions": [
                row
                for a in accounts
                for row in views.positions(a, broker.conduct, broker.days, now_ns, 0)
            ],
            "holdings": [
                row for a in accounts for row in views.holdings(a, broker.conduct, broker.days)
            ],
            "funds": [views.funds(a, broker.conduct, broker.days) for a in accounts],
            "received": list(broker.received),
            "updates_pushed": list(broker.updates.pushed),
            "sockets": {
                "order_update": broker.updates.session_count(),
                "feed": broker.feed.session_count(),
                "feed_subscriptions": broker.feed.subscriptions(),
            },
            "market": [
                {
                    "exchangeSegment": identity.exchange_segment.value,
                    "securityId": identity.security_id,
                    "last_price": None if day.last_price is None else str(day.last_price),
                    "last_trade_ns": day.last_trade_ns,
                }
                for identity, day in broker.days.items()
            ],
            "faults": broker.faults.describe(),
            "conduct": conduct_to_json(broker.conduct),
        }

    def move_clock(self, body: Body, now_ns: int) -> dict[str, Any]:
        """Steer the replay: `paused`, `speed`, `set_seconds`, `advance_seconds`, `rewind`."""
        clock, replay = self.broker.clock, self.broker.replay
        fields = read_fields("clock", body, CLOCK)
        if "speed" in fields:
            clock.set_speed(fields["speed"], now_ns)
        if "paused" in fields:
            clock.set_paused(fields["paused"], now_ns)
        if fields.get("rewind"):
            replay.rewind()
            clock.move_to(0, now_ns)
        if "set_seconds" in fields:
            market_ns = round(fields["set_seconds"] * 1e9)
            replay.seek(market_ns)
            clock.move_to(market_ns, now_ns)
        if "advance_seconds" in fields:
            step_ns = round(fields["advance_seconds"] * 1e9)
            clock.move_to(clock.market_ns(now_ns) + step_ns, now_ns)
        self.broker.advance(now_ns)
        return self.clock_state(now_ns)

    def clock_state(self, now_ns: int) -> dict[str, Any]:
        """Return where the replay stands; market time is seconds since its start."""
        clock, due = self.broker.clock, self.broker.replay.next_due_ns()
        return {
            "market_seconds": clock.market_ns(now_ns) / 1e9,
            "speed": clock.speed,
            "paused": clock.is_paused,
            "next_step_seconds": None if due is None else due / 1e9,
            "finished": due is None,
        }


def broker_order_state(order: BrokerOrder) -> dict[str, Any]:
    """Return the broker's own record of an order, in our words; prices are decimal strings."""
    identity = order.listing.instrument_id
    return {
        "order_id": order.order_id,
        "exchange_order_id": order.exchange_order_id,
        "client_id": order.client_id,
        "correlation_id": order.correlation_id,
        "source": order.source,
        "status": order.status,
        "exchange_segment": identity.exchange_segment.value,
        "security_id": identity.security_id,
        "trading_symbol": order.listing.instrument.trading_symbol,
        "side": order.side.value,
        "product_type": order.product_type.value,
        "order_type": order.order_type.value,
        "shown_type": order.shown_type.value,
        "validity": order.time_in_force.value,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "average_price": str(round(order.average_price, 8)),
        "price": str(order.price),
        "trigger_price": str(order.trigger_price),
        "modification_count": order.modification_count,
        "reason": order.reason,
        "created_ns": order.created_ns,
        "updated_ns": order.updated_ns,
        "exchange_ns": order.exchange_ns,
    }


def trade_state(trade: Trade) -> dict[str, Any]:
    """Return one fill of the broker's books, in our words."""
    return {
        "trade_id": trade.trade_id,
        "order_id": trade.order_id,
        "exchange_segment": trade.instrument_id.exchange_segment.value,
        "security_id": trade.instrument_id.security_id,
        "product_type": trade.product_type.value,
        "side": trade.side.value,
        "quantity": trade.quantity,
        "price": str(trade.price),
        "time_ns": trade.time_ns,
        "is_carried": trade.is_carried,
    }


def describe_listing(listing: Listing) -> dict[str, Any]:
    """Return an instrument's terms as JSON values."""
    instrument = listing.instrument
    return {
        "exchange_segment": instrument.instrument_id.exchange_segment.value,
        "security_id": instrument.instrument_id.security_id,
        "trading_symbol": instrument.trading_symbol,
        "lot_size": instrument.lot_size,
        "tick_size": str(instrument.tick_size),
        "freeze_quantity": instrument.freeze_quantity,
        "lower_circuit": _text_or_none(instrument.lower_circuit),
        "upper_circuit": _text_or_none(instrument.upper_circuit),
        "previous_close": str(listing.previous_close),
        "instrument_type": instrument.instrument_type,
    }


def _new_listing(identity: InstrumentId, fields: Mapping[str, Any]) -> Listing:
    symbol = str(fields.get("trading_symbol", f"SIM-{identity.security_id}"))
    close = fields.get("previous_close", Decimal(100))
    instrument = Instrument(identity, symbol, 1, Decimal("0.05"), instrument_type="EQUITY")
    return banded(Listing(instrument, symbol, symbol, close), close)


def _with_terms(listing: Listing, fields: Mapping[str, Any]) -> Listing:
    """Return the listing with the terms that the body names."""
    terms = {name: fields[name] for name in INSTRUMENT_TERMS if name in fields}
    more = {name: fields[name] for name in LISTING_TERMS if name in fields}
    if "expiry" in more:
        more["expiry"] = more["expiry"] or NO_EXPIRY
    instrument = replace(listing.instrument, **terms)
    low, high = instrument.lower_circuit, instrument.upper_circuit
    if low is not None and high is not None and low > high:
        raise ConfigError(f"instruments: lower_circuit {low} is above upper_circuit {high}")
    return replace(listing, instrument=instrument, **more)


def _trade_of(order_id: str, trade_id: str, placement: Placement, now_ns: int) -> Trade:
    return Trade(
        trade_id=trade_id,
        order_id=order_id,
        instrument_id=placement.listing.instrument_id,
        product_type=placement.product_type,
        side=placement.side,
        quantity=placement.quantity,
        price=placement.price,
        time_ns=now_ns,
    )


def _instrument_id(what: str, fields: Mapping[str, Any]) -> InstrumentId:
    """Take the instrument's name out of what was read."""
    for name in ("exchange_segment", "security_id"):
        if name not in fields:
            raise ConfigError(f"{what}: {name} is needed")
    return InstrumentId(fields["exchange_segment"], fields["security_id"])


def _text_or_none(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
