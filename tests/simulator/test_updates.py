"""The order-update socket: login, who is told, and the order of news and answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest


def login(token: str, client_id: str = "1100000001") -> str:
    request = {"MsgCode": 42, "ClientId": client_id, "Token": token}
    return json.dumps({"LoginReq": request, "UserType": "SELF"})


def connected(bench: Any, frame: str) -> Any:
    sink = type(bench.listen())()
    session = bench.broker.updates.connect(sink, bench.now)
    bench.broker.updates.receive(session, frame, bench.now)
    return sink


def test_nothing_is_told_before_login_nor_replayed_after(bench: Any) -> None:
    """A good login is not answered, and what happened before it is never sent."""
    bench.place()
    bench.run()

    sink = connected(bench, login("token"))
    bench.run()

    assert sink.frames == []
    assert sink.ended == ""


@pytest.mark.parametrize(
    ("knobs", "ended", "frames"),
    [
        ({}, "reset", 0),
        ({"bad_login": "close"}, "close", 0),
        ({"bad_login_binary_frame": True}, "reset", 1),
    ],
    ids=str,
)
def test_refused_login(
    make_bench: Callable[..., Any], knobs: dict[str, Any], ended: str, frames: int
) -> None:
    """A bad token ends the connection by reset or close, sometimes after five binary bytes."""
    bench = make_bench(credentials={"good": "1100000001"}, **knobs)

    sink = connected(bench, login("bad"))

    assert (sink.ended, len(sink.frames)) == (ended, frames)
    assert all(isinstance(frame, bytes) for frame in sink.frames)


def test_login_can_be_answered(make_bench: Callable[..., Any]) -> None:
    """Some saw an answer to the login (12.20)."""
    bench = make_bench(login_answer="json")

    assert connected(bench, login("token")).messages()[0]["Type"] == "login"


def test_frames_that_are_no_login_are_ignored(bench: Any) -> None:
    """Noise from the client neither logs in nor ends the connection."""
    for frame in ("", "[]", '{"LoginReq": 1}', b"\x00", login("token").replace("42", "41")):
        sink = connected(bench, frame)
        assert sink.ended == ""

    assert bench.broker.updates.session_count() == 5


def test_connection_cap_and_idle_close(make_bench: Callable[..., Any]) -> None:
    """A cap drops the oldest connection; an idle limit ends one that is still (12.20)."""
    bench = make_bench(order_socket_connections_max=1)
    first, second = bench.listen(), bench.listen()
    assert (first.ended, second.ended) == ("close", "")

    idle = make_bench(order_socket_idle_seconds=30)
    sink = idle.listen()
    idle.run(31_000)
    assert sink.ended == "close"


def test_a_socket_that_is_used_is_not_idle(make_bench: Callable[..., Any]) -> None:
    """A frame either way, or a client's ping, keeps it open: idle is what nothing passes."""
    bench = make_bench(order_socket_idle_seconds=30)
    sink = type(bench.listen())()
    session = bench.broker.updates.connect(sink, bench.now)
    bench.run(20_000)
    bench.broker.updates.receive(session, login("token"), bench.now)
    bench.run(20_000)
    bench.place()
    bench.run(20_000)
    assert (sink.ended, len(sink.frames) > 0) == ("", True)

    bench.run(11_000)

    assert sink.ended == "close"


def test_news_after_the_answer_by_default(bench: Any) -> None:
    """Updates follow the HTTP answer, in order."""
    sink = bench.listen()
    bench.tick("25999.0")
    bench.place()
    assert sink.frames == []

    bench.run()

    assert [u["status"] for u in sink.data()] == ["Transit", "Pending", "Traded"]


def test_news_before_the_answer(make_bench: Callable[..., Any]) -> None:
    """By switch the whole story is pushed before the placement is answered."""
    bench = make_bench(alert_timing="before_answer", exchange_delay_ms=0)
    sink = bench.listen()
    bench.tick("25999.0")

    bench.place()

    assert [u["status"] for u in sink.data()] == ["Transit", "Pending", "Traded"]


def test_only_the_own_account_is_told(make_bench: Callable[..., Any]) -> None:
    """An account's updates go to its own sessions, all of them."""
    bench = make_bench(credentials={"token": "1100000001", "other": "1100000002"})
    mine, also_mine = bench.listen(), bench.listen()
    foreign = connected(bench, login("other", "1100000002"))

    bench.place()
    bench.run()

    assert len(mine.frames) == len(also_mine.frames) == 2
    assert foreign.frames == []


def test_a_new_name_of_the_one_account_silences_nobody(bench: Any) -> None:
    """Without credentials the account takes the name that calls use, and sockets go with it."""
    sink = bench.listen()
    bench.headers["client-id"] = "1100000009"

    bench.place(dhanClientId="1100000009")
    bench.run()

    assert [update["status"] for update in sink.data()] == ["Transit", "Pending"]
