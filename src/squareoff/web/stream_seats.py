"""How many may listen to the journal at once: a stream holds a connection for as long as it likes.

Invariant: streams never take all connections, so that a halt always finds one. A seat is taken
where it is found free, with nothing waited for in between, and left however the stream ends.
"""

from collections.abc import AsyncIterator

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from squareoff.web.error_shape import ApiError

STREAMS_MAX = 40
"""Some dashboards and scripts; well below the connections that may be open (patient_protocol)."""


class StreamSeats:
    """Counts the streams that are open."""

    def __init__(self) -> None:
        self._taken = 0

    def seated(self, events: AsyncIterator[str]) -> StreamingResponse:
        """Return the answer that streams these events and has a seat from now on.

        Raises:
            ApiError: 429 `too_many_streams` where no more may listen.
        """
        if self._taken >= STREAMS_MAX:
            raise ApiError(429, "too_many_streams", f"{STREAMS_MAX} streams are open already")
        self._taken += 1
        return _SeatedStream(events, self)

    def leave(self) -> None:
        """Take the seat of a stream that ended back."""
        self._taken -= 1


class _SeatedStream(StreamingResponse):
    """A stream of events that leaves its seat at its end."""

    def __init__(self, events: AsyncIterator[str], seats: StreamSeats) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._seats = seats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until either side ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._seats.leave()
