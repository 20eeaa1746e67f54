"""Compare clocks with the broker on the side: every answer carries its Date header.

A transport around the real one: requests and answers pass unchanged, and when they were sent and
answered is kept beside the broker's own time. Fulfils `ports.BrokerTime`.
"""

from collections import deque
from email.utils import parsedate_to_datetime

from squareoff.adapters.broker.dhan.transport import HttpRequest, HttpResponse, HttpTransport
from squareoff.domain.time import ns_from_datetime
from squareoff.ports import Clock, TimeReading

READINGS_MAX = 64
"""More answers than come in a second, which is how often they are taken."""


class ClockReadings:
    """An `HttpTransport` that notes the broker's clock."""

    def __init__(self, transport: HttpTransport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._readings: deque[TimeReading] = deque(maxlen=READINGS_MAX)

    async def send(self, request: HttpRequest, timeout_seconds: float) -> HttpResponse:
        """Send, and note the clocks where the answer tells the time."""
        sent = self._clock.now()
        response = await self._transport.send(request, timeout_seconds)
        theirs_ns = read_date(response)
        if theirs_ns is not None:
            # The wall clock may be set meanwhile; the way took what the monotonic clock says.
            way_ns = self._clock.now().monotonic_ns - sent.monotonic_ns
            self._readings.append(TimeReading(theirs_ns, sent.wall_ns, sent.wall_ns + way_ns))
        return response

    async def close(self) -> None:
        """Close the transport below."""
        await self._transport.close()

    def take(self) -> tuple[TimeReading, ...]:
        """Return the readings since the last call, oldest first."""
        taken = tuple(self._readings)
        self._readings.clear()
        return taken


def read_date(response: HttpResponse) -> int | None:
    """Return the Date header as UTC ns, None where there is none to read."""
    text = response.headers.get("date")
    if text is None:
        return None
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return None if instant.tzinfo is None else ns_from_datetime(instant)
