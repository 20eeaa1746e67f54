"""Commands that stop: what remains decides how they end."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api_rig import ApiRig


@pytest.fixture(autouse=True)
def _calm(rig: ApiRig) -> Iterator[None]:
    """Lift the kill switch afterwards."""
    yield
    rig.post("/kill-switch", {"active": False, "reason": "test over"})


def test_exit_all_ends_with_zero_once_nothing_remains(ask: Any, rig: ApiRig) -> None:
    """Every held position is in the report, and the answer says that nothing remains."""
    mine = rig.track()
    ended = ask("exit-all", "--reason", "end of day", "--json")

    assert ended.status == 0, ended.err
    assert mine in [row["tracker_id"] for row in json.loads(ended.out)["items"]]
    assert json.loads(ended.out)["nothing_remains"] is True


def test_exit_all_tells_what_remains_and_ends_with_one(ask: Any, rig: ApiRig) -> None:
    """At level `all` nothing can be closed: the position, and why it waits, is shown."""
    mine = rig.track()
    ask("kill", "--level", "all", "--reason", "stop")
    waiting = ask("exit-all", "--reason", "x", "--wait", "--wait-seconds", "2")

    assert waiting.status == 1
    assert mine in waiting.out
    assert "the kill switch stands at level all" in waiting.out
    assert "remain ..." in waiting.err
    assert "1 positions under watch remain" in waiting.err
    ask("resume")
    assert ask("exit-all", "--reason", "x", "--wait").status == 0


def test_a_lock_that_is_not_put_on_is_no_success(ask: Any) -> None:
    """`--then-lock` ends with 1 where the broker does not take it."""
    refused = ask("exit-all", "--reason", "x", "--then-lock", "--wait")

    assert refused.status == 1
    assert "the broker's lock is not on" in refused.err


def test_the_kill_switch_is_thrown_and_lifted(ask: Any, rig: ApiRig) -> None:
    """`kill` and `resume` set the durable switch."""
    assert "True" in ask("kill", "--level", "all", "--reason", "stop").out
    assert rig.get("/kill-switch").json == {"active": True, "level": "all", "reason": "stop"}
    assert ask("resume").status == 0
    assert rig.get("/kill-switch").json["active"] is False
