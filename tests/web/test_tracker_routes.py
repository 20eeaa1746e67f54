"""Positions over HTTP: taken under watch, shown, changed, exited; bad input changes nothing."""

import threading
from typing import Any

import pytest

from api_rig import TRAIL_KINDS, Answer, ApiRig, position_body
from squareoff.domain.ids import TrackerId
from squareoff.domain.results import ExitCode, ExitResult
from squareoff.web.error_shape import ApiError
from squareoff.web.tracker_routes import exit_answer

TRACKER_FIELDS = {
    "id", "status", "exchange_segment", "security_id", "product_type", "trading_symbol", "side",
    "quantity", "entry_quantity", "exited_quantity", "entry_price", "exit_price", "realized_pnl",
    "unrealized_pnl", "last_traded_price", "last_price_at", "exit_reason", "created_at",
    "exited_at", "rules", "stop_level", "intent",
}  # fmt: skip
RESULT_FIELDS = {
    "success", "code", "tracker_id", "exit_price", "exited_quantity", "reason", "orders", "error",
    "intent_id",
}  # fmt: skip


def test_a_tracked_position_has_the_fields_of_the_interface(rig: ApiRig) -> None:
    """201 with the tracker: names, decimals as text, times with offset, rules as given."""
    rules = {"stop_loss": {"points": "10.5"}, "square_off_at": "23:59"}
    answer = rig.post("/trackers", position_body(rules=rules, entry_price=150.1))
    made = answer.json

    assert answer.status == 201
    assert set(made) == TRACKER_FIELDS
    assert (made["status"], made["entry_price"], made["quantity"]) == ("ACTIVE", "150.10", 75)
    assert made["rules"] == {"stop_loss": {"points": "10.50"}, "square_off_at": "23:59"}
    assert made["stop_level"] == "139.60"
    assert made["created_at"].endswith("+05:30")
    assert rig.get(f"/trackers/{made['id']}").json["id"] == made["id"]


@pytest.mark.parametrize("broker_order_id", ["112111182198", "PAPER-20260915-000999"])
def test_an_entry_order_that_the_broker_lacks_is_refused(rig: ApiRig, broker_order_id: str) -> None:
    """409 with the field: nothing is watched under an id that the broker does not know."""
    before = len(_items(rig, "/trackers"))
    answer = rig.post("/trackers", position_body(entry_order_id=broker_order_id))

    assert (answer.status, answer.error["code"]) == (409, "entry_order_not_found")
    assert answer.error["details"] == {"field": "entry_order_id"}
    assert len(_items(rig, "/trackers")) == before


def test_an_entry_order_of_a_tracker_is_refused(rig: ApiRig) -> None:
    """409: an order that a tracker has is not given to another one."""
    mine = rig.track()
    rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
    (order,) = [row for row in _items(rig, "/orders") if row["tracker_id"] == mine]
    (taken,) = order["broker_order_ids"]
    answer = rig.post("/trackers", position_body(entry_order_id=taken))

    assert (answer.status, answer.error["code"]) == (409, "entry_order_taken")


@pytest.mark.parametrize("text", ["", "  ", "../positions"])
def test_an_entry_order_id_is_no_path(rig: ApiRig, text: str) -> None:
    """422 with the field for what no broker names an order."""
    answer = rig.post("/trackers", position_body(entry_order_id=text))

    assert (answer.status, answer.error["details"]["field"]) == (422, "entry_order_id")


def test_an_instrument_that_nobody_knows_needs_its_terms(rig: ApiRig) -> None:
    """Lot and tick given by the caller stand in for the instrument master."""
    body = position_body(security_id="99999", lot_size=15, tick_size="0.05", quantity=30)

    assert rig.post("/trackers", body).status == 201


def test_an_entry_places_its_order(rig: ApiRig) -> None:
    """POST /entries makes a PENDING tracker and its entry order in our books."""
    body = {
        "exchange_segment": "NSE_FNO", "security_id": "49081", "product_type": "MARGIN",
        "side": "SHORT", "quantity": 25, "order_type": "LIMIT", "limit_price": "400.00",
    }  # fmt: skip
    answer = rig.post("/entries", body)
    mine = [row for row in _items(rig, "/orders") if row["tracker_id"] == answer.json["id"]]

    assert (answer.status, answer.json["status"]) == (201, "PENDING")
    assert (answer.json["quantity"], answer.json["entry_quantity"]) == (0, 25)
    assert rig.get(f"/trackers/{rig.track()}").json["entry_quantity"] is None
    assert [(row["role"], row["side"], row["order_quantity"]) for row in mine] == [
        ("ENTRY", "SELL", 25)
    ]


@pytest.mark.parametrize("security_id", ["999999", "NIFTY"])
def test_an_entry_is_not_asked_for_what_it_cannot_carry(rig: ApiRig, security_id: str) -> None:
    """Of an instrument that nobody knows only the id is at fault: entries have no lot or tick."""
    body = {
        "exchange_segment": "NSE_FNO", "security_id": security_id, "product_type": "INTRADAY",
        "side": "LONG", "quantity": 75, "order_type": "MARKET",
    }  # fmt: skip

    answer = rig.post("/entries", body)

    assert (answer.status, answer.error["code"]) == (422, "invalid_request")
    assert [fault["field"] for fault in answer.error["details"]["faults"]] == ["security_id"]


def test_trackers_are_filtered_by_status(rig: ApiRig) -> None:
    """`?status=` may be repeated; a list carries `items` and `next`."""
    mine = rig.track()

    found = rig.get("/trackers?status=ACTIVE&status=EXITING").json
    assert set(found) == {"items", "next"}
    assert mine in [row["id"] for row in found["items"]]
    assert {row["status"] for row in found["items"]} <= {"ACTIVE", "EXITING"}
    assert mine not in [row["id"] for row in _items(rig, "/trackers?status=EXITED")]


def test_rules_are_replaced(rig: ApiRig) -> None:
    """PATCH puts the new rules in place of all old ones."""
    mine = rig.track(rules={"target": {"points": "30"}})

    answer = rig.patch(f"/trackers/{mine}", {"rules": {"stop_loss": {"price": "140.00"}}})

    assert answer.status == 200
    assert answer.json["rules"] == {"stop_loss": {"price": "140.00"}}


def test_rules_are_not_taken_away_by_a_null(rig: ApiRig) -> None:
    """A value that was forgotten keeps the stop; an empty object takes it away on purpose."""
    mine = rig.track(rules={"stop_loss": {"points": "30"}})

    forgotten = rig.patch(f"/trackers/{mine}", {"rules": None})
    assert (forgotten.status, forgotten.error["details"]["field"]) == (422, "rules")
    assert rig.get(f"/trackers/{mine}").json["rules"] == {"stop_loss": {"points": "30.00"}}
    assert rig.patch(f"/trackers/{mine}", {"rules": {}}).json["rules"] == {}
    assert rig.post("/trackers", {**position_body(), "rules": None}).status == 201


@pytest.mark.parametrize("body", [b'{"rules": {"\\ud800": 1}}', b'{"\\ud800": {}}'])
def test_half_a_surrogate_pair_is_a_fault_of_its_field(body: bytes, rig: ApiRig) -> None:
    """JSON can write what UTF-8 cannot; the refusal names it escaped, and is itself readable."""
    answer = rig.call("PATCH", f"/api/v1/trackers/{rig.track()}", raw=body)

    assert (answer.status, answer.error["code"]) == (422, "invalid_request")
    assert "\\ud800" in answer.text


def test_an_exit_is_filled_once(rig: ApiRig) -> None:
    """The first exit closes at the broker's price; a repeat is a success that changes nothing."""
    mine = rig.track()
    first = rig.post(f"/trackers/{mine}/exit", {"reason": "done for today", "wait": "filled"})
    head = rig.journal_head()
    again = rig.post(f"/trackers/{mine}/exit", {"reason": "once more"})

    assert (first.status, first.json["code"], first.json["success"]) == (200, "exited", True)
    assert set(first.json) == RESULT_FIELDS
    assert (first.json["exited_quantity"], first.json["reason"]) == (75, "done for today")
    assert (again.status, again.json["code"], again.json["success"]) == (
        200, "already_exited", True,
    )  # fmt: skip
    assert _facts_of(rig, mine, after=head) == []
    assert len([row for row in _items(rig, "/orders") if row["tracker_id"] == mine]) == 1


def test_simultaneous_exits_close_once(rig: ApiRig) -> None:
    """Of ten exits at the same instant one claims; all are told of success."""
    mine = rig.track()
    answers = _at_once(
        10, lambda: rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "claimed"})
    )

    assert {answer.status for answer in answers} <= {200, 202}
    kinds = [fact["kind"] for fact in _facts_of(rig, mine)]
    assert kinds.count("exit_claimed") == 1
    rig.post(f"/trackers/{mine}/exit", {"reason": "wait for the end", "wait": "filled"})


def test_the_journal_of_a_position_tells_its_story(rig: ApiRig) -> None:
    """Entries are oldest first with the contract's fields, and pages join without gap."""
    mine = rig.track()
    rig.post(f"/trackers/{mine}/exit", {"reason": "story", "wait": "filled"})
    whole = _items(rig, f"/trackers/{mine}/journal")
    page = rig.get(f"/trackers/{mine}/journal?limit=2").json
    rest = rig.get(f"/trackers/{mine}/journal?after={page['next']}").json

    assert [fact["kind"] for fact in whole][:2] == ["tracker_opened", "exit_claimed"]
    assert whole[-1]["kind"] == "position_exited"
    names = {"seq", "time", "kind", "tracker_id", "client_order_id", "data", "text"}
    assert names == set(whole[0])
    assert page["items"] + rest["items"] == whole
    assert rest["next"] is None


BAD_POSITIONS: dict[str, tuple[dict[str, Any], str]] = {
    # name: (changes to a good body, the field that must be named)
    "unknown segment": ({"exchange_segment": "NSE"}, "exchange_segment"),
    "index segment": (
        {"exchange_segment": "IDX_I", "security_id": "13", "lot_size": 1, "tick_size": "0.05"},
        "exchange_segment",
    ),
    "missing security id": ({"security_id": None}, "security_id"),
    "blank security id": ({"security_id": " "}, "security_id"),
    "security id as a number": ({"security_id": 49081}, "security_id"),
    "unknown security id": ({"security_id": "424242"}, "security_id"),
    "unknown product": ({"product_type": "MIS"}, "product_type"),
    "CNC outside cash": ({"product_type": "CNC"}, "product_type"),
    "unknown side": ({"side": "BUY"}, "side"),
    "missing quantity": ({"quantity": None}, "quantity"),
    "zero quantity": ({"quantity": 0}, "quantity"),
    "negative quantity": ({"quantity": -75}, "quantity"),
    "quantity off the lot": ({"quantity": 80}, "quantity"),
    "quantity as text": ({"quantity": "75"}, "quantity"),
    "quantity in parts": ({"quantity": 75.0}, "quantity"),
    "quantity as true": ({"quantity": True}, "quantity"),
    "absurd quantity": ({"quantity": 10**12}, "quantity"),
    "zero price": ({"entry_price": "0"}, "entry_price"),
    "negative price": ({"entry_price": "-1.00"}, "entry_price"),
    "price as words": ({"entry_price": "cheap"}, "entry_price"),
    "price as true": ({"entry_price": True}, "entry_price"),
    "price not a number": ({"entry_price": "NaN"}, "entry_price"),
    "price without end": ({"entry_price": "1e999999"}, "entry_price"),
    "price with an exponent": ({"entry_price": "1e2"}, "entry_price"),
    "price with underscores": ({"entry_price": "1_50.00"}, "entry_price"),
    "lot of nothing": ({"lot_size": 0}, "lot_size"),
    "tick of nothing": ({"tick_size": "0"}, "tick_size"),
    "freeze below zero": ({"freeze_quantity": -1}, "freeze_quantity"),
    "stop below zero": ({"rules": {"stop_loss": {"points": "250"}}}, "rules.stop_loss.points"),
    "stop off the tick": (
        {"rules": {"stop_loss": {"price": "140.03"}}},
        "rules.stop_loss.price",
    ),
    "stop at zero": ({"rules": {"stop_loss": {"price": "0"}}}, "rules.stop_loss.price"),
    "stop on the wrong side": (
        {"rules": {"stop_loss": {"price": "170.00"}}},
        "rules.stop_loss.price",
    ),
    "target on the wrong side": (
        {"rules": {"target": {"price": "140.00"}}},
        "rules.target.price",
    ),
    "stop in two forms": (
        {"rules": {"stop_loss": {"points": "1", "percent": "1"}}},
        "rules.stop_loss",
    ),
    "unknown rule": ({"rules": {"stop_los": {"points": "1"}}}, "rules.stop_los"),
    "rules no object": ({"rules": [1]}, "rules"),
    "unknown field": ({"quantities": 75}, "quantities"),
    "zero lot": ({"security_id": "7", "lot_size": 0, "tick_size": "0.05"}, "lot_size"),
    "tick too fine": (
        {"security_id": "7", "lot_size": 1, "tick_size": "0.00001"},
        "tick_size",
    ),
}


@pytest.mark.parametrize("name", BAD_POSITIONS)
def test_a_bad_position_is_refused_by_its_field(name: str, rig: ApiRig) -> None:
    """Each fault is one clear error naming the field, and nothing is changed."""
    changes, field = BAD_POSITIONS[name]
    head, count = rig.journal_head(), len(_items(rig, "/trackers"))
    answer = rig.post("/trackers", position_body(**changes))

    assert answer.status == 422
    assert answer.error["code"] == "invalid_request"
    assert answer.error["details"]["field"] == field, answer.text
    assert field in answer.error["message"]
    assert len(_items(rig, "/trackers")) == count
    quiet = {"books_reconciled", *TRAIL_KINDS}
    assert [f for f in _new_facts(rig, head) if f["kind"] not in quiet] == []


BAD_ENTRIES: dict[str, tuple[dict[str, Any], str]] = {
    "price off the tick": ({"limit_price": "150.03"}, "limit_price"),
    "zero price": ({"limit_price": "0"}, "limit_price"),
    "limit without price": ({"limit_price": None}, "limit_price"),
    "market with price": ({"order_type": "MARKET"}, "limit_price"),
    "unknown order type": ({"order_type": "ICEBERG"}, "order_type"),
    "quantity off the lot": ({"quantity": 26}, "quantity"),
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_a_bad_entry_is_refused_by_its_field(name: str, rig: ApiRig) -> None:
    """An entry order with a fault is refused before anything leaves."""
    changes, field = BAD_ENTRIES[name]
    body = {
        "exchange_segment": "NSE_FNO", "security_id": "49081", "product_type": "INTRADAY",
        "side": "LONG", "quantity": 25, "order_type": "LIMIT", "limit_price": "150.00",
    } | changes  # fmt: skip
    count = len(_items(rig, "/orders"))
    answer = rig.post("/entries", {key: part for key, part in body.items() if part is not None})

    assert (answer.status, answer.error["details"]["field"]) == (422, field), answer.text
    assert len(_items(rig, "/orders")) == count


BAD_RULES: dict[str, tuple[Any, str]] = {
    "no rules at all": ({}, "rules"),
    "unknown rule": ({"rules": {"stop": {}}}, "rules.stop"),
    "stop on the wrong side": (
        {"rules": {"stop_loss": {"price": "170.00"}}},
        "rules.stop_loss.price",
    ),
    "off the tick": ({"rules": {"target": {"price": "170.01"}}}, "rules.target.price"),
    "unknown field": ({"rules": {}, "quantity": 1}, "quantity"),
}


@pytest.mark.parametrize("name", BAD_RULES)
def test_bad_rules_leave_the_old_ones(name: str, rig: ApiRig) -> None:
    """A PATCH with a fault names the field and the old rules stay."""
    body, field = BAD_RULES[name]
    mine = rig.track(rules={"target": {"points": "30"}})

    answer = rig.patch(f"/trackers/{mine}", body)

    assert (answer.status, answer.error["details"]["field"]) == (422, field), answer.text
    assert rig.get(f"/trackers/{mine}").json["rules"] == {"target": {"points": "30.00"}}


@pytest.mark.parametrize("code", ExitCode)
def test_only_what_is_done_or_under_way_is_answered_with_200(code: ExitCode) -> None:
    """Who looks at the status alone takes no exit for done that waits or was taken back."""
    result = ExitResult(code.is_success, code, TrackerId("trk-1"))
    try:
        status = exit_answer(result).status_code
    except ApiError as refused:
        status = refused.status

    assert (status == 200) is code.is_success


@pytest.mark.parametrize(
    "body", [{"reason": ""}, {"reason": "  \t"}, {}, {"reason": None}], ids=str
)
def test_an_exit_needs_a_reason(body: dict[str, Any], rig: ApiRig) -> None:
    """A blank or missing reason is `invalid_reason`, names the field and claims nothing."""
    mine = rig.track()
    answer = rig.post(f"/trackers/{mine}/exit", body)

    assert (answer.status, answer.error["code"]) == (422, "invalid_reason")
    assert answer.error["details"]["field"] == "reason"
    assert answer.error["details"]["result"]["success"] is False
    assert rig.get(f"/trackers/{mine}").json["status"] == "ACTIVE"


BAD_EXITS: dict[str, tuple[Any, str]] = {
    "reason as a number": ({"reason": 5}, "reason"),
    "endless reason": ({"reason": "x" * 201}, "reason"),
    "unknown wait": ({"reason": "x", "wait": "forever"}, "wait"),
    "too long a wait": ({"reason": "x", "wait_seconds": 61}, "wait_seconds"),
    "a wait that is no number": ({"reason": "x", "wait_seconds": True}, "wait_seconds"),
    "a wait as text": ({"reason": "x", "wait_seconds": "5"}, "wait_seconds"),
    "unknown field": ({"reason": "x", "quantity": 5}, "quantity"),
}


@pytest.mark.parametrize("name", BAD_EXITS)
def test_a_bad_exit_claims_nothing(name: str, rig: ApiRig) -> None:
    """An exit call with a fault names the field and the position stays as it was."""
    body, field = BAD_EXITS[name]
    mine = rig.track()

    answer = rig.post(f"/trackers/{mine}/exit", body)

    assert (answer.status, answer.error["details"]["field"]) == (422, field)
    assert rig.get(f"/trackers/{mine}").json["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/trackers/trk-none", None, "tracker_not_found"),
        ("PATCH", "/trackers/trk-none", {"rules": {}}, "tracker_not_found"),
        ("GET", "/trackers/trk-none/journal", None, "tracker_not_found"),
        ("POST", "/trackers/trk-none/exit", {"reason": "x"}, "invalid_tracker"),
    ],
)
def test_an_unknown_tracker_is_not_found(
    method: str, path: str, body: Any, code: str, rig: ApiRig
) -> None:
    """404 in the one shape, whatever was asked of it."""
    answer = rig.call(method, f"/api/v1{path}", body)

    assert (answer.status, answer.error["code"]) == (404, code)
    assert "trk-none" in answer.error["message"]


def test_rules_of_a_closed_position_are_settled(rig: ApiRig) -> None:
    """A PATCH after the exit is refused by a conflict that says why."""
    mine = rig.track()
    rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})

    answer = rig.patch(f"/trackers/{mine}", {"rules": {}})

    assert (answer.status, answer.error["code"]) == (409, "not_active")


@pytest.mark.parametrize("query", ["status=OPEN", "stauts=ACTIVE"])
def test_a_wrong_filter_is_refused(query: str, rig: ApiRig) -> None:
    """A filter that means nothing is an error, not a longer list."""
    answer = rig.get(f"/trackers?{query}")

    assert (answer.status, answer.error["code"]) == (422, "invalid_request")


def _items(rig: ApiRig, path: str) -> list[Any]:
    answer = rig.get(path)
    assert answer.status == 200, answer.text
    items: list[Any] = answer.json["items"]
    return items


def _new_facts(rig: ApiRig, after: int) -> list[Any]:
    return _items(rig, f"/journal?after={after}")


def _facts_of(rig: ApiRig, tracker_id: str, after: int = 0) -> list[Any]:
    return _items(rig, f"/trackers/{tracker_id}/journal?after={after}")


def _at_once(count: int, call: Any) -> list[Answer]:
    start = threading.Barrier(count)
    answers: list[Answer] = []

    def one() -> None:
        start.wait()
        answers.append(call())

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers


def test_on_paper_no_unit_is_held_twice() -> None:
    """What was let go is still held: under watch again it is the same position, and one that was
    bought on top adds what is missing."""
    with ApiRig() as rig:
        mine = rig.track()
        rig.run(rig.engine.desk.untrack(TrackerId(mine), "by hand from here", "trader"))
        again = rig.track(quantity=150)
        assert _held(rig, again) == 150

        exited = rig.post(f"/trackers/{again}/exit", {"reason": "enough", "wait": "filled"})
        assert exited.json["code"] == "exited"
        assert rig.post("/exit-all", {"reason": "end of day"}).json["unknown_positions"] == []


def test_on_paper_a_position_is_not_turned_around() -> None:
    """As at the real broker, the other side of what is held cannot be taken under watch."""
    with ApiRig() as rig:
        mine = rig.track()
        rig.run(rig.engine.desk.untrack(TrackerId(mine), "by hand from here", "trader"))
        answer = rig.post("/trackers", position_body(side="SHORT"))

        assert (answer.status, answer.error["code"]) == (409, "not_held")
        assert _held(rig, rig.track()) == 75


def _held(rig: ApiRig, tracker_id: str) -> int | None:
    """Return what the broker holds on a position's key."""
    (preview,) = rig.get(f"/exit-preview?tracker_id={tracker_id}").json["items"]
    net: int | None = preview["broker_net_quantity"]
    return net


def test_a_position_that_rests_in_the_database_is_answered_for(rig: ApiRig) -> None:
    """By its id as ever, with its journal and its chart; listed where the past is asked for."""

    async def rest(tracker_id: str) -> None:
        book = rig.engine.exit_engine.book
        actor = book.get(TrackerId(tracker_id))
        assert actor is not None
        book.let_go(actor)

    mine = rig.track()
    rig.post(f"/trackers/{mine}/exit", {"reason": "x", "wait": "filled"})
    ended = rig.get(f"/trackers/{mine}").json
    for path in ("", "/journal", "/chart"):
        rig.run(rest(mine))
        assert mine not in {item["id"] for item in _items(rig, "/trackers")}
        answer = rig.get(f"/trackers/{mine}{path}")
        assert answer.status == 200
        assert path or answer.json == ended
    rig.run(rest(mine))
    again = rig.post(f"/trackers/{mine}/exit", {"reason": "x"})
    assert (again.status, again.json["code"]) == (200, "already_exited")
    rig.run(rest(mine))
    (preview,) = rig.get(f"/exit-preview?tracker_id={mine}").json["items"]
    assert preview["tracker_id"] == mine
    rig.run(rest(mine))
    past = _items(rig, "/trackers?status=EXITED&past=true")
    assert ended in past
    assert ended not in _items(rig, "/trackers")  # it goes on resting
