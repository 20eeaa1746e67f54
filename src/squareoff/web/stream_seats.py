"""How many may listen to the journal at once: a stream holds a connection for as long as it likes.

Invariant: streams never take all connections, so that a halt always finds one.
"""

from collections.abc import AsyncIterator

from squareoff.web.error_shape import ApiError

STREAMS_MAX = 40
"""Some dashboards and scripts; well below the connections that may be open (patient_protocol)."""


class StreamSeats:
    """Counts the streams that are open."""

    def __init__(self) -> None:
        self._taken = 0

    def refuse_if_full(self) -> None:
        """Raise ApiError 429 `too_many_streams` where no more may listen."""
        if self._taken >= STREAMS_MAX:
            raise ApiError(429, "too_many_streams", f"{STREAMS_MAX} streams are open already")

    async def seated(self, events: AsyncIterator[str]) -> AsyncIterator[str]:
        """Yield the events of one stream while it has its seat."""
        self._taken += 1
        try:
            async for event in events:
                yield event
        finally:
            self._taken -= 1
