"""Read a book's rows, and remember them: a row that comes again byte for byte is not read again.

The broker answers with the whole day's book each time, and books are read every second while an
exit is in flight; all but the newest rows are the same text as before. The memory holds one
answer's rows, each under a digest of its text: the text is several times as large as what was read
of it, and a day's book is kept for a day. A whole answer that comes again right away is not taken
apart: what was read of it is given again, the same object.
"""

from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec

from squareoff.adapters.broker.dhan.json_values import load_json
from squareoff.adapters.broker.dhan.wire import ReadRows, RowReader, Skipped, sorted_out

T = TypeVar("T")

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_DIGEST_BYTES = 16


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
        whole = _digest(body)
        if self._last is not None and self._last[0] == whole:
            return self._last[1]
        try:
            raws = _ARRAY.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return None
        known: dict[bytes, T | Skipped] = {}
        entries = []
        for raw in raws:
            text = bytes(raw)
            name = _digest(text)
            entry = self._known.get(name)
            known[name] = self._reader.read(load_json(text)) if entry is None else entry
            entries.append(known[name])
        self._known = known
        rows = sorted_out(entries)
        self._last = whole, rows
        return rows


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=_DIGEST_BYTES).digest()
