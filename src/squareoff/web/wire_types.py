"""How values look in the API's JSON: decimals as text in rupees, times as ISO 8601 with offset."""

import math
import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel as PydanticModel
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from squareoff.domain.prices import decimal_text
from squareoff.domain.rule_parsing import rules_as_json
from squareoff.domain.time import iso_from_ns

_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_DECIMAL_SCHEMA = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["152.35"]}
_TIME_SCHEMA = {
    "type": "string",
    "format": "date-time",
    "examples": ["2026-08-21T09:31:05.250000+05:30"],
}

RULES_EXAMPLE = {
    "stop_loss": {"price": "140.00"},
    "target": {"percent": "25"},
    "trailing": {"points": "8", "activate_at_profit_points": "10", "step": "0.50"},
    "square_off_at": "15:15",
}


def _plain_decimal(value: object) -> object:
    """JSON's true is no price, though Python counts it as 1; floats count as their short text.

    Text is a plain decimal, as in rules: what else Python's decimals take ("1e5", "1_000", digits
    of other scripts) is a slip of the hand.
    """
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    is_plain = not isinstance(value, str) or _DECIMAL.fullmatch(value.strip())
    if isinstance(value, bool) or not is_plain:
        raise ValueError("must be a number")
    return value


DecimalText = Annotated[
    Decimal, PlainSerializer(decimal_text, return_type=str), WithJsonSchema(_DECIMAL_SCHEMA)
]
"""An outgoing decimal."""

Instant = Annotated[
    int, PlainSerializer(iso_from_ns, return_type=str), WithJsonSchema(_TIME_SCHEMA)
]
"""An outgoing instant, held as UTC nanoseconds."""

RulesOut = Annotated[
    Any,
    PlainSerializer(rules_as_json, return_type=dict[str, Any]),
    WithJsonSchema({"type": "object", "examples": [RULES_EXAMPLE]}),
]
"""Outgoing rules; a RuleSet."""

Price = Annotated[
    Decimal,
    BeforeValidator(_plain_decimal),
    Field(max_digits=18, decimal_places=8),
    WithJsonSchema(
        {"anyOf": [_DECIMAL_SCHEMA, {"type": "number"}], "examples": ["152.35"]}, mode="validation"
    ),
]
"""An incoming price in rupees: text or number."""

Whole = Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)]
"""An incoming whole number; JSON's 75.0 and "75" are refused."""

RulesIn = Annotated[
    Any, WithJsonSchema({"type": "object", "examples": [RULES_EXAMPLE]}, mode="validation")
]
"""Incoming rules; read by `domain.rule_parsing`, which names every fault by its path."""


class Incoming(PydanticModel):
    """A request body; fields that it does not know are refused."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )


class Outgoing(PydanticModel):
    """An answer, read off one of the desk's values by field names."""

    model_config = ConfigDict(
        from_attributes=True, populate_by_name=True, use_attribute_docstrings=True
    )
