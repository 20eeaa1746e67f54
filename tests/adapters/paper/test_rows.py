"""The paper broker's books as rows."""

from decimal import Decimal
from typing import Any

from squareoff.adapters.paper.rows import position_row, quote_of, trade_row
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import Side
from squareoff.exchange.ledger import Ledger, Trade


def a_trade(world: Any, side: Side, quantity: int, price: str) -> Trade:
    name = f"t-{side.value}-{quantity}"
    identity = world.instrument.instrument_id
    return Trade(
        name, "PAPER-1", identity, ProductType.INTRADAY, side, quantity, Decimal(price), 42
    )


def test_a_position_row_is_signed_and_averaged(world: Any) -> None:
    """Net quantity is bought less sold, each side with its average; the symbol may be absent."""
    ledger = Ledger.of(
        [a_trade(world, Side.SELL, 150, "25010"), a_trade(world, Side.BUY, 75, "25000")]
    )
    row = position_row(ledger.positions()[0], None)

    assert (row.net_quantity, row.buy_quantity, row.sell_quantity) == (-75, 75, 150)
    assert (row.buy_average, row.sell_average) == (Decimal(25000), Decimal(25010))
    assert row.trading_symbol == ""


def test_a_trade_row_names_order_and_execution(world: Any) -> None:
    """A trade carries the order's id, the exchange's trade id and its time."""
    row = trade_row(a_trade(world, Side.SELL, 75, "25010"))

    assert (row.broker_order_id, row.exec_id, row.exchange_time_ns) == ("PAPER-1", "t-SELL-75", 42)
    assert (row.side, row.quantity, row.price) == (Side.SELL, 75, Decimal(25010))


def test_a_quote_lives_as_long_as_its_tick_is_fresh(world: Any) -> None:
    """A tick of five seconds ago is a quote still, an older one is none."""
    tick = world.tick("25000.00")
    world.clock.advance(5)
    assert quote_of(tick, None, world.clock.now()) is not None
    world.clock.advance(0.001)
    assert quote_of(tick, None, world.clock.now()) is None
    assert quote_of(None, world.instrument, world.clock.now()) is None
