"""A recorded socket: what is received is recorded as it is, and nothing else is."""

import asyncio
from pathlib import Path

import pytest

from async_body import run_async
from feed_records import FUTURE, at, ticker
from squareoff.adapters.broker.dhan.transport import (
    ControlFrame,
    SocketConnection,
    SocketEnded,
    SocketMessage,
)
from squareoff.adapters.feed_recording.feed_file import FeedFile
from squareoff.adapters.feed_recording.folder import RecordingFolder
from squareoff.adapters.feed_recording.recorder import FeedRecorder
from squareoff.adapters.feed_recording.recording_transport import RecordingTransport
from squareoff.adapters.feed_recording.records import FeedRecord, RecordKind
from squareoff.domain.time import Now


class CountingClock:
    """A second passes with each look."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> Now:
        self.looks += 1
        return at(self.looks)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class ListedSocket:
    """Gives the messages of a list, then ends."""

    def __init__(self, *messages: SocketMessage) -> None:
        self.messages = list(messages)
        self.sent: list[str] = []
        self.pings = 0
        self.closed = False

    async def send_text(self, text: str) -> None:
        self.sent.append(text)

    async def send_ping(self) -> None:
        self.pings += 1

    async def receive(self) -> SocketMessage:
        if not self.messages:
            raise SocketEnded("reset by the other side", close_code=1006)
        return self.messages.pop(0)

    async def close(self) -> None:
        self.closed = True


class ListedSockets:
    """Opens prepared sockets; without one it is refused."""

    def __init__(self, *sockets: ListedSocket) -> None:
        self.sockets = list(sockets)

    async def connect(self, url: str, timeout_seconds: float) -> SocketConnection:
        if not self.sockets:
            raise SocketEnded("refused", http_status=429)
        return self.sockets.pop(0)


class Rig:
    """A recorded transport over prepared sockets."""

    def __init__(self, folder: Path, *sockets: ListedSocket) -> None:
        self.folder = folder
        clock = CountingClock()
        self.recorder = FeedRecorder(
            lambda opening: RecordingFolder(
                folder, file_bytes_max=1 << 30, free_bytes_min=0, opening=opening
            ),
            clock,
        )
        self.transport = RecordingTransport(ListedSockets(*sockets), self.recorder, clock)

    def records(self) -> list[FeedRecord]:
        self.recorder.close()
        return [
            record for path in sorted(self.folder.iterdir()) for record in FeedFile(path).records()
        ]


async def drained(connection: SocketConnection) -> list[SocketMessage]:
    messages = []
    try:
        while True:
            messages.append(await connection.receive())
    except SocketEnded:
        return messages


def test_frames_are_recorded_and_passed_on(tmp_path: Path) -> None:
    """Binary and text frames with their receipt; pings and pongs carry nothing and are not kept."""
    frames = (ticker(100.0), ControlFrame.PONG, "hello", ticker(101.0))
    rig = Rig(tmp_path, ListedSocket(*frames))

    async def body() -> list[SocketMessage]:
        return await drained(await rig.transport.connect("wss://feed", 1))

    assert run_async(body()) == list(frames)
    records = rig.records()
    assert [(each.kind, each.received) for each in records] == [
        (RecordKind.CONNECTED, at(1)),
        (RecordKind.FRAME, at(2)),
        (RecordKind.TEXT, at(3)),
        (RecordKind.FRAME, at(4)),
        (RecordKind.ENDED, at(5)),
    ]
    assert [each.payload for each in records[1:4]] == [ticker(100.0), b"hello", ticker(101.0)]
    assert records[4].fields() == {
        "text": "reset by the other side",
        "close_code": 1006,
        "http_status": None,
    }


def test_each_connection_has_its_number_and_one_end(tmp_path: Path) -> None:
    """Closing what has ended already adds nothing; closing a live one is its end."""
    rig = Rig(tmp_path, ListedSocket(), ListedSocket())

    async def body() -> None:
        first = await rig.transport.connect("wss://feed", 1)
        await drained(first)
        await first.close()
        await (await rig.transport.connect("wss://feed", 1)).close()

    run_async(body())

    assert [(each.kind, each.connection) for each in rig.records()] == [
        (RecordKind.CONNECTED, 1),
        (RecordKind.ENDED, 1),
        (RecordKind.CONNECTED, 2),
        (RecordKind.ENDED, 2),
    ]


def test_sending_and_closing_reach_the_socket(tmp_path: Path) -> None:
    """What goes out is passed on."""
    socket = ListedSocket()
    rig = Rig(tmp_path, socket)

    async def body() -> None:
        connection = await rig.transport.connect("wss://feed", 1)
        await connection.send_text("subscribe")
        await connection.send_ping()
        await connection.close()

    run_async(body())

    assert (socket.sent, socket.pings, socket.closed) == (["subscribe"], 1, True)


def test_the_token_is_nowhere_in_the_files(tmp_path: Path) -> None:
    """The address and what is sent are not recorded: they carry the access token."""
    rig = Rig(tmp_path, ListedSocket(ticker(100.0)))
    rig.recorder.note_instrument(FUTURE)

    async def body() -> None:
        connection = await rig.transport.connect("wss://feed?token=canary-token", 1)
        await connection.send_text("canary-token")
        await drained(connection)

    run_async(body())

    assert not any(b"canary" in record.payload for record in rig.records())


def test_a_refused_connect_is_the_callers_matter(tmp_path: Path) -> None:
    """The refusal passes through, and no connection is recorded."""
    rig = Rig(tmp_path)

    async def body() -> None:
        with pytest.raises(SocketEnded, match="refused"):
            await rig.transport.connect("wss://feed", 1)

    run_async(body())
    rig.recorder.note_instrument(FUTURE)

    assert {record.kind for record in rig.records()} == {RecordKind.INSTRUMENT}
