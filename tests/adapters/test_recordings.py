"""Recorded prices: each file shape, what is refused, and the order of play."""

import gzip
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from recorded_texts import CANDLES, INDEX, PACKETS, TICKS
from squareoff.adapters.recordings import Recording, play_side_by_side, read_recording
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.time import ns_from_iso

DATA = Path(__file__).parent.parent / "data"
FUTURE = InstrumentId(ExchangeSegment.NSE_FNO, "49543")
OTHER = InstrumentId(ExchangeSegment.NSE_EQ, "2885")
TENTH, TWENTIETH = Decimal("0.10"), Decimal("0.05")
SECOND = 10**9


def recorded(name: str, tick_size: Decimal = TENTH) -> Recording:
    """Read one of the recorded files."""
    return read_recording(DATA / name, FUTURE, tick_size, setting="ticks")


def written(folder: Path, text: str, instrument_id: InstrumentId = FUTURE) -> Recording:
    """Read a file with this text."""
    path = folder / "recorded.csv"
    path.write_text(text)
    return read_recording(path, instrument_id, TENTH, setting="paper.ticks")


def test_full_depth_file() -> None:
    """Full packets bring depth and prices back on the tick; `oi` rows bring open interest alone."""
    recording = recorded("nifty-fut-full-depth5-excerpt.csv")

    first, second = recording.steps[:2]
    assert (first.last_price, first.average_price) == (Decimal("25974.90"), Decimal("26024.11"))
    assert first.depth is not None
    best = first.depth.bids[0]
    assert (best.price, best.quantity, best.orders) == (Decimal("25974.80"), 525, 7)
    assert len(first.depth.asks) == 5
    assert (second.last_price, second.depth, second.open_interest) == (None, None, 11148150)
    assert recording.offsets_ns[1] == 2_006_000
    assert len(recording.steps) == 119


def test_ticks_file() -> None:
    """Ticks carry price, traded quantity, open interest, and the day's volume so far."""
    recording = recorded("nifty-fut-ticks-excerpt.csv")

    assert recording.instrument_id == FUTURE
    first, second = recording.steps[:2]
    assert (first.last_price, first.traded_quantity, first.open_interest) == (
        Decimal("26097.80"), 415425, 10337325,
    )  # fmt: skip
    assert second.volume == 415425 + 375
    assert first.time_ns == 1_766_981_204 * SECOND


def test_index_file() -> None:
    """An index file has no header: time and price, IST."""
    recording = recorded("nifty-index-1s-excerpt.csv", TWENTIETH)

    assert len(recording.steps) == len(recording.prices) == 201
    assert recording.offsets_ns == tuple(sorted(recording.offsets_ns))


def test_candles_file() -> None:
    """A candle is four prints: open, the nearer extreme, the other, close, with its volume."""
    recording = recorded("reliance-eq-1min-excerpt.csv")

    assert [str(price) for price in recording.prices[:4]] == [
        "1490.00", "1488.10", "1495.00", "1494.60",
    ]  # fmt: skip
    assert recording.offsets_ns[:5] == (0, 15 * SECOND, 30 * SECOND, 45 * SECOND, 60 * SECOND)
    first = recording.steps[:4]
    assert sum(step.traded_quantity or 0 for step in first) == first[-1].volume == 67995 // 4 * 4


def test_packets_with_a_part_of_the_columns(tmp_path: Path) -> None:
    """The best level is enough; an empty level is left out, and what is not there is not known."""
    first, interest, second = written(tmp_path, PACKETS).steps

    assert first.time_ns == ns_from_iso("2025-12-29T12:47:02.553384+05:30")
    assert first.depth is not None
    assert [(level.price, level.quantity) for level in first.depth.bids] == [
        (Decimal("25974.80"), 525)
    ]
    assert (first.last_price, first.volume) == (Decimal("25974.90"), 3_333_675)
    assert (first.traded_quantity, first.average_price, first.day_open) == (None, None, None)
    assert interest.last_price is None
    assert second.last_price == Decimal("25975.00")
    assert second.depth is not None
    assert (second.depth.bids, len(second.depth.asks)) == ((), 1)


def test_ticks_give_price_and_volume_so_far(tmp_path: Path) -> None:
    """Tick rows carry UTC times with a short offset, and their volumes add up."""
    first, second = written(tmp_path, TICKS).steps

    assert first.time_ns == ns_from_iso("2025-12-29T04:06:44+00:00")
    assert (second.last_price, second.volume) == (Decimal("26093.40"), 415_800)


def test_an_index_file_is_known_by_its_two_columns(tmp_path: Path) -> None:
    """A file without header gives a price a second, in IST."""
    first, second = written(tmp_path, INDEX).steps

    assert first.time_ns == ns_from_iso("2022-09-19T09:00:14+05:30")
    assert second.last_price == Decimal("17258.20")


def test_a_candle_is_played_as_four_prices(tmp_path: Path) -> None:
    """A rising candle goes by its low first, a falling one by its high."""
    recording = written(tmp_path, CANDLES)

    prices = [int(price * 10) for price in recording.prices]
    assert prices == [14900, 14881, 14950, 14946, 14947, 14997, 14941, 14942]
    assert recording.steps[3].time_ns == ns_from_iso("2025-10-29T09:15:45+05:30")


def test_steps_are_in_order_of_time(tmp_path: Path) -> None:
    """Rows that stand in the file in another order are played in order of time."""
    swapped = "".join(reversed(INDEX.splitlines(keepends=True)))

    assert written(tmp_path, swapped).prices == (Decimal("17254.80"), Decimal("17258.20"))


_TICKS_HEADER, _TICKS_ROW = TICKS.splitlines()[:2]
BAD = {
    "unknown header": "a,b,c\n1,2,3\n",
    "no price": "2022-09-19 09:00:14,zero\n",
    "price zero": "2022-09-19 09:00:14,0\n",
    "price without end": "2022-09-19 09:00:14,inf\n",
    "no time": "time,trading_symbol,last_price,volume_delta\nsoon,,1,1\n",
    "quantity without end": f"{_TICKS_HEADER}\n2025-12-29 04:06:44+00,,1,inf,1\n",
    "half a unit": f"{_TICKS_HEADER}\n2025-12-29 04:06:44+00,,1,0.5,1\n",
    "columns left out": "time,type,ltp,volume\n2025-12-29 12:47:02,full,1,1\n",
    "cut short": f"{_TICKS_HEADER}\n{_TICKS_ROW}\n2025-12-29 04:06:45+00,,26093\n",
    "open interest alone": "\n".join(PACKETS.splitlines()[:3:2]) + "\n",
    "header only": "date,open,high,low,close,volume\n",
    "empty": "",
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_played_is_refused(tmp_path: Path, name: str) -> None:
    """A file of no known shape, or with a line that makes no sense, stops the start by its name."""
    with pytest.raises(ConfigError, match=r"^paper\.ticks: recorded\.csv"):
        written(tmp_path, BAD[name])


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("time,type,ltp,volume", "packets must have the columns bid_price_1, bid_qty_1, "),
        ("timestamp,last_price", "ticks must have the columns time, volume_delta"),
        ("date,open,high,low,volume", "candles must have the columns close"),
    ],
)
def test_columns_that_are_missing_are_named(tmp_path: Path, header: str, text: str) -> None:
    """Whoever writes a file himself is told what it lacks."""
    with pytest.raises(ConfigError, match=text):
        written(tmp_path, f"{header}\n{','.join('1' * len(header.split(',')))}\n")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there stops the start by its name."""
    with pytest.raises(ConfigError, match=r"gone\.csv"):
        read_recording(tmp_path / "gone.csv", FUTURE, TENTH, setting="ticks")


def test_recordings_are_played_side_by_side(tmp_path: Path) -> None:
    """Each starts at market time zero; steps of one instant come in the order of recordings."""
    pair = [written(tmp_path, TICKS), written(tmp_path, INDEX, OTHER)]

    played = [(each.market_ns, each.instrument_id) for each in play_side_by_side(pair)]
    assert played == [(0, FUTURE), (0, OTHER), (SECOND, FUTURE), (SECOND, OTHER)]


def test_a_loop_begins_anew_a_second_after_its_last_step(tmp_path: Path) -> None:
    """A looping recording has no end, and does not hold back one that ends."""
    endless = replace(written(tmp_path, TICKS), is_looping=True)
    script = play_side_by_side([endless, written(tmp_path, INDEX, OTHER)])

    played = [(each.market_ns // SECOND, each.instrument_id) for each in islice(script, 7)]
    assert [at for at, whose in played if whose == FUTURE] == [0, 1, 2, 3, 4]
    assert [at for at, whose in played if whose == OTHER] == [0, 1]


def test_a_packed_file_is_read_as_the_plain_one(tmp_path: Path) -> None:
    """A name that ends in `.gz` is unpacked; one that is cut off is refused."""
    plain, packed, torn = (tmp_path / name for name in ("a.csv", "a.csv.gz", "b.csv.gz"))
    plain.write_text(TICKS)
    packed.write_bytes(gzip.compress(TICKS.encode()))
    torn.write_bytes(packed.read_bytes()[:-12])
    read = [
        read_recording(path, FUTURE, Decimal("0.10"), setting="ticks") for path in (plain, packed)
    ]

    assert read[0] == read[1]
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recording(torn, FUTURE, Decimal("0.10"), setting="ticks")
