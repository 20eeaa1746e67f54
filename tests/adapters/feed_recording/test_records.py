"""Records and blocks: what is packed comes back, and damage is never taken for records."""

import zlib
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed_records import FUTURE, at, frame
from squareoff.adapters.feed_recording.records import (
    BLOCK_HEAD,
    BLOCK_MARK,
    FeedRecord,
    RecordKind,
    instrument_of,
    instrument_payload,
    packed_block,
    records_of,
)
from squareoff.domain.time import Now

RECORDS = st.builds(
    FeedRecord,
    st.sampled_from(RecordKind),
    st.integers(0, 65_535),
    st.builds(Now, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)),
    st.binary(max_size=400),
)


@given(st.lists(RECORDS, max_size=20))
def test_records_come_back_as_they_were(records: list[FeedRecord]) -> None:
    """Kind, connection, both times and every byte of the payload survive."""
    raw = b"".join(each.packed() for each in records)

    assert list(records_of(raw)) == records


def test_a_block_says_its_sizes_and_checksum() -> None:
    """The head of a block is enough to take it whole or not at all."""
    raw = frame(0, b"abc").packed()
    block = packed_block(raw, 1)
    mark, packed_size, raw_size, checksum, count = BLOCK_HEAD.unpack_from(block)
    packed = block[BLOCK_HEAD.size :]

    assert (mark, packed_size, raw_size, count) == (BLOCK_MARK, len(packed), len(raw), 1)
    assert checksum == zlib.crc32(packed)
    assert zlib.decompress(packed) == raw


@pytest.mark.parametrize("cut", [1, 22, 23, 24])
def test_a_record_that_is_cut_off_is_refused(cut: int) -> None:
    """Neither half a head nor half a payload is a record."""
    raw = frame(0, b"abcd").packed()[:cut]

    with pytest.raises(ValueError, match="cut off"):
        list(records_of(raw))


@pytest.mark.parametrize(
    "instrument",
    [FUTURE, replace(FUTURE, lower_circuit=None, upper_circuit=None, freeze_quantity=None)],
    ids=["all terms", "few terms"],
)
def test_an_instruments_terms_come_back(instrument: object) -> None:
    """The tick decides how packets are read, so it stands in the recording, with the rest."""
    record = FeedRecord(RecordKind.INSTRUMENT, 0, at(0), instrument_payload(instrument))

    assert instrument_of(record) == instrument


def test_a_fine_tick_is_kept() -> None:
    """The tick of currency has four decimals."""
    fine = replace(FUTURE, tick_size=Decimal("0.0025"))
    record = FeedRecord(RecordKind.INSTRUMENT, 0, at(0), instrument_payload(fine))

    assert instrument_of(record).tick_units == 25


def test_a_payload_that_is_no_object_is_refused() -> None:
    """Terms are an object, or nothing is made of them."""
    with pytest.raises(ValueError, match="object"):
        FeedRecord(RecordKind.INSTRUMENT, 0, at(0), b"[1]").fields()
