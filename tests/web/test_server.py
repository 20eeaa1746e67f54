"""The server listens where told, says where, and ends in order."""

import asyncio
import http.client
import signal
import socket

import pytest

from api_rig import TOKEN, ApiRig
from squareoff.domain.errors import ConfigError, StartPrevented
from squareoff.web import server as server_module
from squareoff.web.app import create_app
from squareoff.web.roles import Role
from squareoff.web.server import ApiServer, refuse_taken_address, serve_api, serve_for_good
from squareoff.web.standby_app import StandbyPost, create_standby_app


def test_port_zero_takes_a_free_one_and_tells_it(rig: ApiRig) -> None:
    """The bound port is in the address."""
    assert rig.port > 0
    assert rig.server.url == f"http://127.0.0.1:{rig.port}"
    assert rig.call("GET", "/healthz").status == 200


def test_a_taken_port_is_told_by_the_settings_name(rig: ApiRig) -> None:
    """Another program holds it, which passes; an address that no machine has does not."""
    said = rf"api\.host, api\.port: cannot listen on .*{rig.port}"
    with pytest.raises(StartPrevented, match=said):
        ApiServer(create_app(rig.engine.desk, tokens={Role.ADMIN: TOKEN}), "127.0.0.1", rig.port)
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:"):
        refuse_taken_address("192.0.2.1", rig.port)


def test_it_can_listen_on_ipv6(rig: ApiRig) -> None:
    """`::1` is a loopback address as well, with brackets in its URL."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        server = ApiServer(create_app(rig.engine.desk, tokens={Role.ADMIN: TOKEN}), "::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")
    server.stop()

    assert server.url == f"http://[::1]:{server.port}"
    asyncio.run(server.run())


def test_an_address_that_is_lost_ends_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program has a broken server's port: the API waits for it, the engine goes on."""
    monkeypatch.setattr(server_module, "AGAIN_SECONDS", 0.0)
    app = create_standby_app(StandbyPost(0), tokens={Role.ADMIN: TOKEN}, host="127.0.0.1")
    server = ApiServer(app, "127.0.0.1", 0)
    taken: list[socket.socket] = []

    async def fail() -> None:
        server._socket.close()
        taken.append(socket.create_server(("127.0.0.1", server.port)))
        raise RuntimeError("as if the server had a defect")

    server.run = fail  # type: ignore[method-assign]

    async def body() -> None:
        serving = asyncio.ensure_future(serve_for_good(app, server, "127.0.0.1"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert taken
        assert not serving.done()
        serving.cancel()
        await asyncio.wait([serving])
        taken[0].close()

    asyncio.run(body())


def test_cancelling_ends_the_server_and_frees_the_port() -> None:
    """After a cancel the port is free and signal handlers are as before."""
    with ApiRig() as own:
        desk = own.engine.desk

        async def body() -> int:
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(
                    serve_api(
                        create_app(desk, tokens={Role.ADMIN: TOKEN}),
                        "127.0.0.1",
                        0,
                        ready.set_result,
                    )
                )
                port = int((await ready).rpartition(":")[2])
                status = await asyncio.to_thread(_healthz, port)
                serving.cancel()
            assert status == 200
            return port

        before = signal.getsignal(signal.SIGINT)
        port = asyncio.run(body())

    assert signal.getsignal(signal.SIGINT) is before
    with socket.create_server(("127.0.0.1", port)):
        pass


def _healthz(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/healthz")
    status = connection.getresponse().status
    connection.close()
    return status
