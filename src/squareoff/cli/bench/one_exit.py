"""One exit, timed: from the receipt of the tick that fires a stop to the order's first byte."""

import asyncio

from squareoff.adapters.broker.dhan.transport import HttpRequest
from squareoff.adapters.system import SystemClock
from squareoff.cli.bench.stage import QUANTITY, THROUGH, Stage, is_order
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.states import PositionStatus
from squareoff.domain.time import NANOSECONDS_PER_SECOND

EXIT_SECONDS_MAX = 10.0


class FirstByte:
    """Notes when the engine's next order begins to leave."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._sent: asyncio.Future[int] | None = None

    def note(self, request: HttpRequest) -> None:
        """Called with each request right before its first byte."""
        if is_order(request) and self._sent is not None and not self._sent.done():
            self._sent.set_result(self._clock.now().wall_ns)

    def expect(self) -> "asyncio.Future[int]":
        """Return the wall time (UTC ns) of the next order's first byte."""
        self._sent = asyncio.get_running_loop().create_future()
        return self._sent


async def time_exit(stage: Stage, first_byte: FirstByte, instrument_id: InstrumentId) -> float:
    """Hold, watch, fire and close one position; return its seconds from tick to first byte.

    Raises:
        TimeoutError: it did not end within `EXIT_SECONDS_MAX`.
    """
    await stage.hold(instrument_id, QUANTITY)
    tracker_id = await stage.watch(instrument_id)
    await stage.stand_near([instrument_id])
    sent = first_byte.expect()
    await stage.print_price(instrument_id, THROUGH)
    sent_ns = await asyncio.wait_for(sent, EXIT_SECONDS_MAX)
    actor = stage.engine.exit_engine.book.get(tracker_id)
    assert actor is not None and actor.tracker.intent is not None, "it was just fired"
    received_ns = actor.tracker.intent.trigger.received_time_ns
    assert received_ns is not None, "fired by a tick"
    async with asyncio.timeout(EXIT_SECONDS_MAX):
        await actor.wait_until(lambda: actor.tracker.status is PositionStatus.EXITED)
    return (sent_ns - received_ns) / NANOSECONDS_PER_SECOND
