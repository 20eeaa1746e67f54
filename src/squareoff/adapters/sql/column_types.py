"""Column types that give back exactly what was put in, on SQLite and PostgreSQL alike."""

from decimal import Decimal

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

_NUL = "\x00"
_ESCAPE = "\x1b"
_ESCAPED_NUL = _ESCAPE + "0"
_ESCAPED_ESCAPE = _ESCAPE + "E"


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal kept as its own text, so that `1.50` never comes back as `1.5` or as a float.

    SQLite has no exact decimal type and would turn NUMERIC into a float; text is the one form that
    both databases keep digit by digit. Reports may cast it: `CAST(exit_price AS NUMERIC)`.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """Return the decimal's text."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        """Return the decimal of the text."""
        return None if value is None else Decimal(value)


class AnyText(TypeDecorator[str]):
    """Text that came from outside and may hold a NUL, which PostgreSQL refuses in any text.

    A NUL is written as ESC 0 and an ESC as ESC E; all other text is written as it is. Without this
    one odd byte in a broker's message would keep an exit from being journalled.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text without NUL."""
        if value is None or not (_NUL in value or _ESCAPE in value):
            return value
        return value.replace(_ESCAPE, _ESCAPED_ESCAPE).replace(_NUL, _ESCAPED_NUL)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text as it was put in."""
        if value is None or _ESCAPE not in value:
            return value
        return value.replace(_ESCAPED_NUL, _NUL).replace(_ESCAPED_ESCAPE, _ESCAPE)


def whole_number() -> TypeEngine[int]:
    """Return a 64-bit integer type: quantities, price units, sequence numbers, nanoseconds."""
    return BigInteger().with_variant(Integer(), "sqlite")
