"""Prices made beforehand: packets in every mode, as bytes that are framed already.

Prices of each instrument walk between `LOWEST` and `HIGHEST`; no position's stop is in between.
Only the time of trading is written in while it plays, once a second for all packets.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squareoff.domain.time import IST_OFFSET_SECONDS
from squareoff.simulator.raw_socket import framed

TICKER, QUOTE, FULL = 15, 17, 21
MODES = (FULL, QUOTE, TICKER)
FIRST_SECURITY_ID = 910_001
SEGMENT_NUMBER, SEGMENT = 1, "NSE_EQ"
TICK = 0.05
ENTRY, STOP, LOWEST, HIGHEST = 100.0, 96.0, 99.5, 100.5
NEAR, THROUGH = 96.6, 95.9
"""Within a hundredth of the stop, and beyond it."""

ROWS_PER_INSTRUMENT = 100
_DAY_HIGH, _DAY_LOW = 101.0, 95.0
_TIME_OFFSETS = {TICKER: 12, QUOTE: 14, FULL: 14}

Rows = NDArray[Any]


def packet(mode: int, security_id: int, price: float, raw_time: int) -> bytes:
    """Return one packet (dhanhq-v2.md 7.4)."""
    if mode == TICKER:
        return struct.pack("<BHBIfI", 2, 16, SEGMENT_NUMBER, security_id, price, raw_time)
    code, size = (4, 50) if mode == QUOTE else (8, 162)
    head = struct.pack("<BHBIfHIf", code, size, SEGMENT_NUMBER, security_id, price, 1, raw_time, 0)
    head += struct.pack("<III", 1_000, 500, 500)
    if mode == FULL:
        head += struct.pack("<III", 0, 0, 0)
    head += struct.pack("<ffff", ENTRY, ENTRY, _DAY_HIGH, _DAY_LOW)
    if mode == QUOTE:
        return head
    level = struct.pack("<IIHHff", 100, 100, 1, 1, price - TICK, price + TICK)
    return head + level + bytes(80)


def raw_time_of(wall_ns: int) -> int:
    """Return the feed's time of trading: the clock of India as if it were an epoch."""
    return wall_ns // 1_000_000_000 + IST_OFFSET_SECONDS


class Tape:
    """Packets of all instruments, in an order to be played round and round."""

    def __init__(self, instruments: int, seed: int) -> None:
        chance = np.random.default_rng(seed)
        steps = chance.integers(-1, 2, (ROWS_PER_INSTRUMENT, instruments))
        ticks = np.abs(np.cumsum(steps, axis=0) % 40 - 20)  # a triangle: no jump in between
        prices = LOWEST + ticks * TICK
        order = np.concatenate(
            [chance.permutation(instruments) for _ in range(ROWS_PER_INSTRUMENT)]
        )
        rounds = np.repeat(np.arange(ROWS_PER_INSTRUMENT), instruments)
        self.instrument_of_row: Rows = order
        self._frames = {mode: self._made(mode, order, prices[rounds, order]) for mode in MODES}
        self._stamped = 0

    def __len__(self) -> int:
        return len(self.instrument_of_row)

    def stamp(self, wall_ns: int) -> None:
        """Let all packets be of now."""
        raw_time = raw_time_of(wall_ns)
        if raw_time == self._stamped:
            return
        self._stamped = raw_time
        digits = np.frombuffer(struct.pack("<I", raw_time), np.uint8)
        for mode, frames in self._frames.items():
            start = frames.shape[1] - len(packet(mode, 1, 1.0, 0)) + _TIME_OFFSETS[mode]
            frames[:, start : start + 4] = digits

    def cut(self, mode: int, rows: Rows) -> bytes:
        """Return the frames of these rows in a mode, one after the other."""
        cut: bytes = self._frames[mode][rows].tobytes()
        return cut

    @staticmethod
    def _made(mode: int, order: Rows, prices: Rows) -> Rows:
        made = [
            framed(packet(mode, FIRST_SECURITY_ID + int(number), float(price), 0))
            for number, price in zip(order, prices, strict=True)
        ]
        return np.frombuffer(b"".join(made), np.uint8).reshape(len(made), -1).copy()
