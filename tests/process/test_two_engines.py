"""Two engines of one account as real processes: one owns, one stands by, one net exit.

The broker holds the answer to the first order, so that the owner dies or falls asleep with an order
on its way.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from async_body import run_async
from engine_process import CLIENT_IDS, BrokerProcess, EngineProcess, wait_until
from engine_process.http import Refused, call
from engine_process.one_position import HIT, QUANTITY, SECURITY_ID, give, track
from squareoff.adapters.sql.database import open_database
from squareoff.adapters.sql.store import SqlStore
from squareoff.core.state.facts import AccountTaken, JournalEntry
from squareoff.domain.ids import AccountId

TAKEOVER_SECONDS_MAX = 40.0
EXITED_SECONDS_MAX = 60.0
_clients = iter(CLIENT_IDS[150:])
_ON_POSTGRES = ("postgresql",)
_WITH_POSTGRES = pytest.mark.xdist_group("postgres_url")


@dataclass(frozen=True)
class Pair:
    """An owner with a held position, and a ready standby beside it."""

    broker: BrokerProcess
    owner: EngineProcess
    standby: EngineProcess
    tracker_id: str

    @property
    def client_id(self) -> str:
        """Their account."""
        return self.owner.client_id

    def placements(self) -> list[dict[str, Any]]:
        """Return every order write of the account that reached the broker."""
        return [
            entry
            for entry in self.broker.admin("GET", "state")["received"]
            if entry["method"] in ("POST", "PUT", "DELETE")
            and entry["path"].startswith("/orders")
            and self.client_id in str(entry)
        ]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Serve one simulator to all tests of this module; each has its own account."""
    with BrokerProcess(tmp_path_factory.mktemp("sim")) as process:
        yield process


@pytest.fixture
def database_kind() -> str:
    """Say which database the pair shares; tests may name another one."""
    return "sqlite"


@pytest.fixture
def stop_at() -> str | None:
    """Say at which point the owner stops itself; tests may name one."""
    return None


@pytest.fixture
def pair(
    broker: BrokerProcess,
    tmp_path: Path,
    database_kind: str,
    stop_at: str | None,
    request: pytest.FixtureRequest,
) -> Iterator[Pair]:
    """Start an owner that holds a position with a stop, and a standby on the same database."""
    client_id = next(_clients)
    folders = tmp_path / "owner", tmp_path / "standby"
    for folder in folders:
        folder.mkdir()
    owner, standby = (EngineProcess(folder, broker, client_id) for folder in folders)
    if database_kind == "postgresql":
        owner.database_url = request.getfixturevalue("postgres_database")
    standby.database_url = owner.database_url
    try:
        give(broker, client_id)
        owner.start(stop_at=stop_at)
        owner.wait_ready()
        tracker_id = track(owner)
        standby.start(None, "--standby")
        _wait_standing_by(standby)
        yield Pair(broker, owner, standby, tracker_id)
    finally:
        broker.admin("DELETE", "faults")
        for engine in (owner, standby):
            engine.stop()


def _wait_standing_by(standby: EngineProcess) -> None:
    def ask() -> bool:
        text = standby.announced_text()
        if not text:
            return False
        said = json.loads(text.splitlines()[0])
        assert said["standby"] is True
        assert call("GET", f"{said['api']}/healthz") == {"ok": True}
        with pytest.raises(Refused, match=r"503.*standing by") as caught:
            call("GET", f"{said['api']}/readyz")
        return "standing by for process" in str(caught.value)

    wait_until(ask, f"standing by; {standby.log_tail()}", TAKEOVER_SECONDS_MAX)


def _hit_the_stop(pair: Pair, fault: str) -> None:
    """Let the price fall below the stop, and hold the answer to the order that follows."""
    rule = {
        "where": {"method": "POST", "path": "/v2/orders"},
        "what": {fault: "hold"},
        "how_often": {"times": 1},
    }
    pair.broker.admin("POST", "faults", [rule])
    pair.broker.push(SECURITY_ID, HIT)
    wait_until(lambda: pair.placements() or None, "the order at the broker", 30.0)


def _wait_finished(pair: Pair) -> None:
    """Wait until the standby owns the account and has closed the position."""
    pair.standby.wait_ready()

    def ask() -> bool:
        pair.broker.push(SECURITY_ID, HIT)
        return bool(pair.standby.api("GET", f"/trackers/{pair.tracker_id}")["status"] == "EXITED")

    wait_until(ask, f"EXITED; {pair.standby.log_tail()}", EXITED_SECONDS_MAX)


def _check(pair: Pair, cause: str) -> None:
    """One net exit at the broker, and a journal that tells who did what."""
    orders = pair.broker.orders_of(pair.client_id)
    ids = {order["order_id"] for order in orders}
    trades = [t for t in pair.broker.admin("GET", "state")["trades"] if t["order_id"] in ids]
    assert {trade["side"] for trade in trades} == {"SELL"}
    assert sum(trade["quantity"] for trade in trades) == QUANTITY
    assert [o for o in orders if o["status"] in ("TRANSIT", "PENDING")] == []

    entries, is_intact = run_async(_journal(pair))
    assert is_intact
    taken = [entry.fact for entry in entries if isinstance(entry.fact, AccountTaken)]
    assert [(fact.epoch, fact.cause) for fact in taken] == [(1, "first"), (2, cause)]
    journalled = {e.fact.client_order_id for e in entries if e.kind == "order_sent"}
    assert {order["correlation_id"] for order in orders} <= journalled
    codes = [entry.fact.code for entry in entries if entry.kind == "alarm_raised"]
    assert "account_taken_over" in codes


async def _journal(pair: Pair) -> tuple[tuple[JournalEntry, ...], bool]:
    database = open_database(pair.owner.database_url)
    store = SqlStore(database.runner, AccountId(pair.client_id))
    try:
        return await store.entries(limit=10_000), (await store.verify_chain()).is_intact
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("database_kind", "fault"),
    [
        ("sqlite", "drop_after"),
        ("sqlite", "drop_before"),
        pytest.param(*_ON_POSTGRES, "drop_after", marks=_WITH_POSTGRES),
    ],
)
def test_a_standby_finishes_the_exit_of_a_killed_owner(pair: Pair, fault: str) -> None:
    """Killed with its order on the way: the standby takes over at once and closes once."""
    _hit_the_stop(pair, fault)
    pair.owner.kill()
    _wait_finished(pair)
    pair.standby.stop()

    _check(pair, "dead")


@pytest.mark.parametrize(
    "database_kind", ["sqlite", pytest.param(*_ON_POSTGRES, marks=_WITH_POSTGRES)]
)
def test_a_standby_finishes_the_exit_of_a_sleeping_owner(pair: Pair) -> None:
    """The owner sleeps beyond its lease with an order on the way; when it wakes it sends nothing
    more, says why in one line and ends."""
    _hit_the_stop(pair, "drop_before")
    pair.owner.pause()
    _wait_finished(pair)
    before = pair.placements()
    pair.broker.push(SECURITY_ID, "25900.00")  # waits in the sleeper's socket
    pair.owner.wake()
    assert pair.owner.wait_ended() == 1
    last_line = pair.owner.log_tail().strip().splitlines()[-1]
    assert last_line.startswith("squareoff: this engine was owner number 1 of the account")
    assert pair.placements() == before
    assert pair.standby.api("GET", f"/trackers/{pair.tracker_id}")["status"] == "EXITED"
    pair.standby.stop()

    _check(pair, "lapsed")


@pytest.mark.parametrize(
    ("database_kind", "stop_at"),
    # A server ends the transaction of a process that stopped inside of one; a file stays locked.
    [pytest.param(*_ON_POSTGRES, "before_first_byte:1", marks=_WITH_POSTGRES)],
)
def test_an_owner_that_sleeps_before_its_first_byte_never_writes_it(pair: Pair) -> None:
    """Its order is committed and next to be written when it falls asleep. The standby finds it
    absent and closes the position; on waking the sleeper must keep back what it was about to send.
    """
    pair.broker.push(SECURITY_ID, HIT)
    pair.owner.wait_stopped()
    assert pair.placements() == []
    _wait_finished(pair)
    before = pair.placements()
    pair.owner.wake()
    assert pair.owner.wait_ended() == 1
    assert pair.placements() == before
    pair.standby.stop()

    _check(pair, "lapsed")


def test_a_second_engine_without_standby_is_refused(pair: Pair, tmp_path: Path) -> None:
    """It ends with 1 and one line: who owns the account, and what can be done."""
    folder = tmp_path / "second"
    folder.mkdir()
    second = EngineProcess(folder, pair.broker, pair.client_id)
    second.database_url = pair.owner.database_url
    second.start()

    assert second.wait_ended() == 1
    text = second.log_tail()
    assert "squareoff: another engine owns this account on this database: process" in text
    assert "start this one with --standby" in text


def test_a_standby_with_other_settings_is_refused(pair: Pair, tmp_path: Path) -> None:
    """Two engines that would decide differently never serve one account."""
    folder = tmp_path / "other"
    folder.mkdir()
    other = EngineProcess(folder, pair.broker, pair.client_id)
    other.database_url = pair.owner.database_url
    settings = folder / "settings.toml"
    settings.write_text(settings.read_text().replace("quarantine_seconds = 2.5", ""))
    other.start(None, "--standby")

    assert other.wait_ended() == 1
    assert "squareoff: cannot stand by for process" in other.log_tail()
