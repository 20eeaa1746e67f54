"""`python -m squareoff.simulator.soak.feed_server CONFIG`: the market feed of a soak.

A process of its own that plays a tape to whoever subscribes, at a pace, and is told by lines of
JSON on its input what else befalls: prints that cross a stop, and faults. What crossed is noted in
a file with the instant of its sending, and nowhere else: that record judges the engine.

Invariants:
1. A print crosses only on a connection that is open, subscribed, writable and not silent; else it
   waits until it can be sent.
2. A slow reader holds the tape back, as a broker conflates: at most `HELD_BYTES_MAX` wait for it.
"""

import asyncio
import json
import os
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from squareoff.adapters.system import SystemClock
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.simulator.raw_socket import RawSocket, framed
from squareoff.simulator.soak.tape import (
    FIRST_SECURITY_ID,
    MODES,
    NEAR,
    THROUGH,
    Rows,
    Tape,
    packet,
    raw_time_of,
)

STEP_SECONDS = 0.002
STEP_PACKETS_MAX = 400
"""At most so many in one go, so that a pause of this process does not become a flood."""

HELD_BYTES_MAX = 8 * 1024 * 1024
BURST_EVERY_SECONDS, BURST_SECONDS = 60, 5
APPROACH_SECONDS = 0.5
_CLOCK = SystemClock()


@dataclass(slots=True)
class _Client:
    """One connection and the mode of each instrument on it, 0 for none."""

    socket: RawSocket
    modes: Rows


@dataclass(slots=True)
class _Crossing:
    """A print that is to cross, and when it may; `is_near` stands near the stop before."""

    number: int
    due_ns: int
    is_near: bool


@dataclass(slots=True)
class _Counts:
    packets: int = 0
    held_back: int = 0
    connections: int = 0
    faults: dict[str, int] = field(default_factory=dict)


class FeedServer:
    """Plays the tape."""

    def __init__(self, instruments: int, rate: int, burst_rate: int, seed: int) -> None:
        self._tape = Tape(instruments, seed)
        self._instruments = instruments
        self._rate, self._burst_rate = rate, burst_rate
        self._clients: list[_Client] = []
        self._place = 0
        self._crossings: deque[_Crossing] = deque()
        self._is_muted: Rows = np.zeros(instruments, np.bool_)
        self._silent_until_ns = 0
        self._refusals = 0
        self.counts = _Counts()

    def socket(self) -> RawSocket:
        """Return the protocol of a new connection."""
        return RawSocket(self._open, self._hear, self._lose)

    def take(self, command: dict[str, Any]) -> None:
        """Do what the driver says."""
        now_ns = _CLOCK.now().monotonic_ns
        match command:
            case {"cross": security_id, "near": is_near}:
                number = int(security_id) - FIRST_SECURITY_ID
                wait_ns = round(APPROACH_SECONDS * NANOSECONDS_PER_SECOND) if is_near else 0
                self._is_muted[number] = bool(is_near)
                self._crossings.append(_Crossing(number, now_ns + wait_ns, bool(is_near)))
            case {"fault": kind, "value": value}:
                self.counts.faults[kind] = self.counts.faults.get(kind, 0) + 1
                self._befall(str(kind), int(value), now_ns)

    async def play(self, record: IO[str]) -> None:
        """Play for ever, noting what crossed."""
        begun_ns = told_ns = _CLOCK.now().monotonic_ns
        owed = 0.0
        last_ns = begun_ns
        while True:
            await asyncio.sleep(STEP_SECONDS)
            now = _CLOCK.now()
            elapsed = (now.monotonic_ns - begun_ns) / NANOSECONDS_PER_SECOND
            is_burst = elapsed % BURST_EVERY_SECONDS >= BURST_EVERY_SECONDS - BURST_SECONDS
            rate = self._burst_rate if is_burst else self._rate
            owed += rate * (now.monotonic_ns - last_ns) / NANOSECONDS_PER_SECOND
            last_ns = now.monotonic_ns
            count = min(int(owed), STEP_PACKETS_MAX)
            owed = min(owed - count, STEP_PACKETS_MAX * 4)
            if now.monotonic_ns >= self._silent_until_ns:
                self._tape.stamp(now.wall_ns)
                self._play(count)
                self._cross(now.monotonic_ns, record)
            if now.monotonic_ns - told_ns >= NANOSECONDS_PER_SECOND:
                told_ns = now.monotonic_ns
                _note(record, self._told(elapsed, is_burst=is_burst))

    def _told(self, elapsed: float, *, is_burst: bool) -> dict[str, Any]:
        counts = self.counts
        return {
            "second": round(elapsed, 3),
            "packets": counts.packets,
            "held_back": counts.held_back,
            "connections": counts.connections,
            "burst": is_burst,
        }

    def _play(self, count: int) -> None:
        rows = np.arange(self._place, self._place + count) % len(self._tape)
        self._place = int((self._place + count) % len(self._tape))
        numbers = self._tape.instrument_of_row[rows]
        is_heard = ~self._is_muted[numbers]
        for client in self._clients:
            if client.socket.waiting_bytes() > HELD_BYTES_MAX:
                self.counts.held_back += count
                continue
            modes = client.modes[numbers]
            for mode in MODES:
                chosen = rows[(modes == mode) & is_heard]
                if len(chosen):
                    client.socket.write(self._tape.cut(mode, chosen))
                    self.counts.packets += len(chosen)

    def _cross(self, now_ns: int, record: IO[str]) -> None:
        for _ in range(len(self._crossings)):
            crossing = self._crossings.popleft()
            client = self._client_of(crossing.number)
            if client is None or now_ns < crossing.due_ns:
                if client is not None and crossing.is_near:
                    self._print(client, crossing.number, NEAR)
                self._crossings.append(crossing)
                continue
            self._is_muted[crossing.number] = False
            sent_ns = _CLOCK.now().wall_ns
            self._print(client, crossing.number, THROUGH)
            crossed = {
                "crossed": FIRST_SECURITY_ID + crossing.number,
                "price": THROUGH,
                "sent_ns": sent_ns,
                "near": crossing.is_near,
            }
            _note(record, crossed)

    def _print(self, client: _Client, number: int, price: float) -> None:
        raw_time = raw_time_of(_CLOCK.now().wall_ns)
        mode = int(client.modes[number])
        client.socket.write(framed(packet(mode, FIRST_SECURITY_ID + number, price, raw_time)))
        self.counts.packets += 1

    def _client_of(self, number: int) -> _Client | None:
        for client in self._clients:
            is_slow = client.socket.waiting_bytes() > HELD_BYTES_MAX
            if client.modes[number] and client.socket.is_open and not is_slow:
                return client
        return None

    def _befall(self, kind: str, value: int, now_ns: int) -> None:
        if kind == "silence":
            self._silent_until_ns = now_ns + value * NANOSECONDS_PER_SECOND
        if kind == "refuse":
            self._refusals = value
        for client in list(self._clients):
            if kind in ("reset", "refuse"):
                client.socket.reset()
            elif kind == "reason":
                ending = (50).to_bytes(1, "little") + b"\x0a\x00\x00" + bytes(4)
                client.socket.write(framed(ending + value.to_bytes(2, "little")))
                client.socket.close()
            elif kind == "garbage":
                for size in range(1, value):
                    client.socket.write(framed(os.urandom(size)))

    def _open(self, socket: RawSocket, target: str) -> int:
        if self._refusals:
            self._refusals -= 1
            return 429
        self.counts.connections += 1
        self._silent_until_ns = 0
        self._clients.append(_Client(socket, np.zeros(self._instruments, np.int64)))
        return 101

    def _hear(self, socket: RawSocket, text: str) -> None:
        request = json.loads(text)
        code = int(request.get("RequestCode", 0))
        names = request.get("InstrumentList", ())
        numbers = [int(name["SecurityId"]) - FIRST_SECURITY_ID for name in names]
        ours = [number for number in numbers if 0 <= number < self._instruments]
        for client in self._clients:
            if client.socket is socket and code in MODES:
                client.modes[ours] = code
            elif client.socket is socket and code - 1 in MODES:
                left = [number for number in ours if client.modes[number] == code - 1]
                client.modes[left] = 0

    def _lose(self, socket: RawSocket) -> None:
        self._clients = [each for each in self._clients if each.socket is not socket]


def _note(record: IO[str], what: dict[str, Any]) -> None:
    record.write(json.dumps(what) + "\n")
    record.flush()


async def serve(config: dict[str, Any], record: IO[str]) -> None:
    """Serve until the driver closes our input."""
    loop = asyncio.get_running_loop()
    server = FeedServer(config["instruments"], config["rate"], config["burst_rate"], config["seed"])
    listener = await loop.create_server(server.socket, "127.0.0.1", 0)
    _note(record, {"port": listener.sockets[0].getsockname()[1]})
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(server.play(record))
        while line := await reader.readline():
            server.take(json.loads(line))
        playing.cancel()
    listener.close()


def main() -> None:
    """Run by the path of a JSON file: `instruments`, `rate`, `burst_rate`, `seed`, `record`."""
    config = json.loads(Path(sys.argv[1]).read_text())
    with Path(config["record"]).open("a") as record:
        asyncio.run(serve(config, record))


if __name__ == "__main__":
    main()
