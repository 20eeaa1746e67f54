"""The bodies of the admin's calls, read: known names, right types, values that make sense.

A name that is not known is refused: what it was meant to do would be left out in silence, and the
test that asked for it would prove nothing. Names may be the wire's (`exchangeSegment`) or ours.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypeVar

from squareoff.domain.errors import ConfigError
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.orders import Side
from squareoff.exchange.book import DepthLevel

Reader = Callable[[Any], Any]
Readers = Mapping[str, Reader]
E = TypeVar("E", bound=Enum)

QUANTITY_MAX = 2**32 - 1
"""The widest quantity that a feed packet carries."""

PRICE_MAX = Decimal(10) ** 12
"""Rupees; far above any price, and within what a feed packet carries."""

INSTRUMENT_TYPES = (
    "INDEX", "FUTIDX", "OPTIDX", "EQUITY", "FUTSTK", "OPTSTK", "FUTCOM", "OPTFUT", "FUTCUR",
    "OPTCUR",
)  # fmt: skip
"""As the instrument file names them (dhanhq-v2.md 11.5)."""

_OPTION_WORDS = {"CALL": "CE", "PUT": "PE"}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

SECONDS_MAX = 10.0 * 365 * 86_400
SPEED_MAX = 1e9


def parse_json(raw: bytes) -> Any:
    """Return the value of a body.

    Raises:
        ValueError: it is no JSON, or holds a number that is none (NaN, Infinity, 1e999).
        RecursionError: it is nested too deeply.
    """
    return json.loads(raw, parse_constant=_refuse_number, parse_float=_finite)


def read_fields(what: str, body: Any, readers: Readers) -> dict[str, Any]:
    """Return the fields that a body names, read, under our spelling of their names.

    Raises:
        ConfigError: no object, an unknown name, one named twice, or a value that makes no sense.
    """
    if not isinstance(body, Mapping):
        raise ConfigError(f"{what}: a JSON object is needed, was {_shown(body)}")
    fields: dict[str, Any] = {}
    for spelled, value in body.items():
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", str(spelled)).lower()
        if name not in readers:
            known = ", ".join(readers) or "none"
            raise ConfigError(f"{what}: {spelled!r} is not known here; names are: {known}")
        if name in fields:
            raise ConfigError(f"{what}: {name} is named twice")
        try:
            fields[name] = readers[name](value)
        except ValueError as error:
            raise ConfigError(f"{what}: {name}: {error}") from error
    return fields


def take_one(what: str, fields: dict[str, Any], names: Sequence[str]) -> Any:
    """Take out the one of several names for the same thing that was used; None for none."""
    used = [name for name in names if name in fields]
    if len(used) > 1:
        raise ConfigError(f"{what}: {' and '.join(used)} say the same, use one")
    return fields.pop(used[0]) if used else None


# --- readers: each returns the value, or raises ValueError with what was wanted and found ---


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"true or false is needed, was {_shown(value)}")
    return value


def text(value: Any) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"a text is needed, was {_shown(value)}")
    return value


def texts(value: Any) -> list[str]:
    """Read a list of texts."""
    if not isinstance(value, list):
        raise ValueError(f"a list of texts is needed, was {_shown(value)}")
    return [text(each) for each in value]


def whole(low: int, high: int = QUANTITY_MAX) -> Reader:
    """Return a reader of whole numbers; a text of digits will do."""

    def read(value: Any) -> int:
        number = _decimal(value)
        if number != number.to_integral_value() or not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high} is needed, was {_shown(value)}")
        return int(number)

    return read


def real(low: float, high: float = SECONDS_MAX, *, is_above: bool = False) -> Reader:
    """Return a reader of numbers from `low` on, or only above it."""

    def read(value: Any) -> float:
        number = float(_decimal(value))
        if not low <= number <= high or (is_above and number == low):
            word = "above" if is_above else "from"
            raise ValueError(f"a number {word} {low:g} to {high:g} is needed, was {_shown(value)}")
        return number

    return read


def price(value: Any) -> Decimal:
    """Read a price above zero, rupees."""
    number = _decimal(value)
    if not 0 < number <= PRICE_MAX:
        raise ValueError(f"a price above zero is needed, was {_shown(value)}")
    return number


def amount(value: Any) -> Decimal:
    """Read any number of rupees."""
    number = _decimal(value)
    if abs(number) > PRICE_MAX:
        raise ValueError(f"a number of rupees is needed, was {_shown(value)}")
    return number


def one_of(*words: str) -> Reader:
    """Return a reader of one of some words."""

    def read(value: Any) -> str:
        if value not in words or not isinstance(value, str):
            raise ValueError(f"one of {', '.join(words)} is needed, was {_shown(value)}")
        return value

    return read


def member(kind: type[E]) -> Reader:
    """Return a reader of an enum's values."""
    words = one_of(*(str(each.value) for each in kind))
    return lambda value: kind(words(value))


def optional(reader: Reader) -> Reader:
    """Return a reader that also takes null, as None."""
    return lambda value: None if value is None else reader(value)


def security_id(value: Any) -> str:
    """Read an instrument's number, written as a number or as a text."""
    return str(whole(0)(value))


def iso_day(value: Any) -> str:
    """Read a day as YYYY-MM-DD."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError(f"a day as YYYY-MM-DD is needed, was {_shown(value)}")
    return date.fromisoformat(value).isoformat()


def option_type(value: Any) -> str:
    """Read CE, PE or XX; CALL and PUT are the words of the REST rows for the first two."""
    word: str = one_of("CE", "PE", "XX", *_OPTION_WORDS)(value)
    return _OPTION_WORDS.get(word, word)


def levels(value: Any) -> tuple[DepthLevel, ...]:
    """Read one side of the depth: `[[price, quantity], ...]` or with the count of orders."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"a list of [price, quantity, orders] is needed, was {_shown(value)}")
    return tuple(_level(each) for each in value)


def _level(value: Any) -> DepthLevel:
    if not isinstance(value, list | tuple) or len(value) not in (2, 3):
        raise ValueError(f"[price, quantity, orders] is needed, was {_shown(value)}")
    orders = value[2] if len(value) == 3 else 1
    return DepthLevel(price(value[0]), whole(0)(value[1]), whole(0)(orders))


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"a number is needed, was {_shown(value)}")
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(f"a number is needed, was {_shown(value)}") from error
    if not number.is_finite():
        raise ValueError(f"a number is needed, was {_shown(value)}")
    return number


def _refuse_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse_number(digits)


def _shown(value: Any) -> str:
    return repr(value)[:80]


_INSTRUMENT: Readers = {"exchange_segment": member(ExchangeSegment), "security_id": security_id}
INSTRUMENT_TERMS: Readers = {
    "lot_size": whole(1),
    "freeze_quantity": optional(whole(1)),
    "tick_size": price,
    "lower_circuit": optional(price),
    "upper_circuit": optional(price),
    "trading_symbol": text,
    "instrument_type": one_of(*INSTRUMENT_TYPES),
}
LISTING_TERMS: Readers = {
    "previous_close": price,
    "expiry": optional(iso_day),
    "strike": optional(amount),
    "option_type": option_type,
    "symbol": text,
    "display_name": text,
}
INSTRUMENT: Readers = {**_INSTRUMENT, **INSTRUMENT_TERMS, **LISTING_TERMS, "halted": flag}
LAST_PRICE_NAMES = ("last_price", "last_traded_price", "price", "ltp")
TICK: Readers = {
    **_INSTRUMENT,
    **dict.fromkeys(LAST_PRICE_NAMES, optional(price)),
    "quantity": optional(whole(0)),
    "available_quantity": optional(whole(0)),
    "volume": optional(whole(0)),
    "open_interest": optional(whole(0)),
    "bids": levels,
    "asks": levels,
}
NET_NAMES = ("net_quantity", "net_qty")
POSITION: Readers = {
    **_INSTRUMENT,
    "dhan_client_id": lambda value: value if value == "" else text(value),
    "product_type": member(ProductType),
    **dict.fromkeys(NET_NAMES, whole(-QUANTITY_MAX)),
    "transaction_type": member(Side),
    "quantity": whole(1),
    "price": price,
    "carried": flag,
}
ORDER_ACTIONS: Mapping[str, Readers] = {
    "fill": {"quantity": whole(1), "price": price},
    "cancel": {},
    "reject": {"text": text},
    "expire": {},
    "free": {},
}
CLOCK: Readers = {
    "paused": flag,
    "speed": real(0.0, SPEED_MAX, is_above=True),
    "rewind": flag,
    "set_seconds": real(0.0),
    "advance_seconds": real(0.0),
}
TOKENS: Readers = {"kill": texts, "kill_all": flag}
SOCKETS: Readers = {
    "disconnect": one_of("order_update", "feed", "all"),
    "how": one_of("reset", "close"),
}
LISTENER: Readers = {"closed_seconds": real(0.0, 3_600.0)}
