"""A heap whose entries can be taken out at any time.

Adding costs the logarithm of the entries. An entry taken out is only marked, and leaves the heap
when it comes to the top or when marked ones outnumber the others, so taking out costs a constant
on average; the heap never holds more than twice its live entries and a few.
"""

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Generic, TypeAlias, TypeVar

Owner = TypeVar("Owner")

Entry: TypeAlias = list[Any]
"""What `push` gives: key, number, owner (None once it is out) and its heap."""

KEY, _NUMBER, OWNER, _HEAP = range(4)

_MARKED_MIN = 16
"""Fewer marked entries than this are not worth a clearing."""

# Numbers break ties between equal keys, also in a heap that took over another's entries.
_numbers = count()


class LazyHeap(Generic[Owner]):
    """Entries by ascending key, those with equal keys in the order of their coming."""

    __slots__ = ("_entries", "_marked_count")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._marked_count = 0

    def __len__(self) -> int:
        return len(self._entries) - self._marked_count

    def push(self, key: Any, owner: Owner) -> Entry:
        """Add an owner under a key; hand the entry to `discard` to take it out again."""
        entry: Entry = [key, next(_numbers), owner, self]
        heappush(self._entries, entry)
        return entry

    def first(self) -> Entry | None:
        """Return the entry with the lowest key, None where there is none."""
        entries = self._entries
        while entries:
            if entries[0][OWNER] is not None:
                return entries[0]
            heappop(entries)
            self._marked_count -= 1
        return None

    def pop(self) -> Owner:
        """Take out the entry that `first` just returned, and return its owner."""
        entry = heappop(self._entries)
        owner: Owner = entry[OWNER]
        entry[OWNER] = None
        return owner

    def moved_to(self, entry: Entry, key: Any) -> Entry:
        """Give an owner another key; return the entry it has from now on."""
        if len(self._entries) == 1:
            entry[KEY] = key
            return entry
        owner: Owner = entry[OWNER]
        discard(entry)
        return self.push(key, owner)

    def absorb(self, other: "LazyHeap[Owner]") -> None:
        """Take over all entries of another heap, which is left empty."""
        for entry in other._entries:
            if entry[OWNER] is not None:
                entry[_HEAP] = self
                heappush(self._entries, entry)
        other._entries, other._marked_count = [], 0

    def _mark(self) -> None:
        self._marked_count += 1
        if self._marked_count >= _MARKED_MIN and self._marked_count * 2 > len(self._entries):
            self._entries = [entry for entry in self._entries if entry[OWNER] is not None]
            heapify(self._entries)
            self._marked_count = 0


def discard(entry: Entry) -> None:
    """Take an entry out of its heap; nothing happens where it is out already."""
    if entry[OWNER] is not None:
        entry[OWNER] = None
        entry[_HEAP]._mark()
