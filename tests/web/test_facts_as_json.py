"""Journal facts leave as JSON that reads without knowing our units."""

import dataclasses
import json
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from squareoff.core.state.facts import FACT_TYPES, ExitClaimed, JournalEntry, StopMoved
from squareoff.domain.ids import IntentId, TrackerId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import RuleName, Trigger
from squareoff.web.facts_as_json import entry_out

AT_NS = 1_789_440_000_000_000_000


@pytest.mark.parametrize("kind", FACT_TYPES)
def test_every_fact_can_be_shown(kind: str) -> None:
    """Each kind of fact has a JSON form with all its fields, filled or empty."""
    fact_type = FACT_TYPES[kind]
    for fill in (True, False):
        fact = _sample(fact_type, fill=fill)
        shown = json.loads(entry_out(JournalEntry(7, AT_NS, fact, "")).model_dump_json())

        names = {field.name for field in dataclasses.fields(fact_type)}
        assert (shown["seq"], shown["kind"]) == (7, kind)
        assert len(shown["data"]) == len(names - {"tracker_id", "client_order_id"})


def test_price_units_become_rupees() -> None:
    """Levels that the core keeps in price units are rupees as text outside."""
    fact = StopMoved(TrackerId("t"), PriceUnits(1_523_500), PriceUnits(1_400_000), "trailing")

    assert entry_out(JournalEntry(1, AT_NS, fact, "")).data == {
        "peak_price": "152.35", "stop_level": "140.00", "stop_rule": "trailing",
    }  # fmt: skip


def test_times_become_iso() -> None:
    """Nanoseconds become ISO times, and their names lose the unit."""
    trigger = Trigger(RuleName.STOP_LOSS, PriceUnits(10_000), None, AT_NS, None)
    fact = ExitClaimed(TrackerId("t"), IntentId("exit-1"), "stop", trigger)

    assert entry_out(JournalEntry(1, AT_NS, fact, "")).data["trigger"] == {
        "rule": "stop_loss", "level": "1.00", "price": None,
        "exchange_time": "2026-09-15T08:10:00.000000+05:30", "received_time": None,
    }  # fmt: skip


def _sample(annotation: Any, *, fill: bool) -> Any:
    """Return some value of a type; optional parts are filled or left out."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        wanted = [each for each in arguments if each is not NoneType]
        return _sample(wanted[0], fill=fill) if fill or len(wanted) == len(arguments) else None
    if origin is tuple:
        return (_sample(arguments[0], fill=fill),) if fill else ()
    if hasattr(annotation, "__supertype__"):
        return _sample(annotation.__supertype__, fill=fill)
    if dataclasses.is_dataclass(annotation):
        hints = get_type_hints(annotation)
        return annotation(**{name: _sample(hint, fill=fill) for name, hint in hints.items()})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation))
    samples: Mapping[Any, Any] = {
        str: "text", int: 5, bool: True, float: 0.5, Decimal: Decimal("1.25"), NoneType: None,
    }  # fmt: skip
    if annotation in samples:
        return samples[annotation]
    return annotation(9, 15)  # datetime.time
