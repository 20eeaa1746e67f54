"""Column types that give back exactly what was put in, on SQLite and PostgreSQL alike."""

from decimal import Decimal

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine


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


def whole_number() -> TypeEngine[int]:
    """Return a 64-bit integer type: quantities, price units, sequence numbers, nanoseconds."""
    return BigInteger().with_variant(Integer(), "sqlite")
