"""Keep the order-update socket alive and hand its reports on; backfill after every connect.

The stream has no replay (dhanhq-v2.md 6.4): what happened while it was away is read from the order
book, so each (re)connect asks for a reconciliation.
"""

import asyncio
from collections.abc import Callable

import structlog

from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.orders import OrderReport
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.ports import Chance, Clock, OrderStreamEvent, OrderUpdates, StreamConnected
from squareoff.services.metrics import Metrics
from squareoff.services.order_update_handler import OrderUpdateHandler

_log = structlog.get_logger("squareoff.order_update_hub")
BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 30.0
STANDING_SECONDS = 10.0
"""A connection that lived this long stood; one that ends sooner counts as one more failure, or a
broker that accepts and hangs up would be called twice a second."""
TOO_MANY_REQUESTS = 429
COOL_DOWN_SECONDS = 60.0
"""After HTTP 429 on the upgrade the broker wants at least a minute (dhanhq-v2.md 6.4)."""


class Backoff:
    """Growing pauses with full jitter; back to the start after a connection that stood."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._failures = 0
        self._connected_at_ns: int | None = None

    def note_connected(self, now: Now) -> None:
        """The connection is up; whether it stands, its end will tell."""
        self._connected_at_ns = now.monotonic_ns

    def has_stood(self, now: Now) -> bool:
        """Say whether the connection that ends now was up for long enough to count as one."""
        since = self._connected_at_ns
        return since is not None and now.monotonic_ns - since >= seconds_to_ns(STANDING_SECONDS)

    def next_seconds(self, code: int | None, now: Now) -> float:
        """Return the pause before the next try, after a connection or a try has ended."""
        if self.has_stood(now):
            self._failures = 0
        self._connected_at_ns = None
        self._failures += 1
        ceiling = min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** (self._failures - 1))
        pause = self._chance.uniform(BACKOFF_FIRST_SECONDS / 2, ceiling)
        return pause + COOL_DOWN_SECONDS if code == TOO_MANY_REQUESTS else pause


class OrderUpdateHub:
    """Runs the order stream for ever."""

    def __init__(
        self,
        updates: OrderUpdates,
        handler: OrderUpdateHandler,
        *,
        clock: Clock,
        chance: Chance,
        metrics: Metrics,
        request_backfill: Callable[[str], None],
    ) -> None:
        self._updates = updates
        self._handler = handler
        self._clock = clock
        self._backoff = Backoff(chance)
        self._metrics = metrics
        self._request_backfill = request_backfill
        self._on_report: list[Callable[[OrderReport], None]] = []
        self._on_connection: list[Callable[[bool], None]] = []
        self.is_connected = False

    def on_report(self, listener: Callable[[OrderReport], None]) -> None:
        """Call `listener` with every report as it comes; it must not wait."""
        self._on_report.append(listener)

    def on_connection(self, listener: Callable[[bool], None]) -> None:
        """Call `listener` with True when the stream came up, with False when it ended."""
        self._on_connection.append(listener)

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Connect, publish, reconnect; never returns."""

        def publish(event: OrderStreamEvent) -> None:
            match event:
                case OrderReport():
                    for listener in self._on_report:
                        listener(event)
                    tasks.create_task(self._handler.handle(event))
                case StreamConnected():
                    self._note_connected()
                case _:
                    _log.info("order_stream_garbled", text=event.text)

        while True:
            try:
                await self._updates.run_once(publish)
            except FeedDisconnected as error:
                pause = self._backoff.next_seconds(error.code, self._clock.now())
                self._note_disconnected(str(error), pause)
                await self._clock.sleep(pause)

    def _note_connected(self) -> None:
        self._set_connected(True)
        self._backoff.note_connected(self._clock.now())
        self._metrics.socket_up.labels("order_updates").set(1)
        _log.info("order_stream_connected")
        self._request_backfill("order stream connected")

    def _set_connected(self, is_connected: bool) -> None:
        self.is_connected = is_connected
        for listener in self._on_connection:
            listener(is_connected)

    def _note_disconnected(self, text: str, pause: float) -> None:
        self._set_connected(False)
        self._metrics.socket_up.labels("order_updates").set(0)
        _log.warning("order_stream_disconnected", error=text, next_try_seconds=round(pause, 2))
