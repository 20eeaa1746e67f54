"""The simulator's instruments: a small built-in set, more by the admin, and the master file.

The file has the detailed form of dhanhq-v2.md 8.2, with the header of a real file of September
2026 and its extra comma. Tick sizes in the file are paise, freeze quantities the first refused one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId
from squareoff.domain.prices import round_to_tick_down, round_to_tick_up

CSV_HEADER = (
    "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,"
    "SYMBOL_NAME,DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,"
    "OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,BRACKET_FLAG,COVER_FLAG,ASM_GSM_FLAG,ASM_GSM_CATEGORY,"
    "BUY_SELL_INDICATOR,BUY_CO_MIN_MARGIN_PER,BUY_CO_SL_RANGE_MAX_PERC,BUY_CO_SL_RANGE_MIN_PERC,"
    "BUY_BO_MIN_MARGIN_PER,BUY_BO_PROFIT_RANGE_MAX_PERC,BUY_BO_PROFIT_RANGE_MIN_PERC,"
    "MTF_LEVERAGE,SM_UPPER_LIMIT,SM_LOWER_LIMIT,SM_FREEZE_QTY,"
)
NO_EXPIRY = "0001-01-01"
# Widest daily band used here; real bands are 2 % to 20 % by instrument.
BAND_PERCENT = Decimal(20)

_EXCHANGE_LETTERS = {
    ExchangeSegment.IDX_I: ("NSE", "I"),
    ExchangeSegment.NSE_EQ: ("NSE", "E"),
    ExchangeSegment.NSE_FNO: ("NSE", "D"),
    ExchangeSegment.NSE_CURRENCY: ("NSE", "C"),
    ExchangeSegment.BSE_EQ: ("BSE", "E"),
    ExchangeSegment.MCX_COMM: ("MCX", "M"),
    ExchangeSegment.BSE_CURRENCY: ("BSE", "C"),
    ExchangeSegment.BSE_FNO: ("BSE", "D"),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument with what only rows, updates and the master file say of it.

    `option_type` is CE, PE or XX; `strike` rupees, None for others; `expiry` an ISO day.
    """

    instrument: Instrument
    symbol: str
    display_name: str
    previous_close: Decimal
    isin: str = "NA"
    series: str = "NA"
    underlying_security_id: str = ""
    expiry: str = NO_EXPIRY
    strike: Decimal | None = None
    option_type: str = "XX"

    @property
    def instrument_id(self) -> InstrumentId:
        """Segment and security id."""
        return self.instrument.instrument_id

    @property
    def exchange_letters(self) -> tuple[str, str]:
        """Exchange and segment letter as files and the order socket write them."""
        return _EXCHANGE_LETTERS[self.instrument_id.exchange_segment]


def banded(listing: Listing, price: Decimal) -> Listing:
    """Return the listing with a daily band around `price`, which becomes the previous close."""
    tick, width = listing.instrument.tick_size, price * BAND_PERCENT / 100
    instrument = replace(
        listing.instrument,
        lower_circuit=max(round_to_tick_up(price - width, tick), tick),
        upper_circuit=round_to_tick_down(price + width, tick),
    )
    return replace(listing, instrument=instrument, previous_close=price)


def default_listings() -> list[Listing]:
    """Return the built-in instruments: those of the recorded data and a few to trade beside."""
    return [
        _index("13", "NIFTY", "Nifty 50", "26042.30"),
        _index("25", "BANKNIFTY", "Nifty Bank", "59011.35"),
        _future(),
        _option("49081", "CE", "210.50"),
        _option("49082", "PE", "168.20"),
        _equity("2885", "RELIANCE", "Reliance Industries", "0.10", "1559.60"),
        _equity("1333", "HDFCBANK", "HDFC Bank", "0.05", "1632.25"),
        _equity("11536", "TCS", "Tata Consultancy Services", "0.10", "3280.00"),
    ]


def _index(security_id: str, symbol: str, display_name: str, close: str) -> Listing:
    identity = InstrumentId(ExchangeSegment.IDX_I, security_id)
    instrument = Instrument(identity, symbol, 1, Decimal("0.05"), instrument_type="INDEX")
    return Listing(instrument, symbol, display_name, Decimal(close))


def _future() -> Listing:
    identity = InstrumentId(ExchangeSegment.NSE_FNO, "49543")
    instrument = Instrument(
        identity, "NIFTY-Dec2025-FUT", 75, Decimal("0.10"), 1800, instrument_type="FUTIDX"
    )
    listing = Listing(
        instrument,
        "NIFTY",
        "NIFTY DEC FUT",
        Decimal("26060.20"),
        underlying_security_id="26000",
        expiry="2025-12-30",
    )
    return banded(listing, listing.previous_close)


def _option(security_id: str, option_type: str, close: str) -> Listing:
    instrument = Instrument(
        InstrumentId(ExchangeSegment.NSE_FNO, security_id),
        f"NIFTY-Dec2025-26000-{option_type}",
        75,
        Decimal("0.05"),
        1800,
        Decimal("0.05"),
        Decimal("1200.00"),
        "OPTIDX",
    )
    word = "CALL" if option_type == "CE" else "PUT"
    return Listing(
        instrument,
        "NIFTY",
        f"NIFTY 30 DEC 26000 {word}",
        Decimal(close),
        underlying_security_id="26000",
        expiry="2025-12-30",
        strike=Decimal(26000),
        option_type=option_type,
    )


def _equity(security_id: str, symbol: str, name: str, tick: str, close: str) -> Listing:
    identity = InstrumentId(ExchangeSegment.NSE_EQ, security_id)
    instrument = Instrument(identity, symbol, 1, Decimal(tick), instrument_type="EQUITY")
    listing = Listing(
        instrument, symbol, name, Decimal(close), isin=f"INE{security_id:0>9}", series="EQ"
    )
    return banded(listing, listing.previous_close)


def master_csv(listings: Iterable[Listing], *, freeze_is_first_refused: bool) -> str:
    """Return the detailed instrument file of these listings."""
    rows = [CSV_HEADER]
    rows += [_csv_row(each, 1 if freeze_is_first_refused else 0) for each in listings]
    return "\n".join(rows) + "\n"


def _csv_row(listing: Listing, freeze_step: int) -> str:
    instrument = listing.instrument
    exchange, segment = listing.exchange_letters
    freeze = instrument.freeze_quantity
    strike = "-0.01" if listing.strike is None else f"{listing.strike:.5f}"
    values = [
        exchange, segment, instrument.instrument_id.security_id, listing.isin,
        instrument.instrument_type, listing.underlying_security_id, listing.symbol,
        instrument.trading_symbol, listing.display_name, _type_word(instrument.instrument_type),
        listing.series, f"{instrument.lot_size}.0", listing.expiry, strike, listing.option_type,
        f"{instrument.tick_size * 100:.4f}", "NA" if listing.expiry == NO_EXPIRY else "M",
        "N", "N", "N", "NA", "A", "0", "0", "0", "0", "0", "0", "0",
        _limit_text(instrument.upper_circuit), _limit_text(instrument.lower_circuit),
        "-1" if freeze is None else f"{freeze + freeze_step}.0", "",
    ]  # fmt: skip
    return ",".join(values)


def _type_word(instrument_type: str) -> str:
    return {"FUTIDX": "FUT", "OPTIDX": "OP", "EQUITY": "ES"}.get(instrument_type, instrument_type)


def _limit_text(limit: Decimal | None) -> str:
    return "0" if limit is None else f"{limit:.4f}"
