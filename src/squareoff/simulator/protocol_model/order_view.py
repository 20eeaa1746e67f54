"""One order of a state: its bytes by name, and what it means to the whole."""

from typing import NamedTuple

from squareoff.simulator.protocol_model import layout as at
from squareoff.simulator.protocol_model.order_rules import (
    OPEN,
    UNRESOLVED,
    Kind,
    Outcome,
    Record,
    Status,
    kind_of,
    leaves_of,
)
from squareoff.simulator.protocol_model.variants import Shortcut


class View(NamedTuple):
    """What an order means to the whole: the engine's view first, then the truth."""

    kind: int
    cumulative: int
    leaves: int
    filled: int
    reach: int
    """What it may still close in truth: open at the broker, or under way to it."""
    is_settled_book: bool
    """The engine's record says what the broker's says."""
    overbooked: bool
    quantity: int
    attempt: int
    has_free_slot: bool
    has_unjournalled: bool
    is_resting: bool
    """The engine's records show it open at the broker, and no send of it is unresolved."""


Slot = tuple[int, int, int, int, int]


def slots_of(order: bytes) -> list[Slot]:
    """Return outcome, wire, broker's order, record and control of each send."""
    return [
        (order[a], order[a + 1], order[a + 2], order[a + 3], order[a + 4])
        for a in range(at.FIRST_SLOT, at.ORDER, at.SLOT)
    ]


def records_of(order: bytes) -> list[Record]:
    """Return the engine's records of the order."""
    return [divmod(slot[at.RECORD], 4) for slot in slots_of(order) if slot[at.RECORD]]


def changed(order: bytes, number: int, **bytes_by_name: int) -> bytes:
    """Return the order with bytes of one send replaced, by name in lower case."""
    new = bytearray(order)
    start = at.slot_at(number)
    for name, value in bytes_by_name.items():
        new[start + _PLACES[name]] = value
    return bytes(new)


_PLACES = {
    "outcome": at.OUTCOME,
    "wire": at.WIRE,
    "broker": at.AT_BROKER,
    "record": at.RECORD,
    "control": at.CONTROL,
}


def view_of(order: bytes, shortcut: Shortcut) -> View:
    """Return what the order means to the whole."""
    slots, quantity = slots_of(order), order[at.QUANTITY]
    records = records_of(order)
    kind = _kind(order, slots, records, shortcut)
    truths = [divmod(slot[at.AT_BROKER], 4) for slot in slots]
    reach = sum(quantity - filled for status, filled in truths if status in OPEN)
    under_way = sum(slot[at.WIRE] in (at.AWAITED, at.UNAWAITED) for slot in slots)
    if shortcut is Shortcut.TRUST_DEDUPE:  # there the broker takes an id only once
        under_way = 0 if any(slot[at.AT_BROKER] for slot in slots) else min(1, under_way)
    reach += quantity * under_way
    return View(
        kind=kind,
        cumulative=sum(filled for _, filled in records),
        leaves=leaves_of(kind, quantity, records),
        filled=sum(filled for _, filled in truths),
        reach=reach,
        is_settled_book=all(_agree(slot) for slot in slots),
        overbooked=any(s[at.RECORD] % 4 > s[at.AT_BROKER] % 4 for s in slots),
        quantity=quantity,
        attempt=order[at.ORDER_ATTEMPT],
        has_free_slot=any(not (s[0] or s[1] or s[2]) for s in slots),
        has_unjournalled=any(
            s[at.WIRE] in (at.AWAITED, at.UNAWAITED) and not s[at.OUTCOME] for s in slots
        ),
        is_resting=any(status in OPEN for status, _ in records)
        and not any(slot[at.OUTCOME] in UNRESOLVED for slot in slots),
    )


def _kind(order: bytes, slots: list[Slot], records: list[Record], shortcut: Shortcut) -> Kind:
    if order[at.PHASE] == at.PLANNED and not records:
        return Kind.PLANNED
    if order[at.PHASE] in (at.UNUSED, at.FORGOTTEN):
        return Kind.UNUSED
    outcomes = [slot[at.OUTCOME] for slot in slots]
    if shortcut is Shortcut.NEW_ATTEMPT_AT_ONCE and not records:
        outcomes = [Outcome.REFUSED if o == Outcome.UNKNOWN else o for o in outcomes]
    if shortcut is Shortcut.TRUST_DEDUPE and Outcome.REFUSED in outcomes:
        outcomes = [Outcome.REFUSED]
    if shortcut is Shortcut.RESIDUAL_AT_CANCEL and any(
        slot[at.CONTROL] % 4 == at.CANCEL_UNDER_WAY for slot in slots
    ):
        return Kind.ENDED_SHORT
    return kind_of(order[at.QUANTITY], outcomes, records)


def _agree(slot: Slot) -> bool:
    status, filled = divmod(slot[at.AT_BROKER], 4)
    if status == Status.REJECTED_UNLISTED:
        return True
    known, cumulative = divmod(slot[at.RECORD], 4)
    return (Status.LIVE if status in OPEN else status, filled) == (known, cumulative)
