"""The market feed: subscriptions, limits, packets and the knobs of dhanhq-v2.md 7."""

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

FUTURE, INDEX, STOCK = ("NSE_FNO", "49543"), ("IDX_I", "13"), ("NSE_EQ", "2885")


def codes(sink: Any) -> list[int]:
    return [frame[0] for frame in sink.frames]


@pytest.mark.parametrize(
    ("mode", "expected"), [(15, [6, 2]), (17, [6, 4, 5]), (21, [6, 8, 5])], ids=str
)
def test_modes_and_snapshot(bench: Any, mode: int, expected: list[int]) -> None:
    """A subscription brings previous close and a snapshot, then the mode's packets per change."""
    bench.tick("26000.0")
    sink, _ = bench.subscribe(mode, FUTURE)
    assert codes(sink) == expected

    bench.tick("26000.5")

    assert codes(sink) == expected + expected[1:]
    assert round(struct.unpack_from("<f", sink.frames[-len(expected) + 1], 8)[0], 2) == 26000.5


def test_depth_alone_is_no_print(bench: Any) -> None:
    """A change of depth reaches full mode and not the ticker."""
    full, _ = bench.subscribe(21, FUTURE)
    ticker, _ = bench.subscribe(15, FUTURE)
    before = len(full.frames), len(ticker.frames)

    bench.admin.push_tick(
        {"exchangeSegment": "NSE_FNO", "securityId": "49543", "bids": [[25999.5, 75]]}, bench.now
    )

    assert (len(full.frames) - before[0], len(ticker.frames) - before[1]) == (2, 0)


def test_unsubscribe_uses_mode_plus_one(bench: Any) -> None:
    """Unsubscribing a mode ends that mode only; request 12 ends the connection."""
    sink, session = bench.subscribe(15, FUTURE)
    wanted = [{"ExchangeSegment": "NSE_FNO", "SecurityId": "49543"}]
    bench.broker.feed.receive(
        session, json.dumps({"RequestCode": 18, "InstrumentList": wanted}), bench.now
    )
    bench.tick("26000.0")
    assert codes(sink) == [6, 2]

    bench.broker.feed.receive(
        session, json.dumps({"RequestCode": 16, "InstrumentList": wanted}), bench.now
    )
    bench.tick("26001.0")
    bench.broker.feed.receive(session, '{"RequestCode": 12}', bench.now)

    assert codes(sink) == [6, 2]
    assert sink.ended == "close"


def test_sixth_connection_drops_the_oldest(bench: Any) -> None:
    """Five connections live; the sixth ends the oldest with packet 50, reason 805."""
    sinks = [bench.subscribe(15)[0] for _ in range(6)]

    assert struct.unpack("<BHBIH", sinks[0].frames[-1])[-1] == 805
    assert [sink.ended for sink in sinks] == ["close", "", "", "", "", ""]


def test_more_than_5000_instruments_end_the_connection(bench: Any) -> None:
    """5,000 in hundreds are taken; one more ends the connection with 804."""
    sink, session = bench.subscribe(15)
    for start in range(0, 5_000, 100):
        bench.broker.feed.receive(session, _request(range(start, start + 100)), bench.now)
    assert (sink.frames, sink.ended) == ([], "")

    bench.broker.feed.receive(session, _request([5_000]), bench.now)

    assert struct.unpack("<BHBIH", sink.frames[-1])[-1] == 804
    assert sink.ended == "close"


def _request(numbers: Any) -> str:
    wanted = [{"ExchangeSegment": "NSE_EQ", "SecurityId": str(900_000 + n)} for n in numbers]
    return json.dumps({"RequestCode": 15, "InstrumentList": wanted})


def test_too_many_instruments(make_bench: Callable[..., Any]) -> None:
    """More than 100 in a message, or more than the connection's limit, ends it with 804."""
    many = [("NSE_EQ", str(number)) for number in range(101)]
    sink, _ = make_bench().subscribe(15, *many)
    assert struct.unpack("<BHBIH", sink.frames[-1])[-1] == 804

    small = make_bench(feed_instruments_max=1)
    sink, _ = small.subscribe(15, FUTURE, STOCK)
    assert struct.unpack("<BHBIH", sink.frames[-1])[-1] == 804


@pytest.mark.parametrize("reason", [807, 808, 809, 810])
def test_bad_token_reasons(make_bench: Callable[..., Any], reason: int) -> None:
    """A bad token is told by packet 50 with one of four reasons (12.27)."""
    bench = make_bench(token_is_alive=False, feed_bad_token_code=reason)

    sink, _ = bench.subscribe(15, FUTURE)

    assert struct.unpack("<BHBIH", sink.frames[0])[-1] == reason
    assert sink.ended == "close"


def test_bad_token_can_be_a_plain_reset(make_bench: Callable[..., Any]) -> None:
    """A bad token may also be a reset without a word."""
    sink, _ = make_bench(token_is_alive=False, feed_bad_token_reset=True).subscribe(15)

    assert (sink.frames, sink.ended) == ([], "reset")


@pytest.mark.parametrize(
    ("knobs", "target", "expected"),
    [
        ({"feed_prev_close": "index"}, FUTURE, [8, 5]),
        ({"feed_prev_close": "index"}, INDEX, [6, 8]),
        ({"feed_prev_close": "none"}, INDEX, [8]),
        ({"feed_index_full_mode": "quote"}, INDEX, [6, 4]),
        ({"feed_index_full_mode": "none"}, INDEX, [6]),
        ({"feed_snapshot": False}, FUTURE, [6]),
        ({"feed_open_interest_packet": False}, FUTURE, [6, 8]),
        ({"feed_status_packet": True}, STOCK, [6, 7, 8]),
    ],
    ids=str,
)
def test_knobs_of_the_first_packets(
    make_bench: Callable[..., Any], knobs: dict[str, Any], target: tuple[str, str],
    expected: list[int],
) -> None:  # fmt: skip
    """Which packets come, for which instruments, is uncertain and can be shown either way."""
    bench = make_bench(**knobs)
    bench.tick("100.0", security_id=target[1], segment=target[0])

    sink, _ = bench.subscribe(21, target)

    assert codes(sink) == expected


def test_index_packet_close_field_and_length(make_bench: Callable[..., Any]) -> None:
    """Index packets (code 1), an empty close, and a length without header can be shown."""
    odd = make_bench(
        feed_index_packet=True, feed_close_field="zero", feed_length_includes_header=False
    )
    odd.tick("17000.0", security_id="13", segment="IDX_I")
    odd.tick("26000.0")

    ticker, _ = odd.subscribe(15, INDEX)
    quote, _ = odd.subscribe(17, FUTURE)

    assert ticker.frames[1][:3] == b"\x01\x08\x00"
    assert struct.unpack_from("<f", quote.frames[1], 38)[0] == 0


def test_packets_can_be_concatenated(make_bench: Callable[..., Any]) -> None:
    """Several packets can share one frame."""
    bench = make_bench(feed_concatenate=True)
    bench.tick("26000.0")

    sink, _ = bench.subscribe(21, FUTURE)

    assert [len(frame) for frame in sink.frames] == [16, 162 + 12]


def test_heartbeat(make_bench: Callable[..., Any]) -> None:
    """Code-0 packets come when asked for."""
    bench = make_bench(feed_heartbeat_seconds=5)
    sink, _ = bench.subscribe(15)

    bench.run(11_000)

    assert codes(sink) == [0, 0]


def test_last_trade_time_is_now_or_as_recorded(make_bench: Callable[..., Any]) -> None:
    """The feed's trade time is the Indian wall clock, of now or of the recording."""
    bench = make_bench()
    bench.tick("26000.0")
    sink, _ = bench.subscribe(15, FUTURE)

    assert struct.unpack_from("<I", sink.frames[1], 12)[0] == bench.now // 10**9 + 19_800


@pytest.mark.parametrize("wanted", [5, True, "NSE_FNO", {"ExchangeSegment": "NSE_FNO"}, [5], None])
def test_a_request_with_no_list_of_instruments_subscribes_nothing(bench: Any, wanted: Any) -> None:
    """The session goes on without it."""
    sink, session = bench.subscribe(15)
    frame = json.dumps({"RequestCode": 15, "InstrumentList": wanted})

    bench.broker.feed.receive(session, frame, bench.now)

    assert (session.subscriptions, session.is_open, sink.frames) == ({}, True, [])


def test_the_previous_close_packet_tells_of_the_day_before(bench: Any) -> None:
    """Close and open interest are those that the day before ended with, whatever today's are."""

    def told() -> tuple[float, int]:
        sink, _ = bench.subscribe(21, FUTURE)
        return struct.unpack("<fI", sink.frames[0][8:16])

    bench.tick("26000.0", open_interest=1_000)
    bench.tick("25000.0", open_interest=5_555)
    first = told()
    bench.admin.begin_next_day(bench.now)
    bench.tick("25100.0", open_interest=6_000)

    assert (first[1], told()) == (0, (25_000.0, 5_555))


def test_a_trade_time_shifted_beyond_its_field_is_the_latest(bench: Any) -> None:
    """However far a fault moves the trade time, the packet goes out."""
    bench.fault(where={"socket": "feed"}, what={"time_shift_seconds": 2**31 - 1})
    sink, _ = bench.subscribe(15, FUTURE)
    bench.now += 10**9 * 2**30

    bench.tick("26000.0")

    assert struct.unpack_from("<I", sink.frames[-1], 12)[0] == 2**32 - 1
