"""Read values out of the broker's JSON: exact, tolerant in shape, strict in meaning.

The broker sends numbers as JSON numbers or as text, leaves fields null, and fills unused ones with
sentinels (dhanhq-v2.md 2.7). Fractions become `Decimal` from their own digits; no float is made.
A value that cannot be read raises `Unreadable` with the field's name, never a default.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import msgspec

from squareoff.domain.prices import AVERAGE_PRICE_STEP
from squareoff.domain.time import IST, NANOSECONDS_PER_SECOND

Row = Mapping[str, Any]

# Beyond any price, fund or quantity at this broker; larger exponents would make formatting and
# arithmetic costly, so such a number is refused as it is read.
_MAGNITUDE_MAX = 15
_DECIMALS_MAX = 30
_NO_TEXT = frozenset({"", "NA", "N/A", "NULL", "NONE"})
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")
# Sentinels for "never" are of the years 1 and 1980 (dhanhq-v2.md 2.7, 8.1).
_EARLIEST_YEAR = 2000
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class Unreadable(ValueError):
    """A field of a row cannot be read; the message names it and what it was."""


def load_json(body: bytes | str) -> Any:
    """Return decoded JSON with fractions as `Decimal`, or None where it is no JSON (or is null)."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, ValueError, InvalidOperation, RecursionError):
        return None


def only_object(content: Any) -> dict[str, Any] | None:
    """Return the object an answer consists of, also as the one element of an array, else None."""
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    return content if isinstance(content, dict) else None


def text_of(row: Row, name: str) -> str:
    """Return a required text; numbers are taken as their digits.

    Raises:
        Unreadable: missing, empty, a sentinel or no text at all.
    """
    text = optional_text_of(row, name)
    if text is None:
        raise Unreadable(f"{name} must be text, was {_shown(row.get(name))}")
    return text


def name_of(row: Row, name: str) -> str:
    """Return a required text that names something: printable ASCII without blanks.

    It is kept as a key and compared; a NUL would even be refused by a database.

    Raises:
        Unreadable: missing, or not such a text.
    """
    text = text_of(row, name)
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise Unreadable(f"{name} must be a plain word, was {_shown(text)}")
    return text


def optional_text_of(row: Row, name: str) -> str | None:
    """Return a text, or None where it is missing, empty or a sentinel such as `NA`."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    return None if text.upper() in _NO_TEXT else text


def whole_of(row: Row, name: str) -> int:
    """Return a required whole number, from `75`, `75.0`, `"75"` or `"75.0"`.

    Raises:
        Unreadable: missing, fractional or no number.
    """
    number = decimal_of(row, name)
    if number != number.to_integral_value():
        raise Unreadable(f"{name} must be a whole number, was {_shown(row.get(name))}")
    return int(number)


def quantity_of(row: Row, name: str) -> int:
    """Return a required whole number that is zero or more.

    Raises:
        Unreadable: as `whole_of`, or negative.
    """
    quantity = whole_of(row, name)
    if quantity < 0:
        raise Unreadable(f"{name} must be zero or more, was {quantity}")
    return quantity


def decimal_of(row: Row, name: str) -> Decimal:
    """Return a required number, exactly as its digits say.

    Raises:
        Unreadable: missing, not finite, absurdly large or no number.
    """
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise Unreadable(f"{name} must be a number, was {_shown(value)}")
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not _is_sane(number):
        raise Unreadable(f"{name} must be a number, was {_shown(value)}")
    return number


def positive_price_of(row: Row, name: str) -> Decimal | None:
    """Return a price in rupees, or None where it is missing, unreadable, zero or negative."""
    try:
        price = decimal_of(row, name)
    except Unreadable:
        return None
    return price if price > 0 else None


def average_of(row: Row, name: str) -> Decimal | None:
    """Return an average price kept to 8 decimals, or None where there is none (0)."""
    price = positive_price_of(row, name)
    if price is None or -int(price.as_tuple().exponent) <= 8:
        return price
    return price.quantize(AVERAGE_PRICE_STEP)


def time_of(row: Row, name: str) -> int | None:
    """Return an IST time as UTC nanoseconds; None for sentinels, missing and unreadable times."""
    text = optional_text_of(row, name)
    return None if text is None else ns_from_ist_text(text)


@lru_cache(maxsize=8_192)
def ns_from_ist_text(text: str) -> int | None:
    """Return `YYYY-MM-DD HH:MM:SS` (or `DD/MM/YYYY HH:MM[:SS]`) in IST as UTC nanoseconds.

    A fraction of a second is cut off. Sentinels and unreadable texts give None.
    """
    plain = text.strip().replace("T", " ").partition(".")[0]
    for time_format in _TIME_FORMATS:
        try:
            instant = datetime.strptime(plain, time_format).replace(tzinfo=IST)
        except ValueError:
            continue
        if instant.year < _EARLIEST_YEAR:
            return None
        return int(instant.timestamp()) * NANOSECONDS_PER_SECOND
    return None


def word_of(value: Any) -> str:
    """Return a status or enum word in upper case, with `-` and blanks as `_`; "" for no text."""
    if not isinstance(value, str):
        return ""
    return value.strip().upper().replace("-", "_").replace(" ", "_")


def _is_sane(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return (
        isinstance(exponent, int)
        and exponent >= -_DECIMALS_MAX
        and (not number or number.adjusted() <= _MAGNITUDE_MAX)
        and exponent <= _MAGNITUDE_MAX
    )


def _shown(value: Any) -> str:
    return repr(value)[:60]
