"""Whom the real transport believes to be the broker: wrong certificates are told nothing."""

import asyncio
import ssl
from pathlib import Path

import pytest

from squareoff.adapters.broker.dhan.aiohttp_transport import AiohttpTransport
from squareoff.adapters.broker.dhan.transport import HttpRequest, NotSent, SocketEnded
from throwaway.certificates import LOOPBACK, Authority, new_authority, self_signed_server

POST = HttpRequest("POST", "/orders", headers={"access-token": "canary-token-7f3a"}, body=b"{}")
SECONDS_MAX = 10.0


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority()


async def heard(server: ssl.SSLContext, client: ssl.SSLContext | None, *, is_socket: bool) -> bytes:
    """Return what a server with this certificate hears of our transport."""
    told = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, LOOPBACK, 0, ssl=server)
    async with listener:
        place = f"{LOOPBACK}:{listener.sockets[0].getsockname()[1]}"
        async with AiohttpTransport(f"https://{place}", ssl_context=client) as transport:
            try:
                if is_socket:
                    await transport.connect(f"wss://{place}/?token=canary", SECONDS_MAX)
                else:
                    await transport.send(POST, SECONDS_MAX)
            except (NotSent, SocketEnded):
                pass
    return bytes(told)


@pytest.mark.parametrize("is_socket", [False, True], ids=["request", "socket"])
def test_a_server_that_vouches_for_itself_hears_nothing(tmp_path: Path, is_socket: bool) -> None:
    """As the engine makes the transport, a self-signed certificate is none."""
    server = self_signed_server(tmp_path, LOOPBACK)

    assert asyncio.run(heard(server, None, is_socket=is_socket)) == b""


@pytest.mark.parametrize("is_socket", [False, True], ids=["request", "socket"])
def test_an_authority_that_nobody_knows_is_none(
    authority: Authority, tmp_path: Path, is_socket: bool
) -> None:
    """A certificate for the right name counts only where its signer is known."""
    server = authority.server(tmp_path, LOOPBACK)

    assert asyncio.run(heard(server, None, is_socket=is_socket)) == b""
    assert asyncio.run(heard(server, authority.trusting(), is_socket=is_socket)) != b""


@pytest.mark.parametrize("is_socket", [False, True], ids=["request", "socket"])
@pytest.mark.parametrize(("name", "days_left"), [("api.dhan.co", 1), (LOOPBACK, -1)])
def test_another_name_and_an_old_certificate_are_refused(
    authority: Authority, tmp_path: Path, name: str, days_left: int, is_socket: bool
) -> None:
    """A known authority vouches for one name, and for a time."""
    server = authority.server(tmp_path, name, days_left=days_left)

    assert asyncio.run(heard(server, authority.trusting(), is_socket=is_socket)) == b""
