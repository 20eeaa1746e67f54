"""The instrument master: real header, paise, lots, freeze quantities, corrupt files."""

from decimal import Decimal

import pytest

from squareoff.adapters.broker.dhan.instruments import read_master, read_master_file
from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, InstrumentId

HEADER = (
    "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,"
    "SYMBOL_NAME,DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,"
    "OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,BRACKET_FLAG,COVER_FLAG,ASM_GSM_FLAG,ASM_GSM_CATEGORY,"
    "BUY_SELL_INDICATOR,BUY_CO_MIN_MARGIN_PER,BUY_CO_SL_RANGE_MAX_PERC,BUY_CO_SL_RANGE_MIN_PERC,"
    "BUY_BO_MIN_MARGIN_PER,BUY_BO_PROFIT_RANGE_MAX_PERC,BUY_BO_PROFIT_RANGE_MIN_PERC,MTF_LEVERAGE,"
    "SM_UPPER_LIMIT,SM_LOWER_LIMIT,SM_FREEZE_QTY,"
)


def line(
    exchange="NSE",
    segment="D",
    security_id="35084",
    lot="65.0",
    tick="5.0000",
    freeze="1756",
    lower="0.0500",
    upper="20.1000",
    symbol="NIFTY-Sep2026-29150-CE",
    kind="OPTIDX",
):
    return (
        f"{exchange},{segment},{security_id},NA,{kind},26000,NIFTY,{symbol},NIFTY 29 SEP,OP,NA,"
        f"{lot},2026-09-29,29150.00000,CE,{tick},M,N,N,N,NA,A,0,0,0,0,0,0,0,{upper},{lower},"
        f"{freeze},"
    )


def read(*lines, segments=None, header=HEADER, **options):
    return read_master(
        [header + "\n", *(one + "\n" for one in lines)], segments, name="x.csv", **options
    )


def only(*lines, **options):
    (instrument,) = read(*lines, **options).instruments.values()
    return instrument


def test_a_real_row_is_read():
    """Lot as float text, tick in paise, freeze one below the first refused, limits in rupees."""
    instrument = only(line())

    assert instrument.instrument_id == InstrumentId(ExchangeSegment.NSE_FNO, "35084")
    assert instrument.trading_symbol == "NIFTY-Sep2026-29150-CE"
    assert (instrument.lot_size, instrument.tick_size) == (65, Decimal("0.05"))
    assert instrument.freeze_quantity == 1755
    assert (instrument.lower_circuit, instrument.upper_circuit) == (
        Decimal("0.05"),
        Decimal("20.10"),
    )
    assert instrument.instrument_type == "OPTIDX"


@pytest.mark.parametrize(
    ("exchange", "segment", "expected"),
    [
        ("NSE", "E", "NSE_EQ"),
        ("NSE", "D", "NSE_FNO"),
        ("NSE", "C", "NSE_CURRENCY"),
        ("BSE", "E", "BSE_EQ"),
        ("BSE", "D", "BSE_FNO"),
        ("BSE", "C", "BSE_CURRENCY"),
        ("MCX", "M", "MCX_COMM"),
        ("NSE", "I", "IDX_I"),
        ("BSE", "I", "IDX_I"),
    ],
)
def test_exchange_and_letter_make_the_segment(exchange, segment, expected):
    """Each documented pair names its segment."""
    instrument = only(line(exchange, segment))

    assert instrument.instrument_id.exchange_segment.value == expected


@pytest.mark.parametrize(
    ("lot", "freeze", "expected"),
    [
        ("65.0", "1756", 1755),
        ("65.0", "1801", 1755),
        ("65", "1755", 1690),
        ("1.0", "601", 600),
        ("1.0", "-1", None),
        ("1.0", "0", None),
        ("1.0", "", None),
        ("1.0", "-1.0000", None),
        ("65.0", "66", 65),
        ("65.0", "65", None),
        ("65.0", "1", None),
        ("1.0", "1.0", None),
        ("65.0", "1756.5", None),
        ("65.0", "many", None),
        ("65.0", "NA", None),
        ("65.0", "1e12", None),
    ],
)
def test_the_freeze_quantity_is_the_most_one_order_may_carry(lot, freeze, expected):
    """First refused minus one, in whole lots; fillers and what cannot be one mean none."""
    assert only(line(lot=lot, freeze=freeze)).freeze_quantity == expected


@pytest.mark.parametrize(
    ("tick", "expected"),
    [
        ("5.0000", "0.05"),
        ("1.0000", "0.01"),
        ("0.2500", "0.0025"),
        ("100.0000", "1.00"),
        ("10", "0.10"),
    ],
)
def test_ticks_are_paise(tick, expected):
    """A hundred paise are a rupee."""
    assert only(line(tick=tick)).tick_size == Decimal(expected)


@pytest.mark.parametrize(
    ("lower", "upper"), [("0.0000", "0.0000"), ("20", "10"), ("-1", "5"), ("x", "5"), ("", "")]
)
def test_no_band_is_no_limit(lower, upper):
    """Zeros, crossed and unreadable limits mean that none is published; the row stays good."""
    instrument = only(line(lower=lower, upper=upper))

    assert (instrument.lower_circuit, instrument.upper_circuit) == (None, None)


def test_limits_of_another_day_are_left_out():
    """A file that is not of today has no circuit limits to offer."""
    instrument = only(line(), is_today=False)

    assert instrument.upper_circuit is None
    assert instrument.freeze_quantity == 1755


def test_index_rows_have_a_fixed_tick():
    """Index rows carry odd ticks and lots; they are fed, never ordered."""
    instrument = only(line("NSE", "I", "13", lot="0", tick="0.0000", freeze="x"))

    assert (instrument.tick_size, instrument.lot_size) == (Decimal("0.01"), 1)


BAD = {
    "id": line(security_id="ABC"),
    "no id": line(security_id=""),
    "lot 0": line(lot="0.0"),
    "half a lot": line(lot="65.5"),
    "lot text": line(lot="x"),
    "lot huge": line(lot="1e12"),
    "no lot": line(lot=""),
    "tick 0": line(tick="0"),
    "tick text": line(tick="x"),
    "tick negative": line(tick="-5"),
    "tick too fine": line(tick="0.0001"),
    "tick infinite": line(tick="inf"),
    "cut off": "NSE,D,35085,NA,OPTIDX",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_row_is_skipped_and_counted(bad):
    """One unreadable row costs its instrument only; it is never guessed."""
    good = [line(security_id=str(number)) for number in range(1, 100)]

    master = read(*good, bad)

    assert (len(master), master.skipped_count) == (99, 1)


def test_many_bad_rows_make_a_corrupt_file():
    """More than a small share of bad rows means that the format moved."""
    good = [line(security_id=str(number)) for number in range(1, 100)]

    with pytest.raises(ConfigError) as caught:
        read(*good, *[line(lot="x")] * 5)
    assert "x.csv" in str(caught.value)
    assert "LOT_SIZE" in str(caught.value)
    assert "line 101" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "lines", "said"),
    [
        ("", [], "EXCH_ID"),
        ("<html>", [], "EXCH_ID"),
        (HEADER, [], "no rows"),
        (HEADER.replace("TICK_SIZE", "TICK"), [line()], "TICK_SIZE"),
        ("SEM_EXM_EXCH_ID,SEM_SEGMENT", [line()], "LOT_SIZE"),
        (HEADER, [line("NSE", "X")], "no rows"),
        (HEADER, [line(lot="x")], "corrupt"),
    ],
)
def test_a_corrupt_file_says_what_is_wrong(header, lines, said):
    """Missing columns and missing rows refuse the start with the reason."""
    with pytest.raises(ConfigError) as caught:
        read(*lines, header=header)

    assert said in str(caught.value)
    assert "x.csv" in str(caught.value)


def test_only_wanted_segments_are_read():
    """Rows of other segments are passed over, faults included."""
    master = read(line(), line("NSE", "E", "1333", lot="x"), segments=[ExchangeSegment.NSE_FNO])

    assert (len(master), master.skipped_count) == (1, 0)


def test_one_security_id_in_two_segments_is_two_instruments():
    """Security ids repeat across segments."""
    master = read(line("NSE", "E", "7", lot="1"), line("NSE", "D", "7"))

    assert master.get(InstrumentId(ExchangeSegment.NSE_EQ, "7")).lot_size == 1
    assert master.get(InstrumentId(ExchangeSegment.NSE_FNO, "7")).lot_size == 65
    assert master.get(InstrumentId(ExchangeSegment.BSE_EQ, "7")) is None


def test_quotes_blank_lines_and_a_byte_order_mark_are_read(tmp_path):
    """A quoted name with a comma, empty lines and a BOM do no harm."""
    path = tmp_path / "master.csv"
    quoted = line(symbol='"A, B"')
    text = f"{HEADER}\r\n\r\n{quoted}\r\n,,,\r\n"
    path.write_text("\ufeff" + text, encoding="utf-8", newline="")

    (instrument,) = read_master_file(path).instruments.values()
    assert instrument.trading_symbol == "A, B"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"EXCH_ID\x00,SEGMENT\n"])
def test_an_unreadable_file_names_itself(tmp_path, content):
    """A missing or binary file is a configuration fault with its path."""
    path = tmp_path / "master.csv"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_master_file(path)
    assert "master.csv" in str(caught.value)
