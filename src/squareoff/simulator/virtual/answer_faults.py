"""Answers to reads that are whole and wrong: the broker's replicas and gateways at their worst.

Each class changes the decoded rows of one true answer. A row is only left out while it is younger
than any lag that the quarantine allows for; nothing here ever says that something is that is not.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from squareoff.simulator.wire import WireResponse, encode_json

YOUNG_NS = 2_000_000_000
"""A list may lack an order for as long as a replica may lag behind."""

Row = dict[str, Any]
Mutation = Callable[[list[Row], random.Random, set[str]], list[Row]]


def _without_young(rows: list[Row], _: random.Random, young: set[str]) -> list[Row]:
    return [row for row in rows if str(row.get("orderId")) not in young]


def _with_null(rows: list[Row], chance: random.Random, _: set[str]) -> list[Row]:
    if rows:
        row = chance.choice(rows)
        row[chance.choice(sorted(row))] = None
    return rows


def _with_texts(rows: list[Row], _: random.Random, __: set[str]) -> list[Row]:
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                row[name] = str(value)
    return rows


def _without_tag(rows: list[Row], chance: random.Random, _: set[str]) -> list[Row]:
    for row in rows:
        if chance.random() < 0.5:
            row.pop("correlationId", None)
    return rows


def _shuffled(rows: list[Row], chance: random.Random, _: set[str]) -> list[Row]:
    chance.shuffle(rows)
    return rows


def _repeated(rows: list[Row], chance: random.Random, _: set[str]) -> list[Row]:
    return [*rows, dict(chance.choice(rows))] if rows else rows


ANSWER_CLASSES: Mapping[str, tuple[Mutation, tuple[str, ...]]] = {
    "read_newest_missing": (_without_young, ("orders",)),
    "read_null_field": (_with_null, ("orders", "trades", "positions")),
    "read_numbers_as_texts": (_with_texts, ("orders", "trades", "positions")),
    "read_tag_missing": (_without_tag, ("orders",)),
    "read_rows_shuffled": (_shuffled, ("orders", "trades", "positions")),
    "read_row_repeated": (_repeated, ("orders", "trades", "positions")),
}
"""Mutation and the lists it befalls, by fault class."""


def spoil_answer(
    response: WireResponse, fault_class: str, chance: random.Random, young: set[str]
) -> WireResponse:
    """Return the answer as this fault class leaves it; `young` names the orders just placed."""
    try:
        rows = msgspec.json.decode(response.body)
    except msgspec.DecodeError:
        return response  # another fault has spoilt it already
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return response
    spoilt = ANSWER_CLASSES[fault_class][0](rows, chance, young)
    return WireResponse(response.status, encode_json(spoilt), response.headers)
