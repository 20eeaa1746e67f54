"""The broker as a whole, without sockets: time, accounts, the log, and replay into matching."""

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from squareoff.exchange.rules import RejectCode
from squareoff.simulator.broker import SimulatedBroker, matching_rules
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.replay import Replay, parse_tick_source, read_source

DATA = Path(__file__).parent.parent / "data"


def test_everything_received_is_logged_with_its_time(bench: Any) -> None:
    """The log holds request, answer and the faults that befell it."""
    bench.fault(id="slow", where={"method": "POST"}, what={"delay_ms": 1})
    bench.place()

    (entry,) = bench.broker.received

    assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/orders", 200)
    assert entry["time_ns"] == bench.now
    assert '"tag-1"' in entry["body"]
    assert entry["faults"] == ["slow"]


def test_the_one_account_takes_the_client_s_name(bench: Any) -> None:
    """Without credentials there is one account, named as its clients name themselves."""
    bench.admin.trade_in_app(
        {"exchange_segment": "NSE_EQ", "security_id": "2885", "net_quantity": 5, "price": 1500},
        bench.now,
    )
    bench.headers["client-id"] = "1100000009"

    (row,) = bench.call("GET", "/positions")[1]

    assert (row["dhanClientId"], row["netQty"]) == ("1100000009", 5)
    del bench.headers["client-id"]
    assert len(bench.call("GET", "/positions")[1]) == 1


def test_replay_fills_orders_by_recorded_depth() -> None:
    """A marketable order takes the recorded levels, and the feed's time runs with the speed."""
    source = parse_tick_source(str(DATA / "nifty-fut-full-depth5-excerpt.csv"))
    recording = read_source(source, Decimal("0.10"))
    broker = SimulatedBroker(random.Random(1), 0, replay=Replay([recording]), speed=100)
    assert broker.next_due_ns() == 0

    broker.advance(10**9)

    day = broker.days[recording.instrument_id]
    assert day.last_price is not None
    assert day.depth.bids[0].price < day.depth.asks[0].price
    assert broker.engine.last_price(recording.instrument_id) == day.last_price
    assert broker.replay.next_due_ns() is None


def test_advance_runs_agenda_and_replay_in_order(make_bench: Callable[..., Any]) -> None:
    """An order sent before a recorded step reaches the exchange before that step."""
    bench = make_bench(exchange_delay_ms=100)
    recording = read_source(
        parse_tick_source(f"NSE_FNO:49543={DATA / 'nifty-fut-ticks-excerpt.csv'}"),
        Decimal("0.10"),
    )
    bench.broker.replay = Replay([recording])
    bench.run(1)
    order_id = bench.place(price=26098.0)
    bench.run(5_000)

    row = bench.row(order_id)

    assert (row["orderStatus"], row["averageTradedPrice"]) == ("TRADED", 26097.8)


def test_rules_follow_the_knobs() -> None:
    """Matching rules are what the conduct says, and change with it."""
    rules = matching_rules(BrokerConduct(check_lot_size="off", quantity_per_print=5))

    assert RejectCode.LOT_SIZE not in rules.checks
    assert rules.quantity_per_print == 5
