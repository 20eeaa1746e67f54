"""A socket transport whose frames come from a recording, each at its recorded receipt.

What the client sends is heard by nobody: the recording holds what the broker answered then.
"""

from collections.abc import Callable, Iterable, Iterator

from squareoff.adapters.broker.dhan.transport import (
    ControlFrame,
    SocketConnection,
    SocketEnded,
    SocketMessage,
)
from squareoff.adapters.feed_recording.records import FeedRecord, RecordKind
from squareoff.domain.errors import FeedDisconnected
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns
from squareoff.ports import FeedEvent, MarketFeed
from squareoff.simulator.feed_replay.replay_time import ReplayClock
from squareoff.simulator.feed_replay.timed_records import TimedRecord

SIGN_OF_LIFE_SECONDS = 10.0
"""A recorded connection was alive until its recorded end; pongs are not recorded, so they are made
up in the pauses."""


class RecordedScript:
    """The records still to come; the first of them plays when the loop has run `lead_seconds`."""

    def __init__(
        self, records: Iterable[TimedRecord], clock: ReplayClock, *, lead_seconds: float
    ) -> None:
        self._records: Iterator[TimedRecord] = iter(records)
        self._clock = clock
        self._lead_ns = seconds_to_ns(lead_seconds)
        self._next = next(self._records, None)
        self.frame_count = 0

    @property
    def has_ended(self) -> bool:
        """Say whether all records have been played."""
        return self._next is None

    async def wait_for_next(self, seconds_max: float) -> bool:
        """Wait until the next record is due, or for `seconds_max`; say whether it is due."""
        if self._next is None:
            await self._clock.sleep(seconds_max)
            return False
        due_ns = self._lead_ns + self._next.elapsed_ns
        seconds = (due_ns - self._clock.now().monotonic_ns) / NANOSECONDS_PER_SECOND
        # Waits even where it is late, so that others act between any two records.
        await self._clock.sleep(min(max(0.0, seconds), seconds_max))
        return seconds <= seconds_max

    def peek(self) -> FeedRecord | None:
        """Return the next record."""
        return None if self._next is None else self._next.record

    def take(self) -> FeedRecord:
        """Return the next record and move past it; the wall clock is that of its receipt."""
        assert self._next is not None, "waited for"
        record = self._next.record
        self._next = next(self._records, None)
        self._clock.set_wall(record.received.wall_ns)
        self.frame_count += record.kind is RecordKind.FRAME
        return record


class PlayedTransport:
    """Fulfils `SocketTransport`: every connection plays on where the last one stopped."""

    def __init__(self, script: RecordedScript) -> None:
        self._script = script
        self._open: set[int] = set()

    async def connect(self, url: str, timeout_seconds: float) -> SocketConnection:
        """Connect when the recorded connection did, or brought its first frame."""
        while not self._script.has_ended:
            if await self._script.wait_for_next(SIGN_OF_LIFE_SECONDS):
                record = self._script.peek()
                if record is None or record.kind is not RecordKind.ENDED:
                    break
                # The end of a connection that we left when the broker told us to.
                self._open.discard(self._script.take().connection)
        return _PlayedConnection(self._script, self._open)


class _PlayedConnection:
    """One connection; it ends where the last of the connections recorded side by side ended."""

    def __init__(self, script: RecordedScript, side_by_side: set[int]) -> None:
        self._script = script
        self._open = side_by_side

    async def send_text(self, text: str) -> None:
        """Send to nobody."""

    async def send_ping(self) -> None:
        """Send to nobody; the recorded connection was alive."""

    async def receive(self) -> SocketMessage:
        """Wait for the next recorded frame.

        Raises:
            SocketEnded: as it was recorded.
        """
        while True:
            if not await self._script.wait_for_next(SIGN_OF_LIFE_SECONDS):
                return ControlFrame.PONG
            record = self._script.take()
            match record.kind:
                case RecordKind.FRAME:
                    return record.payload
                case RecordKind.TEXT:
                    return record.payload.decode(errors="replace")
                case RecordKind.CONNECTED:
                    self._open.add(record.connection)
                case RecordKind.ENDED:
                    self._open.discard(record.connection)
                    if not self._open:
                        raise _end(record)
                case _:
                    continue

    async def close(self) -> None:
        """Nothing is open."""


class PlayedFeed:
    """Fulfils `ports.MarketFeed` by a feed over a `PlayedTransport`.

    A recorded end of a connection is followed by the recorded next one, not by a pause of ours.
    """

    def __init__(self, feed: MarketFeed) -> None:
        self._feed = feed

    def watch(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments."""
        self._feed.watch(instruments)

    def unwatch(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Drop instruments."""
        self._feed.unwatch(instrument_ids)

    async def run_once(self, publish: Callable[[FeedEvent], None]) -> None:
        """Publish until cancelled."""
        while True:
            try:
                await self._feed.run_once(publish)
            except FeedDisconnected:
                continue


def _end(record: FeedRecord) -> SocketEnded:
    try:
        how = record.fields()
        return SocketEnded(
            str(how["text"]), close_code=how["close_code"], http_status=how["http_status"]
        )
    except (ValueError, KeyError):
        return SocketEnded("the recorded connection ended")
