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
from squareoff.simulator.wire import WireRequest, WireResponse

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

    def open(
        self, quantity: int = 2, role: str = "EXIT", rules: dict[str, Any] | None = None
    ) -> None:
        """Open a long of shares in the journal and plan its exit."""
        identity = {"exchange_segment": "NSE_EQ", "security_id": "2885"}
        self.write(
            "tracker_opened", tracker_id="t", instrument={"instrument_id": identity},
            product_type="INTRADAY", side="LONG", quantity=quantity, awaits_entry=False,
            rules=rules or {}, entry_price="1500.00",
        )  # fmt: skip
        self.write(
            "order_planned", tracker_id="t", client_order_id=TAG, role=role, side="SELL",
            order_quantity=quantity, attempt=1,
        )  # fmt: skip

    def send(self, price: str = "1559.60") -> None:
        """Write the row that stands before the exit order's send."""
        self.write("order_sent", client_order_id=TAG, order_type="LIMIT", limit_price=price)

    def change(self, method: str, price: float = 1559.6, *, answer: str = "{}") -> None:
        """Let a modify or a cancel of order 7 reach the broker, which answers this."""
        body = json.dumps({"orderId": "7", "orderType": "LIMIT", "quantity": 2, "price": price})
        request = WireRequest(method, "/orders/7", {}, {}, body.encode())
        self.auditor.hear(request, self.now_ns)
        self.auditor.writes.hear_answer(request, WireResponse(200, answer.encode()))

    def write_change(self, kind: str) -> None:
        """Write the row that stands before a modify or a cancel of order 7."""
        self.write(kind, broker_order_id="7", order_type="LIMIT", limit_price="1559.60")

    def arrive(
        self, quantity: int = 2, side: str = "SELL", price: float = 1559.6, late: float = 0.0
    ) -> None:
        """Let the exit order, which left `late` seconds ago, reach the broker."""
        body = {
            "dhanClientId": "1", "correlationId": TAG, "transactionType": side,
            "exchangeSegment": "NSE_EQ", "productType": "INTRADAY", "orderType": "LIMIT",
            "validity": "DAY", "securityId": "2885", "quantity": quantity, "price": price,
        }  # fmt: skip
        headers = {"access-token": CANARY, "client-id": "1"}
        request = WireRequest("POST", "/orders", {}, headers, json.dumps(body).encode())
        self.auditor.hear(request, self.now_ns - round(late * SECOND))
        response = self.broker.handle(request, self.now_ns)
        self.auditor.writes.hear_answer(request, response)
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
    scene.send()
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
    scene.send()
    scene.arrive(quantity=1)

    assert "I3" in scene.found()


def test_a_second_order_under_one_send_is_seen() -> None:
    """I3 and I2a: two orders at the broker for one send close more than is held."""
    scene = Scene()
    _hold(scene, 2)
    scene.open()
    scene.send()
    scene.arrive()
    scene.arrive()

    assert {"I3", "I2a", "I2"} <= scene.found()


def test_an_exit_that_could_flip_the_net_is_seen() -> None:
    """I2: an open exit larger than the broker's net position."""
    scene = Scene()
    _hold(scene, 1)
    scene.open()
    scene.send()
    scene.arrive()

    assert scene.found() == {"I2"}


def test_a_close_by_hand_on_the_way_excuses_the_race() -> None:
    """I2 is conditional: a human's close that could not be seen yet is no violation of ours."""
    scene = Scene()
    _hold(scene, 1)
    scene.open()
    scene.send()
    scene.auditor.hear_outside_close(("NSE_EQ", "2885", "INTRADAY"), scene.now_ns)
    scene.arrive()

    assert scene.auditor.violations == []


def test_a_second_live_intent_is_seen() -> None:
    """I1: a claim while another is live."""
    scene = Scene()
    scene.open()
    trigger = {"rule": "manual", "price": None, "level": None}
    for _ in range(2):
        scene.auditor.hear_exit_wish("t")
        scene.write("exit_claimed", tracker_id="t", trigger=trigger)
    scene.auditor.read_journal()

    assert scene.found() == {"I1"}


@pytest.mark.parametrize(
    ("price", "level", "age_seconds", "is_true"),
    [
        pytest.param(1_400_0000, 1_500_0000, 1, True, id="traded just before"),
        pytest.param(1_390_0000, 1_500_0000, 1, False, id="never traded"),
        pytest.param(1_390_0000, 1_500_0000, -86_400, True, id="by a clock without limits"),
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
    day_before_ns = scene.now_ns - 86_400 * SECOND
    scene.auditor.hear_print(instrument_id, Decimal(1300), day_before_ns)
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


@pytest.mark.parametrize(("price", "is_true"), [(1559.6, True), (1559.65, False), (1.0, False)])
def test_an_order_of_another_price_is_seen(*, price: float, is_true: bool) -> None:
    """I3: the limit price on the wire is the one of the newest row."""
    scene = Scene()
    _hold(scene, 2)
    scene.open()
    scene.send()
    scene.arrive(price=price)

    assert scene.found() == (set() if is_true else {"I3"})


@pytest.mark.parametrize(
    ("method", "kind"), [("PUT", "order_modify_sent"), ("DELETE", "order_cancel_sent")]
)
@pytest.mark.parametrize(
    ("rows", "answers", "is_true"),
    [
        (1, ["{}"], True),
        (0, ["{}"], False),
        (1, ["{}", "{}"], False),
        (2, ["{}", "{}"], True),
        (1, ['{"errorCode": "DH-904"}', "{}"], True),
        (1, ['{"errorCode": "DH-908"}', "{}"], False),
    ],
    ids=["once", "no row", "sent twice", "two rows", "refused for the rate", "outcome unknown"],
)
def test_a_change_arrives_once_for_each_row(
    method: str, kind: str, rows: int, answers: list[str], *, is_true: bool
) -> None:
    """I3: a modify or cancel beyond its rows is seen, unless the broker said it took nothing."""
    scene = Scene()
    for _ in range(rows):
        scene.write_change(kind)
    for answer in answers:
        scene.change(method, answer=answer)

    assert scene.found() == (set() if is_true else {"I3"})


def test_a_modify_to_another_price_is_seen() -> None:
    """I3: its price too is that of a row."""
    scene = Scene()
    scene.write_change("order_modify_sent")
    scene.change("PUT", price=1500.0)

    assert scene.found() == {"I3"}


@pytest.mark.parametrize(
    ("role", "level", "left_after", "late", "is_true"),
    [
        ("EXIT", "all", 0.9, 0.0, True),
        ("EXIT", "all", 1.1, 0.0, False),
        ("EXIT", "all", 0.9, 4.0, True),
        ("EXIT", "all", 6.0, 4.0, False),
        ("EXIT", "new", 6.0, 0.0, True),
        ("ENTRY", "new", 0.9, 0.0, True),
        ("ENTRY", "new", 6.0, 0.0, False),
    ],
)
def test_a_placement_under_the_kill_switch_is_seen(
    role: str, level: str, left_after: float, late: float, *, is_true: bool
) -> None:
    """I9: a second after the switch nothing leaves, however late the network lets it arrive."""
    scene = Scene()
    _hold(scene, 2)
    scene.open(role=role)
    scene.send()
    scene.write("kill_switch_set", active=True, level=level)
    scene.now_ns += round((left_after + late) * SECOND)
    scene.arrive(late=late)

    assert ("I9" in scene.found()) is not is_true


@pytest.mark.parametrize(
    ("method", "kind", "is_true"),
    [("PUT", "order_modify_sent", False), ("DELETE", "order_cancel_sent", True)],
)
def test_only_cancels_leave_under_the_kill_switch(method: str, kind: str, *, is_true: bool) -> None:
    """I9: at level all no modification leaves either."""
    scene = Scene()
    scene.write("kill_switch_set", active=True, level="all")
    scene.write_change(kind)
    scene.now_ns += 2 * SECOND
    scene.change(method)

    assert scene.found() == (set() if is_true else {"I9"})


@pytest.mark.parametrize(("count", "is_true"), [(10, True), (11, False)])
def test_more_calls_than_the_broker_takes_are_seen(count: int, *, is_true: bool) -> None:
    """I13: at most ten order calls in any rolling second, over its borders too."""
    scene = Scene()
    for _ in range(count):
        scene.write_change("order_cancel_sent")
        scene.change("DELETE")
        scene.now_ns += SECOND // 11
    scene.now_ns += SECOND

    assert scene.found() == (set() if is_true else {"I13"})


def _claim(
    scene: Scene, rule: str, level: int | None = None, reason: str = "", traded_ago: int = 0
) -> None:
    """Write a claim of the position."""
    trigger = {
        "rule": rule, "level": level, "price": None if level is None else 1_400_0000,
        "exchange_time_ns": scene.now_ns - traded_ago * SECOND, "received_time_ns": scene.now_ns,
    }  # fmt: skip
    scene.write("exit_claimed", tracker_id="t", trigger=trigger, reason=reason)
    scene.auditor.read_journal()


@pytest.mark.parametrize(
    ("rules", "rule", "seconds", "is_true"),
    [
        ({"square_off_at": "10:46:00"}, "square_off_at", 60.0, True),
        ({"square_off_at": "10:46:00"}, "square_off_at", 59.5, True),
        ({"square_off_at": "10:46:00"}, "square_off_at", 58.5, False),
        ({"square_off_at": "10:46:00"}, "square_off_at", 81_000.0, True),  # it was due yesterday
        ({"max_holding_minutes": 1}, "max_holding_minutes", 59.5, True),
        ({"max_holding_minutes": 1}, "max_holding_minutes", 58.5, False),
    ],
)
def test_an_exit_before_its_time_is_seen(
    rules: dict[str, Any], rule: str, seconds: float, *, is_true: bool
) -> None:
    """A claim by a rule about time comes at most a second early; the world begins at 10:45."""
    scene = Scene()
    scene.open(rules=rules)
    scene.auditor.read_journal()
    scene.now_ns += round(seconds * SECOND)
    _claim(scene, rule)

    assert scene.found() == (set() if is_true else {"I8"})


@pytest.mark.parametrize("is_misled", [False, True])
def test_only_a_process_that_began_later_may_believe_a_wrong_clock(*, is_misled: bool) -> None:
    """Who saw the clock being set has no excuse, who began after it can know nothing."""
    scene = Scene()
    scene.open(rules={"square_off_at": "11:45"})
    scene.auditor.read_journal()
    scene.auditor.hear_clock(3_600 * SECOND)
    if is_misled:
        scene.auditor.hear_process(scene.now_ns + 3_600 * SECOND)
    scene.now_ns += SECOND
    _claim(scene, "square_off_at")
    scene.auditor.hear_process(scene.now_ns)  # the next one, which claimed nothing

    assert scene.found() == (set() if is_misled else {"I8"})


@pytest.mark.parametrize("is_asked", [False, True])
def test_a_claim_that_nobody_asked_for_is_seen(*, is_asked: bool) -> None:
    """A `manual` claim follows a person's wish."""
    scene = Scene()
    scene.open()
    if is_asked:
        scene.auditor.hear_exit_wish("t")
    _claim(scene, "manual")

    assert scene.found() == (set() if is_asked else {"I4"})


@pytest.mark.parametrize(
    ("rules", "rule", "level", "is_true"),
    [
        ({"stop_loss": {"price": "1450.00"}}, "stop_loss", 1_450_0000, True),
        ({"stop_loss": {"price": "1450.00"}}, "stop_loss", 1_479_0000, False),
        ({"stop_loss": {"percent": "3.33"}}, "stop_loss", 1_450_0500, True),
        ({"stop_loss": {"percent": "3.33"}}, "stop_loss", 1_450_1000, False),
        ({"trailing": {"percent": "1"}}, "trailing", 1_450_0000, True),
        ({"trailing": {"percent": "1"}}, "trailing", 1_449_9500, False),
        ({"trailing": {"percent": "1"}}, "trailing", 1_485_0500, False),
    ],
    ids=["price", "another price", "percent", "off by a tick", "trailing", "looser", "too tight"],
)
def test_a_level_that_the_rules_do_not_mean_is_seen(
    rules: dict[str, Any], rule: str, level: int, *, is_true: bool
) -> None:
    """I8: a fixed level is reckoned from the rules, a trailing one lies where it was moved."""
    scene = Scene()
    scene.open(rules=rules)
    instrument_id = next(i for i in scene.broker.days if i.security_id == "2885")
    for price in (1500, 1400):
        scene.auditor.hear_print(instrument_id, Decimal(price), scene.now_ns)
    scene.write("stop_moved", tracker_id="t", stop_level=1_450_0000, stop_rule="trailing")
    _claim(scene, rule, level)

    assert scene.found() == (set() if is_true else {"I8"})


@pytest.mark.parametrize(("traded_ago", "is_true"), [(3, True), (1, False), (0, False)])
def test_a_late_print_is_held_against_the_stop_of_its_own_time(
    traded_ago: int, *, is_true: bool
) -> None:
    """I8: what a newer quote moved meanwhile does not count; trade times are whole seconds."""
    scene = Scene()
    scene.open(rules={"trailing": {"percent": "1"}})
    instrument_id = next(i for i in scene.broker.days if i.security_id == "2885")
    for level in (1_450_0000, 1_470_0000):
        scene.write("stop_moved", tracker_id="t", stop_level=level, stop_rule="trailing")
        scene.auditor.read_journal()
        scene.now_ns += 2 * SECOND
    for price in (1500, 1400):
        scene.auditor.hear_print(instrument_id, Decimal(price), scene.now_ns)
    _claim(scene, "trailing", 1_450_0000, traded_ago=traded_ago)

    assert scene.found() == (set() if is_true else {"I8"})


@pytest.mark.parametrize(("level", "is_true"), [(1_460_0000, True), (1_449_9500, False)])
def test_a_stop_that_loosens_is_seen(level: int, *, is_true: bool) -> None:
    """I14: a long position's stop never falls."""
    scene = Scene()
    scene.open()
    for stop_level in (1_450_0000, level):
        scene.write("stop_moved", tracker_id="t", stop_level=stop_level, stop_rule="trailing")
    scene.auditor.read_journal()

    assert scene.found() == (set() if is_true else {"I14"})


@pytest.mark.parametrize(
    ("filled_at", "escalated_at", "is_true"), [(0, 0, False), (5, 0, True), (0, 10, True)]
)
def test_endless_attempts_are_seen(filled_at: int, escalated_at: int, *, is_true: bool) -> None:
    """I4: after ten attempts that filled nothing a person is called, and no order is planned."""
    scene = Scene()
    scene.open()
    for attempt in range(2, 13):
        order_id = f"{TAG}{attempt:03}-01"
        scene.write(
            "order_planned", tracker_id="t", client_order_id=order_id, role="EXIT",
            side="SELL", order_quantity=2, attempt=attempt,
        )  # fmt: skip
        filled = int(attempt == filled_at)
        scene.write(
            "order_reported", tracker_id="t", client_order_id=order_id,
            broker_order_id=str(attempt), cumulative_quantity=filled, status="CANCELLED",
            source="STREAM", average_price=None, reason="",
        )  # fmt: skip
        scene.write("exit_attempt_failed", tracker_id="t", client_order_id=order_id, failures=1)
        is_told = attempt == escalated_at
        scene.write(
            "exit_escalated" if is_told else "exit_blocked", tracker_id="t",
            reason="rejected_transient",
        )  # fmt: skip
        scene.write("exit_resumed", tracker_id="t")
    scene.auditor.read_journal()

    assert scene.found() == (set() if is_true else {"I4"})


def test_a_late_slice_is_no_other_attempt() -> None:
    """I4: a fill begins the count anew; what ends after it of older attempts was counted."""
    scene = Scene()
    scene.open()

    def fail(name: str) -> None:
        scene.write("exit_attempt_failed", tracker_id="t", client_order_id=name, failures=1)

    older = [f"{TAG}{attempt:03}" for attempt in range(2, 12)]
    for attempt in older[:-1]:
        fail(f"{attempt}-01")
    scene.write(
        "order_reported", tracker_id="t", client_order_id=f"{older[-1]}-01", broker_order_id="9",
        cumulative_quantity=1, status="EXPIRED", source="STREAM", average_price=None, reason="",
    )  # fmt: skip
    for attempt in older:
        fail(f"{attempt}-02")
    scene.write(
        "order_planned", tracker_id="t", client_order_id=f"{TAG}012-01", role="EXIT",
        side="SELL", order_quantity=1, attempt=12,
    )  # fmt: skip
    scene.auditor.read_journal()

    assert scene.found() == set()


@pytest.mark.parametrize(
    ("severity", "message", "after", "is_calm", "is_true"),
    [
        ("critical", "The broker shows -1 of NSE_EQ:2885:INTRADAY", 2.0, True, True),
        ("critical", "The broker shows -1 of NSE_EQ:2885:INTRADAY", 9.0, True, False),
        ("critical", "The broker shows -1 of NSE_EQ:2885:INTRADAY", 9.0, False, True),
        ("critical", "The broker shows -1 of NSE_EQ:1333:INTRADAY", 2.0, True, False),
        ("warning", "The broker shows -1 of NSE_EQ:2885:INTRADAY", 2.0, True, False),
        ("critical", "The broker shows -1 of NSE_EQ:1333:INTRADAY", 2.0, False, False),
    ],
    ids=["at once", "late", "late in a storm", "another key", "not critical", "never"],
)
def test_a_net_that_we_carried_across_zero_must_be_told(
    severity: str, message: str, after: float, *, is_calm: bool, is_true: bool
) -> None:
    """I2d: critical, by its key, and within two seconds and the lag where all is calm."""
    scene = Scene()
    scene.open()
    scene.auditor.read_journal()
    audit, plan = scene.auditor.over_exits, scene.auditor.planned[TAG]
    audit.take_trade(plan, 2, 1, scene.now_ns)
    audit.take_trade(plan, 1, -1, scene.now_ns)
    audit.hear_strike("close_by_hand" if is_calm else "read_lost", scene.now_ns)
    alarm = {"code": "over_exit", "severity": severity, "message": message, "tracker_id": None}
    told_ns = scene.now_ns + round(after * SECOND)
    found = audit.faults([(told_ns, alarm)], lambda key: False)

    assert (found == []) is is_true


def test_a_gap_and_a_secret_in_the_journal_are_seen() -> None:
    """I10 and I11: a missing number, and the token in a row."""
    scene = Scene()
    scene.seq = 4
    scene.write("books_reconciled", cause=f"token {CANARY}")
    scene.auditor.read_journal()

    assert scene.found() == {"I10", "I11"}
