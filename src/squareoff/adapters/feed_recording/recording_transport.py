"""A socket transport that has everything it receives recorded, and changes nothing of it."""

from squareoff.adapters.broker.dhan.transport import (
    ControlFrame,
    SocketConnection,
    SocketEnded,
    SocketMessage,
    SocketTransport,
)
from squareoff.adapters.feed_recording.recorder import FeedRecorder
from squareoff.adapters.feed_recording.records import RecordKind, json_payload
from squareoff.ports import Clock


class RecordingTransport:
    """Fulfils `SocketTransport` by another one."""

    def __init__(self, inner: SocketTransport, recorder: FeedRecorder, clock: Clock) -> None:
        self._inner = inner
        self._recorder = recorder
        self._clock = clock
        self._count = 0

    async def connect(self, url: str, timeout_seconds: float) -> SocketConnection:
        """Open a WebSocket; the address is not recorded.

        Raises:
            SocketEnded: as the other transport says.
        """
        connection = await self._inner.connect(url, timeout_seconds)
        self._count = self._count % 0xFFFF + 1
        return _RecordedConnection(connection, self._recorder, self._clock, self._count)


class _RecordedConnection:
    """One open WebSocket whose frames are recorded as they are received."""

    def __init__(
        self, inner: SocketConnection, recorder: FeedRecorder, clock: Clock, number: int
    ) -> None:
        self._inner = inner
        self._recorder = recorder
        self._clock = clock
        self._number = number
        self._has_ended = False
        recorder.note(RecordKind.CONNECTED, number, clock.now(), b"")

    async def send_text(self, text: str) -> None:
        """Send one text frame."""
        await self._inner.send_text(text)

    async def send_ping(self) -> None:
        """Send one ping frame."""
        await self._inner.send_ping()

    async def receive(self) -> SocketMessage:
        """Wait for the next frame, and record it unless it carries nothing."""
        try:
            message = await self._inner.receive()
        except SocketEnded as error:
            self._note_end(str(error), error.close_code, error.http_status)
            raise
        if isinstance(message, bytes):
            self._recorder.note(RecordKind.FRAME, self._number, self._clock.now(), message)
        elif not isinstance(message, ControlFrame):
            payload = message.encode()
            self._recorder.note(RecordKind.TEXT, self._number, self._clock.now(), payload)
        return message

    async def close(self) -> None:
        """Close; never raises."""
        self._note_end("closed by us", None, None)
        await self._inner.close()

    def _note_end(self, text: str, close_code: int | None, http_status: int | None) -> None:
        if not self._has_ended:
            self._has_ended = True
            how = {"text": text, "close_code": close_code, "http_status": http_status}
            now = self._clock.now()
            self._recorder.note(RecordKind.ENDED, self._number, now, json_payload(how))
