"""The paper broker's books as the port's rows. Rupees, units, UTC nanoseconds."""

from decimal import Decimal

from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import BrokerPosition, Quote, TradeReport
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE, PriceUnits, decimal_from_units
from squareoff.domain.ticks import Tick, TickSource
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.exchange.ledger import Position, Trade

QUOTE_AGE_SECONDS_MAX = 5.0
"""A quote counts as of now, so it is made from a tick only while that is fresh."""


def position_row(position: Position, instrument: Instrument | None) -> BrokerPosition:
    """Return a ledger position as a row of the broker's positions."""
    return BrokerPosition(
        instrument_id=position.instrument_id,
        product_type=position.product_type,
        net_quantity=position.net_quantity,
        buy_quantity=position.buy_quantity,
        sell_quantity=position.sell_quantity,
        buy_average=position.buy_average,
        sell_average=position.sell_average,
        trading_symbol="" if instrument is None else instrument.trading_symbol,
    )


def trade_row(trade: Trade) -> TradeReport:
    """Return a ledger trade as a row of the trade book."""
    return TradeReport(
        broker_order_id=BrokerOrderId(trade.order_id),
        exec_id=trade.trade_id,
        instrument_id=trade.instrument_id,
        product_type=trade.product_type,
        side=trade.side,
        quantity=trade.quantity,
        price=trade.price,
        exchange_time_ns=trade.time_ns,
    )


def quote_of(tick: Tick | None, instrument: Instrument | None, now: Now) -> Quote | None:
    """Return the newest tick as a quote, None where there is none or it is not fresh."""
    if tick is None:
        return None
    if now.monotonic_ns - tick.received_monotonic_ns > seconds_to_ns(QUOTE_AGE_SECONDS_MAX):
        return None
    return Quote(
        instrument_id=tick.instrument_id,
        last_traded_price=decimal_from_units(tick.last_traded_price),
        last_trade_time_ns=tick.exchange_time_ns,
        best_bid=None if tick.best_bid is None else decimal_from_units(tick.best_bid),
        best_ask=None if tick.best_ask is None else decimal_from_units(tick.best_ask),
        lower_circuit=None if instrument is None else instrument.lower_circuit,
        upper_circuit=None if instrument is None else instrument.upper_circuit,
    )


def is_tradable(quote: Quote, now: Now) -> bool:
    """Say whether the market of a quote has an offer, or had a trade just now."""
    if quote.last_traded_price <= 0:
        return False
    if quote.best_bid is not None or quote.best_ask is not None:
        return True
    traded_ns = quote.last_trade_time_ns
    return traded_ns is not None and now.wall_ns - traded_ns <= seconds_to_ns(QUOTE_AGE_SECONDS_MAX)


def tick_of(quote: Quote, now: Now) -> Tick:
    """Return a quote of this moment as a tick."""
    return Tick(
        instrument_id=quote.instrument_id,
        last_traded_price=_units(quote.last_traded_price),
        exchange_time_ns=quote.last_trade_time_ns or now.wall_ns,
        received_time_ns=now.wall_ns,
        received_monotonic_ns=now.monotonic_ns,
        best_bid=None if quote.best_bid is None else _units(quote.best_bid),
        best_ask=None if quote.best_ask is None else _units(quote.best_ask),
        source=TickSource.QUOTE,
    )


def _units(price: Decimal) -> PriceUnits:
    """Return a price that the real broker told, which may be finer than any tick."""
    return PriceUnits(int((price * PRICE_UNITS_PER_RUPEE).to_integral_value()))
