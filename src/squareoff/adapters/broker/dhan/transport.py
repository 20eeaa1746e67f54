"""The seam to the network: bytes in, bytes out, and one honest word on what left.

The client above this seam parses and classifies everything; an implementation below it moves bytes
and reports failure in one of two words. A deterministic simulation implements the same protocols
in-process, so the code above runs unchanged there.

Invariants:
1. `NotSent` is raised only where it is proved that no byte of the request was written.
2. One `send` is at most one request on the wire: no retry, no redirect, no resend.
3. A request whose own `forbidden` says no right before its first byte is never written.
4. No error text of this layer holds a header, a query or a URL: they carry the access token.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Protocol

_EMPTY: Mapping[str, str] = MappingProxyType({})


def _never() -> str | None:
    """Forbid nothing."""
    return None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `path` starts with `/` and is joined to the transport's base address.

    `forbidden` is asked when the connection stands and the first byte is next; a text it returns
    is why the request must not leave any more.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=lambda: _EMPTY, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: _EMPTY, repr=False)
    body: bytes | None = None
    forbidden: Callable[[], str | None] = field(default=_never, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportError(Exception):
    """A request got no usable answer."""


class NotSent(TransportError):
    """Proved: no byte of the request was written (name lookup, connect or TLS failed)."""


class Forbidden(NotSent):
    """The request's own check forbade it right before its first byte."""


class NoAnswer(TransportError):
    """The request was, or may have been, written, and no complete answer came back."""


class HttpTransport(Protocol):
    """Sends one request and returns one answer."""

    async def send(self, request: HttpRequest, timeout_seconds: float) -> HttpResponse:
        """Send once and read the whole answer within `timeout_seconds` (connecting included).

        Any HTTP status is an answer, redirects included; they are not followed.

        Raises:
            NotSent: proved that nothing of the request was written; `Forbidden` where that was
                the request's own wish.
            NoAnswer: anything else: timeout, reset, cut-off or oversized answer.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class ControlFrame(Enum):
    """A sign of life from the other side that carries no message."""

    PING = "PING"
    """The server pinged; the connection has already answered it."""
    PONG = "PONG"
    """The server answered one of our pings."""


SocketMessage = str | bytes | ControlFrame


class SocketEnded(Exception):
    """A socket could not be opened, or ended.

    `close_code` is the WebSocket close code where one was received (1006: ended without a close
    frame); `http_status` is the status that answered the upgrade where it was refused.
    """

    def __init__(
        self, message: str, *, close_code: int | None = None, http_status: int | None = None
    ) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.http_status = http_status


class SocketConnection(Protocol):
    """One open WebSocket. One reader at a time; sending is safe beside it."""

    async def send_text(self, text: str) -> None:
        """Send one text frame.

        Raises:
            SocketEnded: the connection is gone.
        """
        ...

    async def send_ping(self) -> None:
        """Send one ping frame; its answer arrives as `ControlFrame.PONG`.

        Raises:
            SocketEnded: the connection is gone.
        """
        ...

    async def receive(self) -> SocketMessage:
        """Wait for the next frame. Server pings are answered before they are returned.

        Raises:
            SocketEnded: closed by either side, reset, or broken framing.
        """
        ...

    async def close(self) -> None:
        """Close; never raises and never waits long for the other side."""
        ...


class SocketTransport(Protocol):
    """Opens WebSockets."""

    async def connect(self, url: str, timeout_seconds: float) -> SocketConnection:
        """Open a WebSocket. `url` may hold the access token and is never repeated in an error.

        Raises:
            SocketEnded: refused (with `http_status`), unreachable or too slow.
        """
        ...
