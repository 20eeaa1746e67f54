"""The ledger: positions, averages and profit from trades, and books that balance."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import Side
from squareoff.exchange.ledger import Ledger, Trade

A = InstrumentId(ExchangeSegment.NSE_FNO, "1")
B = InstrumentId(ExchangeSegment.NSE_EQ, "1")


def trade(number: int, side: Side, quantity: int, price: str, **more: object) -> Trade:
    terms = {"instrument_id": A, "product_type": ProductType.INTRADAY} | more
    return Trade(
        str(number), "o", side=side, quantity=quantity, price=Decimal(price), time_ns=number,
        **terms,  # type: ignore[arg-type]
    )  # fmt: skip


def test_position_of_a_round_trip() -> None:
    """Net, averages and realized profit follow from the trades, exact to the paisa."""
    ledger = Ledger.of(
        [
            trade(1, Side.BUY, 75, "100.00"),
            trade(2, Side.BUY, 150, "103.00"),
            trade(3, Side.SELL, 225, "101.10"),
        ]
    )

    (position,) = ledger.positions()
    assert position.net_quantity == 0
    assert position.buy_average == Decimal("102.00000000")
    assert position.realized_profit == Decimal("-202.50")
    assert position.cost_price == 0
    ledger.check()


def test_open_short_has_its_sell_average_as_cost() -> None:
    """A short's cost is its sell average and it gains when the price falls."""
    ledger = Ledger.of([trade(1, Side.SELL, 75, "100.00"), trade(2, Side.BUY, 25, "98.00")])

    position = ledger.position(A, ProductType.INTRADAY)
    assert position.net_quantity == -50
    assert position.cost_price == 100
    assert position.realized_profit == 50
    assert position.unrealized_profit(Decimal("90.00")) == 500
    assert position.unrealized_profit(None) == 0


def test_same_security_id_in_other_segment_or_product_is_another_position() -> None:
    """Segment, security id and product together name a position."""
    ledger = Ledger.of(
        [
            trade(1, Side.BUY, 1, "1"),
            trade(2, Side.BUY, 2, "1", instrument_id=B),
            trade(3, Side.BUY, 3, "1", product_type=ProductType.MARGIN),
        ]
    )

    assert [p.net_quantity for p in ledger.positions()] == [1, 2, 3]


def test_a_repeated_trade_is_posted_once() -> None:
    """A trade id that was posted before changes nothing."""
    ledger = Ledger()
    first = trade(1, Side.BUY, 75, "100.00")

    assert ledger.apply(first)
    assert not ledger.apply(first)
    assert ledger.position(A, ProductType.INTRADAY).net_quantity == 75


def test_asking_for_a_position_opens_none() -> None:
    """What was never traded reads as flat and is listed nowhere."""
    ledger = Ledger.of([trade(1, Side.BUY, 75, "100.00")])

    assert ledger.position(B, ProductType.CNC).net_quantity == 0
    assert [position.instrument_id for position in ledger.positions()] == [A]


def test_carried_quantity_is_kept_apart_from_the_day() -> None:
    """Quantity of earlier days counts in the net but not in the day's figures."""
    ledger = Ledger.of([trade(1, Side.BUY, 75, "90.00", is_carried=True)])
    ledger.apply(trade(2, Side.SELL, 75, "100.00"))

    position = ledger.position(A, ProductType.INTRADAY)
    assert (position.carried_buy_quantity, position.day_buy_quantity) == (75, 0)
    assert position.realized_profit == 750


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Side)),
            st.integers(1, 10_000),
            st.integers(1, 10_000_000).map(lambda n: Decimal(n) / 100),
            st.booleans(),
        )
    )
)
def test_books_always_balance(steps: list[tuple[Side, int, Decimal, bool]]) -> None:
    """Whatever is traded, instruments and cash sum to zero and a flat book's profit is the cash."""
    ledger = Ledger()
    for number, (side, quantity, price, is_carried) in enumerate(steps):
        ledger.apply(trade(number, side, quantity, str(price), is_carried=is_carried))
        ledger.check()

    position = ledger.position(A, ProductType.INTRADAY)
    net = sum(q if side is Side.BUY else -q for side, q, _, _ in steps)
    assert position.net_quantity == net
    if net == 0:
        assert position.realized_profit == ledger.cash
