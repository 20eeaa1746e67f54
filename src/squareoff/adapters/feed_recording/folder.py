"""The files of a recording: a new one for each process, each day and each so many bytes.

A block is handed to the operating system at once, so a killed process loses only what was not
yet a block. Nothing is forced to the disk before a file ends: such a call would make commits on
the same disk wait, and with them the exits.

Invariants:
1. A file that exists is never written to or replaced.
2. Nothing is written that would leave less than the wanted space on the disk: the database needs
   it more.
"""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from squareoff.adapters.feed_recording.feed_file import FEED_FILE_SUFFIX
from squareoff.adapters.feed_recording.records import MAGIC, packed_block
from squareoff.domain.time import Now

FILES_A_DAY_MAX = 100_000


@dataclass(frozen=True, slots=True)
class RawBlock:
    """Records, not yet packed; `begun` is the receipt of the first.

    `tellings` of them tell of `told_lost` records that were lost before.
    """

    raw: bytes
    count: int
    begun: Now
    tellings: int = 0
    told_lost: int = 0


class RecordingFolder:
    """Writes blocks. Used by one thread.

    Args:
        folder: made where it is missing.
        file_bytes_max: a file that has reached it is followed by another.
        free_bytes_min: what must be free on the disk.
        opening: returns the block that each file begins with, None for none.
        free_bytes: what is free on the disk of a folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes_max: int,
        free_bytes_min: int,
        opening: Callable[[], RawBlock | None] = lambda: None,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._folder = folder
        self._file_bytes_max = file_bytes_max
        self._free_bytes_min = free_bytes_min
        self._opening = opening
        self._free_bytes = free_bytes
        self._stream: BinaryIO | None = None
        self._day = ""
        self._size = 0

    def write(self, block: RawBlock) -> None:
        """Append a block to the file that is due for it.

        Raises:
            OSError: it was not written, or only in part; `abandon` and go on with another file.
        """
        day = block.begun.ist().date().isoformat()
        if self._stream is not None and (day != self._day or self._size >= self._file_bytes_max):
            self.close()
        if self._stream is None:
            self._check_space()
            self._stream = self._next_file(day)
            self._put(self._stream, MAGIC)
            opening = self._opening()
            if opening is not None:
                self._put(self._stream, packed_block(opening.raw, opening.count))
        self._check_space()
        self._put(self._stream, packed_block(block.raw, block.count))

    def close(self) -> None:
        """End the file that is being written, durably.

        Raises:
            OSError: its end may be missing.
        """
        stream, self._stream = self._stream, None
        if stream is not None:
            with stream:
                os.fsync(stream.fileno())

    def abandon(self) -> None:
        """Leave the file that is being written as it is: its tail may be torn."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _put(self, stream: BinaryIO, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[stream.write(view) :]
        self._size += len(data)

    def _next_file(self, day: str) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._day, self._size = day, 0
        taken = len(list(self._folder.glob(f"feed-{day}-*{FEED_FILE_SUFFIX}")))
        for number in range(taken + 1, FILES_A_DAY_MAX):
            path = self._folder / f"feed-{day}-{number:05d}{FEED_FILE_SUFFIX}"
            try:
                return open(path, "xb", buffering=0)
            except FileExistsError:
                continue  # another process has it, or one between was taken away
        raise OSError(errno.EMFILE, f"{FILES_A_DAY_MAX} recordings of one day", str(self._folder))

    def _check_space(self) -> None:
        folder = next(each for each in (self._folder, *self._folder.parents) if each.exists())
        free = self._free_bytes(folder)
        if free < self._free_bytes_min:
            raise OSError(errno.ENOSPC, f"only {free >> 20} MB are free", str(self._folder))
