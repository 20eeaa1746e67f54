"""The order-update socket: hints that shorten latency; the truth is read by REST.

Source: dhanhq-v2.md 6. There is no login answer, no replay and no trade id. A refused login shows
only as an end right after it, so the connection counts as logged in once it has carried an order
alert or has outlived the login by `LOGIN_SETTLE_SECONDS`.

Invariants:
1. `StreamConnected` comes before any report of its connection, once, and never for a refused login.
2. No frame, whatever it holds, ends the connection; what is no order update is `StreamGarbled`.
3. The token is in the login frame only, never in an event or an error.
"""

from collections.abc import Callable

from squareoff.adapters.broker.dhan.credentials import TokenSource
from squareoff.adapters.broker.dhan.errors import scrub
from squareoff.adapters.broker.dhan.json_values import Unreadable
from squareoff.adapters.broker.dhan.socket_session import (
    SocketSession,
    SocketSettings,
    run_until_disconnected,
    until_replaced,
)
from squareoff.adapters.broker.dhan.transport import SocketTransport
from squareoff.adapters.broker.dhan.wire_requests import login_text
from squareoff.adapters.broker.dhan.wire_updates import read_update
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.orders import OrderReport
from squareoff.ports import Clock, OrderStreamEvent, StreamConnected, StreamGarbled

LOGIN_SETTLE_SECONDS = 1.0
"""Refused logins were seen to end within 10 ms (dhanhq-v2.md 6.4); a second is ample."""

_GARBLED_TEXT_LENGTH_MAX = 200
_NAME = "order updates"

Publish = Callable[[OrderStreamEvent], None]


class DhanOrderUpdates:
    """Fulfils `ports.OrderUpdates`: one connection per `run_once`; reconnecting is the caller's."""

    def __init__(
        self,
        settings: SocketSettings,
        transport: SocketTransport,
        tokens: TokenSource,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._tokens = tokens
        self._clock = clock

    async def run_once(self, publish: Publish) -> None:
        """Connect, log in and publish until the connection ends.

        Raises:
            FeedDisconnected: always, in the end. `code` is an HTTP status where the upgrade was
                refused (429: wait a minute or more), else None.
        """
        token = await self._tokens.usable()
        session = await SocketSession.open(_NAME, self._transport, self._settings.url, self._clock)
        async with session:
            await session.send(login_text(self._settings.account_id, token))
            login = _Login(publish)
            try:
                await run_until_disconnected(
                    self._read(session, login, token),
                    self._settle(login),
                    session.ping(),
                    session.watch_silence(),
                    *until_replaced(_NAME, self._tokens, token),
                )
            except FeedDisconnected as error:
                if login.is_settled:
                    raise
                await self._tokens.suspect(token)
                raise FeedDisconnected(
                    f"{error}; it ended right after the login: is the token alive?", error.code
                ) from error

    async def _settle(self, login: "_Login") -> None:
        await self._clock.sleep(LOGIN_SETTLE_SECONDS)
        login.settle()

    async def _read(self, session: SocketSession, login: "_Login", token: str) -> None:
        while True:
            login.take(_event_of(await session.receive(), token))


class _Login:
    """Holds `StreamConnected` back until the login has evidently been taken."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self.is_settled = False

    def settle(self) -> None:
        if not self.is_settled:
            self.is_settled = True
            self._publish(StreamConnected())

    def take(self, event: OrderReport | StreamGarbled | None) -> None:
        if event is None:
            return
        if isinstance(event, OrderReport):
            self.settle()
        self._publish(event)


def _event_of(frame: str | bytes, token: str) -> OrderReport | StreamGarbled | None:
    try:
        return read_update(frame)
    except Unreadable as error:
        shown = frame if isinstance(frame, str) else frame.decode("utf-8", "backslashreplace")
        text = scrub(f"{error}: {shown}", token)
        return StreamGarbled(text[:_GARBLED_TEXT_LENGTH_MAX])
