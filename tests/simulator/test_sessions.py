"""Faults on what the sockets push."""

from collections.abc import Callable
from typing import Any

import pytest

UPDATES = {"socket": "order_update"}
FEED = {"socket": "feed"}
FUTURE = ("NSE_FNO", "49543")


def story(make_bench: Callable[..., Any], *rules: dict[str, Any]) -> tuple[Any, Any]:
    """Return bench and sink after an order was placed and filled under these rules."""
    bench = make_bench()
    bench.tick("25999.0")
    sink = bench.listen()
    for rule in rules:
        bench.fault(**({"where": UPDATES} | rule))
    bench.place()
    bench.run()
    return bench, sink


def words(sink: Any) -> list[str]:
    return [data["status"] for data in sink.data()]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"what": {"drop": True}, "how_often": {"nth": 2}}, ["Transit", "Traded"]),
        (
            {"what": {"duplicate": 2}, "how_often": {"nth": 1}},
            ["Transit"] * 3 + ["Pending", "Traded"],
        ),
        ({"what": {"reorder": 1}, "how_often": {"nth": 1}}, ["Pending", "Transit", "Traded"]),
        ({"what": {"reorder": 2}, "how_often": {"nth": 1}}, ["Pending", "Traded", "Transit"]),
        ({"what": {"delay_ms": 500}, "how_often": {"nth": 1}}, ["Pending", "Traded", "Transit"]),
        ({"what": {"silence": True}}, []),
        (
            {"where": UPDATES | {"match": {"orderStatus": "PENDING"}}, "what": {"drop": True}},
            ["Transit", "Traded"],
        ),
    ],
    ids=str,
)
def test_updates_can_be_missed_repeated_reordered_or_late(
    make_bench: Callable[..., Any], rule: dict[str, Any], expected: list[str]
) -> None:
    """Each fault of the stream changes what arrives and nothing of the truth."""
    bench, sink = story(make_bench, rule)

    assert words(sink) == expected
    assert bench.call("GET", "/orders")[1][0]["orderStatus"] == "TRADED"


def test_a_reordered_last_frame_is_not_lost(make_bench: Callable[..., Any]) -> None:
    """A held frame that no other frame follows is pushed after a second."""
    bench, sink = story(make_bench, {"what": {"reorder": 1}, "how_often": {"nth": 3}})
    assert words(sink) == ["Transit", "Pending"]

    bench.run(1_500)

    assert words(sink) == ["Transit", "Pending", "Traded"]


@pytest.mark.parametrize(
    ("style", "ended"), [(True, "reset"), ("reset", "reset"), ("close", "close")]
)
def test_disconnect_after_a_frame(make_bench: Callable[..., Any], style: Any, ended: str) -> None:
    """The connection can end right after a frame; what follows is lost, not replayed."""
    _, sink = story(make_bench, {"what": {"disconnect": style}, "how_often": {"nth": 1}})

    assert (len(sink.frames), sink.ended) == (1, ended)


@pytest.mark.parametrize("kind", ["text", "binary", "truncated"])
def test_garbage_updates(make_bench: Callable[..., Any], kind: str) -> None:
    """A frame can be no JSON: text, five binary bytes, or half a message."""
    _, sink = story(make_bench, {"what": {"garbage": kind}, "how_often": {"nth": 1}})

    first = sink.frames[0]
    assert isinstance(first, bytes) == (kind == "binary")
    with pytest.raises(ValueError):
        sink.messages()


def test_login_can_be_refused_by_rule(make_bench: Callable[..., Any]) -> None:
    """A rule on the login ends the connection right after it."""
    bench = make_bench()
    bench.fault(where=UPDATES | {"on": "login"}, what={"disconnect": True}, how_often={"times": 1})

    assert [bench.listen().ended, bench.listen().ended] == ["reset", ""]


@pytest.mark.parametrize(
    ("what", "check"),
    [
        ({"garbage": "unknown_code"}, lambda f: f[0] == 0x63),
        ({"garbage": "wrong_length"}, lambda f: f[1:3] == b"\xf0\xff"),
        ({"garbage": "stale_length"}, lambda f: f[1:3] == b"\x00\x00"),
        ({"garbage": "truncated"}, lambda f: len(f) == 8),
        ({"price": "nan"}, lambda f: f[8:12] == b"\x00\x00\xc0\x7f"),
        ({"price": "0"}, lambda f: f[8:12] == bytes(4)),
        ({"security_id": "1"}, lambda f: f[4:8] == b"\x01\x00\x00\x00"),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_spoilt_feed_packets(bench: Any, what: dict[str, Any], check: Callable[..., bool]) -> None:
    """A packet can have a wrong code, length, price or instrument."""
    sink, _ = bench.subscribe(15, FUTURE)
    bench.fault(where=FEED, what=what)

    bench.tick("26000.0")

    assert check(sink.frames[-1])


def test_feed_disconnect_with_reason_and_lost_subscription(bench: Any) -> None:
    """A rule can send packet 50 with any reason, or swallow a subscription."""
    sink, _ = bench.subscribe(15, FUTURE)
    bench.fault(where=FEED, what={"disconnect": 807}, how_often={"times": 1})
    bench.fault(where=FEED | {"on": "subscribe"}, what={"drop": True}, how_often={"times": 1})
    bench.tick("26000.0")
    assert (sink.frames[-1][-2:], sink.ended) == (b"\x27\x03", "close")

    deaf, _ = bench.subscribe(15, FUTURE)
    bench.tick("26001.0")

    assert deaf.frames == []


@pytest.mark.parametrize(
    ("reason", "last", "ended"),
    [(805, b"\x25\x03", "close"), ("reset", b"", "reset"), ("close", b"", "close")],
)
def test_a_subscription_can_end_the_feed(
    bench: Any, reason: int | str, last: bytes, ended: str
) -> None:
    """With or without a reason, and without the first packets."""
    bench.fault(where=FEED | {"on": "subscribe"}, what={"disconnect": reason})
    sink, session = bench.subscribe(15, FUTURE)

    assert b"".join(sink.frames)[-2:] == last
    assert (sink.ended, session.is_open) == (ended, False)
    assert bench.broker.feed.subscriptions() == []


@pytest.mark.parametrize("packet", [{"feed_prev_close": "all"}, {"feed_status_packet": True}])
def test_a_reason_takes_the_place_of_whatever_packet_comes_first(
    make_bench: Callable[..., Any], packet: dict[str, Any]
) -> None:
    """The feed tells the previous close and its status before it tells a price."""
    bench = make_bench(**packet)
    bench.fault(where=FEED, what={"disconnect": 805}, how_often={"nth": 1})

    sink, _ = bench.subscribe(15, FUTURE)

    assert ([frame[0] for frame in sink.frames], sink.ended) == ([50], "close")


def test_a_subscription_can_be_taken_late(bench: Any) -> None:
    """What is told meanwhile is not told to it; one whose feed has ended by then is not taken."""
    bench.fault(where=FEED | {"on": "subscribe"}, what={"delay_ms": 500})
    sink, _ = bench.subscribe(15, FUTURE)
    _, gone = bench.subscribe(15, FUTURE)
    bench.broker.feed.disconnect(gone)
    bench.tick("26000.0")
    assert sink.frames == []

    bench.run(500)
    bench.tick("26001.0")
    assert sink.frames != []
    assert len(bench.broker.feed.subscriptions()) == 1


@pytest.mark.parametrize("what", [{"drop": True}, {"silence": True}, {"delay_ms": 500}])
def test_a_login_can_be_lost_or_late(bench: Any, what: dict[str, Any]) -> None:
    """A session that is not logged in hears nothing, and nobody tells it so."""
    bench.fault(where=UPDATES | {"on": "login"}, what=what)
    sink = bench.listen()
    assert (bench.broker.updates.session_count(), sink.ended) == (0, "")

    bench.run(500)
    assert bench.broker.updates.session_count() == int("delay_ms" in what)


def test_old_time_stamps(bench: Any) -> None:
    """A packet can carry the trade time of long ago."""
    sink, _ = bench.subscribe(15, FUTURE)
    bench.fault(where=FEED, what={"time_shift_seconds": -60})

    bench.tick("26000.0")

    raw = int.from_bytes(sink.frames[-1][12:16], "little")
    assert raw == bench.now // 10**9 + 19_800 - 60


def test_an_update_can_say_something_else(make_bench: Callable[..., Any]) -> None:
    """A rule can change what an update says, in any spelling of its fields."""
    changed = {"STATUS": "Frozen", "tradedqty": 5, "extra": 1}
    _, sink = story(make_bench, {"what": {"fields": changed}, "how_often": {"nth": 2}})

    second = sink.data()[1]
    assert (second["status"], second["tradedQty"], second["extra"]) == ("Frozen", 5, 1)
    assert words(sink)[2] == "Traded"
