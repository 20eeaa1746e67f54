"""What reads show of the past."""

from typing import Any

from squareoff.simulator.views import order_book, positions, seen_row


def test_a_lagging_read_shows_each_earlier_stage(bench: Any) -> None:
    """As of any moment the row is the one of that moment, and none before the order was there."""
    bench.tick("26100.0")
    start = bench.now
    order = bench.broker.desk.orders[bench.place()]
    bench.run(100)
    bench.tick("25990.0")

    def status_at(milliseconds: int) -> str | None:
        lag_ns = bench.now - start - milliseconds * 10**6
        row = seen_row(order, bench.broker.conduct, bench.now, lag_ns)
        return None if row is None else row["orderStatus"]

    assert [status_at(ms) for ms in (-1, 1, 50, 100)] == [None, "TRANSIT", "PENDING", "TRADED"]


def test_book_is_newest_first(bench: Any) -> None:
    """The newest order stands first."""
    ids = [bench.place(), bench.place()]

    rows = order_book(bench.broker.account(), bench.broker.conduct, bench.now, 0)

    assert [row["orderId"] for row in rows] == ids[::-1]


def test_lagging_positions_are_rebuilt_from_trades(bench: Any) -> None:
    """Positions of a moment ago hold the trades of then."""
    body = {"exchange_segment": "NSE_EQ", "security_id": "2885", "net_quantity": 5, "price": 1500}
    bench.admin.trade_in_app(body, bench.now)
    bench.run(1_000)
    bench.admin.trade_in_app(body, bench.now)
    account, days = bench.broker.account(), bench.broker.days

    now = positions(account, days, bench.now, 0)
    then = positions(account, days, bench.now, 500 * 10**6)

    assert (now[0]["netQty"], then[0]["netQty"]) == (10, 5)
