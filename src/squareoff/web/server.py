"""Serve the API inside the engine's own event loop.

The engine owns signals and the end of the process; this server takes neither.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from squareoff.domain.errors import ConfigError, StartPrevented
from squareoff.web.patient_protocol import PatientProtocol

_log = structlog.get_logger("squareoff.web")
KEEP_ALIVE_SECONDS = 15
AGAIN_SECONDS = 0.5
"""Between the end of a failed server and the next one."""

_AT_FAULT = frozenset({errno.EACCES, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What no repetition cures. A port that is taken is free again some time, and an engine that is
then started anew watches; one that ended for wrong settings stays down."""

GOODBYE_SECONDS = 2
"""How long calls under way may still take when the server ends."""


class ApiServer:
    """One listening socket with the API behind it.

    Raises:
        ConfigError: at construction, where the address is none to listen on.
        StartPrevented: at construction, where it cannot be listened on now.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._socket = _listening_socket(host, port)
        self._port = int(self._socket.getsockname()[1])
        self._host = host
        self._is_closing = app.state.is_closing
        assert isinstance(self._is_closing, asyncio.Event), "whoever made the app put it there"
        self._run_beside: Callable[[], Coroutine[Any, Any, None]] | None = getattr(
            app.state, "run_beside", None
        )
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                http=partial(PatientProtocol, app.state.turnstile),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GOODBYE_SECONDS,
            )
        )

    @property
    def port(self) -> int:
        """The port that is really listened on, also where 0 was asked for."""
        return self._port

    @property
    def url(self) -> str:
        """The address to call: `http://127.0.0.1:8700`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    async def run(self) -> None:
        """Serve until cancelled or `stop`ped; calls under way end first, open streams are cut."""
        async with asyncio.TaskGroup() as tasks:
            beside = None if self._run_beside is None else tasks.create_task(self._run_beside())
            await self._serve()
            if beside is not None:
                beside.cancel()

    async def _serve(self) -> None:
        port_holder = self._socket
        try:
            await self._server.serve(sockets=[port_holder])
        except asyncio.CancelledError:
            self._is_closing.set()
            if self._server.started:
                await self._server.shutdown(sockets=[port_holder])
            raise
        finally:
            port_holder.close()

    def stop(self) -> None:
        """Ask `run` to come to its end."""
        self._is_closing.set()
        self._server.should_exit = True


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signal handlers alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def refuse_taken_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before anything else is begun.

    Raises:
        ConfigError: it is none of ours.
        StartPrevented: somebody listens there.
    """
    _listening_socket(host, port).close()


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=128)
        # Connections inherit it. Without it head and body of an answer, two writes, wait 40 ms for
        # each other on a kept connection (asyncio sets it only where the protocol is named).
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        text = f"api.host, api.port: cannot listen on {host}:{port}: {error.strerror or error}"
        if error.errno in _AT_FAULT:
            raise ConfigError(text) from error
        raise StartPrevented(text) from error


async def serve_for_good(app: FastAPI, server: ApiServer, host: str) -> None:
    """Serve until cancelled; a server that fails is replaced, and no exit waits for it (T12), nor
    for its address, which another program may have taken meanwhile."""
    port, serving = server.port, server.run
    while True:
        try:
            await serving()
        except Exception as error:  # noqa: BLE001 - top of the API: the engine goes on without it
            _log.error("api_ended", exc_info=error)
        else:
            return
        await asyncio.sleep(AGAIN_SECONDS)
        serving = partial(_serve_anew, app, host, port)


async def _serve_anew(app: FastAPI, host: str, port: int) -> None:
    await ApiServer(app, host, port).run()


async def serve_api(app: FastAPI, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until cancelled; `on_ready` is told the address once the socket listens.

    Raises:
        ConfigError, StartPrevented: the address cannot be listened on.
    """
    server = ApiServer(app, host, port)
    on_ready(server.url)
    await server.run()
