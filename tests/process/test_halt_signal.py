"""SIGUSR1 halts a real engine without its API, also under a locked database, for good (T7, C21).

Real processes over loopback, as in the other stories here.
"""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine_process import CLIENT_IDS, BrokerProcess, EngineProcess, wait_until
from engine_process.one_position import HIT, QUANTITY, SECURITY_ID, give, track

SECONDS_MAX = 60.0
HALTED = {"active": True, "level": "all", "reason": "halted by SIGUSR1"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Serve one simulator to the stories; each has its own account."""
    with BrokerProcess(tmp_path_factory.mktemp("sim")) as process:
        yield process


def test_a_signal_halts_until_somebody_resumes(broker: BrokerProcess, tmp_path: Path) -> None:
    """A stop fires and nothing leaves, nor after kill -9 and a start; resumed, it goes out."""
    client_id = CLIENT_IDS[-3]
    engine = EngineProcess(tmp_path, broker, client_id)
    try:
        _hold(broker, engine)
        engine.send_signal(signal.SIGUSR1)
        _wait_halted(engine)
        broker.push(SECURITY_ID, HIT)
        _wait_blocked(engine)
        engine.kill()
        engine.start()
        engine.wait_announced()
        _wait_halted(engine)
        _wait_blocked(engine)
        sent_while_halted = broker.orders_of(client_id)
        alarms = [alarm["code"] for alarm in engine.api("GET", "/alarms")["items"]]
        engine.api("POST", "/kill-switch", {"active": False, "reason": "go on"})
        broker.push(SECURITY_ID, HIT)
        wait_until(lambda: _status(engine) == "EXITED", engine.log_tail(), SECONDS_MAX)
    finally:
        engine.stop()

    assert sent_while_halted == []
    assert "halted_locally" in alarms
    assert [order["filled_quantity"] for order in broker.orders_of(client_id)] == [QUANTITY]


def test_a_signal_halts_under_a_locked_database(broker: BrokerProcess, tmp_path: Path) -> None:
    """It holds while nothing can be stored, and is stored once the lock is gone."""
    engine = EngineProcess(tmp_path, broker, CLIENT_IDS[-4])
    path = engine.database_url.removeprefix("sqlite:///")
    try:
        _hold(broker, engine)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            engine.send_signal(signal.SIGUSR1)
            _wait_halted(engine)
            stored_under_the_lock = _stored(path)
            other.execute("ROLLBACK")
        wait_until(lambda: _stored(path) == [(1, "all")], engine.log_tail(), SECONDS_MAX)
    finally:
        engine.stop()

    assert stored_under_the_lock in ([], [(0, "new")])


def test_a_signal_during_the_start_is_kept(broker: BrokerProcess, tmp_path: Path) -> None:
    """One that comes while the engine opens ends it not, and it comes up halted."""
    engine = EngineProcess(tmp_path, broker, CLIENT_IDS[-5])
    try:
        engine.start(stop_at="recovery_loaded:1")
        engine.wait_stopped()
        engine.send_signal(signal.SIGUSR1)
        engine.wake()
        engine.wait_announced()
        _wait_halted(engine)
    finally:
        engine.stop()


def _hold(broker: BrokerProcess, engine: EngineProcess) -> None:
    give(broker, engine.client_id)
    engine.start()
    engine.wait_ready()
    track(engine)


def _wait_halted(engine: EngineProcess) -> None:
    def ask() -> bool:
        try:
            found: Any = engine.api("GET", "/kill-switch")
        except OSError:  # it announces itself a moment before it serves
            return False
        return {name: found[name] for name in HALTED} == HALTED

    wait_until(ask, f"halted; {engine.log_tail()}", SECONDS_MAX)


def _wait_blocked(engine: EngineProcess) -> None:
    def ask() -> bool:
        # The API serves a moment before the engine has loaded its positions.
        found = engine.api("GET", "/trackers")["items"]
        return [(each["intent"] or {}).get("block_reason") for each in found] == ["kill_switch"]

    wait_until(ask, f"blocked; {engine.log_tail()}", SECONDS_MAX)


def _tracker(engine: EngineProcess) -> Any:
    (tracker,) = engine.api("GET", "/trackers")["items"]
    return tracker


def _status(engine: EngineProcess) -> str:
    status: str = _tracker(engine)["status"]
    return status


def _stored(path: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT active, level FROM kill_switch").fetchall()
