"""Say in our words what pydantic found wrong: what it must be, and what it was."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

SHOWN_LENGTH_MAX = 60

_TEXTS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "date_from_datetime_parsing": "must be a date as YYYY-MM-DD",
    "date_parsing": "must be a date as YYYY-MM-DD",
    "date_type": "must be a date as YYYY-MM-DD",
    "decimal_max_digits": "must have at most {max_digits} digits",
    "decimal_max_places": "must have at most {decimal_places} decimals",
    "decimal_parsing": "must be a number",
    "decimal_type": "must be a number",
    "dict_type": "must be a table",
    "enum": "must be one of {expected}",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of sensible size",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must be a table",
    "model_type": "must be a table",
    "path_type": "must be a path",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}
_INPUT_SHOULD_BE = re.compile(r"^Input should (be|have) ")


def fault_text(error: Mapping[str, Any], *, show_input: bool) -> str:
    """Return one error of a pydantic ValidationError as a clause for a person.

    Args:
        error: one entry of `ValidationError.errors()`.
        show_input: whether the value may be shown; never for what may hold a secret.
    """
    kind = error["type"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "unknown"
    text = _must_be(kind, error)
    is_simple = isinstance(error.get("input"), str | int | float | bool | None)
    return f"{text}, was {shown(error['input'])}" if show_input and is_simple else text


def path_text(location: Sequence[str | int]) -> str:
    """Return a location as a path: `('tiers', 0, 'percent')` is `tiers[0].percent`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def shown(value: object) -> str:
    """Return a value as messages show it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else f"{text[: SHOWN_LENGTH_MAX - 3]}..."


def _must_be(kind: str, error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"]))
    known = _TEXTS.get(kind)
    if known is not None:
        return known.format(**context)
    said = _INPUT_SHOULD_BE.sub(r"must \1 ", str(error["msg"]))
    return said[:1].lower() + said[1:]
