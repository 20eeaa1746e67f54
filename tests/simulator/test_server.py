"""The simulator on real sockets: what only a network can show."""

import asyncio
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

HEADERS = {"access-token": "token", "client-id": "1100000001"}
FUTURE = {"exchange_segment": "NSE_FNO", "security_id": "49543"}
DATA = Path(__file__).parent.parent / "data"
LOGIN = {"LoginReq": {"MsgCode": 42, "ClientId": "1100000001", "Token": "token"}}
SECONDS_MAX = 10.0


def body(**changes: Any) -> dict[str, Any]:
    return {
        "dhanClientId": "1100000001", "correlationId": "tag-1", "transactionType": "BUY",
        "exchangeSegment": "NSE_FNO", "productType": "INTRADAY", "orderType": "LIMIT",
        "validity": "DAY", "securityId": "49543", "quantity": 75, "price": 26000.0,
    } | changes  # fmt: skip


def place(sim: Any, **changes: Any) -> requests.Response:
    url = f"{sim.rest_url}/orders"
    return requests.post(url, json=body(**changes), headers=HEADERS, timeout=SECONDS_MAX)


def read(sim: Any, path: str) -> Any:
    return requests.get(sim.rest_url + path, headers=HEADERS, timeout=SECONDS_MAX)


def until(check: Callable[[], Any]) -> Any:
    """Return the first true value of `check`, asked again and again until a deadline."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, "it did not happen in time"


def test_an_order_from_request_to_position(make_server: Callable[..., Any]) -> None:
    """Over HTTP an order is accepted, fills, and shows in book, trades and positions."""
    sim = make_server()
    sim.admin("POST", "ticks", FUTURE | {"last_price": "25999.0"})

    answer = place(sim)
    until(lambda: read(sim, "/positions").json())

    assert answer.json()["orderStatus"] == "TRANSIT"
    assert read(sim, "/orders/external/tag-1").json()["orderStatus"] == "TRADED"
    assert read(sim, "/trades").json()[0]["tradedPrice"] == 25999.0
    state = sim.state()
    assert state["orders"][0]["average_price"] == "25999.00000000"
    assert state["received"][0]["path"] == "/orders"


@pytest.mark.parametrize(
    ("what", "orders"),
    [
        ({"refuse": True}, 0),
        ({"drop_before": True}, 0),
        ({"drop_after": True}, 1),
        ({"reset_mid_answer": True}, 1),
    ],
    ids=str,
)
def test_connections_break_before_or_after_acting(
    make_server: Callable[..., Any], what: dict[str, Any], orders: int
) -> None:
    """A broken connection looks the same to the client whether or not the broker acted."""
    sim = make_server()
    rule = {"where": {"method": "POST", "path": "/v2/orders"}, "what": what}
    sim.admin("POST", "faults", [rule])

    with pytest.raises(requests.RequestException):
        place(sim)

    assert len(sim.state("orders")["orders"]) == orders
    sim.admin("DELETE", "faults")
    assert place(sim).status_code == 200


@pytest.mark.parametrize(("what", "orders"), [("drop_before", 0), ("drop_after", 1)])
def test_held_answers_end_by_the_client_s_patience(
    make_server: Callable[..., Any], what: str, orders: int
) -> None:
    """A held answer never comes; the client times out and the broker acted, or not."""
    sim = make_server(faults=({"where": {"method": "POST"}, "what": {what: "hold"}},))

    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(f"{sim.rest_url}/orders", json=body(), headers=HEADERS, timeout=0.2)

    assert len(sim.state("orders")["orders"]) == orders


def test_a_request_can_act_after_the_client_gave_up(make_server: Callable[..., Any]) -> None:
    """A delayed request takes effect although its client has gone."""
    rule = {"where": {"method": "POST"}, "what": {"delay_ms": 300}}
    sim = make_server(faults=(rule,))

    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(f"{sim.rest_url}/orders", json=body(), headers=HEADERS, timeout=0.1)

    assert sim.state("orders")["orders"] == []
    until(lambda: sim.state("orders")["orders"])


def test_slow_answers_are_waited_for(make_server: Callable[..., Any]) -> None:
    """An answer delay is real time to the client, and the broker acted before it."""
    sim = make_server(conduct={"answer_delay_ms": 200})

    started = time.monotonic()
    place(sim)

    assert time.monotonic() - started >= 0.2


def test_a_closed_listener_refuses_connections(make_server: Callable[..., Any]) -> None:
    """For a while nobody can connect, then all is as before."""
    sim = make_server()
    assert place(sim).status_code == 200
    sim.admin("POST", "listener", {"closed_seconds": 2})

    with pytest.raises(requests.exceptions.ConnectionError):
        read(sim, "/orders")

    def answered() -> bool:
        try:
            return read(sim, "/orders").status_code == 200
        except requests.exceptions.ConnectionError:
            return False

    assert until(answered)
    assert len(sim.state("orders")["orders"]) == 1


def talk(coroutine: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(SECONDS_MAX):
            return await coroutine

    return asyncio.run(bounded())


async def next_words(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[str]:
    return [json.loads(await socket.receive_str())["Data"]["status"] for _ in range(count)]


async def logged_in(session: aiohttp.ClientSession, sim: Any) -> aiohttp.ClientWebSocketResponse:
    socket = await session.ws_connect(sim.order_update_url)
    await socket.send_json(LOGIN)
    while not (await asyncio.to_thread(sim.state, "sockets"))["sockets"]["order_update"]:
        pass
    return socket


def test_order_updates_arrive(make_server: Callable[..., Any]) -> None:
    """The socket tells the story of an order, and answers pings."""
    sim = make_server()
    sim.admin("POST", "ticks", FUTURE | {"last_price": "25999.0"})

    async def story() -> list[str]:
        async with aiohttp.ClientSession() as session:
            socket = await logged_in(session, sim)
            await socket.ping()
            await asyncio.to_thread(place, sim)
            return await next_words(socket, 3)

    assert talk(story()) == ["Transit", "Pending", "Traded"]


def test_update_before_the_answer(make_server: Callable[..., Any]) -> None:
    """By switch the update is on the wire before the placement's answer is."""
    sim = make_server(
        conduct={
            "alert_timing": "before_answer", "exchange_delay_ms": 0, "answer_delay_ms": 1_000,
        }
    )  # fmt: skip
    sim.admin("POST", "ticks", FUTURE | {"last_price": "25999.0"})

    async def story() -> bool:
        async with aiohttp.ClientSession() as session:
            socket = await logged_in(session, sim)
            placing = asyncio.ensure_future(asyncio.to_thread(place, sim))
            await next_words(socket, 3)
            was_first = not placing.done()
            await placing
            return was_first

    assert talk(story())


@pytest.mark.parametrize(("how", "code"), [("reset", 1006), ("close", 1000)])
def test_sockets_can_be_ended(make_server: Callable[..., Any], how: str, code: int) -> None:
    """The admin ends sockets by a reset or a polite close."""
    sim = make_server()

    async def story() -> int | None:
        async with aiohttp.ClientSession() as session:
            socket = await logged_in(session, sim)
            await asyncio.to_thread(
                sim.admin, "POST", "sockets", {"disconnect": "order_update", "how": how}
            )
            message = await socket.receive()
            assert message.type in (
                aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR,
            )  # fmt: skip
            return socket.close_code

    assert talk(story()) == code


def test_refused_login_is_a_reset(make_server: Callable[..., Any], tmp_path: Path) -> None:
    """With credentials a wrong token is cut off right after the login, and REST says 401."""
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps([{"client_id": "1100000001", "access_token": "right"}]))
    sim = make_server(credentials_file=path)

    async def story() -> bool:
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(sim.order_update_url)
            await socket.send_json(LOGIN)
            await socket.receive()
            return socket.closed

    assert talk(story())
    assert read(sim, "/orders").status_code == 401


def test_upgrade_can_be_refused_with_429(make_server: Callable[..., Any]) -> None:
    """A rule on connect answers the upgrade with a status, as after reconnect storms."""
    rule = {"where": {"socket": "feed", "on": "connect"}, "what": {"status": 429}}
    sim = make_server(faults=(rule,))

    async def story() -> int:
        async with aiohttp.ClientSession() as session:
            try:
                await session.ws_connect(sim.feed_url)
            except aiohttp.WSServerHandshakeError as error:
                return error.status
        return 0

    assert talk(story()) == 429


@pytest.mark.parametrize("reason", [804, 805, 806, 807, 808, 809, 810])
def test_the_feed_can_be_ended_with_any_reason(
    make_server: Callable[..., Any], reason: int
) -> None:
    """A rule on connect opens the feed and ends it by packet 50 with the reason."""
    rule = {"where": {"socket": "feed", "on": "connect"}, "what": {"disconnect": reason}}
    sim = make_server(faults=(rule,))

    async def story() -> tuple[int, bool]:
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(feed_url(sim))
            packet = (await socket.receive()).data
            await socket.receive()
            return struct.unpack("<BHBIH", packet)[-1], socket.closed

    assert talk(story()) == (reason, True)


def feed_url(sim: Any) -> str:
    return f"{sim.feed_url}?version=2&token=token&clientId=1100000001&authType=2"


SUBSCRIBE = {
    "RequestCode": 15, "InstrumentCount": 1,
    "InstrumentList": [{"ExchangeSegment": "NSE_FNO", "SecurityId": "49543"}],
}  # fmt: skip


def test_feed_pushes_prices(make_server: Callable[..., Any]) -> None:
    """A subscription brings previous close, snapshot, and every push."""
    sim = make_server()
    sim.admin("POST", "ticks", FUTURE | {"last_price": "25999.0"})

    async def story() -> list[int]:
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(feed_url(sim))
            await socket.send_json(SUBSCRIBE)
            first = [await socket.receive_bytes() for _ in range(2)]
            await asyncio.to_thread(sim.admin, "POST", "ticks", FUTURE | {"last_price": 26000})
            return [frame[0] for frame in [*first, await socket.receive_bytes()]]

    assert talk(story()) == [6, 2, 2]


def test_feed_pings_and_closes_without_pongs(make_server: Callable[..., Any]) -> None:
    """The server pings; a client that never pongs is closed after the limit."""
    sim = make_server(conduct={"feed_ping_seconds": 0.05, "feed_pong_timeout_seconds": 0.2})

    async def story() -> tuple[int, bool]:
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(feed_url(sim), autoping=False)
            pings = 0
            while (message := await socket.receive()).type is aiohttp.WSMsgType.PING:
                pings += 1
            return pings, message.type is aiohttp.WSMsgType.CLOSE

    pings, is_closed = talk(story())
    assert pings >= 2
    assert is_closed


def test_replay_runs_at_speed_and_is_steered(make_server: Callable[..., Any]) -> None:
    """Recorded data plays by itself; the clock can be held, moved and sped up."""
    sim = make_server(ticks=(str(DATA / "nifty-fut-ticks-excerpt.csv"),), is_paused=True)
    clock = sim.admin("GET", "clock")
    assert (clock["paused"], clock["finished"]) == (True, False)

    sim.admin("POST", "clock", {"advance_seconds": 30})
    assert until(lambda: sim.admin("GET", "clock")["next_step_seconds"] > 30)
    sim.admin("POST", "clock", {"speed": 100_000, "paused": False})

    until(lambda: sim.admin("GET", "clock")["finished"])
    (day,) = [m for m in sim.state("market")["market"] if m["securityId"] == "49543"]
    assert day["last_price"] is not None
    sim.admin("POST", "clock", {"paused": True, "rewind": True})
    assert sim.admin("GET", "clock")["next_step_seconds"] < 30
    sim.admin("POST", "clock", {"set_seconds": 60})
    assert sim.admin("GET", "clock")["market_seconds"] == 60


def test_state_file_survives_a_restart(make_server: Callable[..., Any], tmp_path: Path) -> None:
    """A simulator that starts again on its state file still knows its orders and positions."""
    path = tmp_path / "state.json"
    first = make_server(state_file=path)
    first.admin("POST", "positions", FUTURE | {"net_quantity": 75, "price": "26000"})
    order_id = place(first, price=25000.0).json()["orderId"]
    first.stop()

    second = make_server(state_file=path)

    assert read(second, "/positions").json()[0]["netQty"] == 75
    until(lambda: read(second, f"/orders/{order_id}").json()[0]["orderStatus"] == "PENDING")


def test_port_file_and_instrument_file(make_server: Callable[..., Any], tmp_path: Path) -> None:
    """The chosen port is written where asked, and the master file is served there."""
    path = tmp_path / "port"
    make_server(port_file=path)

    url = f"http://127.0.0.1:{path.read_text().strip()}/instruments.csv"
    text = requests.get(url, timeout=SECONDS_MAX).text

    assert text.startswith("EXCH_ID,")
    assert ",49543," in text
