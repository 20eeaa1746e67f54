"""The real network: aiohttp behind the seam of `transport`.

Invariants (see transport.py):
1. `NotSent` is proved by a trace: aiohttp signals `request_headers_sent` before it hands the first
   byte of a request to the socket, so no signal means no byte.
2. At most one request per `send`. aiohttp (3.14, `ClientSession._request`) by itself resends GET,
   PUT and DELETE once when a kept-alive connection turns out dead. The loop that does so catches
   aiohttp's own errors around the middleware chain; our middleware turns them into `TransportError`
   inside that chain, so the resend can never run, and refuses a second pass should it ever change.
   Redirects are answers, and end an upgrade: whoever opens a socket tells it the token next. No
   proxy, cookie or netrc is used.
3. aiohttp's errors hold URLs and headers, which hold the token: they are described in our words
   and not chained, in no case attached as cause or context.
4. Certificates are verified with the system's roots; there is no switch.
"""

import asyncio
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
from yarl import URL

from squareoff.adapters.broker.dhan.transport import (
    ControlFrame,
    Forbidden,
    HttpRequest,
    HttpResponse,
    NoAnswer,
    NotSent,
    SocketConnection,
    SocketEnded,
    SocketMessage,
    TransportError,
)

# The broker takes 7,000 orders a day. Their book (900 bytes a row) is 6.3 MB, but the trade book
# has 530 bytes for each fill, and an order of a freeze quantity has dozens: 64 MiB hold 126,000
# fills. Larger answers are no answers.
BODY_BYTES_MAX = 64 * 1024 * 1024
# Load balancers drop idle connections after 60 s and more; well below that, so that a request is
# not written into a connection the other side is just closing (its outcome would be unknown).
KEEP_ALIVE_SECONDS = 15.0
# A full feed packet is 162 bytes and one frame may hold many; 4 MiB is beyond any real frame.
FRAME_BYTES_MAX = 4 * 1024 * 1024
# How long a closing handshake may hold us up; the reconnect must not wait for a dead peer.
CLOSE_TIMEOUT_SECONDS = 1.0
_READ_CHUNK_BYTES = 64 * 1024
_CONNECTIONS_MAX = 32


class AiohttpTransport:
    """HTTP and WebSockets over aiohttp; fulfils `HttpTransport` and `SocketTransport`.

    Made outside of a running loop; the session opens with the first use. `base_url` is joined in
    front of each request's path (it may have a path of its own, such as `/v2`). `on_request` is
    called with each request right before its first byte.
    """

    def __init__(
        self,
        base_url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        on_request: Callable[[HttpRequest], None] | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._ssl = ssl_context
        self._on_request = on_request
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest, timeout_seconds: float) -> HttpResponse:
        """Send once; see `HttpTransport.send` for what its errors prove."""
        attempt = _Attempt(request, self._on_request)
        failure = ""
        try:
            return await self._exchange(request, timeout_seconds, attempt)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            failure = _describe(error)
        except _AttemptFailed as error:
            failure = str(error)
        if attempt.forbidden is not None:
            raise Forbidden(attempt.forbidden)
        # Raised outside of the handlers on purpose: invariant 3.
        what = f"{request.method} {request.path}: {failure}"
        raise NoAnswer(what) if attempt.handed_over else NotSent(what)

    async def _exchange(
        self, request: HttpRequest, timeout_seconds: float, attempt: "_Attempt"
    ) -> HttpResponse:
        url = URL(self._base_url + request.path, encoded=True)
        async with self._open_session().request(
            request.method,
            url.update_query(dict(request.query)) if request.query else url,
            headers=dict(request.headers),
            data=request.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            trace_request_ctx=attempt,
            middlewares=(attempt.middleware,),
        ) as response:
            body = await _read_capped(response)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(response.status, headers, body)

    async def connect(self, url: str, timeout_seconds: float) -> SocketConnection:
        """Open a WebSocket; see `SocketTransport.connect`."""
        ended: SocketEnded | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                socket = await self._open_session().ws_connect(
                    URL(url, encoded=True),
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_SECONDS),
                    autoping=False,
                    max_msg_size=FRAME_BYTES_MAX,
                )
                return _AiohttpSocket(socket)
        except aiohttp.WSServerHandshakeError as error:
            status = error.status
            ended = SocketEnded(f"the upgrade was answered with HTTP {status}", http_status=status)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            ended = SocketEnded(f"could not connect: {_describe(error)}")
        raise ended  # outside of the handlers on purpose: invariant 3

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_note_headers_sent)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._ssl if self._ssl is not None else True,
                    limit=_CONNECTIONS_MAX,
                    keepalive_timeout=KEEP_ALIVE_SECONDS,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
                middlewares=(_refuse_redirect,),  # of upgrades: requests bring their own
                trust_env=False,
            )
        return self._session


class _AttemptFailed(TransportError):
    """aiohttp's failure in our words; not an aiohttp error, so aiohttp does not act on it."""


class _Attempt:
    """What is known of one request: whether it was handed over to the socket."""

    def __init__(
        self, request: HttpRequest, on_request: Callable[[HttpRequest], None] | None
    ) -> None:
        self.handed_over = False
        self.forbidden: str | None = None
        self._request = request
        self._on_request = on_request
        self._entered = False

    def hand_over(self) -> None:
        """The next thing that happens is the first byte, unless the request itself forbids it."""
        self.forbidden = self._request.forbidden()
        if self.forbidden is not None:
            raise _AttemptFailed(self.forbidden)
        self.handed_over = True
        if self._on_request is not None:
            self._on_request(self._request)

    async def middleware(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Let the request pass once and hide aiohttp's errors from its own resend."""
        if self._entered:
            raise _AttemptFailed("the HTTP library tried to send a request a second time")
        self._entered = True
        failure = ""
        try:
            return await handler(request)
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            failure = _describe(error)
        raise _AttemptFailed(failure)


async def _refuse_redirect(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """End an upgrade that is led elsewhere; aiohttp's `ws_connect` has no switch for it."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise aiohttp.WSServerHandshakeError(response.request_info, (), status=response.status)
    return response


async def _note_headers_sent(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any
) -> None:
    attempt = context.trace_request_ctx
    if isinstance(attempt, _Attempt):
        attempt.hand_over()


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_READ_CHUNK_BYTES):
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            response.close()
            raise _AttemptFailed(f"the answer was longer than {BODY_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _describe(error: BaseException) -> str:
    """Name a failure without its URL or headers."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{type(error).__name__} (errno {error.errno})"
    return type(error).__name__


class _AiohttpSocket:
    """One WebSocket of aiohttp as a `SocketConnection`."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[Any]") -> None:
        self._socket = socket

    async def send_text(self, text: str) -> None:
        await self._guard(lambda: self._socket.send_str(text))

    async def send_ping(self) -> None:
        await self._guard(self._socket.ping)

    async def receive(self) -> SocketMessage:
        message = await self._socket.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                content: str | bytes = message.data
                return content
            case aiohttp.WSMsgType.PING:
                await self._guard(lambda: self._socket.pong(message.data))
                return ControlFrame.PING
            case aiohttp.WSMsgType.PONG:
                return ControlFrame.PONG
            case aiohttp.WSMsgType.ERROR:
                raise SocketEnded(
                    f"broken frame: {_describe(message.data)}", close_code=self._socket.close_code
                )
            case _:
                raise SocketEnded("closed", close_code=self._socket.close_code)

    async def close(self) -> None:
        await self._socket.close()

    async def _guard(self, send: Callable[[], Any]) -> None:
        failure = ""
        try:
            await send()
            return
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            failure = _describe(error)
        raise SocketEnded(f"could not write: {failure}", close_code=self._socket.close_code)
