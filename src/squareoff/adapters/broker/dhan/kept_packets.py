"""One watched instrument at the decoder: which of its packets are quiet, and the newest of them.

Fulfils `core.prices.quiet_prices.QuietPrices`. The bounds are kept as they come over the wire, so
that a packet is compared without being translated: prices are float rupees, and raw trade seconds
and the day's high and low are read as floats too, for Python compares floats twice as fast as whole
numbers above 2**30. Floats above zero stand in the order of their bits, so seconds keep their
order; from 2037 on they are no numbers, which are above and below nothing, and no packet is quiet.
The decoder reads and writes the fields itself: it does so for every packet.
"""

import struct
from decimal import Decimal
from functools import lru_cache
from math import inf
from typing import Protocol

from squareoff.adapters.broker.dhan.feed_packets import (
    EARLIEST_RAW_TIME,
    RAW_TIME_OFFSET,
    NoTick,
    read_tick,
)
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now

_PRICE_MAX = 1_000_000.0
"""Above it a float32 is no price (`domain.prices`)."""

# Bounds lie half a tick from the grid, where no price is; this much nearer, so that the error of a
# division never takes a price over them.
_INWARD = 1e-12

NO_DAY = 0.0
"""What a packet without a day's range has for it."""

ANY_CODE = 0
"""Expected where a packet of any kind will do."""

_LATEST_FLOAT = 0x7F7FFFFF
"""The bits of the highest float32."""

_BITS = struct.Struct("<I")
_FLOAT = struct.Struct("<f")
_DAY = struct.Struct("<d")


class Columns(Protocol):
    """Where packets of many instruments are kept in batches."""

    def hand_over(self, kept: "KeptPackets") -> None:
        """Bring one instrument up to date."""
        ...


class _Compared:
    """What a packet is compared with, and the newest that was kept; together in memory."""

    __slots__ = ("above", "below", "day", "earliest", "latest", "packet", "received")

    def __init__(self) -> None:
        self.above, self.below = inf, -inf
        self.day = NO_DAY
        self.earliest = self.latest = 0.0
        self.packet: bytes | None = None
        self.received = Now(0, 0)


class KeptPackets(_Compared):
    """What decoding needs of one instrument. `day` is the day's high and low in the newest
    published packet, read as one float; `day_range` what was last told of them."""

    __slots__ = (
        "changes",
        "columns",
        "day_range",
        "earliest_time",
        "expected_code",
        "headers",
        "instrument_id",
        "is_changed",
        "is_dropped",
        "is_heard",
        "latest_time",
        "row",
        "tick_units",
    )

    def __init__(self, instrument: Instrument, changes: "list[KeptPackets]") -> None:
        """Add itself to `changes` whenever its bounds change and it is not there already."""
        super().__init__()
        self.changes = changes
        self.is_changed = False
        self.row = -1
        self.columns: Columns | None = None
        self.instrument_id = instrument.instrument_id
        self.tick_units = instrument.tick_units
        self.is_heard = False
        self.expected_code = ANY_CODE
        self.is_dropped = False
        self.headers: list[tuple[dict[int, KeptPackets], int]] = []
        self.day_range = (0, 0)
        self.earliest_time = self.latest_time = -1

    def open(self, *, above: int, below: int, earliest_ns: int, latest_ns: int) -> None:
        """Keep what is strictly between these prices and of these times; not before any packet
        was published on this connection."""
        if not self.is_heard:
            return
        self.catch_up()
        tick = self.tick_units
        lowest = max(above // tick + 1, 1)
        highest = (below - 1) // tick
        self.above = (lowest - 0.5) * tick / PRICE_UNITS_PER_RUPEE * (1 + _INWARD)
        self.below = min((highest + 0.5) * tick / PRICE_UNITS_PER_RUPEE * (1 - _INWARD), _PRICE_MAX)
        earliest = RAW_TIME_OFFSET - (-earliest_ns // NANOSECONDS_PER_SECOND)
        if earliest != self.earliest_time:
            self.earliest_time = earliest
            self.earliest = max(self.earliest, _as_float(max(earliest, EARLIEST_RAW_TIME)))
        latest = latest_ns // NANOSECONDS_PER_SECOND + RAW_TIME_OFFSET
        if latest != self.latest_time:
            self.latest_time = latest
            self.latest = _as_float(latest)
        self.note_change()

    def close(self) -> None:
        """Keep nothing from now on."""
        self.catch_up()
        self.above, self.below = inf, -inf
        self.earliest = 0.0
        self.earliest_time = -1
        self.note_change()

    def forget(self) -> None:
        """Hold the newest packet no longer."""
        self.catch_up()
        self.packet = None

    def catch_up(self) -> None:
        """Take over what was kept in a batch."""
        if self.columns is not None:
            self.columns.hand_over(self)

    def note_change(self) -> None:
        """Let it be known that bounds or day have changed."""
        if not self.is_changed:
            self.is_changed = True
            self.changes.append(self)

    def start_connection(self) -> None:
        """Forget what was heard: a new connection tells all of it again."""
        self.close()
        self.is_heard = False
        self.expected_code = ANY_CODE
        self.forget_day()

    def expect(self, code: int) -> None:
        """Publish everything until a packet of this code came: the instrument changes its mode."""
        self.close()
        self.is_heard = False
        self.expected_code = code

    def set_day(self, day: bytes) -> bool:
        """Note the day's high and low as published; say whether they are new."""
        as_float = _DAY.unpack(day)[0]
        if as_float == self.day:
            return False
        self.day = as_float
        self.note_change()
        return True

    def forget_day(self) -> None:
        """Let the next packet with a day's range tell it, whatever was told before: the price came
        in one without."""
        if self.day != NO_DAY:
            self.day, self.day_range = NO_DAY, (0, 0)
            self.note_change()

    def drop(self) -> None:
        """The feed watches the instrument no more."""
        self.close()
        self.is_dropped = True
        for known, header in self.headers:
            del known[header]
        self.headers.clear()

    def newest(self) -> Tick | None:
        """Return the newest kept packet as a tick, None where a later one was published.

        None also where the clock was set back by a day since the bounds were set: against such a
        clock the packet has no time.
        """
        self.catch_up()
        if self.packet is None:
            return None
        tick = read_tick(self.packet, 0, self.instrument_id, self.tick_units, self.received)
        return None if isinstance(tick, NoTick) else tick


NOBODY = KeptPackets(
    Instrument(InstrumentId(ExchangeSegment.IDX_I, "0"), "", 1, Decimal(1)), changes=[]
)
"""Stands for an instrument that nobody watches: it keeps nothing."""


@lru_cache(maxsize=64)
def _as_float(raw_time: int) -> float:
    """Return raw seconds as the float with the same bits, one object for all instruments."""
    as_float: float = _FLOAT.unpack(_BITS.pack(min(raw_time, _LATEST_FLOAT)))[0]
    return as_float
