"""The paper broker's books as the port's rows. Rupees, units, UTC nanoseconds."""

from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import BrokerPosition, Quote, TradeReport
from squareoff.domain.prices import decimal_from_units
from squareoff.domain.ticks import Tick
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
