"""Journal facts, and the states they fold into, as the API shows them: prices in rupees, times in
ISO, rules in their own shape.

Field names stay, but for the unit suffix `_ns`, which an ISO time no longer has.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, get_args, get_type_hints

from squareoff.core.state.facts import FACT_TYPES, JournalEntry
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.prices import PriceUnits, decimal_from_units, decimal_text
from squareoff.domain.rule_parsing import rules_as_json
from squareoff.domain.rules import RuleSet, Trigger
from squareoff.domain.time import iso_from_ns
from squareoff.web.answers import EntryOut
from squareoff.web.fact_sentences import sentence_of

_TIME_SUFFIX = "_ns"
_NAMED_ABOVE = ("tracker_id", "client_order_id")
"""Fields of a fact that stand beside `data`, not in it."""


def _price_fields(described: type[object]) -> frozenset[str]:
    """Return the fields that hold price units, which are plain integers at run time."""
    hints = get_type_hints(described)
    return frozenset(name for name, hint in hints.items() if PriceUnits in (hint, *get_args(hint)))


_PRICED = (*FACT_TYPES.values(), Trigger, PositionTracker)
_PRICE_FIELDS = {found: _price_fields(found) for found in _PRICED}


def entry_out(entry: JournalEntry) -> EntryOut:
    """Return one journal entry as the API shows it."""
    shown = _fields_as_json(entry.fact)
    return EntryOut(
        seq=entry.seq,
        time=entry.time_ns,
        kind=entry.kind,
        tracker_id=entry.fact.tracker_id,
        client_order_id=getattr(entry.fact, "client_order_id", None),
        data={name: value for name, value in shown.items() if name not in _NAMED_ABOVE},
        text=sentence_of(entry.kind, shown),
    )


def _fields_as_json(value: Any) -> dict[str, Any]:
    priced = _PRICE_FIELDS.get(type(value), frozenset())
    shown: dict[str, Any] = {}
    for field in fields(value):
        name, part = field.name, getattr(value, field.name)
        if name in priced and part is not None:
            part = decimal_text(decimal_from_units(part))
        elif name.endswith(_TIME_SUFFIX):
            name = name.removesuffix(_TIME_SUFFIX)
            part = None if part is None else iso_from_ns(part)
        shown[name] = as_json(part)
    return shown


def as_json(value: Any) -> Any:
    """Return a value of a fact or of a tracker as JSON takes it.

    Raises:
        TypeError: it is of a kind that neither may hold.
    """
    match value:
        case None | bool() | float():
            return value
        case Enum():
            return value.value
        case int() | str():
            return value
        case Decimal():
            return decimal_text(value)
        case RuleSet():
            return rules_as_json(value)
        case tuple() | list():
            return [as_json(part) for part in value]
        case Mapping():
            return {str(key): as_json(part) for key, part in value.items()}
        case _ if is_dataclass(value):
            return _fields_as_json(value)
    raise TypeError(f"a fact must not hold a {type(value).__name__}")
