"""Recorded market data: each file shape, and the order of play."""

from datetime import date, time
from decimal import Decimal
from pathlib import Path

import pytest

from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.simulator.replay import Replay, parse_tick_source, read_series

DATA = Path(__file__).parent.parent / "data"
FUTURE = InstrumentId(ExchangeSegment.NSE_FNO, "49543")
TENTH, TWENTIETH = Decimal("0.10"), Decimal("0.05")
SECOND = 10**9


def series(name: str, tick: Decimal = TENTH, options: str = ""):
    return read_series(parse_tick_source(f"{DATA / name}{options}"), tick)


def test_full_depth_file() -> None:
    """Full packets bring depth and prices back on the tick; `oi` rows bring open interest alone."""
    played = series("nifty-fut-full-depth5-excerpt.csv")

    first, second = played.updates[:2]
    assert (first.last_price, first.average_price) == (Decimal("25974.90"), Decimal("26024.11"))
    assert first.depth is not None
    best = first.depth.bids[0]
    assert (best.price, best.quantity, best.orders) == (Decimal("25974.80"), 525, 7)
    assert len(first.depth.asks) == 5
    assert (second.last_price, second.depth, second.open_interest) == (None, None, 11148150)
    assert played.offsets_ns[1] == 2_006_000
    assert len(played.updates) == 119


def test_ticks_file() -> None:
    """Ticks carry price, traded quantity, open interest, and the day's volume so far."""
    played = series("nifty-fut-ticks-excerpt.csv")

    assert played.instrument_id == FUTURE
    first, second = played.updates[:2]
    assert (first.last_price, first.traded_quantity, first.open_interest) == (
        Decimal("26097.80"), 415425, 10337325,
    )  # fmt: skip
    assert second.volume == 415425 + 375
    assert first.recorded_ns == 1_766_981_204 * SECOND


def test_index_file() -> None:
    """An index file has no header: time and price, IST."""
    played = series("nifty-index-1s-excerpt.csv", TWENTIETH)

    assert played.instrument_id == InstrumentId(ExchangeSegment.IDX_I, "13")
    assert len(played.updates) == 201
    assert played.price_range is not None
    assert played.offsets_ns == tuple(sorted(played.offsets_ns))


def test_candles_file() -> None:
    """A candle is four prints: open, the nearer extreme, the other, close, with its volume."""
    played = series("reliance-eq-1min-excerpt.csv")

    assert [str(u.last_price) for u in played.updates[:4]] == [
        "1490.00", "1488.10", "1495.00", "1494.60",
    ]  # fmt: skip
    assert played.offsets_ns[:5] == (0, 15 * SECOND, 30 * SECOND, 45 * SECOND, 60 * SECOND)
    assert sum(u.traded_quantity or 0 for u in played.updates[:4]) == 67995 // 4 * 4


def test_options_choose_day_and_hours() -> None:
    """A source can be cut to a day and to hours of the day, IST."""
    cut = series("reliance-eq-1min-excerpt.csv", options="#day=2025-10-29,start=09:20,end=09:21")
    source = parse_tick_source("IDX_I:13=x.csv#start=09:15,loop")

    assert len(cut.updates) == 5
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
        read_series(parse_tick_source(f"IDX_I:13={path}"), TENTH)
    path.write_text(content)

    with pytest.raises(ConfigError, match=r"odd\.csv"):
        read_series(parse_tick_source(f"IDX_I:13={path}"), TENTH)


def test_series_play_side_by_side() -> None:
    """Each series starts at market time zero; due steps come in order of time."""
    replay = Replay([series("nifty-fut-ticks-excerpt.csv"), series("nifty-index-1s-excerpt.csv")])

    first = replay.take_due(0)
    later = replay.take_due(3 * SECOND)

    assert [u.instrument_id.security_id for u in first] == ["49543", "13"]
    assert len(later) >= 4
    assert (replay.next_due_ns() or 0) > 3 * SECOND


def test_seek_rewind_and_loop() -> None:
    """A replay can skip ahead unplayed, start again, and go round."""
    replay = Replay([series("nifty-index-1s-excerpt.csv")])
    replay.seek(100 * SECOND)
    assert (replay.next_due_ns() or 0) >= 100 * SECOND
    replay.rewind()
    assert replay.next_due_ns() == 0
    assert len(replay.take_due(10**15)) == 201
    assert replay.next_due_ns() is None

    endless = Replay([series("nifty-index-1s-excerpt.csv", options="#loop")])
    assert len(endless.take_due(endless.series[0].offsets_ns[-1] + SECOND)) == 202
