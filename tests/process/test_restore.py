"""An old backup is restored after the exit went out: nothing is sold twice.

Real processes over loopback, as in the other stories here; the copy is made while the engine runs.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_process import CLIENT_IDS, BrokerProcess, EngineProcess, wait_until
from engine_process.one_position import HIT, QUANTITY, SECURITY_ID, give, track

SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Serve one simulator to both stories; each has its own account."""
    with BrokerProcess(tmp_path_factory.mktemp("sim")) as process:
        yield process


@pytest.mark.parametrize("client_id", [CLIENT_IDS[-1], CLIENT_IDS[-2]], ids=["filled", "resting"])
def test_an_old_backup_never_sells_twice(
    broker: BrokerProcess, tmp_path: Path, client_id: str
) -> None:
    """Whether the order had filled before the restore or still rests, the broker ends flat."""
    is_resting = client_id == CLIENT_IDS[-2]
    engine = EngineProcess(tmp_path, broker, client_id)
    try:
        tracker_id = _held(broker, engine)
        _database_command(engine, "backup", "old.db")
        broker.push(SECURITY_ID, HIT, 0 if is_resting else None)
        wait_until(lambda: broker.orders_of(client_id) or None, "the order", SECONDS_MAX)
        if not is_resting:
            _wait_exited(broker, engine, tracker_id)
        refused = _database_command(engine, "restore", "old.db", expected=1)
        engine.kill()
        restored = json.loads(_database_command(engine, "restore", "old.db").stdout)
        engine.start()
        engine.wait_ready()
        assert engine.api("GET", f"/trackers/{tracker_id}")["status"] in ("ACTIVE", "EXITING")
        _wait_exited(broker, engine, tracker_id)
        alarms = [alarm["code"] for alarm in engine.api("GET", "/alarms")["items"]]
    finally:
        engine.stop()

    assert b"another engine owns this account" in refused.stderr
    assert (tmp_path / restored["kept_aside"]).exists()
    assert "unknown_own_order" in alarms
    assert "over_exit" not in alarms
    assert [order["filled_quantity"] for order in broker.orders_of(client_id)] == [QUANTITY]


def _held(broker: BrokerProcess, engine: EngineProcess) -> str:
    give(broker, engine.client_id)
    engine.start()
    engine.wait_ready()
    return track(engine)


def _wait_exited(broker: BrokerProcess, engine: EngineProcess, tracker_id: str) -> None:
    def ask() -> bool:
        broker.push(SECURITY_ID, HIT)
        status: str = engine.api("GET", f"/trackers/{tracker_id}")["status"]
        return status == "EXITED"

    wait_until(ask, f"EXITED; {engine.log_tail()}", SECONDS_MAX)


def _database_command(engine: EngineProcess, *words: str, expected: int = 0) -> Any:
    command = [str(Path(sys.executable).with_name("squareoff")), "db", *words, "--json"]
    ended = subprocess.run(
        [*command, "--config", "settings.toml"],
        cwd=engine.folder,
        env=engine.environment(),
        capture_output=True,
        check=False,
    )
    assert ended.returncode == expected, ended.stderr
    return ended
