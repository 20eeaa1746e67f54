"""The library-free server side of a WebSocket, against a real client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from squareoff.simulator.raw_socket import RawSocket, framed


class Server:
    """What the sockets of one listener told."""

    def __init__(self, status: int = 101) -> None:
        self.status = status
        self.targets: list[str] = []
        self.texts: list[str] = []
        self.lost = asyncio.Event()
        self.sockets: list[RawSocket] = []
        self.url = ""

    def make(self) -> RawSocket:
        def open_it(socket: RawSocket, target: str) -> int:
            self.targets.append(target)
            self.sockets.append(socket)
            return self.status

        def hear(socket: RawSocket, text: str) -> None:
            self.texts.append(text)
            socket.write(framed(b"ab") + framed(bytes(200)) + framed(bytes(70_000)))

        return RawSocket(open_it, hear, lambda socket: self.lost.set())


@asynccontextmanager
async def serving(status: int = 101) -> AsyncIterator[Server]:
    server = Server(status)
    listener = await asyncio.get_running_loop().create_server(server.make, "127.0.0.1", 0)
    server.url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/feed?token=x"
    async with listener:
        yield server


@pytest.mark.parametrize("size", [5, 125, 126, 5_000])
def test_texts_come_in_and_frames_go_out(size: int) -> None:
    """A client's masked texts of any length are read; frames of all three lengths are well made."""

    async def body() -> None:
        async with (
            serving() as server,
            aiohttp.ClientSession() as http,
            http.ws_connect(server.url) as client,
        ):
            await client.send_str("x" * size)
            frames = [(await client.receive()).data for _ in range(3)]

            assert server.texts == ["x" * size]
            assert server.targets == ["/feed?token=x"]
            assert [len(frame) for frame in frames] == [2, 200, 70_000]

    asyncio.run(body())


def test_a_ping_is_answered_and_a_close_ends() -> None:
    """The client's ping brings a pong; its close is answered and the end is told."""

    async def body() -> None:
        async with serving() as server, aiohttp.ClientSession() as http:
            client = await http.ws_connect(server.url, autoping=False)
            await client.ping(b"hello")
            pong = await client.receive()
            await client.close()
            await asyncio.wait_for(server.lost.wait(), 5.0)

            assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"hello")
            assert client.close_code == 1000
            assert not server.sockets[0].is_open

    asyncio.run(body())


def test_an_upgrade_can_be_refused() -> None:
    """A status other than 101 is the answer, and no socket is open."""

    async def body() -> None:
        async with serving(429) as server, aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(server.url)

            assert refused.value.status == 429
            assert not server.sockets[0].is_open

    asyncio.run(body())
