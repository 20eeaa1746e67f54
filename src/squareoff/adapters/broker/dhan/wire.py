"""Translate the broker's REST rows into our words; the only place that knows their field names.

Source: dhanhq-v2.md 1.4 (profile), 2.7 (order row), 2.8 (trade row), 3.1 (positions), 3.4 (funds),
8.1 (quotes), 11 (words). The order socket's own spelling is in wire_updates.py, requests in
wire_requests.py.

Rule for rows that cannot be read (no row of ours may vanish silently, no stranger's row may blind
us):
1. An order row whose tag starts like ours (`sq`) fails the whole read, and so does whatever names
   neither an order nor its status: it is no order row but an error. Any other is skipped.
2. A trade or position row that names a segment or product we do not know cannot concern an order of
   ours (we could not have placed it) and is skipped. Any other unreadable one fails the read.
3. A row that is no object fails the read: nobody can tell whose it was.
Skipped rows are counted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar

from squareoff.adapters.broker.dhan.json_values import (
    Row,
    Unreadable,
    average_of,
    decimal_of,
    name_of,
    ns_from_ist_text,
    optional_text_of,
    positive_price_of,
    quantity_of,
    text_of,
    time_of,
    whole_of,
    word_of,
)
from squareoff.adapters.broker.dhan.wire_requests import read_status
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import ExchangeSegment, InstrumentId, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    BrokerPosition,
    BrokerProfile,
    OrderReport,
    Quote,
    ReportSource,
    Side,
    TradeReport,
    WalletSnapshot,
)

OWN_TAG_PREFIX = "sq"
"""How every client order id of ours begins (core.exits.client_order_ids)."""

SEGMENTS_BY_LETTER = {
    ("NSE", "E"): ExchangeSegment.NSE_EQ,
    ("NSE", "D"): ExchangeSegment.NSE_FNO,
    ("NSE", "C"): ExchangeSegment.NSE_CURRENCY,
    ("BSE", "E"): ExchangeSegment.BSE_EQ,
    ("BSE", "D"): ExchangeSegment.BSE_FNO,
    ("BSE", "C"): ExchangeSegment.BSE_CURRENCY,
    ("MCX", "M"): ExchangeSegment.MCX_COMM,
}
"""Exchange and letter as instrument file and order socket write segments (8.2, 11.3)."""

UNFILLED_STATUSES = (BrokerOrderStatus.TRANSIT, BrokerOrderStatus.REJECTED)
"""Statuses in which nothing can have filled yet, so a row may leave the filled quantity out."""

_HEALTHY_REASONS = frozenset({"CONFIRMED", "0", "SUCCESS"})

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


class UnknownWord(Unreadable):
    """A segment or product word that we do not know: the row cannot concern an order of ours."""


@dataclass(frozen=True, slots=True)
class ReadRows(Generic[T]):
    """Rows that could be read, and why others were skipped (one text per skipped row)."""

    rows: tuple[T, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A stranger's row that could not be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class RowReader(Generic[T]):
    """How the rows of one book are read, and which unreadable ones are strangers'."""

    read_row: Callable[[Row], T]
    may_skip: Callable[[Row, Unreadable], bool]

    def read(self, row: object) -> T | Skipped:
        """Read one row.

        Raises:
            Unreadable: it cannot be read and may concern us.
        """
        if not isinstance(row, dict):
            raise Unreadable(f"a row must be an object, was {row!r:.60}")
        try:
            return self.read_row(row)
        except Unreadable as error:
            if not self.may_skip(row, error):
                raise
            return Skipped(str(error))


def sorted_out(entries: Iterable[T | Skipped]) -> ReadRows[T]:
    """Tell rows that were read from those that were skipped."""
    done: list[T] = []
    skipped: list[str] = []
    for entry in entries:
        if isinstance(entry, Skipped):
            skipped.append(entry.reason)
        else:
            done.append(entry)
    return ReadRows(tuple(done), tuple(skipped))


def order_rows(source: ReportSource) -> RowReader[OrderReport]:
    """Return how order rows are read, under rule 1."""
    return RowReader(lambda row: read_order_row(row, source), _is_strange_order)


def trade_rows() -> RowReader[TradeReport]:
    """Return how trade rows are read, under rule 2."""
    return RowReader(read_trade_row, _names_unknown_word)


def position_rows() -> RowReader[BrokerPosition]:
    """Return how position rows are read, under rule 2."""
    return RowReader(read_position_row, _names_unknown_word)


def _is_strange_order(row: Row, _error: Unreadable) -> bool:
    if not any(optional_text_of(row, name) for name in ("orderId", "orderStatus")):
        return False
    tag = optional_text_of(row, "correlationId")
    return tag is None or not tag.lower().startswith(OWN_TAG_PREFIX)


def _names_unknown_word(_row: Row, error: Unreadable) -> bool:
    return isinstance(error, UnknownWord)


def read_order_row(row: Row, source: ReportSource) -> OrderReport:
    """Read one order row (2.7).

    Raises:
        Unreadable: a field that decides anything is missing or makes no sense.
    """
    status = read_status(row.get("orderStatus"))
    tag = optional_text_of(row, "correlationId")
    return OrderReport(
        broker_order_id=BrokerOrderId(name_of(row, "orderId")),
        client_order_id=None if tag is None else ClientOrderId(tag),
        status=status,
        instrument_id=_instrument_of(row),
        product_type=_product_of(row),
        side=_side_of(row),
        order_quantity=quantity_of(row, "quantity"),
        cumulative_quantity=_filled_of(row, status),
        average_price=average_of(row, "averageTradedPrice"),
        limit_price=positive_price_of(row, "price"),
        reason=reason_of(row, "omsErrorDescription"),
        update_time_ns=time_of(row, "updateTime") or time_of(row, "exchangeTime"),
        source=source,
    )


def _filled_of(row: Row, status: BrokerOrderStatus) -> int:
    for name in ("filledQty", "filled_qty"):
        if row.get(name) is not None:
            return quantity_of(row, name)
    if status in UNFILLED_STATUSES:
        return 0
    raise Unreadable(f"filledQty must be given for an order in {status.value}")


def read_trade_row(row: Row) -> TradeReport:
    """Read one fill (2.8).

    Raises:
        UnknownWord: a segment or product we do not know.
        Unreadable: anything else that decides something is missing or makes no sense.
    """
    instrument_id, product_type = _instrument_of(row), _product_of(row)
    price = decimal_of(row, "tradedPrice")
    if price <= 0:
        raise Unreadable(f"tradedPrice must be above zero, was {price}")
    return TradeReport(
        broker_order_id=BrokerOrderId(name_of(row, "orderId")),
        exec_id=_exec_id_of(row),
        instrument_id=instrument_id,
        product_type=product_type,
        side=_side_of(row),
        quantity=quantity_of(row, "tradedQuantity"),
        price=price,
        exchange_time_ns=time_of(row, "exchangeTime") or time_of(row, "updateTime"),
    )


def _exec_id_of(row: Row) -> str:
    """Return the exchange's trade id, blank where it is untold: the history says 0 in every row."""
    text = text_of(row, "exchangeTradeId")
    return "" if text == "0" else text


def read_position_row(row: Row) -> BrokerPosition:
    """Read one position (3.1).

    Raises:
        UnknownWord: a segment or product we do not know.
        Unreadable: a quantity is missing or makes no sense.
    """
    instrument_id, product_type = _instrument_of(row), _product_of(row)
    return BrokerPosition(
        instrument_id=instrument_id,
        product_type=product_type,
        net_quantity=whole_of(row, "netQty"),
        buy_quantity=quantity_of(row, "buyQty"),
        sell_quantity=quantity_of(row, "sellQty"),
        buy_average=average_of(row, "buyAvg") or Decimal(0),
        sell_average=average_of(row, "sellAvg") or Decimal(0),
        trading_symbol=optional_text_of(row, "tradingSymbol") or "",
    )


def read_funds(row: Row) -> WalletSnapshot:
    """Read the funds (3.4); the wire misspells the available balance.

    Raises:
        Unreadable: a figure is missing or no number.
    """
    available = "availabelBalance" if "availabelBalance" in row else "availableBalance"
    return WalletSnapshot(
        available_balance=decimal_of(row, available),
        utilized_amount=decimal_of(row, "utilizedAmount"),
        start_of_day_limit=decimal_of(row, "sodLimit"),
    )


def read_quotes(content: Any, wanted: Sequence[InstrumentId]) -> dict[InstrumentId, Quote]:
    """Read the quotes of the wanted instruments; unknown or unpriced ones are missing (8.1).

    Raises:
        Unreadable: the answer has no `data` object of segments.
    """
    segments = content.get("data") if isinstance(content, dict) else None
    if not isinstance(segments, dict):
        raise Unreadable("the answer must hold `data`")
    quotes: dict[InstrumentId, Quote] = {}
    for instrument_id in wanted:
        rows = segments.get(instrument_id.exchange_segment.value)
        row = rows.get(instrument_id.security_id) if isinstance(rows, dict) else None
        quote = _read_quote(instrument_id, row) if isinstance(row, dict) else None
        if quote is not None:
            quotes[instrument_id] = quote
    return quotes


def _read_quote(instrument_id: InstrumentId, row: Row) -> Quote | None:
    last_traded_price = positive_price_of(row, "last_price")
    if last_traded_price is None:
        return None
    return Quote(
        instrument_id=instrument_id,
        last_traded_price=last_traded_price,
        last_trade_time_ns=time_of(row, "last_trade_time"),
        best_bid=_best_price(row, "buy"),
        best_ask=_best_price(row, "sell"),
        lower_circuit=positive_price_of(row, "lower_circuit_limit"),
        upper_circuit=positive_price_of(row, "upper_circuit_limit"),
        day_high=_day_price(row, "high"),
        day_low=_day_price(row, "low"),
    )


def _day_price(row: Row, name: str) -> Decimal | None:
    day = row.get("ohlc")
    return positive_price_of(day, name) if isinstance(day, dict) else None


def _best_price(row: Row, side: str) -> Decimal | None:
    depth = row.get("depth")
    levels = depth.get(side) if isinstance(depth, dict) else None
    if isinstance(levels, list) and levels and isinstance(levels[0], dict):
        return positive_price_of(levels[0], "price")
    return None


def read_profile(row: Row) -> BrokerProfile:
    """Read what the broker says of the token (1.4).

    Raises:
        Unreadable: there is no client id.
    """
    validity = optional_text_of(row, "tokenValidity")
    return BrokerProfile(
        client_id=text_of(row, "dhanClientId"),
        token_expires_ns=None if validity is None else ns_from_ist_text(validity),
    )


def read_kill_switch(row: Row) -> bool:
    """Read whether the broker's kill switch is on: a word, after a change a sentence (4).

    Raises:
        Unreadable: it says neither.
    """
    words = text_of(row, "killSwitchStatus").upper()
    if "DEACTIVATE" in words:
        return False
    if "ACTIVATE" in words:
        return True
    raise Unreadable(f"killSwitchStatus is neither on nor off: {words[:40]}")


def reason_of(row: Mapping[str, Any], name: str) -> str:
    """Return the reason text of a row, "" where it only says that all is well (2.7)."""
    text = optional_text_of(row, name) or ""
    return "" if text.upper() in _HEALTHY_REASONS else text


def _instrument_of(row: Row) -> InstrumentId:
    segment = _known(ExchangeSegment, row, "exchangeSegment")
    return InstrumentId(segment, text_of(row, "securityId"))


def _product_of(row: Row) -> ProductType:
    return _known(ProductType, row, "productType")


def _known(enum: type[E], row: Row, name: str) -> E:
    """Return the member a word names; a word we do not know is told from a missing one."""
    word = word_of(text_of(row, name))
    try:
        return enum(word)
    except ValueError:
        raise UnknownWord(f"{name} {word!r:.40} is not known") from None


def _side_of(row: Row) -> Side:
    word = word_of(text_of(row, "transactionType"))
    try:
        return Side(word)
    except ValueError:
        raise Unreadable(f"transactionType must be BUY or SELL, was {word!r:.40}") from None
