"""The files of a recording: when a new one begins, and what is never written."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feed_records import at, frame
from squareoff.adapters.feed_recording.feed_file import FeedFile
from squareoff.adapters.feed_recording.folder import RawBlock, RecordingFolder
from squareoff.adapters.feed_recording.records import FeedRecord


def block(record: FeedRecord) -> RawBlock:
    return RawBlock(record.packed(), 1, record.received)


def folder_at(path: Path, **changes: Any) -> RecordingFolder:
    wanted: dict[str, Any] = {
        "file_bytes_max": 10_000,
        "free_bytes_min": 0,
        "free_bytes": lambda folder: 1 << 40,
    }
    return RecordingFolder(path, **{**wanted, **changes})


def files(path: Path) -> dict[str, list[FeedRecord]]:
    return {each.name: list(FeedFile(each).records()) for each in sorted(path.iterdir())}


def test_blocks_go_into_one_file_of_the_day(tmp_path: Path) -> None:
    """The folder is made; the file's name says the day and a number."""
    first, second = frame(0, b"a"), frame(1, b"b")
    writing = folder_at(tmp_path / "new" / "folder")
    writing.write(block(first))
    writing.write(block(second))
    writing.close()

    assert files(tmp_path / "new" / "folder") == {"feed-2025-12-29-00001.sqfeed": [first, second]}


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    """The day is that of India: 18:30 UTC ends it."""
    to_midnight = (24 - 9.25) * 3600
    last, first = frame(to_midnight - 0.001, b"a"), frame(to_midnight, b"b")
    writing = folder_at(tmp_path)
    writing.write(block(last))
    writing.write(block(first))
    writing.close()

    assert files(tmp_path) == {
        "feed-2025-12-29-00001.sqfeed": [last],
        "feed-2025-12-30-00001.sqfeed": [first],
    }


def test_a_full_file_is_followed_by_another(tmp_path: Path) -> None:
    """Beyond the size the next block goes into the next number."""
    records = [frame(number, b"x" * 50) for number in range(3)]
    writing = folder_at(tmp_path, file_bytes_max=40)
    for each in records:
        writing.write(block(each))
    writing.close()

    assert files(tmp_path) == {
        f"feed-2025-12-29-{number + 1:05d}.sqfeed": [each] for number, each in enumerate(records)
    }


def test_each_file_begins_with_the_opening(tmp_path: Path) -> None:
    """What every file needs to be read alone stands first in each."""
    opening = frame(0, b"terms")
    writing = folder_at(tmp_path, file_bytes_max=1, opening=lambda: block(opening))
    records = [frame(number, b"x") for number in (1, 2)]
    for each in records:
        writing.write(block(each))
    writing.close()

    assert list(files(tmp_path).values()) == [[opening, records[0]], [opening, records[1]]]


def test_a_file_that_exists_is_never_touched(tmp_path: Path) -> None:
    """A process that starts again, or another one, begins a file of its own."""
    taken = tmp_path / "feed-2025-12-29-00002.sqfeed"
    taken.write_bytes(b"not ours")
    writing = folder_at(tmp_path)
    writing.write(block(frame(0, b"a")))
    writing.close()

    assert taken.read_bytes() == b"not ours"
    assert (tmp_path / "feed-2025-12-29-00003.sqfeed").exists()


@pytest.mark.parametrize("blocks_before", [0, 1])
def test_the_last_space_is_left_to_the_database(tmp_path: Path, blocks_before: int) -> None:
    """With too little space nothing is written, neither a new file nor more of one."""
    free = [1 << 40]
    writing = folder_at(tmp_path, free_bytes_min=1 << 30, free_bytes=lambda folder: free[0])
    for number in range(blocks_before):
        writing.write(block(frame(number, b"a")))
    free[0] = (1 << 30) - 1
    before = sorted(each.stat().st_size for each in tmp_path.iterdir())

    with pytest.raises(OSError, match="1023 MB are free") as caught:
        writing.write(block(frame(5, b"b")))
    writing.abandon()

    assert caught.value.errno == errno.ENOSPC
    assert sorted(each.stat().st_size for each in tmp_path.iterdir()) == before


def test_space_is_looked_for_where_the_folder_will_be(tmp_path: Path) -> None:
    """A folder that is not there yet lies on the disk of the nearest one that is."""
    asked: list[Path] = []
    look: Callable[[Path], int] = lambda folder: asked.append(folder) or 1 << 40  # noqa: E731
    writing = folder_at(tmp_path / "a" / "b", free_bytes=look)
    writing.write(block(frame(0, b"a")))
    writing.close()

    assert asked == [tmp_path, tmp_path / "a" / "b"]


def test_after_a_failure_another_file_goes_on(tmp_path: Path) -> None:
    """An abandoned file may be torn, so nothing is appended to it."""
    writing = folder_at(tmp_path)
    writing.write(block(frame(0, b"a")))
    writing.abandon()
    writing.write(RawBlock(frame(1, b"b").packed(), 1, at(1)))
    writing.close()

    assert [len(records) for records in files(tmp_path).values()] == [1, 1]
