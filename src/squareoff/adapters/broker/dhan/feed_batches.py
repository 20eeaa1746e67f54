"""Many packets of one kind in one go: find those that are not quiet, and touch only these.

A long frame, or a recording, is read as columns: every packet's instrument is looked up and its
price and time are compared with that instrument's bounds, all packets at once. What is not quiet
is handed to the decoder packet by packet, in the order of the frame; what it does to an
instrument's bounds counts for that instrument's later packets.

Invariants:
1. Kept and published are the same packets, in the same order, as one by one.
2. A frame that is not wholly of one kind, of known instruments and in the order of trading within
   each instrument is left to be read one by one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squareoff.adapters.broker.dhan.feed_packets import (
    DAY_RANGE_OFFSETS,
    FULL_CODE,
    QUOTE_CODE,
    SIZES,
    TICKER_CODE,
    TIME_OFFSETS,
)
from squareoff.adapters.broker.dhan.kept_packets import NO_DAY, KeptPackets
from squareoff.domain.time import Now

BATCH_PACKETS_MIN = 64
"""Below this the columns cost more than they save."""

_LOUD_SHARE = 16
"""With more than one in so many packets not quiet, one by one is faster."""

_RECEIPTS_SPARE = 1_024
_PRICE_OFFSET = 8
_EARLIEST = 2
"""Which of the five rows of bounds holds the earliest times."""


Column = NDArray[Any]
Publish = Callable[[bytes, KeptPackets], object]
Published = dict[int, int]
"""Row -> place of its last packet that was published."""


def _layout(code: int) -> "np.dtype[np.void]":
    names, formats = ["header", "price", "time"], ["<u8", "<f4", "<f4"]
    offsets = [0, _PRICE_OFFSET, TIME_OFFSETS[code]]
    if DAY_RANGE_OFFSETS[code]:
        names.append("day")
        formats.append("<f8")
        offsets.append(DAY_RANGE_OFFSETS[code])
    return np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": SIZES[code]}
    )


_LAYOUTS = {code: _layout(code) for code in (TICKER_CODE, QUOTE_CODE, FULL_CODE)}


class PacketBatches:
    """The bounds of all watched instruments, as columns, and their newest packets.

    What a batch keeps stays here until somebody asks for it or reads a packet by itself:
    `hand_over` brings one instrument up to date, `hand_over_all` all of them.

    Args:
        watched: every instrument of the decoder; a new one needs new batches.
        known: by packet code, the decoder's instruments by header.
        changed: instruments whose bounds are not in the columns yet; emptied here.
    """

    def __init__(
        self,
        watched: Iterable[KeptPackets],
        known: Mapping[int, dict[int, KeptPackets]],
        changed: list[KeptPackets],
    ) -> None:
        self._kept = list(watched)
        self._known = known
        self._changed = changed
        self._headers: dict[int, tuple[Column, Column]] = {}
        count = len(self._kept)
        self._bounds: Column = np.zeros((5, count))
        self._newest: Column = np.zeros((count, max(SIZES.values())), np.uint8)
        self._newest_size: Column = np.zeros(count, np.int64)
        self._received: list[Now] = []
        self._received_at: Column = np.zeros(count, np.int64)
        self._is_ahead: Column = np.zeros(count, np.bool_)
        for row, kept in enumerate(self._kept):
            kept.row, kept.columns = row, self
            self._take_bounds(kept)

    def read(self, frame: bytes, now: Now, publish: Publish) -> int | None:
        """Read a frame; return how many packets were kept, None where it is to be read one by one.

        Args:
            publish: takes a packet that is not quiet, and its instrument.
        """
        code = frame[0]
        if code not in _LAYOUTS or len(frame) % SIZES[code]:
            return None
        packets = np.frombuffer(frame, _LAYOUTS[code])
        rows = self._rows_of(code, packets["header"])
        if rows is None or not _is_in_order(rows, packets["time"]):
            return None
        for kept in self._changed:
            self._take_bounds(kept)
        self._changed.clear()
        loud = np.flatnonzero(~self._is_quiet(packets, rows))
        if len(loud) * _LOUD_SHARE > len(packets):
            return None
        published: Published = {}
        batch, loud_count = _Batch(frame, packets, rows, now), 0
        if len(loud):
            loud_count = self._read_loud(batch, loud, published, publish)
        self._keep_newest(batch, published)
        return len(packets) - loud_count

    def take_all(self) -> None:
        """Take over all bounds: packets were kept one by one meanwhile."""
        for kept in self._kept:
            self._take_bounds(kept)

    def hand_over_all(self) -> None:
        """Bring every instrument up to date."""
        for row in np.flatnonzero(self._is_ahead).tolist():
            self.hand_over(self._kept[row])

    def hand_over(self, kept: KeptPackets) -> None:
        """Bring one instrument up to date."""
        row = kept.row
        if self._is_ahead[row]:
            self._is_ahead[row] = False
            kept.packet = self._newest[row, : self._newest_size[row]].tobytes()
            kept.earliest = float(self._bounds[_EARLIEST, row])
            kept.received = self._received[self._received_at[row]]

    def received_ns(self) -> int | None:
        """Return the monotonic instant at which the newest packet here came, None for none."""
        if not self._is_ahead.any():
            return None
        return self._received[int(self._received_at[self._is_ahead].max())].monotonic_ns

    def _rows_of(self, code: int, headers: Column) -> Column | None:
        """Return each packet's row, None where an instrument is not known."""
        known = self._known[code]
        if not known:
            return None
        if code not in self._headers or len(self._headers[code][0]) != len(known):
            ordered = sorted(known)
            rows = np.array([known[header].row for header in ordered], np.intp)
            self._headers[code] = np.array(ordered, np.uint64), rows
        table, rows = self._headers[code]
        at = np.searchsorted(table, headers)
        np.minimum(at, len(table) - 1, out=at)
        return rows[at] if np.array_equal(table[at], headers) else None

    def _take_bounds(self, kept: KeptPackets) -> None:
        self.hand_over(kept)
        self._bounds[:, kept.row] = kept.above, kept.below, kept.earliest, kept.latest, kept.day
        kept.is_changed = False

    def _is_quiet(self, packets: Column, rows: Column) -> Column:
        above, below, earliest, latest, days = self._bounds
        price, time = packets["price"], packets["time"]
        quiet: Column = price > above[rows]
        quiet &= price < below[rows]
        quiet &= time >= earliest[rows]
        quiet &= time <= latest[rows]
        has_day = packets.dtype.itemsize != SIZES[TICKER_CODE]
        quiet &= days[rows] == (packets["day"] if has_day else NO_DAY)
        return quiet

    def _read_loud(
        self, batch: "_Batch", loud: Column, published: Published, publish: Publish
    ) -> int:
        """Publish what is not quiet, oldest first; note the last one of each row; count them."""
        packets, rows = batch.packets, batch.rows
        _, first = np.unique(rows[loud], return_index=True)
        waiting, count = loud[first].tolist(), 0
        heapify(waiting)
        while waiting:
            place: int = waiting[0]
            row = int(rows[place])
            kept, mine = self._kept[row], np.flatnonzero(rows == row)
            at = int(np.searchsorted(mine, place))
            if at and published.get(row, -1) != mine[at - 1]:
                _keep(kept, batch, int(mine[at - 1]))
                self._is_ahead[row] = False
            publish(batch.packet(place), kept)
            published[row] = place
            count += 1
            later = mine[at + 1 :]
            self._take_bounds(kept)
            still = np.flatnonzero(~self._is_quiet(packets[later], rows[later]))
            if len(still):
                heapreplace(waiting, int(later[still[0]]))
            else:
                heappop(waiting)
        return count

    def _keep_newest(self, batch: "_Batch", published: Mapping[int, int]) -> None:
        """Keep the last packet of each row where it was quiet."""
        places = np.full(len(self._kept), -1)
        places[batch.rows] = np.arange(len(batch.rows))
        for row, place in published.items():
            if places[row] == place:
                places[row] = -1
        touched = np.flatnonzero(places >= 0)
        places, size = places[touched], batch.packets.dtype.itemsize
        octets = np.frombuffer(batch.frame, np.uint8).reshape(-1, size)
        self._newest[touched, :size] = octets[places]
        self._newest_size[touched] = size
        self._bounds[_EARLIEST, touched] = batch.packets["time"][places]
        self._is_ahead[touched] = True
        if not self._received or self._received[-1] is not batch.now:
            self._forget_receipts()
            self._received.append(batch.now)
        self._received_at[touched] = len(self._received) - 1

    def _forget_receipts(self) -> None:
        """Hold no more receipt times than instruments, and a few."""
        if len(self._received) > len(self._kept) + _RECEIPTS_SPARE:
            used, self._received_at = np.unique(self._received_at, return_inverse=True)
            self._received = [self._received[each] for each in used.tolist()]


@dataclass(frozen=True, slots=True)
class _Batch:
    """One frame: its bytes, its columns, the row of each packet, and when it came."""

    frame: bytes
    packets: Column
    rows: Column
    now: Now

    def packet(self, place: int) -> bytes:
        """Return one packet."""
        size = self.packets.dtype.itemsize
        return self.frame[place * size : (place + 1) * size]


def _keep(kept: KeptPackets, batch: _Batch, place: int) -> None:
    kept.packet = batch.packet(place)
    kept.earliest = float(batch.packets["time"][place])
    kept.received = batch.now


def _is_in_order(rows: Column, time: Column) -> bool:
    """Say whether the packets of each row come in the order of trading."""
    if bool((time[1:] >= time[:-1]).all()):
        return True
    by_row = np.argsort(rows.astype(np.int16), kind="stable")  # sorted by digits: rows are few
    ordered, times = rows[by_row], time[by_row]
    back = (ordered[1:] == ordered[:-1]) & (times[1:] < times[:-1])
    return not bool(back.any())
