"""Log what was committed about each position, one line a fact, with the ids of its exit.

Invariants:
1. Every line names its position, its exit where there is one, and the order it speaks of.
2. Lines are written after what the facts want was begun: a log delays no order.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any

import structlog

from squareoff.core.state.facts import BestPriceNoted, StopMoved, TrackerFact, fact_kind
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.rules import Trigger

_log = structlog.get_logger("squareoff.facts")
_IDS = ("tracker_id", "client_order_id", "intent_id")
_ALL_THE_TIME = (StopMoved, BestPriceNoted)


OnFacts = Callable[[PositionTracker, Sequence[TrackerFact], int], None]
"""Told of a tracker after a commit, of the commit's facts, and when it was durable (UTC ns)."""


def log_facts(tracker: PositionTracker, facts: Sequence[TrackerFact], _at_ns: int) -> None:
    """Write the lines as soon as the tasks that this commit begins had their turn.

    They are made after this call, so the lines wait for a turn more than is wanted at once.
    """
    if facts:
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, _write, tracker, tuple(facts))


def ids_of(tracker: PositionTracker, fact: TrackerFact) -> dict[str, str]:
    """Return the ids that a line about a fact carries; `correlation_id` ties an exit together."""
    ids = {"tracker_id": str(fact.tracker_id)}
    intent_id = getattr(fact, "intent_id", None)
    if intent_id is None and tracker.intent is not None:
        intent_id = tracker.intent.intent_id
    if intent_id is not None:
        ids["correlation_id"] = str(intent_id)
    client_order_id = getattr(fact, "client_order_id", None)
    if client_order_id is not None:
        ids["client_order_id"] = str(client_order_id)
    return ids


def _write(tracker: PositionTracker, facts: Sequence[TrackerFact]) -> None:
    symbol = tracker.instrument.trading_symbol
    for fact in facts:
        log = _log.debug if isinstance(fact, _ALL_THE_TIME) else _log.info
        log(fact_kind(type(fact)), **ids_of(tracker, fact), symbol=symbol, **_told(fact))


def _told(fact: TrackerFact) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for field in fields(fact):
        value = getattr(fact, field.name)
        if isinstance(value, Trigger):
            told["rule"] = value.rule.value
        elif value is not None and field.name not in _IDS:
            told[field.name] = value.value if isinstance(value, Enum) else _plain(value)
    return told


def _plain(value: object) -> object:
    return value if isinstance(value, int | float) else str(value)
