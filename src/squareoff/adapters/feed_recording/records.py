"""What a feed file holds: records of the feed's socket, in blocks that stand or fall alone.

A file is the eight bytes `SQFEED01`, then blocks. A block is a head (mark, packed size, raw size,
CRC-32 of the packed bytes, number of records) and zlib-packed records. A record is a head (kind,
number of the connection, length, wall and monotonic nanoseconds of receipt) and its payload.
Everything is little-endian.

Invariants:
1. No record holds the address of a socket, which carries the access token.
2. A block is taken whole or not at all: size and checksum decide.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any

from squareoff.domain.instruments import Instrument, InstrumentId
from squareoff.domain.prices import decimal_text
from squareoff.domain.time import Now

MAGIC = b"SQFEED01"
RECORD_HEAD = struct.Struct("<BHIqq")
BLOCK_HEAD = struct.Struct("<4sIIII")
BLOCK_MARK = b"BLK1"

BLOCK_BYTES = 256 * 1024
"""A block is packed at the latest when it has grown to this: larger ones pack hardly better."""

RAW_BYTES_MAX = 64 * 1024 * 1024
"""No block of ours is so large; a head that claims more is damage, not a reason to allocate it."""

_ZLIB_LEVEL = 1
"""Level 6 saves a quarter of the bytes at five times the time (docs/recording.md)."""


class RecordKind(IntEnum):
    """What happened at the socket."""

    CONNECTED = 1
    """A connection stands; no payload."""
    FRAME = 2
    """A binary frame came; the payload is the frame."""
    TEXT = 3
    """A text frame came, UTF-8."""
    ENDED = 4
    """The connection ended; the payload is JSON with `text`, `close_code`, `http_status`."""
    INSTRUMENT = 5
    """An instrument came under watch; the payload is JSON with its terms."""
    LOST = 6
    """Frames came that could not be kept; the payload is JSON with their `count`."""


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """One record; `received` is the receipt."""

    kind: RecordKind
    connection: int
    received: Now
    payload: bytes

    def packed(self) -> bytes:
        """Return the record as it stands in a block."""
        received, size = self.received, len(self.payload)
        head = RECORD_HEAD.pack(
            self.kind, self.connection, size, received.wall_ns, received.monotonic_ns
        )
        return head + self.payload

    def fields(self) -> dict[str, Any]:
        """Return a payload of JSON.

        Raises:
            ValueError: it is none.
        """
        value = json.loads(self.payload)
        if not isinstance(value, dict):
            raise ValueError(f"a record's payload must be an object, was {value!r:.40}")
        return value


def json_payload(value: Mapping[str, Any]) -> bytes:
    """Return an object as a payload."""
    return json.dumps(value, separators=(",", ":")).encode()


def instrument_payload(instrument: Instrument) -> bytes:
    """Return an instrument's terms as a payload."""
    return json_payload(
        {
            "instrument": str(instrument.instrument_id),
            "trading_symbol": instrument.trading_symbol,
            "lot_size": instrument.lot_size,
            "freeze_quantity": instrument.freeze_quantity,
            "instrument_type": instrument.instrument_type,
            "tick_size": decimal_text(instrument.tick_size),
            "lower_circuit": _text(instrument.lower_circuit),
            "upper_circuit": _text(instrument.upper_circuit),
        }
    )


def _text(price: Decimal | None) -> str | None:
    return None if price is None else decimal_text(price)


def instrument_of(record: FeedRecord) -> Instrument:
    """Return the terms that a record of kind INSTRUMENT holds.

    Raises:
        ValueError, KeyError, ArithmeticError: it holds none.
    """
    terms = record.fields()

    def price(name: str) -> Decimal | None:
        return None if terms[name] is None else Decimal(terms[name])

    return Instrument(
        InstrumentId.from_text(terms["instrument"]),
        terms["trading_symbol"],
        terms["lot_size"],
        Decimal(terms["tick_size"]),
        terms["freeze_quantity"],
        price("lower_circuit"),
        price("upper_circuit"),
        terms["instrument_type"],
    )


def packed_block(raw: bytes, count: int) -> bytes:
    """Return `count` records as one block."""
    packed = zlib.compress(raw, _ZLIB_LEVEL)
    head = BLOCK_HEAD.pack(BLOCK_MARK, len(packed), len(raw), zlib.crc32(packed), count)
    return head + packed


def records_of(raw: bytes) -> Iterator[FeedRecord]:
    """Yield the records of a block's raw bytes.

    Raises:
        ValueError: a record runs over the end or is of no known kind.
    """
    offset = 0
    while offset < len(raw):
        if offset + RECORD_HEAD.size > len(raw):
            raise ValueError("a record's head is cut off")
        kind, connection, size, wall_ns, monotonic_ns = RECORD_HEAD.unpack_from(raw, offset)
        start = offset + RECORD_HEAD.size
        offset = start + size
        if offset > len(raw):
            raise ValueError("a record is cut off")
        received = Now(wall_ns, monotonic_ns)
        yield FeedRecord(RecordKind(kind), connection, received, raw[start:offset])
