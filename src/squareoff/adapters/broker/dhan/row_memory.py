"""Read a book's rows, and remember them: a row that comes again byte for byte is not read again.

The broker answers with the whole day's book each time, and books are read every second while an
exit is in flight; all but the newest rows are the same text as before. The memory holds one
answer's rows, so it is as large as the book. A whole answer that comes again is not taken apart.
"""

from typing import Generic, TypeVar

import msgspec

from squareoff.adapters.broker.dhan.json_values import load_json
from squareoff.adapters.broker.dhan.wire import ReadRows, RowReader, Skipped, sorted_out

T = TypeVar("T")

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class RowMemory(Generic[T]):
    """The rows of one book as last read."""

    def __init__(self, reader: RowReader[T]) -> None:
        self._reader = reader
        self._known: dict[bytes, T | Skipped] = {}
        self._last: tuple[bytes, ReadRows[T]] | None = None

    def read(self, body: bytes) -> ReadRows[T] | None:
        """Read the rows of a JSON array; None where the body is none.

        Raises:
            Unreadable: a row that may concern us cannot be read.
        """
        if self._last is not None and self._last[0] == body:
            return self._last[1]
        try:
            raws = _ARRAY.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return None
        known: dict[bytes, T | Skipped] = {}
        entries = []
        for raw in raws:
            text = bytes(raw)
            entry = self._known.get(text)
            known[text] = self._reader.read(load_json(text)) if entry is None else entry
            entries.append(known[text])
        self._known = known
        rows = sorted_out(entries)
        self._last = body, rows
        return rows
