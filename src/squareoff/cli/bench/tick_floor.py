"""The floor of a tick: read the packet, look its instrument up, compare two levels."""

import struct
from collections.abc import Iterable

import numpy as np

from squareoff.adapters.broker.dhan.feed_packets import SIZES

# A full packet up to the trade time: header, price, quantity, time.
_HEAD = struct.Struct("<BHBIfHI")
_FULL_CODE = 8
_COLUMNS = np.dtype(
    {
        "names": ["security_id", "price"],
        "formats": ["<u4", "<f4"],
        "offsets": [4, 8],
        "itemsize": SIZES[_FULL_CODE],
    }
)


def count_crossed(packets: Iterable[bytes], levels: dict[int, tuple[float, float]]) -> int:
    """Return how many packets are priced at or beyond a level, one by one."""
    unpack = _HEAD.unpack_from
    crossed = 0
    for packet in packets:
        _, _, _, security_id, price, _, _ = unpack(packet)
        low, high = levels[security_id]
        if price <= low or price >= high:
            crossed += 1
    return crossed


def count_crossed_in_batches(
    frames: Iterable[bytes], levels: dict[int, tuple[float, float]]
) -> int:
    """Return how many packets are priced at or beyond a level, frame by frame as columns."""
    first, last = min(levels), max(levels)
    ids = range(first, last + 1)
    low = np.array([levels[each][0] for each in ids])
    high = np.array([levels[each][1] for each in ids])
    crossed = 0
    for frame in frames:
        packets = np.frombuffer(frame, _COLUMNS)
        rows, price = packets["security_id"] - first, packets["price"]
        crossed += int(np.count_nonzero((price <= low[rows]) | (price >= high[rows])))
    return crossed
