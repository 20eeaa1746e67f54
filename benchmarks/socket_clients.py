"""What it costs to receive one market-feed frame over a loopback socket, by WebSocket client.

`python benchmarks/socket_clients.py [--frames N] [--runs N] [--json]`. The server is a process of
its own that sends frames made beforehand. aiohttp is driven through the engine's own transport;
picows and websockets are measured where they are installed (`pip install picows websockets`),
picows in two ways: as a queue that is waited on like the engine's, and with the callback alone.
Everything runs on uvloop, the clients take turns, and processor time is that of the receiving
process alone.
The figures that led to the choice are in docs/decisions/0013-websocket-client.md.
"""

import argparse
import asyncio
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import uvloop

from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport

SIZES = (16, 50, 162)
PACED = 20_000
START_SECONDS_MAX = 20.0
Receive = Callable[[str, str, int], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """One client at one frame size; `rate` 0 is as fast as can be."""

    client: str
    frame_bytes: int
    rate: int
    frames_per_second: float
    frames_per_second_min: float
    frames_per_second_max: float
    cpu_us_per_frame: float


async def by_aiohttp(url: str, request: str, count: int) -> None:
    """Receive through the engine's transport."""
    async with AiohttpTransport("") as transport:
        connection = await transport.connect(url, 10.0)
        await connection.send_text(request)
        got = 0
        while got < count:
            if isinstance(await connection.receive(), bytes):
                got += 1
        await connection.close()


async def by_websockets(url: str, request: str, count: int) -> None:
    """Receive by websockets' newest client."""
    client = importlib.import_module("websockets.asyncio.client")
    async with client.connect(url, compression=None, ping_interval=None) as connection:
        await connection.send(request)
        for _ in range(count):
            await connection.recv()


async def by_picows_queue(url: str, request: str, count: int) -> None:
    """Receive by picows into a queue that a coroutine waits on, as the engine's seam asks for."""
    picows = importlib.import_module("picows")
    waiting: deque[bytes] = deque()
    reader: list[asyncio.Future[None]] = []

    class Listener(picows.WSListener):  # type: ignore[misc, name-defined]
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            waiting.append(frame.get_payload_as_bytes())
            if reader:
                reader.pop().set_result(None)

    async def receive() -> bytes:
        while not waiting:
            reader.append(asyncio.get_running_loop().create_future())
            await reader[0]
        return waiting.popleft()

    transport, _ = await picows.ws_connect(Listener, url, enable_auto_pong=True)
    transport.send(picows.WSMsgType.TEXT, request.encode())
    for _ in range(count):
        await receive()
    transport.disconnect()


async def by_picows_callback(url: str, request: str, count: int) -> None:
    """Count in picows' callback: the least that can be."""
    picows = importlib.import_module("picows")
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Listener(picows.WSListener):  # type: ignore[misc, name-defined]
        got = 0

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            frame.get_payload_as_bytes()
            self.got += 1
            if self.got == count:
                done.set_result(None)

    transport, _ = await picows.ws_connect(Listener, url, enable_auto_pong=True)
    transport.send(picows.WSMsgType.TEXT, request.encode())
    await done
    transport.disconnect()


def clients() -> dict[str, Receive]:
    """Return the clients that are installed."""
    found: dict[str, Receive] = {"aiohttp": by_aiohttp}
    if importlib.util.find_spec("picows"):
        found["picows, queue"] = by_picows_queue
        found["picows, callback"] = by_picows_callback
    if importlib.util.find_spec("websockets"):
        found["websockets"] = by_websockets
    return found


async def measure(url: str, frames: int, runs: int) -> list[Row]:
    """Measure all clients at all sizes, in turns."""
    rows = []
    for size in SIZES:
        for rate in (0, PACED):
            count = min(frames, 3 * rate) if rate else frames
            request = json.dumps({"size": size, "count": count, "rate": rate})
            found: dict[str, list[tuple[float, float]]] = {}
            for _ in range(runs):
                for name, receive in clients().items():
                    begun, begun_cpu = perf_counter(), process_time()
                    await receive(url, request, count)
                    spent = perf_counter() - begun, process_time() - begun_cpu
                    found.setdefault(name, []).append(spent)
            rows += [_row(name, size, rate, count, spent) for name, spent in found.items()]
    return rows


def _row(name: str, size: int, rate: int, count: int, spent: list[tuple[float, float]]) -> Row:
    speeds = [count / seconds for seconds, _ in spent]
    cpu = statistics.median(cpu for _, cpu in spent) / count * 1e6
    return Row(name, size, rate, statistics.median(speeds), min(speeds), max(speeds), cpu)


def wait_for_port(port_file: Path) -> int:
    """Return the port that the server took."""
    for _ in range(round(START_SECONDS_MAX / 0.05)):
        if port_file.exists() and port_file.read_text().strip():
            return int(port_file.read_text())
        sleep(0.05)
    raise SystemExit("the server of frames did not start")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200_000, help="frames in each run")
    parser.add_argument("--runs", type=int, default=5, help="runs that each median is of")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        source = subprocess.Popen(
            [sys.executable, "-m", "squareoff.simulator.frame_source", str(port_file)]
        )
        try:
            url = f"ws://127.0.0.1:{wait_for_port(port_file)}/"
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                rows = runner.run(measure(url, options.frames, options.runs))
        finally:
            source.kill()
            source.wait()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(f"{'client':18}{'bytes':>6}{'asked':>8}{'frames/s':>12}{'us of CPU a frame':>20}")
    for row in rows:
        print(
            f"{row.client:18}{row.frame_bytes:6}{row.rate or 'all':>8}"
            f"{row.frames_per_second:12,.0f}{row.cpu_us_per_frame:20.2f}"
        )


if __name__ == "__main__":
    main()
