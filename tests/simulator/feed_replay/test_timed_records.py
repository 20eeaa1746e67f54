"""Records in their place in time: from recordings of the feed, and from recorded prices."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from feed_records import FUTURE, START_NS, at, frame, ticker
from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.adapters.feed_recording.records import (
    MAGIC,
    FeedRecord,
    RecordKind,
    instrument_payload,
    json_payload,
    packed_block,
)
from squareoff.adapters.recordings import RecordedStep, Recording
from squareoff.domain.errors import ConfigError
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND, Now
from squareoff.ports import FeedEvent
from squareoff.simulator.feed_replay.timed_records import FeedFiles, records_of_prices

SECOND = NANOSECONDS_PER_SECOND


def written(path: Path, *records: FeedRecord) -> Path:
    raw = b"".join(each.packed() for each in records)
    path.write_bytes(MAGIC + packed_block(raw, len(records)))
    return path


def terms(tick_size: str = "0.10") -> FeedRecord:
    instrument = replace(FUTURE, tick_size=Decimal(tick_size))
    return FeedRecord(RecordKind.INSTRUMENT, 0, Now(0, 0), instrument_payload(instrument))


def test_within_a_file_the_monotonic_clock_counts(tmp_path: Path) -> None:
    """A step of the wall clock while recording moves no record."""
    first, second = frame(0, b"a"), frame(2, b"b")
    stepped = replace(second, received=replace(second.received, wall_ns=START_NS - 3_600 * SECOND))
    files = FeedFiles([written(tmp_path / "a.sqfeed", terms(), first, stepped)])

    assert [(each.elapsed_ns, each.record) for each in files.timed_records()] == [
        (0, first),
        (2 * SECOND, stepped),
    ]


def test_between_files_the_wall_clock_counts(tmp_path: Path) -> None:
    """Another process has another monotonic clock; files are played by their first record."""
    later = FeedRecord(RecordKind.FRAME, 1, at(10, mono_zero_ns=5), b"later")
    last = FeedRecord(RecordKind.FRAME, 1, at(11, mono_zero_ns=5), b"last")
    files = FeedFiles(
        [
            written(tmp_path / "a.sqfeed", terms(), later, last),
            written(tmp_path / "b.sqfeed", terms(), frame(0, b"first")),
        ]
    )

    assert [(each.elapsed_ns // SECOND, each.record.payload) for each in files.timed_records()] == [
        (0, b"first"),
        (10, b"later"),
        (11, b"last"),
    ]


def connected(seconds: float, number: int) -> FeedRecord:
    return FeedRecord(RecordKind.CONNECTED, number, at(seconds), b"")


def framed(seconds: float, number: int, payload: bytes) -> FeedRecord:
    return FeedRecord(RecordKind.FRAME, number, at(seconds), payload)


@pytest.mark.parametrize("has_beginning", [True, False])
def test_connections_of_a_killed_process_end_with_it(has_beginning: bool, tmp_path: Path) -> None:
    """It recorded no end of its own, and the next process counts its connections anew."""
    begun = [connected(0, 1), connected(1, 2)] if has_beginning else []
    killed = written(tmp_path / "a.sqfeed", *begun, framed(2, 1, b"a"), framed(3, 2, b"b"))
    next_one = written(tmp_path / "b.sqfeed", connected(60, 1), framed(61, 1, b"c"))
    played = list(FeedFiles([killed, next_one]).timed_records())

    kinds = [(each.record.kind.name, each.record.connection) for each in played[-5:]]
    assert kinds[1:] == [("ENDED", 1), ("ENDED", 2), ("CONNECTED", 1), ("FRAME", 1)]
    assert [played[-1].elapsed_ns - each.elapsed_ns for each in played[-4:-2]] == [58 * SECOND] * 2
    assert played[-4].record.fields()["text"]


def test_the_next_file_of_the_same_process_ends_nothing(tmp_path: Path) -> None:
    """A day or a full file is no end of a connection."""
    first = written(tmp_path / "a.sqfeed", connected(0, 1), framed(1, 1, b"a"))
    second = written(tmp_path / "b.sqfeed", framed(2, 1, b"b"), connected(3, 2))

    kinds = [each.record.kind.name for each in FeedFiles([first, second]).timed_records()]
    assert "ENDED" not in kinds


def test_recordings_of_two_engines_are_not_played_one_after_the_other(tmp_path: Path) -> None:
    """Every price of the day would come twice, the second time from the past."""
    one = written(tmp_path / "one.sqfeed", terms(), frame(0, b"a"), frame(3_600, b"b"))
    other = written(tmp_path / "other.sqfeed", terms(), frame(10, b"a"), frame(3_610, b"b"))

    with pytest.raises(ConfigError, match=r"other\.sqfeed begins before one\.sqfeed ends"):
        FeedFiles([other, one]).instruments()


def test_a_clock_that_was_set_back_between_two_files_is_no_second_engine(tmp_path: Path) -> None:
    """Some seconds are a clock that was set."""
    one = written(tmp_path / "one.sqfeed", terms(), frame(0, b"a"), frame(100, b"b"))
    other = written(tmp_path / "other.sqfeed", terms(), frame(95, b"c"))

    assert FeedFiles([one, other]).instruments()


def test_what_was_torn_or_lost_is_told(tmp_path: Path) -> None:
    """A file without its end is played up to there; lost frames are counted."""
    lost = FeedRecord(RecordKind.LOST, 1, at(1), json_payload({"count": 7}))
    path = written(tmp_path / "a.sqfeed", frame(0, b"a"), lost)
    path.write_bytes(path.read_bytes() + b"BLK1 and no more")
    files = FeedFiles([path])

    assert [each.record.payload for each in files.timed_records()] == [b"a"]
    assert files.lost_count == 7
    assert len(list(files.timed_records())) == 1
    assert files.lost_count == 7, "of the newest reading; a replay looks at the beginning first"
    assert list(files.torn) == ["a.sqfeed"]


def test_the_newest_terms_of_an_instrument_count(tmp_path: Path) -> None:
    """Terms may change from one file to the next."""
    files = FeedFiles(
        [
            written(tmp_path / "b.sqfeed", terms("0.05"), frame(5, b"b")),
            written(tmp_path / "a.sqfeed", terms("0.10"), frame(0, b"a")),
        ]
    )

    assert files.instruments()[FUTURE.instrument_id].tick_size == Decimal("0.05")


def test_terms_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """The refusal names the file."""
    wrong = FeedRecord(RecordKind.INSTRUMENT, 0, at(0), json_payload({"instrument": "X"}))

    with pytest.raises(ConfigError, match=r"a\.sqfeed: an instrument's terms"):
        FeedFiles([written(tmp_path / "a.sqfeed", wrong)]).instruments()


def test_recorded_prices_become_packets_that_the_decoder_reads() -> None:
    """Each price comes back from the broker's own decoder, with its time, on two days in order."""
    steps = [
        RecordedStep(START_NS + seconds * SECOND, last_price=Decimal(price))
        for seconds, price in ((0, "25974.90"), (3, "25980.00"), (86_400, "26000.10"))
    ]
    recording = Recording(FUTURE.instrument_id, tuple(steps))
    found = list(records_of_prices([recording], {FUTURE.instrument_id: FUTURE}))
    decoder, events = FeedDecoder(), list[FeedEvent]()
    decoder.watch(FUTURE)
    for each in found:
        decoder.decode(each.record.payload, each.record.received, events.append)

    ticks = [event for event in events if isinstance(event, Tick)]
    assert [each.elapsed_ns // SECOND for each in found] == [0, 3, 86_400]
    assert [(tick.last_traded_price, tick.exchange_time_ns) for tick in ticks] == [
        (259_749_000, START_NS),
        (259_800_000, START_NS + 3 * SECOND),
        (260_001_000, START_NS + 86_400 * SECOND),
    ]


def test_a_ticker_of_the_sample_is_what_it_says() -> None:
    """The tests' own packet is read by the decoder as it was written."""
    decoder, events = FeedDecoder(), list[FeedEvent]()
    decoder.watch(FUTURE)
    decoder.decode(ticker(25974.9, 4), at(4.5), events.append)

    assert [event.exchange_time_ns for event in events if isinstance(event, Tick)] == [
        START_NS + 4 * SECOND
    ]
