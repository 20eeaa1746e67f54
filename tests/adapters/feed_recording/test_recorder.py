"""The recorder: what is taken in is written, in order; what cannot be is counted."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from feed_records import FUTURE, at
from squareoff.adapters.feed_recording.feed_file import FeedFile
from squareoff.adapters.feed_recording.folder import RawBlock, RecordingFolder
from squareoff.adapters.feed_recording.recorder import FeedRecorder
from squareoff.adapters.feed_recording.records import (
    BLOCK_BYTES,
    FeedRecord,
    RecordKind,
    instrument_of,
)
from squareoff.domain.time import Now


class FixedClock:
    """Nine fifteen."""

    def now(self) -> Now:
        return at(0)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the recorder does not wait")


class Disk:
    """Makes the writer, with what is free on its disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.free = 1 << 40

    def writer(self, opening: Callable[[], RawBlock | None]) -> RecordingFolder:
        return RecordingFolder(
            self.folder,
            file_bytes_max=1 << 30,
            free_bytes_min=1,
            opening=opening,
            free_bytes=lambda folder: self.free,
        )

    def records(self) -> list[FeedRecord]:
        paths = sorted(self.folder.iterdir())
        return [record for path in paths for record in FeedFile(path).records()]


def note(recorder: FeedRecorder, seconds: float, payload: bytes) -> None:
    recorder.note(RecordKind.FRAME, 1, at(seconds), payload)


def test_everything_is_written_in_order(tmp_path: Path) -> None:
    """With the thread running, more than one block of frames comes back as it was noted."""
    disk = Disk(tmp_path)
    recorder = FeedRecorder(disk.writer, FixedClock())
    recorder.start()
    payloads = [number.to_bytes(4, "little") * 250 for number in range(BLOCK_BYTES // 400)]
    for number, payload in enumerate(payloads):
        note(recorder, number / 1000, payload)
    recorder.close()

    assert [record.payload for record in disk.records()] == payloads
    assert recorder.lost_count == 0


def test_a_file_holds_the_terms_of_all_instruments(tmp_path: Path) -> None:
    """Terms are written once, and again where they change; a new file begins with the newest."""
    disk = Disk(tmp_path)
    recorder = FeedRecorder(disk.writer, FixedClock())
    changed = replace(FUTURE, tick_size=Decimal("0.05"))
    for instrument in (FUTURE, FUTURE, changed):
        recorder.note_instrument(instrument)
    recorder.close()

    records = disk.records()
    assert {record.kind for record in records} == {RecordKind.INSTRUMENT}
    assert [instrument_of(record) for record in records] == [changed, FUTURE, changed]


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """Where the disk is too slow frames are dropped, and their number stands in their place."""
    disk = Disk(tmp_path)
    recorder = FeedRecorder(disk.writer, FixedClock(), waiting_bytes_max=100)
    for number in range(10):
        note(recorder, number, b"x" * 50)
    recorder.flush()
    note(recorder, 11, b"after")
    recorder.close()

    kinds = [record.kind for record in disk.records()]
    assert kinds == [RecordKind.FRAME, RecordKind.FRAME, RecordKind.LOST, RecordKind.FRAME]
    assert disk.records()[2].fields() == {"count": 8}
    assert recorder.lost_count == 8


def test_a_full_disk_pauses_the_recording(tmp_path: Path) -> None:
    """Nothing is raised; after the pause it goes on in another file and tells what is missing."""
    disk = Disk(tmp_path)
    recorder = FeedRecorder(disk.writer, FixedClock())
    note(recorder, 0, b"kept")
    recorder.flush()
    disk.free = 0
    for seconds in (1, 10):
        note(recorder, seconds, b"lost")
        recorder.flush()
    disk.free = 1 << 40
    for seconds in (20, 31, 32):
        note(recorder, seconds, b"%d" % seconds)
        recorder.flush()
    recorder.close()

    payloads = [record.payload for record in disk.records() if record.kind is RecordKind.FRAME]
    assert payloads == [b"kept", b"31", b"32"]
    counts = [each.fields() for each in disk.records() if each.kind is RecordKind.LOST]
    assert counts == [{"count": 3}], "what was told in a block that was dropped is told again"
    assert recorder.lost_count == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_a_disk_that_fails_at_the_end_ends_quietly(tmp_path: Path) -> None:
    """Closing an engine never fails because of its recording."""
    disk = Disk(tmp_path)
    disk.free = 0
    recorder = FeedRecorder(disk.writer, FixedClock())
    note(recorder, 0, b"lost")
    recorder.close()

    assert recorder.lost_count == 1
