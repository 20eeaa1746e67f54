"""Read a feed file; a tail that was torn off by a crash is cut, and told of."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from squareoff.adapters.feed_recording.records import (
    BLOCK_HEAD,
    BLOCK_MARK,
    MAGIC,
    RAW_BYTES_MAX,
    FeedRecord,
    records_of,
)
from squareoff.domain.errors import ConfigError

FEED_FILE_SUFFIX = ".sqfeed"


@dataclass(frozen=True, slots=True)
class TornTail:
    """What of a file cannot be read: everything from `offset` on, `size` bytes."""

    offset: int
    size: int
    why: str


class FeedFile:
    """One file, read block by block; `torn` is known once `records` has ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: TornTail | None = None

    def records(self) -> Iterator[FeedRecord]:
        """Yield the records in order, up to the end or to where the file is torn.

        Raises:
            ConfigError: there is no such file, or it is no feed file.
        """
        self.torn = None
        try:
            with self.path.open("rb") as stream:
                if stream.read(len(MAGIC)) != MAGIC:
                    raise ConfigError(f"{self.path.name}: is no recording of the feed")
                yield from self._blocks(stream)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(f"{self.path.name}: cannot be read: {reason}") from error

    def _blocks(self, stream: BinaryIO) -> Iterator[FeedRecord]:
        while True:
            offset = stream.tell()
            head = stream.read(BLOCK_HEAD.size)
            if not head:
                return
            try:
                records = _block_records(head, stream)
            except ValueError as error:
                size = self.path.stat().st_size - offset
                self.torn = TornTail(offset, size, str(error))
                return
            yield from records


def is_feed_file(path: Path) -> bool:
    """Say whether a file is meant to be a recording of the feed, by its name."""
    return path.suffix == FEED_FILE_SUFFIX


def _block_records(head: bytes, stream: BinaryIO) -> list[FeedRecord]:
    """Return one block's records, all of them or none; raises ValueError."""
    if len(head) < BLOCK_HEAD.size:
        raise ValueError("a block's head is cut off")
    mark, packed_size, raw_size, checksum, count = BLOCK_HEAD.unpack(head)
    # A limit of 0 would be none to zlib; no block of ours is empty.
    if mark != BLOCK_MARK or packed_size > RAW_BYTES_MAX or not 0 < raw_size <= RAW_BYTES_MAX:
        raise ValueError("a block's head makes no sense")
    packed = stream.read(packed_size)
    if len(packed) < packed_size:
        raise ValueError("a block is cut off")
    if zlib.crc32(packed) != checksum:
        raise ValueError("a block's checksum is wrong")
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(packed, raw_size)
    except zlib.error as error:
        raise ValueError("a block cannot be unpacked") from error
    if len(raw) != raw_size or not unpacking.eof:
        raise ValueError(f"a block must hold {raw_size} bytes, held {len(raw)} or more")
    records = list(records_of(raw))
    if len(records) != count:
        raise ValueError(f"a block must hold {count} records, held {len(records)}")
    return records
