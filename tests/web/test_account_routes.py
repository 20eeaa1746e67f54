"""The account over HTTP: exit all, kill switch, orders, alarms, reconciliation, status."""

from collections.abc import Iterator
from typing import Any

import pytest

from api_rig import ApiRig, position_body
from squareoff.core.state.facts import Severity
from squareoff.services.positions.broker_reads import BrokerReads


@pytest.fixture
def calm(rig: ApiRig) -> Iterator[ApiRig]:
    """Give the engine, and lift the kill switch afterwards."""
    yield rig
    rig.post("/kill-switch", {"active": False, "reason": "test over"})


def test_exit_all_closes_every_held_position(calm: ApiRig) -> None:
    """Each held position gets a result, shorts first, all end closed, and nothing remains."""
    long, short = calm.track(), calm.track(side="SHORT", product_type="MARGIN")
    answer = calm.post("/exit-all", {"reason": "end of day", "wait_seconds": 9})
    order = [row["tracker_id"] for row in answer.json["items"]]

    assert answer.status == 200
    assert {long, short} <= set(order)
    assert order.index(short) < order.index(long)
    assert {row["code"] for row in answer.json["items"]} == {"exited"}
    assert (answer.json["outcome"], answer.json["nothing_remains"]) == ("closed", True)
    assert (answer.json["remaining"], answer.json["unknown_positions"]) == ([], [])
    assert calm.get("/exit-all").json["operation_id"] == answer.json["operation_id"]
    switch = calm.get("/kill-switch").json
    assert switch == {"active": True, "level": "new", "reason": "exit-all: end of day"}
    assert calm.post("/entries", _entry()).error["code"] == "halted"


def test_the_paper_broker_has_no_account_to_lock(calm: ApiRig) -> None:
    """A lock that the broker refuses is told with the reason; the account is flat all the same."""
    body = {"reason": "end of day", "lock_account": True, "wait_seconds": 9}
    answer = calm.post("/exit-all", body)

    assert (answer.json["outcome"], answer.json["lock_outcome"]) == ("closed", "refused")
    assert "no account to lock" in answer.json["note"]


@pytest.mark.parametrize("body", [{}, {"reason": " "}, {"reason": None}], ids=str)
def test_exit_all_needs_a_reason(body: dict[str, Any], rig: ApiRig) -> None:
    """Without a reason nothing is claimed, also where nothing is held."""
    mine = rig.track()
    answer = rig.post("/exit-all", body)

    assert (answer.status, answer.error["code"]) == (422, "invalid_reason")
    assert answer.error["details"]["field"] == "reason"
    assert rig.get(f"/trackers/{mine}").json["status"] == "ACTIVE"


def test_the_kill_switch_stops_entries_and_lets_exits_through(calm: ApiRig) -> None:
    """At level `new` an entry is refused as halted, and an exit goes."""
    mine = calm.track()
    thrown = calm.post("/kill-switch", {"active": True, "reason": "stop"})
    entry = calm.post("/entries", _entry())
    exited = calm.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})

    assert thrown.json == {"active": True, "level": "new", "reason": "stop"}
    assert calm.get("/kill-switch").json == thrown.json
    assert calm.get("/status").json["kill_switch_active"] is True
    assert (entry.status, entry.error["code"]) == (409, "halted")
    assert exited.json["code"] == "exited"


def test_the_kill_switch_at_level_all_holds_exits_back(calm: ApiRig) -> None:
    """At level `all` an exit is latched and waits; once the switch is lifted it goes by itself."""
    mine = calm.track()
    calm.post("/kill-switch", {"active": True, "level": "all", "reason": "stop"})
    latched = calm.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
    orders = [row for row in calm.get("/orders").json["items"] if row["tracker_id"] == mine]
    calm.post("/kill-switch", {"active": False, "reason": "go on"})
    for _ in range(20):
        answer = calm.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
        if answer.json["code"] == "already_exited":
            break

    assert (latched.status, latched.json["code"]) == (202, "blocked")
    assert all(order["sends"] == 0 for order in orders)
    assert answer.json["code"] == "already_exited"


def test_halting_once_more_lets_nothing_out(calm: ApiRig) -> None:
    """Thrown without a level, a switch at `all` stays there; only the word `new` loosens it."""
    mine = calm.track()
    calm.post("/kill-switch", {"active": True, "level": "all", "reason": "storm"})
    calm.post(f"/trackers/{mine}/exit", {"reason": "x"})
    again = calm.post("/kill-switch", {"active": True, "reason": "halt"})
    waiting = calm.get(f"/trackers/{mine}").json["intent"]

    assert again.json == {"active": True, "level": "all", "reason": "halt"}
    assert (waiting["status"], waiting["block_reason"]) == ("BLOCKED", "kill_switch")
    loosened = calm.post("/kill-switch", {"active": True, "level": "new", "reason": "calmer"})
    assert loosened.json["level"] == "new"
    lifted = calm.post("/kill-switch", {"active": False, "reason": "over"})
    assert lifted.json == {"active": False, "level": "new", "reason": "over"}
    thrown = calm.post("/kill-switch", {"active": True, "reason": "anew"})
    assert thrown.json["level"] == "new"


def test_an_exit_is_taken_back_while_it_waits(calm: ApiRig) -> None:
    """Withdrawn with nothing at the broker the position is held again, and can be let go."""
    mine = calm.track(product_type="MARGIN")
    calm.post("/kill-switch", {"active": True, "level": "all", "reason": "stop"})
    calm.post(f"/trackers/{mine}/exit", {"reason": "x"})
    kept = calm.post(f"/trackers/{mine}/withdraw", {"reason": "a mistake", "actor": "asha"})
    again = calm.post(f"/trackers/{mine}/withdraw", {"reason": "a mistake"})
    story = calm.get(f"/trackers/{mine}/journal").json["items"]
    gone = calm.post(f"/trackers/{mine}/untrack", {"reason": "sold elsewhere"})

    assert (kept.status, kept.json["status"]) == (200, "ACTIVE")
    assert kept.json["intent"]["status"] == "WITHDRAWN"
    assert (again.status, again.error["code"]) == (409, "nothing_to_withdraw")
    (asked,) = [fact for fact in story if fact["kind"] == "exit_withdrawal_asked"]
    assert asked["data"] == {"reason": "a mistake", "actor": "asha"}
    assert (gone.status, gone.json["status"]) == (200, "UNTRACKED")
    refused = calm.post(f"/trackers/{mine}/resolve-over-exit", {"reason": "none"})
    assert (refused.status, refused.error["code"]) == (409, "no_over_exit")


BAD_SWITCHES: dict[str, tuple[dict[str, Any], str]] = {
    "no word": ({"reason": "x"}, "active"),
    "a word for active": ({"active": "yes", "reason": "x"}, "active"),
    "unknown level": ({"active": True, "level": "most", "reason": "x"}, "level"),
    "blank reason": ({"active": True, "reason": " "}, "reason"),
    "no text for a reason": ({"active": True, "reason": None}, "reason"),
    "unknown field": ({"active": True, "reason": "x", "until": 1}, "until"),
}


@pytest.mark.parametrize("name", BAD_SWITCHES)
def test_a_bad_kill_switch_changes_nothing(name: str, rig: ApiRig) -> None:
    """A fault names its field, and the switch stays as it was."""
    body, field = BAD_SWITCHES[name]
    before = rig.get("/kill-switch").json

    answer = rig.post("/kill-switch", body)

    assert (answer.status, answer.error["details"]["field"]) == (422, field)
    assert rig.get("/kill-switch").json == before


def test_a_halt_needs_no_reason(calm: ApiRig) -> None:
    """A call that forgets it halts all the same, and resumes; its reason names the API."""
    halted = calm.post("/kill-switch", {"active": True})
    lifted = calm.post("/kill-switch", {"active": False})

    assert (halted.status, halted.json["active"]) == (200, True)
    assert halted.json["reason"] == "set through the API"
    assert (lifted.status, lifted.json["active"]) == (200, False)


def test_orders_show_what_the_broker_said(rig: ApiRig) -> None:
    """An exit's order carries our id, the broker's, what it filled and at which price."""
    mine = rig.track()
    result = rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"}).json
    (order,) = [row for row in rig.get("/orders").json["items"] if row["tracker_id"] == mine]

    assert [order["client_order_id"]] == result["orders"]
    assert (order["role"], order["side"], order["status"]) == ("EXIT", "SELL", "FILLED")
    assert (order["cumulative_quantity"], order["average_price"]) == (75, result["exit_price"])
    assert len(order["broker_order_ids"]) == 1


def test_an_alarm_is_shown_until_acknowledged_and_after(rig: ApiRig) -> None:
    """An alarm's id is its journal number; acknowledging sets the time once."""
    desk = rig.engine.desk
    rig.run(desk._alarms.raise_alarm(Severity.CRITICAL, "rehearsal", "look here"))
    alarm = rig.get("/alarms").json["items"][-1]
    seen = rig.post(f"/alarms/{alarm['id']}/acknowledge")
    again = rig.post(f"/alarms/{alarm['id']}/acknowledge")

    assert set(alarm) == {
        "id", "severity", "code", "message", "tracker_id", "raised_at", "acknowledged_at",
        "repeats", "last_raised_at", "cleared_at",
    }  # fmt: skip
    assert (alarm["severity"], alarm["code"], alarm["acknowledged_at"]) == (
        "critical", "rehearsal", None,
    )  # fmt: skip
    assert seen.status == 200
    assert seen.json["acknowledged_at"] is not None
    assert again.status == 200
    listed = rig.get("/alarms").json["items"][-1]["acknowledged_at"]
    assert seen.json["acknowledged_at"] == again.json["acknowledged_at"] == listed


@pytest.mark.parametrize(
    ("alarm_id", "status", "code"),
    [("999999", 404, "alarm_not_found"), ("x", 422, "invalid_request")],
)
def test_an_unknown_alarm_is_refused(alarm_id: str, status: int, code: str, rig: ApiRig) -> None:
    """An id that no alarm has is not found; a word is no id."""
    answer = rig.post(f"/alarms/{alarm_id}/acknowledge")

    assert (answer.status, answer.error["code"]) == (status, code)


def test_reconcile_tells_differences_in_words(rig: ApiRig) -> None:
    """A comparison that finds nothing answers with an empty list."""
    answer = rig.post("/reconcile")

    assert (answer.status, answer.json) == (200, {"differences": []})


def test_a_comparison_that_could_not_be_made_is_no_answer(
    rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Books that cannot be read are an error, for a script must not take them for compared."""

    async def unreadable(_: BrokerReads) -> None:
        return None

    monkeypatch.setattr(BrokerReads, "order_book", unreadable)
    answer = rig.post("/reconcile")

    assert (answer.status, answer.error["code"]) == (502, "broker_unavailable")


def test_status_says_how_the_engine_is_doing(rig: ApiRig) -> None:
    """Mode, sockets, ages and counts, with times in ISO."""
    status = rig.get("/status").json

    assert (status["mode"], status["is_ready"], status["market_feed"]) == (
        "paper", True, "connected",
    )  # fmt: skip
    assert status["started_at"].endswith("+05:30")
    assert status["last_tick_age_seconds"] >= 0


def test_a_position_taken_under_watch_at_level_all_is_still_watched(calm: ApiRig) -> None:
    """The kill switch stops orders, not watching."""
    calm.post("/kill-switch", {"active": True, "level": "all", "reason": "stop"})

    assert calm.post("/trackers", position_body()).status == 201


def _entry() -> dict[str, Any]:
    return {
        "exchange_segment": "NSE_FNO", "security_id": "49081", "product_type": "INTRADAY",
        "side": "LONG", "quantity": 25, "order_type": "LIMIT", "limit_price": "150.00",
    }  # fmt: skip
