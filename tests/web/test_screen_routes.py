"""What the dashboard reads beside the journal, over HTTP."""

import pytest

from api_rig import ApiRig


def test_the_replica_leads_on_to_the_journal(rig: ApiRig) -> None:
    """Its number is the journal's head, and a position has all that its facts fold into."""
    mine = rig.track(rules={"stop_loss": {"points": "10"}})
    replica = rig.get("/replica").json
    found = {tracker["tracker_id"]: tracker for tracker in replica["trackers"]}[mine]

    assert replica["seq"] >= rig.get(f"/trackers/{mine}/journal").json["items"][-1]["seq"]
    assert (replica["mode"], replica["account_id"]) == ("paper", "1100000001")
    assert replica["broker"] == "Dhan (api.dhan.co)"
    assert replica["budget_limits"] == {"second": 8, "minute": 240, "hour": 950, "day": 6800}
    assert found["rules"] == {"stop_loss": {"points": "10.00"}}
    assert found["created_at"].endswith("+05:30")
    assert (found["status"], found["intent"], found["orders"]) == ("ACTIVE", None, [])


def test_a_position_that_was_closed_has_its_orders(rig: ApiRig) -> None:
    """Sends and the broker's records are told, and prices stand in rupees."""
    mine = rig.track()
    rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
    trackers = rig.get("/replica").json["trackers"]
    (found,) = [each for each in trackers if each["tracker_id"] == mine]
    (order,) = found["orders"]

    assert (found["status"], found["intent"]["status"]) == ("EXITED", "DONE")
    assert (order["state"], order["sends"][0]["outcome"]) == ("FILLED", "ACCEPTED")
    assert order["broker_orders"][0]["cumulative_quantity"] == 75
    assert found["exit_price"] == rig.get(f"/trackers/{mine}").json["exit_price"]


def test_the_chart_of_a_closed_position(rig: ApiRig) -> None:
    """Prices of the engine's run, levels, trigger and fill."""
    mine = rig.track(rules={"stop_loss": {"points": "10"}, "target": {"points": "20"}})
    rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
    chart = rig.get(f"/trackers/{mine}/chart").json

    assert chart["spans"][0]["open"] == "152.35"
    assert chart["levels"][0] == {
        "time": chart["opened_at"], "stop_level": "140.00", "stop_rule": "stop_loss",
        "target_level": "170.00",
    }  # fmt: skip
    assert [(t["rule"], t["level"]) for t in chart["triggers"]] == [("manual", None)]
    assert [(f["side"], f["quantity"]) for f in chart["fills"]] == [("SELL", 75)]


def test_the_preview_sends_nothing(rig: ApiRig) -> None:
    """It shows the orders of one position, or of all; the journal does not grow by it."""
    mine = rig.track()
    head = rig.journal_head()
    (one,) = rig.get(f"/exit-preview?tracker_id={mine}").json["items"]
    everything = rig.get("/exit-preview").json["items"]

    facts = rig.get(f"/journal?after={head}").json["items"]
    assert {fact["kind"] for fact in facts} <= {"books_reconciled"}
    assert [(o["side"], o["quantity"]) for o in one["orders"]] == [("SELL", 75)]
    assert (one["open_quantity"], one["why"]) == (75, "")
    assert one["broker_net_quantity"] >= 75
    assert mine in [item["tracker_id"] for item in everything]


@pytest.mark.parametrize("path", ["/trackers/nobody/chart", "/exit-preview?tracker_id=nobody"])
def test_an_unknown_position_is_refused(path: str, rig: ApiRig) -> None:
    """An id that never was is not found."""
    answer = rig.get(path)

    assert (answer.status, answer.error["code"]) == (404, "tracker_not_found")


@pytest.mark.parametrize("path", ["/replica", "/trackers/x/chart", "/exit-preview"])
def test_the_token_is_needed(path: str, rig: ApiRig) -> None:
    """Only the page's own files are open."""
    assert rig.get(path, headers={"Authorization": ""}).status == 401
