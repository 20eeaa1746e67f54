"""Reading a feed file: all of it, or all up to where it is torn."""

from pathlib import Path

import pytest

from feed_records import frame
from squareoff.adapters.feed_recording.feed_file import FeedFile, is_feed_file
from squareoff.adapters.feed_recording.records import BLOCK_HEAD, MAGIC, packed_block
from squareoff.domain.errors import ConfigError

RECORDS = [frame(number, bytes([number]) * 50) for number in range(6)]
BLOCKS = [
    packed_block(b"".join(each.packed() for each in RECORDS[start : start + 2]), 2)
    for start in (0, 2, 4)
]


def written(folder: Path, content: bytes) -> FeedFile:
    path = folder / "feed.sqfeed"
    path.write_bytes(content)
    return FeedFile(path)


def test_a_whole_file_is_read_to_its_end(tmp_path: Path) -> None:
    """All records, in order, and nothing torn."""
    file = written(tmp_path, MAGIC + b"".join(BLOCKS))

    assert list(file.records()) == RECORDS
    assert file.torn is None


def test_a_file_may_hold_nothing_yet(tmp_path: Path) -> None:
    """A process killed before its first block leaves a file without records."""
    file = written(tmp_path, MAGIC)

    assert list(file.records()) == []
    assert file.torn is None


def test_any_cut_keeps_the_whole_blocks_before_it(tmp_path: Path) -> None:
    """Wherever a crash tears a file, what was complete is read and the rest is told of."""
    whole = MAGIC + b"".join(BLOCKS)
    ends = [len(MAGIC) + sum(map(len, BLOCKS[:count])) for count in range(4)]
    for cut in range(len(MAGIC), len(whole)):
        file = written(tmp_path, whole[:cut])
        kept = max(count for count in range(4) if ends[count] <= cut)

        assert list(file.records()) == RECORDS[: 2 * kept]
        torn = None if file.torn is None else (file.torn.offset, file.torn.size)
        assert torn == (None if cut == ends[kept] else (ends[kept], cut - ends[kept]))


def test_any_changed_byte_of_a_block_costs_no_more_than_it_and_what_follows(
    tmp_path: Path,
) -> None:
    """Damage is never read as a record: the reading ends before the damaged block."""
    start = len(MAGIC) + len(BLOCKS[0])
    whole = bytearray(MAGIC + b"".join(BLOCKS))
    for place in range(start, start + len(BLOCKS[1])):
        changed = bytearray(whole)
        changed[place] ^= 0x5A
        file = written(tmp_path, bytes(changed))

        assert list(file.records()) == RECORDS[:2]
        assert file.torn is not None
        assert file.torn.offset == start


def test_a_head_that_claims_too_much_is_damage(tmp_path: Path) -> None:
    """No memory is taken for a size that no block of ours has."""
    head = BLOCK_HEAD.pack(b"BLK1", 2**31, 2**31, 0, 1)
    file = written(tmp_path, MAGIC + head)

    assert list(file.records()) == []
    assert file.torn is not None
    assert "no sense" in file.torn.why


@pytest.mark.parametrize("content", [b"", b"SQFEED", b"time,price\n"])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    """Another file is named, not read as an empty recording."""
    with pytest.raises(ConfigError, match="no recording of the feed"):
        list(written(tmp_path, content).records())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The refusal says what is missing."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        list(FeedFile(tmp_path / "nothing.sqfeed").records())


def test_a_recording_is_known_by_its_name() -> None:
    """The ending of the name tells a recording of the feed from prices in text."""
    assert is_feed_file(Path("a/feed-2025-12-29-00001.sqfeed"))
    assert not is_feed_file(Path("a/ticks.csv"))
