"""Instruments, products and the key that names one position at the broker.

Security ids repeat across segments (dhanhq-v2.md 8.2), so an instrument is segment + security id,
and a position is account + segment + security id + product type.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from squareoff.domain.ids import AccountId
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE

SECURITY_ID_MAX = 2**32 - 1


class ExchangeSegment(str, Enum):
    """Exchange and segment, in the broker's words (dhanhq-v2.md 11.1)."""

    IDX_I = "IDX_I"
    NSE_EQ = "NSE_EQ"
    NSE_FNO = "NSE_FNO"
    NSE_CURRENCY = "NSE_CURRENCY"
    BSE_EQ = "BSE_EQ"
    MCX_COMM = "MCX_COMM"
    BSE_CURRENCY = "BSE_CURRENCY"
    BSE_FNO = "BSE_FNO"

    @property
    def is_tradable(self) -> bool:
        """Say whether orders exist in this segment; index values are feed only."""
        return self is not ExchangeSegment.IDX_I

    @property
    def is_cash(self) -> bool:
        """Say whether this is an equity cash segment."""
        return self in (ExchangeSegment.NSE_EQ, ExchangeSegment.BSE_EQ)


class ProductType(str, Enum):
    """Product of an order or position (dhanhq-v2.md 2.2); CO and BO are legacy and only read: they
    are closed by legs of their own."""

    CNC = "CNC"
    INTRADAY = "INTRADAY"
    MARGIN = "MARGIN"
    MTF = "MTF"
    CO = "CO"
    BO = "BO"

    @property
    def is_intraday(self) -> bool:
        """Say whether the broker closes it by itself before the day ends; the others carry."""
        return self in (ProductType.INTRADAY, ProductType.CO, ProductType.BO)

    @property
    def has_legs(self) -> bool:
        """Say whether a plain order does not close it."""
        return self in (ProductType.CO, ProductType.BO)

    @property
    def is_delivered(self) -> bool:
        """Say whether shares bought with it are delivered when the day has ended."""
        return self in (ProductType.CNC, ProductType.MTF)


@dataclass(frozen=True, slots=True, order=True)
class InstrumentId:
    """One instrument: segment and the exchange's security id (text of digits)."""

    exchange_segment: ExchangeSegment
    security_id: str

    @property
    def is_nameable(self) -> bool:
        """Say whether the market feed can name it: its packets have 32 bits for the id (7.3)."""
        text = self.security_id
        is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(SECURITY_ID_MAX))
        return is_number and int(text) <= SECURITY_ID_MAX

    @classmethod
    def from_text(cls, text: str) -> "InstrumentId":
        """Return the instrument that `SEGMENT:ID` names, such as `NSE_FNO:49543`.

        Leading zeros of the id are dropped: the instrument master has none.

        Raises:
            ValueError: the segment is not known, or the id is not made of digits.
        """
        segment, _, security_id = text.partition(":")
        if not (security_id.isascii() and security_id.isdecimal()):
            raise ValueError(f"an instrument must be SEGMENT:ID, was {text!r:.40}")
        return cls(ExchangeSegment(segment), str(int(security_id)))

    def __str__(self) -> str:
        return f"{self.exchange_segment.value}:{self.security_id}"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What an order needs to know of an instrument.

    `freeze_quantity` is the most units one order may carry (already corrected for files that give
    the first refused quantity), None where the exchange sets none. Circuit limits are rupees.
    """

    instrument_id: InstrumentId
    trading_symbol: str
    lot_size: int
    tick_size: Decimal
    freeze_quantity: int | None = None
    lower_circuit: Decimal | None = None
    upper_circuit: Decimal | None = None
    instrument_type: str = ""

    @property
    def tick_units(self) -> int:
        """The tick in price units."""
        return int(self.tick_size * PRICE_UNITS_PER_RUPEE)


@dataclass(frozen=True, slots=True, order=True)
class PositionKey:
    """What names one position at the broker: never the security id alone."""

    account_id: AccountId
    instrument_id: InstrumentId
    product_type: ProductType

    @property
    def is_delivered(self) -> bool:
        """Say whether what it holds leaves the positions overnight, for the demat account."""
        return self.instrument_id.exchange_segment.is_cash and self.product_type.is_delivered

    def __str__(self) -> str:
        return f"{self.instrument_id}:{self.product_type.value}"
