"""A person takes an exit or a position back from the command line, under his own name."""

import getpass
import json
from typing import Any

import pytest

from api_rig import ApiRig


def test_an_exit_is_withdrawn_and_the_position_let_go(ask: Any, rig: ApiRig) -> None:
    """`withdraw` keeps the position, `untrack` lets it go; the journal names who did it."""
    mine = rig.track()
    rig.post("/kill-switch", {"active": True, "level": "all", "reason": "stop"})
    rig.post(f"/trackers/{mine}/exit", {"reason": "x"})
    kept = ask("withdraw", mine, "--reason", "a mistake", "--json")
    gone = ask("untrack", mine, "--reason", "mine again")
    rig.post("/kill-switch", {"active": False, "reason": "test over"})
    story = rig.get(f"/trackers/{mine}/journal").json["items"]

    assert (kept.status, json.loads(kept.out)["status"]) == (0, "ACTIVE")
    assert gone.status == 0
    assert "UNTRACKED" in gone.out
    (asked,) = [fact for fact in story if fact["kind"] == "exit_withdrawal_asked"]
    assert asked["data"]["actor"] == getpass.getuser()


@pytest.mark.parametrize("command", ["withdraw", "resolve-over-exit"])
def test_what_is_not_there_cannot_be_taken_back(command: str, ask: Any, rig: ApiRig) -> None:
    """A position without an exit, or without an over-exit, refuses in one line."""
    mine = rig.track()
    refused = ask(command, mine, "--reason", "x")

    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith(f"squareoff: {mine} is")
