"""The real transport on loopback sockets: what was sent, how often, and what is proved of it."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import WSMsgType, web

from squareoff.adapters.broker.dhan.aiohttp_transport import BODY_BYTES_MAX, AiohttpTransport
from squareoff.adapters.broker.dhan.transport import (
    ControlFrame,
    Forbidden,
    HttpRequest,
    NoAnswer,
    NotSent,
    SocketEnded,
    TransportError,
)

SECRET = "canary-token-7f3a"
POST = HttpRequest("POST", "/orders", headers={"access-token": SECRET}, body=b'{"a":1}')
DEADLINE_SECONDS = 10.0
Handler = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request as the server read it, and the means to answer it byte by byte."""

    def __init__(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.head = head
        self.body = body
        self.writer = writer

    async def answer(self, status: str, body: bytes = b"", *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.writer.transport.abort()


class Server:
    """A tiny HTTP server; `handlers` are used one per request, in order, the last for ever."""

    def __init__(self, handlers: list[Handler]) -> None:
        self.handlers = handlers
        self.requests: list[Exchange] = []
        self.connection_count = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                exchange = Exchange(head, await reader.readexactly(length), writer)
                place = min(len(self.requests), len(self.handlers) - 1)
                self.requests.append(exchange)
                await self.handlers[place](exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*handlers: Handler):
    server = Server(list(handlers))
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


async def send(server: Server, request: HttpRequest = POST, timeout: float = DEADLINE_SECONDS):
    async with AiohttpTransport(server.url) as transport:
        return await transport.send(request, timeout)


async def ok(exchange: Exchange) -> None:
    await exchange.answer("200 OK", b'{"orderId":"1"}')


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def finish_silently(exchange: Exchange) -> None:
    exchange.writer.close()


async def say_nothing(exchange: Exchange) -> None:
    await asyncio.Event().wait()


async def cut_off_head(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.writer.close()


async def cut_off_body(exchange: Exchange) -> None:
    exchange.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"orderId":"1"}')
    exchange.writer.close()


async def speak_no_http(exchange: Exchange) -> None:
    exchange.writer.write(b"\x00\x01\x02 what\r\n\r\n")
    await exchange.writer.drain()


async def answer_too_long(exchange: Exchange) -> None:
    await exchange.answer("200 OK", b"x" * (BODY_BYTES_MAX + 1))


def test_a_request_goes_out_once_and_its_answer_comes_back():
    """Method, path, headers and body arrive as given; status, headers and body come back."""

    async def body():
        async with serving(ok) as server:
            response = await send(server)

            (one,) = server.requests
            assert one.head.startswith(b"POST /v2/orders HTTP/1.1\r\n")
            assert f"access-token: {SECRET}".encode() in one.head
            assert one.body == b'{"a":1}'
            assert (response.status, response.body) == (200, b'{"orderId":"1"}')
            assert response.headers["content-length"] == "15"

    asyncio.run(body())


def test_the_trade_book_of_a_busy_day_is_an_answer():
    """Every one of 7,000 orders may have several fills of 530 bytes."""
    book = b"[" + b" " * 530 * 4 * 7_000 + b"]"

    async def body():
        async def answer(exchange):
            await exchange.answer("200 OK", book)

        async with serving(answer) as server:
            assert (await send(server)).body == book

    asyncio.run(body())


@pytest.mark.parametrize("status", ["400 Bad", "429 Slow", "500 Bad", "502 Bad Gateway"])
def test_any_status_is_an_answer(status):
    """An HTML 502 is an answer for the layer above to judge, received after one request."""

    async def body():
        async def answer(exchange):
            await exchange.answer(status, b"<html></html>")

        async with serving(answer) as server:
            response = await send(server)

            assert (response.status, response.body) == (int(status[:3]), b"<html></html>")
            assert len(server.requests) == 1

    asyncio.run(body())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
def test_redirects_are_not_followed(method, status):
    """A redirect is an answer; no second request leaves."""

    async def body():
        async def redirect(exchange):
            await exchange.answer(status, b"", "Location: /v2/elsewhere")

        async with serving(redirect, ok) as server:
            response = await send(server, HttpRequest(method, "/orders"))

            assert response.status == int(status[:3])
            assert len(server.requests) == 1

    asyncio.run(body())


BREAKS = [
    reset,
    finish_silently,
    cut_off_head,
    cut_off_body,
    speak_no_http,
    answer_too_long,
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: fault.__name__)
def test_a_broken_answer_is_no_answer_and_one_request(method, fault):
    """Once a request was read by the server, its failure is NoAnswer, and it is not repeated."""

    async def body():
        async with serving(fault, ok) as server:
            with pytest.raises(NoAnswer):
                await send(server, HttpRequest(method, "/orders/1"))
            assert len(server.requests) == 1

    asyncio.run(body())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("fault", [reset, finish_silently], ids=lambda fault: fault.__name__)
def test_a_kept_alive_connection_that_dies_causes_no_resend(method, fault):
    """The HTTP library's own resend on reused connections does not happen for any method."""

    async def body():
        async with serving(ok, fault, ok) as server, AiohttpTransport(server.url) as transport:
            await transport.send(HttpRequest("GET", "/profile"), DEADLINE_SECONDS)
            with pytest.raises(NoAnswer):
                await transport.send(HttpRequest(method, "/orders/1"), DEADLINE_SECONDS)

            assert server.connection_count == 1, "the second request must reuse the connection"
            assert len(server.requests) == 2

    asyncio.run(body())


def test_the_transport_works_on_after_failures():
    """A dead connection is replaced by the next request."""

    async def body():
        async with serving(reset, ok) as server, AiohttpTransport(server.url) as transport:
            with pytest.raises(NoAnswer):
                await transport.send(POST, DEADLINE_SECONDS)
            response = await transport.send(POST, DEADLINE_SECONDS)

            assert response.status == 200

    asyncio.run(body())


def test_a_timeout_after_the_request_is_no_answer():
    """A server that read the request and says nothing leaves the outcome unknown."""

    async def body():
        async with serving(say_nothing) as server:
            with pytest.raises(NoAnswer):
                await send(server, timeout=0.2)
            assert len(server.requests) == 1

    asyncio.run(body())


def test_a_slow_body_counts_against_the_same_deadline():
    """An answer that stops in the middle ends with the deadline."""

    async def body():
        async def stall(exchange):
            exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            await exchange.writer.drain()
            await asyncio.Event().wait()

        async with serving(stall) as server:
            with pytest.raises(NoAnswer):
                await send(server, timeout=0.2)

    asyncio.run(body())


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_refused_connection_proves_that_nothing_was_sent():
    """No listener, no byte: NotSent."""

    async def body():
        async with AiohttpTransport(f"http://127.0.0.1:{closed_port()}") as transport:
            with pytest.raises(NotSent):
                await transport.send(POST, DEADLINE_SECONDS)

    asyncio.run(body())


def test_an_unknown_name_proves_that_nothing_was_sent():
    """A name that cannot be looked up: NotSent (.invalid never resolves, RFC 6761)."""

    async def body():
        async with AiohttpTransport("http://broker.invalid") as transport:
            with pytest.raises(NotSent):
                await transport.send(POST, DEADLINE_SECONDS)

    asyncio.run(body())


def test_a_connect_that_takes_too_long_proves_that_nothing_was_sent():
    """A full backlog that never completes the handshake: NotSent at the deadline."""

    async def body():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            try:
                async with AiohttpTransport(f"http://127.0.0.1:{port}") as transport:
                    with pytest.raises(NotSent):
                        await transport.send(POST, 0.3)
            finally:
                for filler in fillers:
                    filler.close()

    asyncio.run(body())


def test_a_failed_tls_handshake_proves_that_nothing_was_sent():
    """A server that speaks no TLS, or closes during it, never saw the request: NotSent."""

    async def body():
        async def serve(reader, writer):
            await reader.read(64)
            writer.write(b"HTTP/1.1 400 no TLS here\r\n\r\n")
            writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            async with AiohttpTransport(f"https://127.0.0.1:{port}") as transport:
                with pytest.raises(NotSent):
                    await transport.send(POST, DEADLINE_SECONDS)

    asyncio.run(body())


def test_certificates_are_verified():
    """The connection's TLS context demands a certificate and checks the name."""

    async def body():
        async with AiohttpTransport("https://127.0.0.1:1") as transport:
            session = transport._open_session()
            context = session.connector._get_ssl_context(_Secure())
            assert context.verify_mode is ssl.CERT_REQUIRED
            assert context.check_hostname

    asyncio.run(body())


class _Secure:
    ssl = True

    @staticmethod
    def is_ssl() -> bool:
        return True


@pytest.mark.parametrize("fault", [*BREAKS, say_nothing], ids=lambda fault: fault.__name__)
def test_errors_hold_no_header_and_no_cause(fault):
    """Neither the text nor any chained error of a failure can show the token."""

    async def body():
        async with serving(fault) as server:
            with pytest.raises(TransportError) as caught:
                await send(server, timeout=0.5)
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None
            assert SECRET not in repr(caught.value)

    asyncio.run(body())


def test_cancelling_passes_through():
    """A cancelled call raises the cancellation, not an answer of ours."""

    async def body():
        async with serving(say_nothing) as server, AiohttpTransport(server.url) as transport:
            task = asyncio.ensure_future(transport.send(POST, DEADLINE_SECONDS))
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not server.requests:
                    await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(body())


# WebSockets, against aiohttp's own server


@asynccontextmanager
async def serving_sockets(talk: Callable[[web.WebSocketResponse], Awaitable[None]], **options):
    async def handle(request: web.Request) -> web.StreamResponse:
        socket_ = web.WebSocketResponse(**options)
        await socket_.prepare(request)
        await talk(socket_)
        return socket_

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=429)

    async def lead_elsewhere(request: web.Request) -> web.StreamResponse:
        status = int(request.match_info["status"])
        return web.Response(status=status, headers={"Location": "/feed"})

    application = web.Application()
    application.router.add_get("/moved/{status}", lead_elsewhere)
    application.router.add_get("/feed", handle)
    application.router.add_get("/busy", refuse)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_frames_pings_and_the_close_code_come_through():
    """Text, binary, both kinds of control frames and the close code reach the reader."""

    async def body():
        async def talk(socket_):
            hello = await socket_.receive()
            await socket_.send_str(f"heard {hello.data}")
            await socket_.send_bytes(b"\x02\x10")
            await socket_.ping(b"x")
            answer = await socket_.receive()
            assert answer.type is WSMsgType.PONG
            ping = await socket_.receive()
            assert ping.type is WSMsgType.PING
            await socket_.pong(ping.data)
            await socket_.close(code=4001)

        async with (
            serving_sockets(talk, autoping=False) as url,
            AiohttpTransport("http://unused") as transport,
        ):
            connection = await transport.connect(f"{url}/feed?token={SECRET}", DEADLINE_SECONDS)
            await connection.send_text("hello")
            assert await connection.receive() == "heard hello"
            assert await connection.receive() == b"\x02\x10"
            assert await connection.receive() is ControlFrame.PING
            await connection.send_ping()
            assert await connection.receive() is ControlFrame.PONG
            with pytest.raises(SocketEnded) as caught:
                await connection.receive()
            assert caught.value.close_code == 4001
            await connection.close()

    asyncio.run(body())


def test_a_reset_socket_ends_with_1006():
    """A connection that dies without a close frame is SocketEnded, for reading and writing."""

    async def body():
        async def talk(socket_):
            socket_._req.transport.abort()

        async with (
            serving_sockets(talk) as url,
            AiohttpTransport("http://unused") as transport,
        ):
            connection = await transport.connect(f"{url}/feed", DEADLINE_SECONDS)
            with pytest.raises(SocketEnded) as caught:
                await connection.receive()
            assert caught.value.close_code == 1006
            with pytest.raises(SocketEnded):
                await connection.send_text("x")
            await connection.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/busy", 429),
        ("/nowhere", 404),
        *((f"/moved/{status}", status) for status in (301, 302, 303, 307, 308)),
    ],
)
def test_a_refused_upgrade_tells_its_status_and_hides_the_address(path, status):
    """The HTTP status comes through; the address with its token does not, in no chained error.
    Where the upgrade is led elsewhere, nobody is reached there."""

    async def body():
        async def talk(socket_):
            raise AssertionError("a redirect was followed")

        async with (
            serving_sockets(talk) as url,
            AiohttpTransport("http://unused") as transport,
        ):
            with pytest.raises(SocketEnded) as caught:
                await transport.connect(f"{url}{path}?token={SECRET}", DEADLINE_SECONDS)
            assert caught.value.http_status == status
            assert caught.value.__context__ is None
            assert SECRET not in repr(caught.value)

    asyncio.run(body())


def test_an_unreachable_socket_hides_the_address():
    """A refused connection is SocketEnded without a status and without the token."""

    async def body():
        async with AiohttpTransport("http://unused") as transport:
            with pytest.raises(SocketEnded) as caught:
                await transport.connect(
                    f"ws://127.0.0.1:{closed_port()}/?token={SECRET}", DEADLINE_SECONDS
                )
            assert caught.value.http_status is None
            assert caught.value.__context__ is None
            assert SECRET not in repr(caught.value)

    asyncio.run(body())


def test_a_silent_upgrade_ends_with_the_deadline():
    """A server that takes the connection and never answers the upgrade is given up."""

    async def body():
        async with serving(say_nothing) as server, AiohttpTransport("http://unused") as transport:
            with pytest.raises(SocketEnded):
                await transport.connect(f"ws://127.0.0.1:{server.port}/", 0.2)

    asyncio.run(body())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_request_that_forbids_itself_writes_no_byte(method: str):
    """Asked with the connection standing: Forbidden, nothing arrives, and the next request goes."""

    async def body():
        async with serving(ok) as server, AiohttpTransport(server.url) as transport:
            asked: list[int] = []

            def forbidden() -> str | None:
                asked.append(server.connection_count)
                return "too late"

            plain = HttpRequest(method, "/orders/1", body=None if method == "DELETE" else b"{}")
            late = replace(plain, forbidden=forbidden)
            for count in (1, 2):  # on a new connection, then on one that was kept alive
                with pytest.raises(Forbidden, match=r"^too late$"):
                    await transport.send(late, DEADLINE_SECONDS)
                assert (await transport.send(plain, DEADLINE_SECONDS)).status == 200
                assert len(server.requests) == count
            assert asked == [1, 2]

    asyncio.run(body())
