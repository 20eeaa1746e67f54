"""HTTP connections with an end: slow ones are given up, idle ones make room, all refusals alike.

uvicorn waits for ever for the head of a first request, and answers 503 to everybody when too many
connections stand open. Here a head arrives in time or the connection ends, and a new connection
takes the place of the oldest that has nothing under way, so that nobody is kept out by idlers (T11,
T13). A request that comes too often is refused before it is parsed; until one is let on there is no
parser at all. Streams are counted by the route that serves them.
"""

import asyncio
import json
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from squareoff.web.error_shape import error_body
from squareoff.web.errors import SECURITY_HEADERS
from squareoff.web.turnstile import Turnstile, is_incomplete

CONNECTIONS_MAX = 100
"""A person, a dashboard and a few scripts; more is a leak or an attack."""

HEAD_SECONDS_MAX = 5.0
"""A head of a few hundred bytes from this machine arrives at once."""


class PatientProtocol(asyncio.Protocol):
    """One connection, and the parser behind it from the first request that is let on."""

    def __init__(
        self,
        turnstile: Turnstile,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._turnstile = turnstile
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._http: _HttpParser | None = None
        self._head = b""
        self._head_timer: asyncio.TimerHandle | None = None
        self.began = self._loop.time()
        self._address = "unknown"
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, in the place of an idle connection where too many are open."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if peer:
            self._address = str(peer[0])
        self._server_state.connections.add(cast(Any, self))
        self._await_head()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget_head()
        self._server_state.connections.discard(cast(Any, self))
        if self._http is not None:
            self._http.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head has its time from its first byte on, a kept connection its own."""
        self._await_head()
        if self._is_between_requests:
            self._head += data
            if is_incomplete(self._head):
                return
            data, self._head = self._head, b""
            if self._is_turned_away(data):
                return
        self._parser().data_received(data)
        if not self.is_idle:
            self._forget_head()

    def pause_writing(self) -> None:
        """Tell whoever answers that the other side reads too slowly."""
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        """Tell whoever answers that there is room again."""
        if self._http is not None:
            self._http.resume_writing()

    def shutdown(self) -> None:
        """Called as the server ends: what has a parser is ended by it, after its answer."""
        if self._http is None:
            self._transport.close()

    @property
    def is_idle(self) -> bool:
        """Say whether nothing is under way: no head has come whole, or all is answered."""
        return self._http is None or self._http.is_idle

    @property
    def _is_between_requests(self) -> bool:
        """Say whether the next byte is the first of a head, as far as we passed bytes on."""
        return self._http is None or self._http.is_between_requests

    def _parser(self) -> "_HttpParser":
        if self._http is None:
            self._http = _HttpParser(self._config, self._server_state, self._app_state)
            self._http.connection_made(self._transport)
        return self._http

    def _is_turned_away(self, data: bytes) -> bool:
        """Answer a request that comes too often; say whether that was it."""
        refusal = self._turnstile.refusal_of(data, self._address, self._loop.time())
        if refusal is None:
            return False
        self._transport.write(refusal.answer)
        if self._http is not None:
            self._http.stay_open()
        self._forget_head()
        if refusal.ends_connection:
            self._transport.close()
        else:
            self._await_head()
        return True

    def _await_head(self) -> None:
        if self._head_timer is None and self.is_idle:
            self._head_timer = self._loop.call_later(HEAD_SECONDS_MAX, self._give_up_head)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.is_idle and not self._transport.is_closing():
            self._transport.close()

    def _make_room(self) -> None:
        known = self._server_state.connections
        if len(known) <= CONNECTIONS_MAX:
            return  # of which some stand there twice, with their parser
        open_ones = [each for each in known if isinstance(each, PatientProtocol)]
        if len(open_ones) <= CONNECTIONS_MAX:
            return
        idle = [each for each in open_ones if each.is_idle and each is not self]
        oldest = min(idle, key=lambda each: each.began, default=self)
        oldest._transport.abort()


class _HttpParser(H11Protocol):
    """uvicorn's side of a connection, with refusals in our shape."""

    @property
    def is_idle(self) -> bool:
        """Say whether no request was read, or all are answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_between_requests(self) -> bool:
        """Say whether nothing of a request was read that is not answered."""
        return self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]

    def stay_open(self) -> None:
        """Forget that nothing came since the last answer: something did."""
        self._unset_keepalive_if_required()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP in the one shape of errors; `msg` stays here."""
        body = json.dumps(error_body("malformed_request", "this is no HTTP request")).encode()
        headers = [
            *((name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            said = cast(bytes | None, self.conn.send(event))
            self.transport.write(said or b"")
        self.transport.close()
