"""Keep one WebSocket honest: open it, ping it, and notice when it has died in silence.

Silence is normal on the order socket when no order moves (dhanhq-v2.md 6.4), so only unanswered
pings tell a dead connection from a quiet one. Any frame counts as a sign of life.

Invariant: no message of this module holds the address, which may carry the access token.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self

from squareoff.adapters.broker.dhan.credentials import TokenSource
from squareoff.adapters.broker.dhan.transport import (
    ControlFrame,
    SocketConnection,
    SocketEnded,
    SocketTransport,
)
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.ids import AccountId
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock

PING_INTERVAL_SECONDS = 20.0
"""Other clients of this broker ping every 20-30 s (dhanhq-v2.md 6.4)."""

SILENCE_SECONDS_MAX = 30.0
"""One ping interval and 10 s for the answer: older than that, the connection is dead."""

CONNECT_TIMEOUT_SECONDS = 10.0
"""Name lookup, TCP, TLS and upgrade together; a healthy one takes under a second."""

_CHECK_INTERVAL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """Address without query, and whose account."""

    url: str
    account_id: AccountId


class SocketSession:
    """One connection from opening to its end; an async context manager that closes it."""

    def __init__(self, name: str, connection: SocketConnection, clock: Clock) -> None:
        self._name = name
        self._connection = connection
        self._clock = clock
        self._heard_ns = clock.now().monotonic_ns

    @classmethod
    async def open(
        cls, name: str, transport: SocketTransport, url: str, clock: Clock
    ) -> "SocketSession":
        """Connect.

        Raises:
            FeedDisconnected: no connection; `code` is the HTTP status of a refused upgrade (429:
                too many connects, wait a minute or more).
        """
        try:
            connection = await transport.connect(url, CONNECT_TIMEOUT_SECONDS)
        except SocketEnded as error:
            raise FeedDisconnected(f"{name}: {error}", error.http_status) from error
        return cls(name, connection, clock)

    async def send(self, text: str) -> None:
        """Send one text frame.

        Raises:
            FeedDisconnected: the connection is gone.
        """
        try:
            await self._connection.send_text(text)
        except SocketEnded as error:
            raise self._ended(error) from error

    async def receive(self) -> str | bytes:
        """Return the next frame that carries something.

        Raises:
            FeedDisconnected: the connection ended.
        """
        while True:
            try:
                message = await self._connection.receive()
            except SocketEnded as error:
                raise self._ended(error) from error
            self._heard_ns = self._clock.now().monotonic_ns
            if not isinstance(message, ControlFrame):
                return message

    async def ping(self) -> NoReturn:
        """Ping for as long as the connection lives.

        Raises:
            FeedDisconnected: a ping could not be written.
        """
        while True:
            await self._clock.sleep(PING_INTERVAL_SECONDS)
            try:
                await self._connection.send_ping()
            except SocketEnded as error:
                raise self._ended(error) from error

    async def watch_silence(self) -> NoReturn:
        """Wait for the connection to die in silence; apart from `ping`, which may block.

        Raises:
            FeedDisconnected: nothing at all was heard for `SILENCE_SECONDS_MAX`.
        """
        while True:
            await self._clock.sleep(_CHECK_INTERVAL_SECONDS)
            silent_ns = self._clock.now().monotonic_ns - self._heard_ns
            if silent_ns > seconds_to_ns(SILENCE_SECONDS_MAX):
                raise FeedDisconnected(
                    f"{self._name}: pings unanswered, nothing heard for {SILENCE_SECONDS_MAX:.0f} s"
                )

    def _ended(self, error: SocketEnded) -> FeedDisconnected:
        how = "" if error.close_code is None else f", close code {error.close_code}"
        return FeedDisconnected(f"{self._name}: {error}{how}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._connection.close()


async def run_until_disconnected(*jobs: Coroutine[Any, Any, None]) -> NoReturn:
    """Run jobs side by side until one says that the connection ended; the others are cancelled.

    Raises:
        FeedDisconnected: always, in the end.
        ExceptionGroup: a job failed otherwise, which is a bug of ours.
    """
    ended = FeedDisconnected("all jobs of a connection returned")
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except* FeedDisconnected as failures:
        ended = _first(failures)
    raise ended


def until_replaced(
    name: str, tokens: TokenSource, token: str
) -> tuple[Coroutine[Any, Any, None], ...]:
    """Return the job that ends a connection once its token is not the current one, if any can.

    A new token kills the old (1.3), and a socket of a dead token may live on without news.
    """
    watch = tokens.watch_replaced(token)
    return () if watch is None else (_end_after(name, watch),)


async def _end_after(name: str, watch: Coroutine[Any, Any, None]) -> NoReturn:
    await watch
    raise FeedDisconnected(f"{name}: the access token was replaced; connecting with the new one")


def _first(failures: BaseExceptionGroup[FeedDisconnected]) -> FeedDisconnected:
    first: BaseException = failures
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, FeedDisconnected)
    return first
