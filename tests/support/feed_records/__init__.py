"""Records of a feed for tests: packets written out by hand, at times of a trading day."""

import struct
from decimal import Decimal

from squareoff.adapters.feed_recording.records import FeedRecord, RecordKind
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.time import Now, ns_from_iso, seconds_to_ns

START_NS = ns_from_iso("2025-12-29T09:15:00+05:30")
FUTURE = Instrument(
    InstrumentId(ExchangeSegment.NSE_FNO, "49543"),
    "NIFTY-Dec2025-FUT",
    75,
    Decimal("0.10"),
    1800,
    Decimal("23454.20"),
    Decimal("28666.20"),
    "FUTIDX",
)


def at(seconds: float, *, mono_zero_ns: int = 7_000_000_000) -> Now:
    """Return an instant so long after 09:15 IST of the day."""
    elapsed_ns = seconds_to_ns(seconds)
    return Now(START_NS + elapsed_ns, mono_zero_ns + elapsed_ns)


def ticker(price: float, traded_seconds: int = 0, security_id: int = 49543) -> bytes:
    """Return a ticker packet of the future, traded so long after 09:15 IST."""
    raw_time = START_NS // 1_000_000_000 + traded_seconds + 19_800
    return struct.pack("<BHBIfI", 2, 16, 2, security_id, price, raw_time)


def frame(seconds: float, payload: bytes, connection: int = 1) -> FeedRecord:
    """Return the record of a frame."""
    return FeedRecord(RecordKind.FRAME, connection, at(seconds), payload)
