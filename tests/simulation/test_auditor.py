"""The auditor sees each broken promise in a world made by hand."""

import json
import random
import sqlite3
from decimal import Decimal
from typing import Any

import pytest

from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.virtual.auditor import Auditor
from squareoff.simulator.virtual.world import WALL_BASE_NS
from squareoff.simulator.wire import WireRequest

TAG = "sqx-aaaaaaaaaaaa-001-01"
CANARY = "canary"
SECOND = 1_000_000_000


class Scene:
    """A broker, an empty journal and an auditor."""

    def __init__(self) -> None:
        self.now_ns = WALL_BASE_NS
        self.broker = SimulatedBroker(random.Random(1), WALL_BASE_NS, credentials={CANARY: "1"})
        self.database = sqlite3.connect(":memory:")
        self.database.execute(
            "CREATE TABLE journal (account_id, seq, time_ns, kind, data, entry_hash)"
        )
        self.auditor = Auditor(self.broker, self.database, "1", CANARY, lambda: self.now_ns)
        self.seq = 0

    def write(self, kind: str, **fields: Any) -> None:
        """Append a journal row."""
        self.seq += 1
        row = ("1", self.seq, self.now_ns, kind, json.dumps(fields), str(self.seq))
        self.database.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)", row)

    def open(self, quantity: int = 2) -> None:
        """Open a long of shares in the journal and plan its exit."""
        identity = {"exchange_segment": "NSE_EQ", "security_id": "2885"}
        self.write(
            "tracker_opened", tracker_id="t", instrument={"instrument_id": identity},
            product_type="INTRADAY", side="LONG", quantity=quantity, awaits_entry=False, rules={},
        )  # fmt: skip
        self.write(
            "order_planned", tracker_id="t", client_order_id=TAG, role="EXIT", side="SELL",
            order_quantity=quantity,
        )  # fmt: skip

    def arrive(self, quantity: int = 2, side: str = "SELL") -> None:
        """Let the exit order reach the broker."""
        body = {
            "dhanClientId": "1", "correlationId": TAG, "transactionType": side,
            "exchangeSegment": "NSE_EQ", "productType": "INTRADAY", "orderType": "LIMIT",
            "validity": "DAY", "securityId": "2885", "quantity": quantity, "price": 1559.6,
        }  # fmt: skip
        headers = {"access-token": CANARY, "client-id": "1"}
        request = WireRequest("POST", "/orders", {}, headers, json.dumps(body).encode())
        self.auditor.hear(request, self.now_ns)
        self.broker.handle(request, self.now_ns)
        self.auditor.look(self.now_ns)

    def found(self) -> set[str]:
        """Return the names of the violated invariants."""
        return {line.partition(":")[0] for line in self.auditor.violations}


def _hold(scene: Scene, quantity: int) -> None:
    """Let the account hold shares that no order of ours bought."""
    request = {
        "dhanClientId": "1", "transactionType": "BUY", "exchangeSegment": "NSE_EQ",
        "productType": "INTRADAY", "orderType": "LIMIT", "validity": "DAY", "securityId": "2885",
        "quantity": quantity, "price": 1560,
    }  # fmt: skip
    headers = {"access-token": CANARY, "client-id": "1"}
    body = json.dumps(request).encode()
    scene.broker.handle(WireRequest("POST", "/orders", {}, headers, body), scene.now_ns)
    scene.now_ns += SECOND
    scene.broker.advance(scene.now_ns)
    order = next(iter(scene.broker.account().orders.values()))
    scene.broker.desk.fill_now(order, quantity, Decimal(1560), scene.now_ns)
    scene.auditor.look(scene.now_ns)


def test_a_journalled_order_is_no_violation() -> None:
    """An order that was planned, sent and fits what is held is fine."""
    scene = Scene()
    _hold(scene, 2)
    scene.open()
    scene.write("order_sent", client_order_id=TAG)
    scene.arrive()

    assert scene.auditor.violations == []


def test_an_order_before_its_journal_row_is_seen() -> None:
    """I3: an order that arrives before `order_sent` is committed."""
    scene = Scene()
    _hold(scene, 2)
    scene.open()
    scene.arrive()

    assert "I3" in scene.found()


def test_an_order_of_another_quantity_or_side_is_seen() -> None:
    """I3: an order that is not what the journal planned."""
    scene = Scene()
    _hold(scene, 5)
    scene.open()
    scene.write("order_sent", client_order_id=TAG)
    scene.arrive(quantity=1)

    assert "I3" in scene.found()


def test_a_second_order_under_one_send_is_seen() -> None:
    """I3 and I2a: two orders at the broker for one send close more than is held."""
    scene = Scene()
    _hold(scene, 2)
    scene.open()
    scene.write("order_sent", client_order_id=TAG)
    scene.arrive()
    scene.arrive()

    assert {"I3", "I2a", "I2"} <= scene.found()


def test_an_exit_that_could_flip_the_net_is_seen() -> None:
    """I2: an open exit larger than the broker's net position."""
    scene = Scene()
    _hold(scene, 1)
    scene.open()
    scene.write("order_sent", client_order_id=TAG)
    scene.arrive()

    assert scene.found() == {"I2"}


def test_a_close_by_hand_on_the_way_excuses_the_race() -> None:
    """I2 is conditional: a human's close that could not be seen yet is no violation of ours."""
    scene = Scene()
    _hold(scene, 1)
    scene.open()
    scene.write("order_sent", client_order_id=TAG)
    scene.auditor.hear_outside_close(("NSE_EQ", "2885", "INTRADAY"), scene.now_ns)
    scene.arrive()

    assert scene.auditor.violations == []


def test_a_second_live_intent_is_seen() -> None:
    """I1: a claim while another is live."""
    scene = Scene()
    scene.open()
    trigger = {"rule": "manual", "price": None, "level": None}
    for _ in range(2):
        scene.write("exit_claimed", tracker_id="t", trigger=trigger)
    scene.auditor.read_journal()

    assert scene.found() == {"I1"}


@pytest.mark.parametrize(
    ("price", "level", "age_seconds", "is_true"),
    [
        pytest.param(1_400_0000, 1_500_0000, 1, True, id="traded just before"),
        pytest.param(1_390_0000, 1_500_0000, 1, False, id="never traded"),
        pytest.param(1_400_0000, 1_500_0000, 60, False, id="traded long before"),
        pytest.param(1_400_0000, 1_300_0000, 1, False, id="not beyond its level"),
    ],
)
def test_a_trigger_needs_a_true_fresh_price(
    price: int, level: int, age_seconds: int, is_true: bool
) -> None:
    """I8: only a price that was really traded just before, beyond the level, may fire."""
    scene = Scene()
    scene.open()
    instrument_id = next(i for i in scene.broker.days if i.security_id == "2885")
    scene.auditor.hear_print(instrument_id, Decimal(1400), scene.now_ns)
    traded_ns = scene.now_ns
    scene.now_ns += age_seconds * SECOND
    scene.write(
        "exit_claimed",
        tracker_id="t",
        trigger={
            "rule": "stop_loss", "price": price, "level": level, "exchange_time_ns": traded_ns,
            "received_time_ns": scene.now_ns,
        },
    )  # fmt: skip
    scene.auditor.read_journal()

    assert scene.found() == (set() if is_true else {"I8"})


@pytest.mark.parametrize(
    ("source", "told_price", "told_age_seconds", "is_true"),
    [
        ("(the day's new low, traded between two ticks)", 1_390_0000, 0, True),
        ("(the day's new low, traded between two ticks)", 1_400_0000, 0, False),
        ("(the day's new low, traded between two ticks)", 1_380_0000, 0, False),
        ("(the broker's REST quote, traded 40.0 s before)", 1_395_0000, 40, True),
        ("(the broker's REST quote, traded 40.0 s before)", 1_395_0000, 45, False),
        ("(the broker's REST quote, traded 50.0 s before)", 1_390_0000, 50, False),
        ("", 1_395_0000, 40, False),
    ],
    ids=[
        "the day's low",
        "within the day's range",
        "of before the position was held",
        "the last trade",
        "the last trade at another time",
        "a trade before the last one",
        "a tick as old",
    ],
)
def test_a_trigger_is_true_as_its_source_says(
    source: str, told_price: int, told_age_seconds: int, *, is_true: bool
) -> None:
    """I8: a range proves an extreme of the time it was held, a quote the last trade."""
    scene = Scene()
    instrument_id = next(i for i in scene.broker.days if i.security_id == "2885")
    scene.auditor.hear_print(instrument_id, Decimal(1400), scene.now_ns)
    if told_price == 1_380_0000:
        scene.auditor.hear_print(instrument_id, Decimal(1380), scene.now_ns)
    scene.now_ns += 60 * SECOND
    scene.open()
    for price, seconds in ((1400, 10), (1390, 10), (1395, 10)):
        scene.now_ns += seconds * SECOND
        scene.auditor.hear_print(instrument_id, Decimal(price), scene.now_ns)
    scene.now_ns += 40 * SECOND
    scene.write(
        "exit_claimed",
        tracker_id="t",
        reason=f"stop_loss 1500.00 reached {source}",
        trigger={
            "rule": "stop_loss", "price": told_price, "level": 1_500_0000,
            "exchange_time_ns": scene.now_ns - told_age_seconds * SECOND,
            "received_time_ns": scene.now_ns,
        },
    )  # fmt: skip
    scene.auditor.read_journal()

    assert scene.found() == (set() if is_true else {"I8"})


def test_an_entry_under_the_kill_switch_is_seen() -> None:
    """I9: an entry that arrives well after the switch was thrown."""
    scene = Scene()
    scene.open()
    scene.write("kill_switch_set", active=True, level="all")
    scene.write("order_sent", client_order_id=TAG)
    scene.now_ns += 20 * SECOND
    scene.arrive()

    assert "I9" in scene.found()


def test_a_gap_and_a_secret_in_the_journal_are_seen() -> None:
    """I10 and I11: a missing number, and the token in a row."""
    scene = Scene()
    scene.seq = 4
    scene.write("books_reconciled", cause=f"token {CANARY}")
    scene.auditor.read_journal()

    assert scene.found() == {"I10", "I11"}
