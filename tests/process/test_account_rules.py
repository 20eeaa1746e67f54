"""Rules of the account in the real engine over HTTP, also killed between the latch and the exits.

Real processes over loopback: `squareoff sim`, and `squareoff run` in live mode on a SQLite file.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard import Stand
from engine_process import CLIENT_IDS, BrokerProcess, EngineProcess

_RULES = """
[account_rules]
max_loss = 6000
"""
ENTRY, HIT = "26000.00", "25959.00"
_clients = iter(CLIENT_IDS[140:])


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Serve one simulator to all of them."""
    with BrokerProcess(tmp_path_factory.mktemp("sim")) as process:
        yield process


def _fired(engine: EngineProcess) -> list[str]:
    items = engine.api("GET", "/journal?limit=1000")["items"]
    return [item["text"] for item in items if item["kind"] == "account_rule_fired"]


def test_a_loss_closes_every_position_and_stops_entries(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    """Two positions that lose the maximum together are closed, once each."""
    client_id = next(_clients)
    with Stand(tmp_path, broker, client_id, settings=_RULES) as stand:
        ids = [stand.hold({}, quantity=75), stand.hold({}, quantity=75, product="MARGIN")]
        stand.price("25961.00", 1_000_000)
        assert [stand.status_of(tracker_id) for tracker_id in ids] == ["ACTIVE", "ACTIVE"]
        stand.price(HIT, 1_000_000)
        for tracker_id in ids:
            stand.wait_status(tracker_id, "EXITED")

        reason = stand.engine.api("GET", f"/trackers/{ids[0]}")["exit_reason"]
        assert reason.startswith("account max_loss -6000.00 reached: the day's P&L was -6150.00")
        assert _fired(stand.engine) == [reason]
        switch = stand.engine.api("GET", "/kill-switch")
        assert (switch["active"], switch["level"]) == (True, "new")
        assert len(broker.orders_of(client_id)) == 2
        shown = stand.engine.api("GET", "/status")["account"]
        assert (shown["fired"], shown["fired_reason"]) == (["max_loss"], reason)


@pytest.mark.parametrize(
    "kill_at",
    ["before_commit_exit_claimed:1", "after_commit_exit_claimed:1", "before_first_byte:1"],
)
def test_a_kill_after_the_latch_loses_no_exit(
    kill_at: str, broker: BrokerProcess, tmp_path: Path
) -> None:
    """The price came back meanwhile: only what was latched can close the position."""
    client_id = next(_clients)
    with Stand(tmp_path, broker, client_id, settings=_RULES) as stand:
        tracker_id = stand.hold({})
        stand.engine.stop()
        stand.engine.start(kill_at)
        stand.engine.wait_ready()
        stand.price("26000.00", 1_000_000)
        stand.engine.wait_killed(lambda: stand.price(HIT, 1_000_000))
        stand.price(ENTRY, 1_000_000)
        stand.engine.start()
        stand.engine.wait_ready()
        stand.wait_status(tracker_id, "EXITED")

        assert len(_fired(stand.engine)) == 1
        assert len(broker.orders_of(client_id)) == 1
        assert stand.engine.api("GET", "/kill-switch")["active"]
