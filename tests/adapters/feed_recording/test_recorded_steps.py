"""A recording of the feed as steps of the market: what the packets say, on the grid."""

from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path

import pytest

from feed_records import FUTURE, START_NS, at, frame, ticker
from squareoff.adapters.feed_recording.feed_file import FeedFile
from squareoff.adapters.feed_recording.recorded_steps import read_feed_recordings
from squareoff.adapters.feed_recording.records import (
    MAGIC,
    FeedRecord,
    RecordKind,
    instrument_payload,
    json_payload,
    packed_block,
)
from squareoff.adapters.recordings import RecordedStep
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.exchange.book import Depth, DepthLevel
from squareoff.simulator.packets import (
    FeedImage,
    full_packet,
    open_interest_packet,
    previous_close_packet,
    quote_packet,
)

NIFTY = Instrument(InstrumentId(ExchangeSegment.IDX_I, "13"), "NIFTY", 1, D("0.05"))
DEPTH = Depth(
    (DepthLevel(D("25974.80"), 525, 7), DepthLevel(D("25974.70"), 600, 1)),
    (DepthLevel(D("25980.00"), 300, 3),),
)
IMAGE = FeedImage(
    exchange_segment=ExchangeSegment.NSE_FNO,
    security_id="49543",
    last_price=25974.900390625,
    last_trade_time=START_NS // 10**9 + 19_800,
    last_quantity=75,
    average_price=D("26024.11"),
    volume=3_333_675,
    total_sell_quantity=421_350,
    total_buy_quantity=309_225,
    open_interest=11_148_150,
    day_open=D("26080.00"),
    day_high=D("26100.20"),
    day_low=D("25972.40"),
    depth=DEPTH,
)
TRADED = RecordedStep(
    at(1).wall_ns,
    last_price=D("25974.90"),
    traded_quantity=75,
    volume=3_333_675,
    average_price=D("26024.11"),
    total_buy_quantity=309_225,
    total_sell_quantity=421_350,
    day_open=D("26080.00"),
    day_high=D("26100.20"),
    day_low=D("25972.40"),
)


def terms(instrument: Instrument) -> FeedRecord:
    return FeedRecord(RecordKind.INSTRUMENT, 0, at(0), instrument_payload(instrument))


def written(folder: Path, *records: FeedRecord) -> Path:
    path = folder / "a.sqfeed"
    path.write_bytes(
        MAGIC + packed_block(b"".join(each.packed() for each in records), len(records))
    )
    assert list(FeedFile(path).records()) == list(records)
    return path


PACKETS = {
    "a ticker": (ticker(25974.9), RecordedStep(at(1).wall_ns, last_price=D("25974.90"))),
    "a quote": (quote_packet(IMAGE), TRADED),
    "a full packet": (
        full_packet(IMAGE),
        replace(TRADED, open_interest=11_148_150, depth=DEPTH),
    ),
    "open interest alone": (
        open_interest_packet(IMAGE),
        RecordedStep(at(1).wall_ns, open_interest=11_148_150),
    ),
}


@pytest.mark.parametrize("name", PACKETS)
def test_a_packet_is_read_with_all_that_it_says(tmp_path: Path, name: str) -> None:
    """Prices are on the tick, empty levels are left out, the time is the receipt."""
    packet, step = PACKETS[name]
    records = (terms(FUTURE), frame(0, ticker(25000.0)), frame(1, packet))
    ((recording, instrument),) = read_feed_recordings(written(tmp_path, *records), setting="ticks")

    assert instrument == FUTURE
    assert recording.steps[1:] == (step,)
    assert recording.begin_ns == at(0).wall_ns


def test_instruments_of_one_file_begin_together(tmp_path: Path) -> None:
    """Each keeps its place from the file's first frame; packets share frames."""
    both = previous_close_packet(IMAGE) + ticker(25974.9) + ticker(25975.0, 0, 13)
    records = (terms(FUTURE), terms(NIFTY), frame(0, ticker(1.0, 0, 777)), frame(2, both))
    index = both[:35] + b"\x00" + both[36:]  # the third packet is of the index segment
    records = (*records[:3], frame(2, index))
    found = read_feed_recordings(written(tmp_path, *records), setting="ticks")

    assert [(str(each.instrument_id), each.offsets_ns) for each, _ in found] == [
        ("NSE_FNO:49543", (2 * 10**9,)),
        ("IDX_I:13", (2 * 10**9,)),
    ]


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """No price, no known code, cut off: none of them is a step."""
    cut = ticker(25974.9) + ticker(25975.0)[:10]
    zero, unknown = ticker(0.0), b"\x63" + ticker(25974.9)[1:]
    frames = [frame(number, each) for number, each in enumerate((cut, zero, unknown))]
    ((recording, _),) = read_feed_recordings(
        written(tmp_path, terms(FUTURE), *frames), setting="ticks"
    )

    assert recording.prices == (D("25974.90"),)


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ((frame(0, ticker(25974.9)),), "holds no price"),
        ((terms(FUTURE),), "holds no price"),
        (
            (FeedRecord(RecordKind.INSTRUMENT, 0, at(0), json_payload({"a": 1})),),
            "terms make no sense",
        ),
    ],
    ids=["no terms", "no frames", "odd terms"],
)
def test_a_file_without_a_price_is_refused(
    tmp_path: Path, records: tuple[FeedRecord, ...], text: str
) -> None:
    """Nothing is guessed of an instrument whose tick is not told."""
    with pytest.raises(ConfigError, match=text):
        read_feed_recordings(written(tmp_path, *records), setting="ticks")
