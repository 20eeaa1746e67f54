"""The server's side of one WebSocket without a library: for tens of thousands of frames a second.

Bytes that were framed beforehand go out as they are. Not a general server: one client at a time per
connection, no extensions, and what is malformed ends the connection.
"""

import asyncio
import base64
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_SMALL_MAX, _MEDIUM_MAX = 125, 0xFFFF


def framed(payload: bytes, opcode: int = _BINARY) -> bytes:
    """Return a payload as one unmasked frame."""
    size = len(payload)
    if size <= _SMALL_MAX:
        head = bytes((0x80 | opcode, size))
    elif size <= _MEDIUM_MAX:
        head = struct.pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    return head + payload


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a client asked for: path with query, and its key."""

    target: str
    key: bytes


def read_upgrade(request: bytes) -> Upgrade | None:
    """Return what a whole request head asks for, None where it is no upgrade."""
    lines = request.split(b"\r\n")
    words = lines[0].split(b" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in lines[1:])
    }
    key = headers.get(b"sec-websocket-key")
    if len(words) != 3 or key is None:
        return None
    return Upgrade(words[1].decode("ascii", "replace"), key)


def upgrade_answer(key: bytes) -> bytes:
    """Return the answer that opens the WebSocket."""
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


class RawSocket(asyncio.Protocol):
    """One connection. `on_open` may refuse it with a status; `on_text` hears the client."""

    def __init__(
        self,
        on_open: Callable[["RawSocket", str], int],
        on_text: Callable[["RawSocket", str], None],
        on_lost: Callable[["RawSocket"], None],
    ) -> None:
        self._on_open, self._on_text, self._on_lost = on_open, on_text, on_lost
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.is_open = False
        self.is_writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        assert isinstance(transport, asyncio.Transport), "a TCP connection"
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of the end."""
        self.is_open = False
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self.is_writable = True

    def data_received(self, data: bytes) -> None:
        """Read the upgrade, then the client's frames."""
        self._buffer += data
        if not self.is_open:
            self._read_upgrade()
        while self.is_open and (frame := self._next_frame()) is not None:
            opcode, payload = frame
            if opcode == _TEXT:
                self._on_text(self, payload.decode(errors="replace"))
            elif opcode == _PING:
                self.write(framed(payload, _PONG))
            elif opcode == _CLOSE:
                self.close()

    def write(self, frames: bytes) -> None:
        """Send bytes that are framed already."""
        if self.is_open and self._transport is not None:
            self._transport.write(frames)

    def waiting_bytes(self) -> int:
        """How much is written and not yet taken by the client's side."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close politely."""
        self.write(framed(b"\x03\xe8", _CLOSE))
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Break off, with whatever is still to be written."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def _read_upgrade(self) -> None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end or self._transport is None:
            return
        upgrade = read_upgrade(head)
        status = 400 if upgrade is None else self._on_open(self, upgrade.target)
        if upgrade is None or status != 101:
            self._transport.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
            self._transport.close()
            return
        self._buffer, self.is_open = rest, True
        self._transport.write(upgrade_answer(upgrade.key))

    def _next_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 6:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            self.reset()  # no client of ours sends that much
            return None
        end = start + 4 + size
        if len(buffer) < end:
            return None
        mask, masked = buffer[start : start + 4], buffer[start + 4 : end]
        self._buffer = buffer[end:]
        return buffer[0] & 0x0F, bytes(b ^ mask[i & 3] for i, b in enumerate(masked))
