"""The log of everything the broker received."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from squareoff.simulator.faults import NO_FAULT
from squareoff.simulator.received import RECEIVED_MAX, ReceivedLog
from squareoff.simulator.wire import WireRequest


@pytest.mark.parametrize(
    ("what", "has_acted", "status", "ending"),
    [
        ({}, True, 200, "ANSWER"),
        ({"refuse": True}, False, None, "RESET"),
        ({"drop_before": "hold"}, False, None, "HOLD"),
        ({"drop_after": True}, True, 200, "RESET"),
        ({"status": 500}, False, 500, "ANSWER"),
        ({"status": 500, "act": True}, True, 200, "ANSWER"),
        ({"error": "DH-908"}, False, 500, "ANSWER"),
        ({"html": True}, False, 502, "ANSWER"),
        ({"empty_body": True}, True, 200, "ANSWER"),
        ({"reset_mid_answer": True}, True, 200, "CUT"),
    ],
    ids=str,
)
def test_whatever_a_fault_makes_of_it_an_order_is_counted_once(
    bench: Any, what: dict[str, Any], has_acted: bool, status: int | None, ending: str
) -> None:
    """Each request has one entry with the fault that befell it, whether it acted, and its end."""
    bench.fault(id="it", where={"method": "POST", "path": "/v2/orders"}, what=what)
    bench.outcome("POST", "/orders", bench.body())

    (entry,) = bench.broker.received

    assert (entry["method"], entry["path"], entry["faults"]) == ("POST", "/orders", ["it"])
    assert (entry["acted_ns"] == bench.now) is has_acted
    assert (entry["status"], entry["ending"]) == (status, ending)
    assert '"tag-1"' in entry["body"]
    assert len(bench.broker.account().orders) == has_acted


def test_a_request_is_told_before_it_is_answered(make_server: Callable[..., Any]) -> None:
    """While a fault still delays it, a request stands there with its time and without an end."""
    sim = make_server()
    rule = {"id": "late", "where": {"path": "/v2/orders"}, "what": {"delay_ms": 60_000}}
    sim.admin("POST", "faults", rule)

    async def ask() -> dict[str, Any]:
        async with aiohttp.ClientSession(headers={"access-token": "t"}) as http:
            url = f"http://127.0.0.1:{sim.port}/v2/orders"
            call = asyncio.ensure_future(http.get(url))
            while not (found := (await asyncio.to_thread(sim.state, "received"))["received"]):
                await asyncio.sleep(0.01)
            call.cancel()
            return dict(found[0])

    entry = asyncio.run(asyncio.wait_for(ask(), 30.0))

    assert entry["time_ns"] > 0
    assert entry["faults"] == ["late"]
    assert (entry["acted_ns"], entry["status"], entry["ending"]) == (None, None, None)


def test_frames_of_sockets_are_told_without_their_token(bench: Any) -> None:
    """Logins and subscriptions stand beside the calls, with the faults that befell them."""
    bench.fault(id="mute", where={"socket": "feed", "on": "subscribe"}, what={"drop": True})
    bench.listen()
    bench.subscribe(21, ("NSE_FNO", "49543"))
    bench.place()

    login, subscription, order = bench.broker.received

    assert (login["socket"], login["method"], login["path"]) == (
        "order_update",
        "FRAME",
        "/order-update",
    )
    assert '"ClientId": "1100000001"' in login["body"]
    assert '"Token": "***"' in login["body"]
    assert '"49543"' in subscription["body"]
    assert (subscription["path"], subscription["faults"]) == ("/feed", ["mute"])
    assert (order["socket"], order["time_ns"]) == ("", bench.now)


def test_upgrades_of_sockets_are_told(make_server: Callable[..., Any]) -> None:
    """Also one that a fault refuses is told, without the token of its address."""
    sim = make_server()
    rule = {"id": "full", "where": {"socket": "feed", "on": "connect"}, "what": {"status": 429}}
    sim.admin("POST", "faults", rule)

    async def connect() -> None:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(f"http://127.0.0.1:{sim.port}/feed?version=2&token=secret")

    asyncio.run(connect())
    (entry,) = sim.state("received")["received"]

    assert (entry["method"], entry["path"], entry["faults"]) == ("GET", "/feed", ["full"])
    assert entry["query"] == {"version": "2", "token": "***"}


def test_the_log_is_bounded() -> None:
    """The oldest entries make room."""
    log = ReceivedLog()
    for number in range(RECEIVED_MAX + 2):
        log.note_call(WireRequest("GET", f"/{number}", {}, {}, b""), NO_FAULT, number)

    assert len(log) == RECEIVED_MAX
    assert next(iter(log))["path"] == "/2"
