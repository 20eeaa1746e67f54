"""A reader that is slow: what waits is bounded, and nothing of it is lost."""

import asyncio

from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport
from squareoff.simulator.raw_socket import RawSocket, framed

FRAME_BYTES = 4_096
FRAMES = 16_384
TAKEN_BYTES_MAX = 32 * 1024 * 1024
"""Half of all there is, and well above what the two ends of a loopback socket may hold."""


class Flood:
    """A server that writes frames for as long as they are taken, and then the rest on demand."""

    def __init__(self) -> None:
        self.written = 0
        self.socket: RawSocket | None = None

    def make(self) -> RawSocket:
        self.socket = RawSocket(lambda socket, target: 101, lambda *_: None, lambda _: None)
        return self.socket

    async def write_until_stuck(self) -> None:
        """Write until the other side has taken nothing for a while, or all is written."""
        assert self.socket is not None
        idle = 0
        while self.written < FRAMES and idle < 25:
            if self.socket.is_writable:
                self.socket.write(framed(self.written.to_bytes(4, "little") * (FRAME_BYTES // 4)))
                self.written, idle = self.written + 1, 0
            else:
                idle += 1
                await asyncio.sleep(0.01)


def test_what_nobody_reads_stays_with_the_broker() -> None:
    """Reading stops at a bound, and once the reader is back every frame comes, in order."""

    async def body() -> None:
        flood = Flood()
        listener = await asyncio.get_running_loop().create_server(flood.make, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, AiohttpTransport("") as transport:
            connection = await transport.connect(f"ws://127.0.0.1:{port}/", 5.0)
            await flood.write_until_stuck()
            stuck_at = flood.written
            assert stuck_at * FRAME_BYTES < TAKEN_BYTES_MAX

            for number in range(stuck_at):
                frame = await connection.receive()
                assert isinstance(frame, bytes)
                assert int.from_bytes(frame[:4], "little") == number
            await connection.close()

    asyncio.run(body())
