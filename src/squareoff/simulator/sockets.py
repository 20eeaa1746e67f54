"""WebSocket connections of the server: frames out through a queue, frames in to the broker."""

import asyncio
import socket
import struct
from collections.abc import Callable

from aiohttp import WSMsgType, web

from squareoff.simulator.sessions import Frame

# A client that reads nothing while this many frames wait is cut off, as brokers do.
QUEUE_FRAMES_MAX = 50_000
# Reset instead of a polite close: linger on, zero seconds.
_LINGER_ZERO = struct.pack("ii", 1, 0)


def reset_connection(request: web.BaseRequest) -> None:
    """Break the request's connection with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


class SocketSink:
    """A session's sink that writes to one WebSocket, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[str, Frame]] = asyncio.Queue()
        self.is_closing = False
        """A polite close was asked for and everything before it is written."""

    def deliver(self, frame: Frame) -> None:
        """Queue one frame."""
        if self._queue.qsize() < QUEUE_FRAMES_MAX:
            self._queue.put_nowait(("frame", frame))
        else:
            self.end("reset")

    def end(self, how: str) -> None:
        """Queue the end of the connection."""
        self._queue.put_nowait((how, b""))

    async def drained(self) -> None:
        """Wait until everything queued has been written."""
        await self._queue.join()

    async def write_to(self, web_socket: web.WebSocketResponse, request: web.Request) -> None:
        """Write until the connection ends."""
        while True:
            kind, frame = await self._queue.get()
            try:
                if kind == "frame":
                    await _send(web_socket, frame)
                elif kind == "reset":
                    reset_connection(request)
                else:
                    self.is_closing = True
            except ConnectionError:
                return
            finally:
                self._queue.task_done()
            if kind != "frame":
                return


async def converse(
    web_socket: web.WebSocketResponse,
    request: web.Request,
    sink: SocketSink,
    take: Callable[[Frame], None],
    note_pong: Callable[[], None] | None = None,
    note_ping: Callable[[], None] | None = None,
) -> None:
    """Read and write until the client is gone or the broker ends the connection."""
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read_frames(web_socket, take, note_pong, note_ping))
        writing = group.create_task(sink.write_to(web_socket, request))
        await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        reading.cancel()
        writing.cancel()
    if sink.is_closing:
        # Only when nobody reads does aiohttp wait for the client's own close frame.
        await web_socket.close()


async def read_frames(
    web_socket: web.WebSocketResponse,
    take: Callable[[Frame], None],
    note_pong: Callable[[], None] | None = None,
    note_ping: Callable[[], None] | None = None,
) -> None:
    """Hand every frame of the client to `take`, answer pings, and return when it is gone."""
    async for message in web_socket:
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            take(message.data)
        elif message.type is WSMsgType.PING:
            if note_ping is not None:
                note_ping()
            await web_socket.pong(message.data)
        elif message.type is WSMsgType.PONG and note_pong is not None:
            note_pong()
        elif message.type is WSMsgType.ERROR:
            return


async def _send(web_socket: web.WebSocketResponse, frame: Frame) -> None:
    if isinstance(frame, str):
        await web_socket.send_str(frame)
    else:
        await web_socket.send_bytes(frame)
