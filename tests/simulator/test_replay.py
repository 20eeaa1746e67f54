"""Recorded market data: what an argument names, and the order of play."""

from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import pytest

import feed_records
from feed_records import at, frame, ticker
from squareoff.adapters.feed_recording.records import (
    MAGIC,
    FeedRecord,
    RecordKind,
    instrument_payload,
    packed_block,
)
from squareoff.adapters.recordings import Recording
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.simulator.replay import (
    Replay,
    is_feed_source,
    parse_tick_source,
    read_feed_source,
    read_source,
)

DATA = Path(__file__).parent.parent / "data"
FUTURE = InstrumentId(ExchangeSegment.NSE_FNO, "49543")
OTHER_FUTURE = InstrumentId(ExchangeSegment.NSE_FNO, "777")
TENTH, TWENTIETH = Decimal("0.10"), Decimal("0.05")
SECOND = 10**9


def recorded(name: str, tick: Decimal = TENTH, options: str = "") -> Recording:
    return read_source(parse_tick_source(f"{DATA / name}{options}"), tick)


def test_a_step_of_the_market_has_all_that_was_recorded() -> None:
    """What the recording knows of a moment reaches the market, and when it happened."""
    replay = Replay([recorded("nifty-fut-full-depth5-excerpt.csv")])

    first, second = replay.take_due(2_006_000)
    step = replay.recordings[0].steps[0]
    assert (first.instrument_id, first.recorded_ns, first.depth) == (
        FUTURE, step.time_ns, step.depth,
    )  # fmt: skip
    assert (first.last_price, first.average_price) == (Decimal("25974.90"), Decimal("26024.11"))
    assert (first.traded_quantity, first.volume, first.open_interest) == (75, 3333675, 11148150)
    assert (first.total_buy_quantity, first.total_sell_quantity) == (309225, 421350)
    assert (first.day_open, first.day_high, first.day_low) == (
        Decimal("26080.00"), Decimal("26100.20"), Decimal("25972.40"),
    )  # fmt: skip
    assert (second.last_price, second.depth, second.open_interest) == (None, None, 11148150)


def test_a_known_file_name_says_its_instrument() -> None:
    """The recorded files' own names are enough."""
    assert recorded("nifty-index-1s-excerpt.csv", TWENTIETH).instrument_id == InstrumentId(
        ExchangeSegment.IDX_I, "13"
    )


def test_options_choose_day_and_hours() -> None:
    """A source can be cut to a day and to hours of the day, IST."""
    cut = recorded("reliance-eq-1min-excerpt.csv", options="#day=2025-10-29,start=09:20,end=09:21")
    source = parse_tick_source("IDX_I:13=x.csv#start=09:15,loop")

    assert len(cut.steps) == 5
    assert (source.start, source.is_loop, source.instrument_id.security_id) == (
        time(9, 15), True, "13",
    )  # fmt: skip
    assert parse_tick_source("IDX_I:13=x.csv#day=2025-01-02").day == date(2025, 1, 2)


def test_instrument_is_named_or_known(tmp_path: Path) -> None:
    """A source names its instrument, or a sidecar does, or the file's name."""
    path = tmp_path / "mine.csv"
    (tmp_path / "mine.csv.instrument").write_text("NSE_EQ:1333\n")

    assert str(parse_tick_source(str(path)).instrument_id) == "NSE_EQ:1333"
    assert str(parse_tick_source(f"NSE_FNO:049081={path}").instrument_id) == "NSE_FNO:49081"


@pytest.mark.parametrize(
    "text",
    ["unknown.csv", "NSE:1=x.csv", "NSE_EQ:abc=x.csv", "IDX_I:13=x.csv#start=noon",
     "IDX_I:13=x.csv#speed=3"],
)  # fmt: skip
def test_sources_that_cannot_be_understood(text: str) -> None:
    """A wrong argument is refused with a sentence."""
    with pytest.raises(ConfigError, match="ticks"):
        parse_tick_source(text)


@pytest.mark.parametrize("content", ["", "a,b,c\n1,2,3\n", "2022-09-19 09:00:14,x\n"])
def test_files_that_cannot_be_read(tmp_path: Path, content: str) -> None:
    """A missing file, an unknown shape and a broken line are refused, naming the file."""
    path = tmp_path / "odd.csv"
    with pytest.raises(ConfigError, match=r"odd\.csv"):
        read_source(parse_tick_source(f"IDX_I:13={path}"), TENTH)
    path.write_text(content)

    with pytest.raises(ConfigError, match=r"odd\.csv"):
        read_source(parse_tick_source(f"IDX_I:13={path}"), TENTH)


def test_recordings_play_side_by_side() -> None:
    """Each recording starts at market time zero; due steps come in order of time."""
    replay = Replay(
        [recorded("nifty-fut-ticks-excerpt.csv"), recorded("nifty-index-1s-excerpt.csv")]
    )

    first = replay.take_due(0)
    later = replay.take_due(3 * SECOND)

    assert [u.instrument_id.security_id for u in first] == ["49543", "13"]
    assert len(later) >= 4
    assert (replay.next_due_ns() or 0) > 3 * SECOND


def test_seek_rewind_and_loop() -> None:
    """A replay can skip ahead unplayed, start again, and go round."""
    replay = Replay([recorded("nifty-index-1s-excerpt.csv")])
    replay.seek(100 * SECOND)
    assert (replay.next_due_ns() or 0) >= 100 * SECOND
    replay.rewind()
    assert replay.next_due_ns() == 0
    assert len(replay.take_due(10**15)) == 201
    assert replay.next_due_ns() is None

    endless = Replay([recorded("nifty-index-1s-excerpt.csv", options="#loop")])
    assert len(endless.take_due(endless.recordings[0].offsets_ns[-1] + SECOND)) == 202


def written_feed(folder: Path) -> Path:
    """Write a recording of the feed: two instruments, the second a second later."""
    records = [
        FeedRecord(RecordKind.INSTRUMENT, 0, at(0), instrument_payload(each))
        for each in (feed_records.FUTURE, replace(feed_records.FUTURE, instrument_id=OTHER_FUTURE))
    ]
    records += [
        frame(0, ticker(25974.9)),
        frame(1, ticker(100.0, 1, 777)),
        frame(2, ticker(25975.0, 2)),
    ]
    path = folder / "feed.sqfeed"
    path.write_bytes(MAGIC + packed_block(b"".join(map(FeedRecord.packed, records)), len(records)))
    return path


def test_a_recording_of_the_feed_is_read_with_all_its_instruments(tmp_path: Path) -> None:
    """They begin together, whichever printed first; one of them can be named."""
    path = written_feed(tmp_path)
    both = read_feed_source(str(path))
    (one,) = read_feed_source(f"NSE_FNO:777={path}#loop")

    assert is_feed_source(f"{path}#loop")
    assert not is_feed_source("ticks.csv#loop")
    assert [(str(each.instrument_id), each.offsets_ns) for each, _ in both] == [
        ("NSE_FNO:49543", (0, 2 * 10**9)),
        ("NSE_FNO:777", (10**9,)),
    ]
    assert (one[0].prices, one[0].is_looping) == ((Decimal("100.00"),), True)
    assert one[1].instrument_id == OTHER_FUTURE


@pytest.mark.parametrize("text", ["NSE_FNO:1={}", "{}#start=12:00"])
def test_nothing_in_the_asked_range_of_a_feed_is_refused(tmp_path: Path, text: str) -> None:
    """Another instrument or another time than those in the file is a mistake."""
    with pytest.raises(ConfigError, match="no step in the asked range"):
        read_feed_source(text.format(written_feed(tmp_path)))
