"""WebSocket connections of the server."""

import asyncio

from squareoff.simulator.sockets import QUEUE_FRAMES_MAX, SocketSink


class SocketDouble:
    """Remembers what was written to it."""

    def __init__(self) -> None:
        self.written: list[object] = []

    async def send_str(self, text: str) -> None:
        self.written.append(text)

    async def send_bytes(self, raw: bytes) -> None:
        self.written.append(raw)


def test_frames_are_written_in_order_and_then_the_end() -> None:
    """Text and bytes go out in order; the end comes after everything queued before it."""

    async def story() -> list[object]:
        sink, socket = SocketSink(), SocketDouble()
        for frame in ("a", b"b"):
            sink.deliver(frame)
        sink.end("close")
        await sink.write_to(socket, None)  # type: ignore[arg-type]
        await sink.drained()
        return [*socket.written, sink.is_closing]

    assert asyncio.run(story()) == ["a", b"b", True]


def test_a_client_that_never_reads_is_cut_off() -> None:
    """The queue is bounded: beyond its limit the connection is reset."""

    async def story() -> str:
        sink = SocketSink()
        for _ in range(QUEUE_FRAMES_MAX + 1):
            sink.deliver("x")
        entries = [sink._queue.get_nowait() for _ in range(QUEUE_FRAMES_MAX + 1)]
        return entries[-1][0]

    assert asyncio.run(story()) == "reset"
