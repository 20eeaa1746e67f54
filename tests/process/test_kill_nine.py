"""The engine killed with SIGKILL at enumerated points, and started again: one net exit each time.

Real processes over loopback: `squareoff sim`, and `squareoff run` in live mode on a SQLite file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from async_body import run_async
from engine_process import CLIENT_IDS, BrokerProcess, EngineProcess, wait_until
from engine_process.one_position import HIT, SECURITY_ID, give, track
from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.evolve import fold
from squareoff.core.state.facts import JournalEntry
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import AccountId, TrackerId

EXITED_SECONDS_MAX = 60.0
ONE_ORDER, SLICED = 150, 3_600
HOLD_AFTER = {"drop_after": "hold"}
HOLD_BEFORE = {"drop_before": "hold"}
_clients = iter(CLIENT_IDS)


@dataclass(frozen=True)
class Story:
    """What happens around one exit, and where the engine is killed, run by run."""

    kills: tuple[str, ...]
    quantity: int = ONE_ORDER
    available: int | None = None
    fault: dict[str, Any] | None = None
    resting: bool = False
    name: str = field(default="plain")

    @property
    def label(self) -> str:
        """The test's id."""
        return f"{self.name}-{'-then-'.join(self.kills)}"


def _stories() -> Iterator[Story]:
    for point in (
        "before_commit_exit_claimed:1",
        "after_commit_exit_claimed:1",
        "before_commit_order_sent:1",
        "after_commit_order_sent:1",
        "before_first_byte:1",
        "after_answer:1",
        "before_commit_order_accepted:1",
        "after_commit_order_accepted:1",
        "before_commit_order_reported:1",
        "after_commit_order_reported:1",
        "before_commit_position_exited:1",
        "after_commit_position_exited:1",
    ):
        yield Story((point,))
    for count in (2, 3):  # around the first and the second of three fills
        yield Story((f"before_commit_order_reported:{count}",), available=60, name="fills")
        yield Story((f"after_commit_order_reported:{count}",), available=60, name="fills")
    for point in ("after_commit_order_sent:1", "before_first_byte:2", "after_answer:1"):
        yield Story((point,), quantity=SLICED, name="sliced")
    for point in ("before_commit_order_outcome_lost:1", "after_commit_order_outcome_lost:1"):
        yield Story((point,), fault=HOLD_AFTER, name="answer-lost")
    for point in ("after_commit_order_outcome_lost:1", "before_commit_order_sent:2"):
        yield Story((point,), fault=HOLD_BEFORE, name="never-arrived")
    for point in ("before_commit_order_modify_sent:1", "before_modify:1"):
        yield Story((point,), resting=True, name="chased")
    for point in ("recovery_loaded:1", "recovery_told:1", "recovery_reconciled:1"):
        yield Story(("before_first_byte:1", point), name="recovery")
        yield Story(("after_answer:1", point), name="recovery")
    yield Story(
        ("before_first_byte:1", "after_commit_order_outcome_lost:1", "recovery_loaded:1"),
        name="recovery",
    )


STORIES = list(_stories())


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Serve one simulator to all stories of this worker; each story has its own account."""
    with BrokerProcess(tmp_path_factory.mktemp("sim")) as process:
        yield process


def test_at_least_25_points_are_enumerated() -> None:
    """The stories hold at least 25 different kills."""
    assert len({story.label for story in STORIES}) >= 25


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.label)
def test_a_killed_exit_ends_once_and_right(
    story: Story, broker: BrokerProcess, tmp_path: Path
) -> None:
    """Whatever the point of death: one net exit, the ledger's price, a complete journal."""
    client_id = next(_clients)
    engine = EngineProcess(tmp_path, broker, client_id)
    try:
        tracker_id = _held_position(story, broker, engine)
        _hit_the_stop(story, broker)
        for next_kill in (*story.kills[1:], None):
            engine.wait_killed(lambda: _print_price(story, broker))
            engine.start(next_kill)
        engine.wait_ready()
        _wait_exited(story, broker, engine, tracker_id)
        shown = engine.api("GET", f"/trackers/{tracker_id}")
    finally:
        broker.admin("DELETE", "faults")
        engine.stop()

    _check_ledger(story, broker, client_id, shown)
    _check_journal(engine, TrackerId(tracker_id), broker, client_id)


def test_a_kill_while_the_broker_holds_the_answer(broker: BrokerProcess, tmp_path: Path) -> None:
    """Killed after the broker acted and before it answered: the order is found, not sent again."""
    _kill_from_outside(HOLD_AFTER, broker, tmp_path, next(_clients))


def test_a_kill_before_the_broker_acts(broker: BrokerProcess, tmp_path: Path) -> None:
    """Killed while a request is under way that never takes effect: one net exit all the same."""
    _kill_from_outside(HOLD_BEFORE, broker, tmp_path, next(_clients))


def _kill_from_outside(
    fault: dict[str, Any], broker: BrokerProcess, folder: Path, client_id: str
) -> None:
    story = Story((), fault=fault, name="outside")
    engine = EngineProcess(folder, broker, client_id)
    try:
        tracker_id = _held_position(story, broker, engine)
        _hit_the_stop(story, broker)
        wait_until(lambda: _placements(broker, client_id) or None, "the order at the broker", 30.0)
        engine.kill()
        engine.start()
        engine.wait_ready()
        _wait_exited(story, broker, engine, tracker_id)
        shown = engine.api("GET", f"/trackers/{tracker_id}")
    finally:
        broker.admin("DELETE", "faults")
        engine.stop()

    _check_ledger(story, broker, client_id, shown)
    _check_journal(engine, TrackerId(tracker_id), broker, client_id)


def _placements(broker: BrokerProcess, client_id: str) -> list[dict[str, Any]]:
    return [
        entry
        for entry in broker.admin("GET", "state")["received"]
        if entry["method"] == "POST" and entry["path"] == "/orders" and client_id in str(entry)
    ]


def _held_position(story: Story, broker: BrokerProcess, engine: EngineProcess) -> str:
    give(broker, engine.client_id, story.quantity)
    engine.start(story.kills[0] if story.kills else None)
    engine.wait_ready()
    return track(engine, story.quantity)


def _hit_the_stop(story: Story, broker: BrokerProcess) -> None:
    if story.fault is not None:
        rule = {
            "where": {"method": "POST", "path": "/v2/orders"},
            "what": story.fault,
            "how_often": {"times": 1},
        }
        broker.admin("POST", "faults", [rule])
    broker.push(SECURITY_ID, HIT, 0 if story.resting else story.available)


def _print_price(story: Story, broker: BrokerProcess) -> None:
    """Let a further part fill, where fills come in parts."""
    if story.available is not None:
        broker.push(SECURITY_ID, HIT, story.available)


def _wait_exited(
    story: Story, broker: BrokerProcess, engine: EngineProcess, tracker_id: str
) -> None:
    def ask() -> bool:
        broker.push(SECURITY_ID, HIT, story.available)
        status: str = engine.api("GET", f"/trackers/{tracker_id}")["status"]
        return status == "EXITED"

    wait_until(ask, f"EXITED; {engine.log_tail()}", EXITED_SECONDS_MAX)


def _check_ledger(
    story: Story, broker: BrokerProcess, client_id: str, shown: dict[str, Any]
) -> None:
    orders = {order["order_id"] for order in broker.orders_of(client_id)}
    trades = [t for t in broker.admin("GET", "state")["trades"] if t["order_id"] in orders]
    assert {trade["side"] for trade in trades} == {"SELL"}
    sold = sum(trade["quantity"] for trade in trades)
    notional = sum(Decimal(trade["price"]) * trade["quantity"] for trade in trades)

    assert sold == story.quantity, f"{sold} sold of {story.quantity}: {trades} by {orders}"
    assert Decimal(shown["exit_price"]) == (notional / sold).quantize(Decimal("0.00000001"))
    assert shown["exited_quantity"] == story.quantity
    live = [o for o in broker.orders_of(client_id) if o["status"] in ("TRANSIT", "PENDING")]
    assert live == []


def _check_journal(
    engine: EngineProcess, tracker_id: TrackerId, broker: BrokerProcess, client_id: str
) -> None:
    stored, entries, whole = run_async(_read_database(engine, tracker_id))

    assert whole
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    mine = [(e.time_ns, e.fact) for e in entries if e.fact.tracker_id == tracker_id]
    assert fold([(at, fact) for at, fact in mine if _is_tracker_fact(fact)]) == stored
    journalled = [e.fact.client_order_id for e in entries if e.kind == "order_sent"]
    for order in broker.orders_of(client_id):
        assert order["correlation_id"] in journalled


def _is_tracker_fact(fact: Any) -> bool:
    return type(fact).__name__ not in ("AlarmRaised", "AlarmAcknowledged")


async def _read_database(
    engine: EngineProcess, tracker_id: TrackerId
) -> tuple[PositionTracker | None, tuple[JournalEntry, ...], bool]:
    database = open_database(engine.database_url)
    store = SqlStore(database.runner, AccountId(engine.client_id))
    try:
        entries = await store.entries(limit=10_000)
        report = await store.verify_chain()
        return await store.load(tracker_id), entries, report.is_intact
    finally:
        await database.close()
