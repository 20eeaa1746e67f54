"""Take records from the event loop and have a thread pack and write them.

The loop only appends to a buffer: no call of the system, no packing, no waiting for the thread,
which holds the lock for as long as it takes to swap two buffers.

Invariants:
1. What waits to be written is bounded; beyond, frames are dropped, counted, and the count is
   recorded where they are missing.
2. A disk that fails or is full ends no connection and delays no exit: it is logged, and tried
   again with a new file after a pause.
"""

import threading
from collections import deque
from collections.abc import Callable

import structlog

from squareoff.adapters.feed_recording.folder import RawBlock, RecordingFolder
from squareoff.adapters.feed_recording.records import (
    BLOCK_BYTES,
    RECORD_HEAD,
    FeedRecord,
    RecordKind,
    instrument_payload,
    json_payload,
)
from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.time import Now, seconds_to_ns
from squareoff.ports import Clock

_log = structlog.get_logger("squareoff.feed_recorder")

WAITING_BYTES_MAX = 32 * 1024 * 1024
"""Some ten seconds of the fullest feed, for a disk that stalls."""

FLUSH_SECONDS = 1.0
"""A killed process loses about so much of the recording."""

RETRY_SECONDS = 30.0
"""The pause after a disk that failed."""

MakeFolder = Callable[[Callable[[], RawBlock | None]], RecordingFolder]


class FeedRecorder:
    """Records one feed. `start` begins to write, `close` ends it with all that was taken in.

    Args:
        make_folder: makes the folder's writer, given what each file begins with.
        clock: stamps what is no frame.
        waiting_bytes_max: how much may wait to be written.
    """

    def __init__(
        self, make_folder: MakeFolder, clock: Clock, *, waiting_bytes_max: int = WAITING_BYTES_MAX
    ) -> None:
        self._folder = make_folder(self._opening)
        self._clock = clock
        self._waiting_bytes_max = waiting_bytes_max
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._count = 0
        self._begun = Now(0, 0)
        self._blocks: deque[RawBlock] = deque()
        self._waiting_bytes = 0
        self._lost_now = self._tellings = self._told_lost = 0
        self.lost_count = 0
        self._instruments: dict[InstrumentId, FeedRecord] = {}
        self._retry_at_ns: int | None = None
        self._wake = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="feed-recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what was taken in and end the file; waits for the disk."""
        self._is_closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()
        try:
            self._folder.close()
        except OSError as error:
            _log.warning("feed_recording_not_ended", error=str(error))

    def note(self, kind: RecordKind, connection: int, received: Now, payload: bytes) -> None:
        """Take one record in; never waits and never fails."""
        with self._lock:
            if self._waiting_bytes + len(self._buffer) > self._waiting_bytes_max:
                self._lost_now += 1
                self.lost_count += 1
                return
            if self._lost_now:
                self._note_lost(connection, received)
            self._append(kind, connection, received, payload)

    def note_instrument(self, instrument: Instrument) -> None:
        """Take note of the terms of an instrument that comes under watch."""
        known = self._instruments.get(instrument.instrument_id)
        payload = instrument_payload(instrument)
        if known is not None and known.payload == payload:
            return
        record = FeedRecord(RecordKind.INSTRUMENT, 0, self._clock.now(), payload)
        with self._lock:
            self._instruments[instrument.instrument_id] = record
            self._append(record.kind, 0, record.received, payload)

    def flush(self) -> None:
        """Write what was taken in; for the writing thread, or where there is none."""
        with self._lock:
            self._seal()
        while True:
            with self._lock:
                if not self._blocks:
                    return
                block = self._blocks[0]
            is_written = self._write(block)
            with self._lock:
                self._blocks.popleft()
                self._waiting_bytes -= len(block.raw)
                if not is_written:
                    lost = block.count - block.tellings
                    self._lost_now += lost + block.told_lost
                    self.lost_count += lost

    def _note_lost(self, connection: int, received: Now) -> None:
        lost, self._lost_now = self._lost_now, 0
        self._tellings += 1
        self._told_lost += lost
        self._append(RecordKind.LOST, connection, received, json_payload({"count": lost}))

    def _append(self, kind: RecordKind, connection: int, received: Now, payload: bytes) -> None:
        buffer = self._buffer
        if not buffer:
            self._begun = received
        wall_ns, monotonic_ns = received.wall_ns, received.monotonic_ns
        buffer += RECORD_HEAD.pack(kind, connection, len(payload), wall_ns, monotonic_ns)
        buffer += payload
        self._count += 1
        if len(buffer) >= BLOCK_BYTES:
            self._seal()
            self._wake.set()

    def _seal(self) -> None:
        if self._buffer:
            raw, told = bytes(self._buffer), (self._tellings, self._told_lost)
            block = RawBlock(raw, self._count, self._begun, *told)
            self._blocks.append(block)
            self._waiting_bytes += len(block.raw)
            self._buffer, self._count = bytearray(), 0
            self._tellings = self._told_lost = 0

    def _run(self) -> None:
        while not self._is_closed:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self.flush()

    def _write(self, block: RawBlock) -> bool:
        begun_ns = block.begun.monotonic_ns
        if self._retry_at_ns is not None and begun_ns < self._retry_at_ns:
            return False
        try:
            self._folder.write(block)
        except OSError as error:
            self._folder.abandon()
            self._retry_at_ns = begun_ns + seconds_to_ns(RETRY_SECONDS)
            _log.warning(
                "feed_recording_failed", error=str(error), next_try_seconds=round(RETRY_SECONDS)
            )
            return False
        if self._retry_at_ns is not None:
            self._retry_at_ns = None
            _log.info("feed_recording_goes_on", lost_records=self.lost_count)
        return True

    def _opening(self) -> RawBlock | None:
        """Return the instruments under watch, so that each file can be read alone."""
        with self._lock:
            records = tuple(self._instruments.values())
        if not records:
            return None
        return RawBlock(b"".join(each.packed() for each in records), len(records), Now(0, 0))
