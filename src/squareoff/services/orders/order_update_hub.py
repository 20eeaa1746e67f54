"""Keep the order-update socket alive and hand its reports on; backfill after every connect.

The stream has no replay (dhanhq-v2.md 6.4): what happened while it was away is read from the order
book, so each (re)connect asks for a reconciliation.
"""

import asyncio
from collections.abc import Callable

import structlog

from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.orders import OrderReport
from squareoff.ports import Chance, Clock, OrderStreamEvent, OrderUpdates, StreamConnected
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.order_update_handler import OrderUpdateHandler
from squareoff.services.session.backoff import Backoff

_log = structlog.get_logger("squareoff.order_update_hub")


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
