"""`python -m squareoff.simulator.frame_source PORT_FILE`: a server that sends frames on request.

A client's text `{"size": 162, "count": 1000, "rate": 0}` is answered by so many frames, as fast as
they are taken (rate 0) or so many a second. For measuring clients.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from squareoff.adapters.system import SystemClock
from squareoff.simulator.raw_socket import RawSocket, framed

CHUNK_FRAMES = 64
TICK_SECONDS = 0.002
_CLOCK = SystemClock()


async def _send(socket: RawSocket, wanted: dict[str, int]) -> None:
    frame = framed(bytes(wanted["size"]))
    count, rate = wanted["count"], wanted["rate"]
    begun_ns, sent = _CLOCK.now().monotonic_ns, 0
    while sent < count and socket.is_open:
        due = count
        if rate:
            due = min(count, (_CLOCK.now().monotonic_ns - begun_ns) * rate // 1_000_000_000)
        while sent < due and socket.is_writable:
            chunk = min(CHUNK_FRAMES, due - sent)
            socket.write(frame * chunk)
            sent += chunk
        await asyncio.sleep(TICK_SECONDS if rate else 0)


async def serve(announce: Callable[[int], object]) -> None:
    """Serve until killed; `announce` is told the port."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:

        def answer(socket: RawSocket, text: str) -> None:
            tasks.create_task(_send(socket, json.loads(text)))

        def make() -> RawSocket:
            return RawSocket(lambda socket, target: 101, answer, lambda socket: None)

        server = await loop.create_server(make, "127.0.0.1", 0)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(lambda port: Path(sys.argv[1]).write_text(f"{port}\n")))
