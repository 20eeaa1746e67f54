"""The order-update socket over a scripted connection and a manual clock."""

import asyncio
import json

import pytest

from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.broker.dhan.transport import ControlFrame, SocketEnded
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.orders import OrderReport
from squareoff.ports import StreamConnected, StreamGarbled

ALERT = json.dumps(
    {
        "Data": {
            "exchange": "NSE",
            "segment": "D",
            "securityId": "49081",
            "orderNo": "95",
            "product": "I",
            "txnType": "S",
            "quantity": 150,
            "tradedQty": 75,
            "status": "Pending",
            "correlationId": "sqx-1",
        },
        "Type": "order_alert",
    }
)


class Run:
    """One `run_once` in the background and what it published."""

    def __init__(self, fakes, *sockets):
        self.fakes = fakes
        self.clock = fakes.clock()
        self.sockets = fakes.sockets(sockets)
        self.events = []
        updates = DhanOrderUpdates(
            SocketSettings("wss://orders.example", fakes.account),
            self.sockets,
            fakes.tokens(),
            self.clock,
        )
        self.task = asyncio.ensure_future(updates.run_once(self.events.append))

    def kinds(self):
        return [type(event) for event in self.events]

    async def end(self):
        with pytest.raises(FeedDisconnected) as caught:
            async with asyncio.timeout(5):
                await self.task
        return caught.value

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def test_login_is_the_first_frame(fakes):
    """The login frame has the documented shape and goes out before anything else."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        await fakes.settle()

        assert [json.loads(text) for text in socket.sent] == [
            {
                "LoginReq": {"MsgCode": 42, "ClientId": fakes.account, "Token": fakes.token},
                "UserType": "SELF",
            }
        ]
        assert run.sockets.urls == ["wss://orders.example"]
        await run.stop()
        assert socket.closed

    asyncio.run(body())


def test_connected_comes_once_the_login_has_stood(fakes):
    """Silence after the login is a good login: connected after a second, once."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        await run.clock.advance(0.9)
        assert run.events == []

        await run.clock.advance(0.2)
        socket.feed(ALERT)
        await fakes.settle()
        assert run.kinds() == [StreamConnected, OrderReport]
        await run.stop()

    asyncio.run(body())


def test_an_early_alert_means_connected_first(fakes):
    """An update within the first second proves the login; connected still comes before it."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        socket.feed(ALERT, ALERT)
        await fakes.settle()
        await run.clock.advance(5)

        assert run.kinds() == [StreamConnected, OrderReport, OrderReport]
        await run.stop()

    asyncio.run(body())


def test_a_refused_login_is_never_connected(fakes):
    """A rubbish frame and an end right after the login: disconnected, with a hint at the token."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        socket.feed(b"\x05\x00\x01\x02\x03", SocketEnded("closed", close_code=1006))

        error = await run.end()
        assert run.kinds() == [StreamGarbled]
        assert "token" in str(error)
        assert "1006" in str(error)
        assert fakes.token not in str(error)

    asyncio.run(body())


def test_rubbish_does_not_end_the_connection(fakes):
    """Binary and non-JSON frames are garbled, other types ignored, and updates go on."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        await run.clock.advance(2)
        socket.feed(b"\xff\xfe", "what", '{"Type":"other"}', "x" * 10_000, ALERT)
        await fakes.settle()

        assert run.kinds() == [
            StreamConnected,
            StreamGarbled,
            StreamGarbled,
            StreamGarbled,
            OrderReport,
        ]
        assert all(len(one.text) <= 200 for one in run.events if isinstance(one, StreamGarbled))
        await run.stop()

    asyncio.run(body())


def test_an_echoed_token_is_blotted_out(fakes):
    """A frame that repeats the login leaves no token in the event."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        socket.feed(f"bad token {fakes.token}")
        await fakes.settle()

        assert fakes.token not in run.events[0].text
        await run.stop()

    asyncio.run(body())


def test_a_silent_death_is_found_by_pings(fakes):
    """Pings go out every 20 s; 30 s without any sign of life end the connection."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        await run.clock.advance(21)
        assert socket.ping_count == 1
        assert not run.task.done()
        await run.clock.advance(15)

        error = await run.end()
        assert "unanswered" in str(error)
        assert socket.closed

    asyncio.run(body())


@pytest.mark.parametrize("sign", [ControlFrame.PONG, ControlFrame.PING, ALERT, b"\x00"])
def test_any_frame_is_a_sign_of_life(fakes, sign):
    """Pongs, pings and frames keep a quiet connection."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        for _ in range(20):
            await run.clock.advance(20)
            socket.feed(sign)
            await fakes.settle()

        assert not run.task.done()
        assert socket.ping_count == 20
        await run.stop()

    asyncio.run(body())


@pytest.mark.parametrize("status", [429, 401, None])
def test_a_refused_connect_is_disconnected_with_the_status(fakes, status):
    """HTTP 429 on upgrade comes through as the code, so that the caller can wait long."""

    async def body():
        run = Run(fakes, SocketEnded("refused", http_status=status))

        assert (await run.end()).code == status
        assert run.events == []

    asyncio.run(body())


def test_cancelling_closes_the_socket(fakes):
    """Cancellation passes through and leaves nothing open."""

    async def body():
        socket = fakes.socket()
        run = Run(fakes, socket)
        await run.clock.advance(2)
        run.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.task

        assert socket.closed

    asyncio.run(body())


def test_each_run_uses_the_token_of_its_time(fakes):
    """A token replaced between two runs is in the second login."""

    async def body():
        sockets = [fakes.socket(), fakes.socket()]
        tokens = fakes.tokens("second")
        updates = DhanOrderUpdates(
            SocketSettings("wss://orders.example", fakes.account),
            fakes.sockets(sockets),
            tokens,
            fakes.clock(),
        )
        for socket in sockets:
            socket.feed(SocketEnded("closed"))
            with pytest.raises(FeedDisconnected):
                await updates.run_once(lambda event: None)
            await tokens.refresh(tokens.current())

        assert [json.loads(one.sent[0])["LoginReq"]["Token"] for one in sockets] == [
            fakes.token,
            "second",
        ]

    asyncio.run(body())


def test_an_end_right_after_the_login_makes_the_token_suspect(fakes):
    """A refused login shows only as an end; one that was taken is above suspicion."""

    async def body():
        tokens, clock = fakes.tokens(), fakes.clock()
        sockets = [fakes.socket(), fakes.socket()]
        updates = DhanOrderUpdates(
            SocketSettings("wss://orders.example", fakes.account),
            fakes.sockets(sockets),
            tokens,
            clock,
        )
        sockets[0].feed(SocketEnded("reset", close_code=1006))
        with pytest.raises(FeedDisconnected):
            await updates.run_once(lambda event: None)
        assert tokens.suspected == [fakes.token]

        run = asyncio.ensure_future(updates.run_once(lambda event: None))
        await clock.advance(2.0)
        sockets[1].feed(SocketEnded("reset", close_code=1006))
        with pytest.raises(FeedDisconnected):
            await run
        assert len(tokens.suspected) == 1

    asyncio.run(body())
