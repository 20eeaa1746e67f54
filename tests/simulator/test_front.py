"""What a fault makes of one REST call: did the broker act, and what does the client get."""

from typing import Any

import pytest

from squareoff.simulator.front import Ending, answer_delay_ns

WHERE = {"method": "POST", "path": "/v2/orders"}


@pytest.mark.parametrize(
    ("what", "acts", "ending", "status"),
    [
        ({}, True, "ANSWER", 200),
        ({"refuse": True}, False, "RESET", None),
        ({"drop_before": True}, False, "RESET", None),
        ({"drop_before": "hold"}, False, "HOLD", None),
        ({"drop_after": True}, True, "RESET", None),
        ({"drop_after": "hold"}, True, "HOLD", None),
        ({"reset_mid_answer": True}, True, "CUT", 200),
        ({"error": "DH-904"}, False, "ANSWER", 429),
        ({"error": "DH-904", "act": True}, True, "ANSWER", 429),
        ({"error": "DH-908"}, False, "ANSWER", 500),
        ({"error": "DH-909", "act": True}, True, "ANSWER", 502),
        ({"error": "DH-901"}, False, "ANSWER", 401),
        ({"error": "DH-906", "status": 400}, False, "ANSWER", 400),
        ({"status": 302, "headers": {"location": "/x"}}, False, "ANSWER", 302),
        ({"status": 200, "body": [{"message": "no", "status": "ERROR"}]}, False, "ANSWER", 200),
        ({"html": True}, False, "ANSWER", 502),
        ({"html": True, "act": True, "status": 200}, True, "ANSWER", 200),
        ({"truncated_json": True}, True, "ANSWER", 200),
        ({"empty_body": True}, True, "ANSWER", 200),
    ],
    ids=str,
)
def test_each_kind_of_fault(
    bench: Any, what: dict[str, Any], acts: bool, ending: str, status: int | None
) -> None:
    """Every fault acts or does not, and answers or does not, exactly as its name says."""
    bench.fault(where=WHERE, what=what)

    outcome = bench.outcome("POST", "/orders", bench.body())

    assert outcome.ending is Ending(ending)
    assert (outcome.response and outcome.response.status) == status
    assert len(bench.broker.desk.orders) == int(acts)


def test_spoilt_bodies(bench: Any) -> None:
    """Truncated JSON does not parse, HTML is HTML, and an empty body is empty."""
    bench.fault(where=WHERE, what={"truncated_json": True}, how_often={"nth": 1})
    bench.fault(where=WHERE, what={"html": True}, how_often={"nth": 2})
    bench.fault(where=WHERE, what={"empty_body": True}, how_often={"nth": 3})
    bench.fault(where=WHERE, what={"status": 200, "body": "plain"}, how_often={"nth": 4})

    responses = [bench.outcome("POST", "/orders", bench.body()).response for _ in range(4)]

    assert responses[0].body.startswith(b'{"orderId"')
    assert not responses[0].body.endswith(b"}")
    assert (responses[1].body[:6], responses[1].headers["content-type"]) == (b"<html>", "text/html")
    assert [responses[2].body, responses[3].body] == [b"", b"plain"]


def test_a_request_can_act_twice(bench: Any) -> None:
    """A repeated request makes two orders under one tag and one answer."""
    bench.fault(where=WHERE, what={"repeat": 2})
    bench.place()

    assert len(bench.call("GET", "/orders")[1]) == 2


def test_reads_can_lag_by_rule(bench: Any) -> None:
    """A rule can make one kind of read answer from the past, for orders already named in it."""
    order_id = bench.place()
    bench.run(500)
    bench.fault(where={"method": "GET", "path": "/v2/orders/external/*"}, what={"lag_ms": 60_000})

    assert bench.call("GET", "/orders/external/tag-1")[0] == 404
    assert bench.row(order_id)["orderStatus"] == "PENDING"


def test_rules_match_the_order_that_a_path_names(bench: Any) -> None:
    """A cancel has no body, so its rule matches on the order itself."""
    order_id = bench.place(transactionType="SELL")
    bench.run()
    bench.fault(where={"method": "DELETE", "match": {"transactionType": "SELL"}},
                what={"error": "DH-908"})  # fmt: skip

    assert bench.call("DELETE", f"/orders/{order_id}")[0] == 500
    assert bench.row(order_id)["orderStatus"] == "PENDING"


def test_partial_fill_and_reject(bench: Any) -> None:
    """A rule on a placement bounds its fills until freed, or has it rejected after the 200."""
    bench.tick("25999.0")
    bench.fault(where=WHERE, what={"partial_fill": 75}, how_often={"nth": 1})
    bench.fault(where=WHERE, what={"reject": "RULE: margin exceeds"}, how_often={"nth": 2})
    partial, rejected = bench.place(quantity=150), bench.place()
    bench.run()

    assert bench.row(partial)["orderStatus"] == "PART_TRADED"
    assert "margin exceeds" in bench.row(rejected)["omsErrorDescription"]
    bench.admin.act_on_order(partial, "free", {}, bench.now)
    assert bench.row(partial)["orderStatus"] == "TRADED"


def test_reject_of_cancel_and_modify(bench: Any) -> None:
    """A cancel can be accepted and never carried out; a modification accepted and refused later."""
    order_id = bench.place()
    bench.run()
    bench.fault(where={"method": "DELETE"}, what={"reject": "lost"})
    bench.fault(where={"method": "PUT"}, what={"reject": "no"})

    assert bench.call("DELETE", f"/orders/{order_id}")[0] == 202
    body = bench.body(orderId=order_id, price=25990.0)
    assert bench.call("PUT", f"/orders/{order_id}", body)[0] == 200
    bench.run()

    row = bench.row(order_id)
    assert (row["orderStatus"], row["price"], row["omsErrorDescription"]) == (
        "PENDING", 26000.0, "no",
    )  # fmt: skip


def test_delays_are_told_to_the_driver(bench: Any) -> None:
    """Delays before acting and before answering are the driver's to wait."""
    bench.fault(where=WHERE, what={"delay_ms": 5, "answer_delay_ms": 7})
    bench.knobs(answer_delay_ms=3)
    from squareoff.simulator.wire import WireRequest

    decision = bench.broker.decide(WireRequest("POST", "/orders"), bench.now)

    assert decision.delay_ns == 5_000_000
    assert answer_delay_ns(bench.broker, decision) == 10_000_000
