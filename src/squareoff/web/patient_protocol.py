"""HTTP connections with an end: slow ones are given up, idle ones make room, all refusals alike.

uvicorn waits for ever for the head of a first request, and answers 503 to everybody when too many
connections stand open. Here a head arrives in time or the connection ends, and a new connection
takes the place of the oldest that has nothing under way, so that nobody is kept out by idlers (T11,
T13). Streams are counted by the route that serves them.
"""

import asyncio
import json
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from squareoff.web.errors import SECURITY_HEADERS, error_body
from squareoff.web.turnstile import Turnstile, is_incomplete

CONNECTIONS_MAX = 100
"""A person, a dashboard and a few scripts; more is a leak or an attack."""

HEAD_SECONDS_MAX = 5.0
"""A head of a few hundred bytes from this machine arrives at once."""


class PatientProtocol(H11Protocol):
    """One connection."""

    def __init__(self, turnstile: Turnstile, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turnstile = turnstile
        self._head = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, in the place of an idle connection where too many are open."""
        super().connection_made(transport)
        self.began = self.loop.time()
        self._head_timer: asyncio.TimerHandle | None = None
        self._await_head()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head has its time from its first byte on, a kept connection its own."""
        self._await_head()
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._head += data
            if is_incomplete(self._head):
                return
            data, self._head = self._head, b""
            if self._is_turned_away(data):
                return
        super().data_received(data)
        if not self.is_idle:
            self._forget_head()

    @property
    def is_idle(self) -> bool:
        """Say whether nothing is under way: no head has come whole, or all is answered."""
        return self.cycle is None or self.cycle.response_complete

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

    def _is_turned_away(self, data: bytes) -> bool:
        """Answer a request that comes too often; say whether that was it."""
        address = "unknown" if self.client is None else self.client[0]
        refusal = self._turnstile.refusal_of(data, address, self.loop.time())
        if refusal is None:
            return False
        self.transport.write(refusal.answer)
        self._forget_head()
        if refusal.ends_connection:
            self.transport.close()
        else:
            self._await_head()
        return True

    def _await_head(self) -> None:
        if self._head_timer is None and self.is_idle:
            self._head_timer = self.loop.call_later(HEAD_SECONDS_MAX, self._give_up_head)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.is_idle and not self.transport.is_closing():
            self.transport.close()

    def _make_room(self) -> None:
        open_ones = [each for each in self.connections if isinstance(each, PatientProtocol)]
        if len(open_ones) <= CONNECTIONS_MAX:
            return
        idle = [each for each in open_ones if each.is_idle and each is not self]
        oldest = min(idle, key=lambda each: each.began, default=self)
        oldest.transport.abort()
