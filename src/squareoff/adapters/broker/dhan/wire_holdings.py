"""Translate the broker's holdings: shares of earlier days, which it shows no more as positions.

Source: dhanhq-v2.md 3.3. No source says how the figures of a row hang together, so only what every
reading of them grants is counted: a quantity that may be too small is sold later, one that is too
large is sold short.

Rule for rows that cannot be read: a row without a security id fails the read, for nobody can tell
whose it is. Any other row whose figures cannot be read is a row without a quantity; it blinds
nobody who does not hold that instrument.
"""

from squareoff.adapters.broker.dhan.json_values import (
    Row,
    Unreadable,
    load_json,
    name_of,
    optional_text_of,
    quantity_of,
    word_of,
)
from squareoff.adapters.broker.dhan.wire import RowReader
from squareoff.domain.instruments import ExchangeSegment
from squareoff.domain.orders import Holding

_SEGMENTS = {
    "ALL": None,
    "NSE": ExchangeSegment.NSE_EQ,
    "NSE_EQ": ExchangeSegment.NSE_EQ,
    "BSE": ExchangeSegment.BSE_EQ,
    "BSE_EQ": ExchangeSegment.BSE_EQ,
}
_EMPTY_STATUS = 500
_EMPTY_CODES = frozenset({"DH-1111", "DHOLDING_ERROR"})
_CODE_NAMES = ("errorCode", "internalErrorCode")


def holding_rows() -> RowReader[Holding]:
    """Return how rows of holdings are read."""
    return RowReader(read_holding_row, lambda _row, _error: False)


def says_nothing_is_held(status: int, body: bytes) -> bool:
    """Tell the answer for an empty demat account, an error in form, from a failure (3.3)."""
    content = load_json(body) if status == _EMPTY_STATUS else None
    return isinstance(content, dict) and any(
        optional_text_of(content, name) in _EMPTY_CODES for name in _CODE_NAMES
    )


def read_holding_row(row: Row) -> Holding:
    """Read one row.

    Raises:
        Unreadable: it names no instrument.
    """
    security_id = name_of(row, "securityId")
    word = word_of(row.get("exchange"))
    if word not in _SEGMENTS:
        return Holding(None, security_id, None, None)
    try:
        cnc, mtf = _quantities_of(row)
    except Unreadable:
        return Holding(_SEGMENTS[word], security_id, None, None)
    return Holding(_SEGMENTS[word], security_id, cnc, mtf)


def _quantities_of(row: Row) -> tuple[int, int]:
    """Return what is surely there of CNC and of MTF.

    Shares bought yesterday may be sold and may be missing among the available ones; pledged ones
    may not be sold and may be in the total; those of MTF may be in all figures of the row.
    """
    bought_yesterday = quantity_of(row, "t1Qty")
    sellable = min(
        quantity_of(row, "availableQty") + bought_yesterday,
        quantity_of(row, "dpQty") + bought_yesterday,
        quantity_of(row, "totalQty") - _optional_quantity_of(row, "collateralQty"),
    )
    mtf = _optional_quantity_of(row, "mtf_qty")
    return max(0, sellable - mtf), mtf


def _optional_quantity_of(row: Row, name: str) -> int:
    return 0 if row.get(name) is None else quantity_of(row, name)
