"""What the engine concludes about one order from its sends and from the broker's records of it.

These few rules are the heart of exactly-once. The explored model and the check of journals both
use them, so that a journal is measured by the relation that was proved. They are written anew and
share no code with the engine.

Invariants:
1. An order with an unresolved send may still fill; only what all its records and sends say ends it.
2. A record resolves an unknown send only where no other send could be its origin.
"""

from collections.abc import Sequence
from enum import IntEnum


class Outcome(IntEnum):
    """What is known of one send. NONE: never sent, or proved not to have left."""

    NONE = 0
    IN_FLIGHT = 1
    ACCEPTED = 2
    REFUSED = 3
    UNKNOWN = 4
    ABSENT = 5


class Status(IntEnum):
    """Where one order at the broker stands. Records know LIVE for both open statuses."""

    NONE = 0
    LIVE = 1
    RESTING = 2
    """Open, and too far from the market to fill before it is modified."""
    FILLED = 3
    CANCELLED = 4
    REJECTED = 5
    REJECTED_UNLISTED = 6
    """Rejected at the door: no book lists it, the order stream tells of it some day."""


class Kind(IntEnum):
    """What the engine takes an order for."""

    UNUSED = 0
    PLANNED = 1
    LIVE = 2
    ABSENT = 3
    ENDED_SHORT = 4
    FILLED = 5


UNRESOLVED = (Outcome.IN_FLIGHT, Outcome.UNKNOWN)
OPEN = (Status.LIVE, Status.RESTING)
_MAY_BE_ORIGIN = (Outcome.IN_FLIGHT, Outcome.UNKNOWN, Outcome.ABSENT)

Record = tuple[int, int]
"""Status and cumulative quantity of one order at the broker, as the engine knows it."""


def kind_of(quantity: int, outcomes: Sequence[int], records: Sequence[Record]) -> Kind:
    """Return what an order is that was planned once and is not planned now."""
    is_unresolved = any(outcome in UNRESOLVED for outcome in outcomes)
    if records:
        if any(status in OPEN for status, _ in records):
            return Kind.LIVE
        if sum(cumulative for _, cumulative in records) >= quantity:
            return Kind.FILLED
        return Kind.LIVE if is_unresolved else Kind.ENDED_SHORT
    if is_unresolved or Outcome.ACCEPTED in outcomes:
        return Kind.LIVE
    sent = [outcome for outcome in outcomes if outcome is not Outcome.NONE]
    return Kind.ENDED_SHORT if sent and sent[-1] == Outcome.REFUSED else Kind.ABSENT


def leaves_of(kind: Kind, quantity: int, records: Sequence[Record]) -> int:
    """Return what the order may still close, as far as the engine knows."""
    if kind not in (Kind.PLANNED, Kind.LIVE):
        return 0
    cumulative = sum(filled for _, filled in records)
    at_broker = sum(max(0, quantity - filled) for status, filled in records if status in OPEN)
    return max(0, quantity - cumulative, at_broker)


def origin_of(outcomes: Sequence[int], is_named: Sequence[bool]) -> int | None:
    """Return the index of the one send that a record without a name can stem from, None if unsure.

    Args:
        is_named: for each send, whether the broker's id of its order is known.
    """
    origins = [
        index
        for index, outcome in enumerate(outcomes)
        if outcome in _MAY_BE_ORIGIN and not is_named[index]
    ]
    if len(origins) == 1 and outcomes[origins[0]] == Outcome.UNKNOWN:
        return origins[0]
    return None


def merged(known: Record | None, told: Record) -> Record:
    """Return the record after a report: the largest quantity, and an end stays an end."""
    if known is None:
        return told
    is_newer = told[0] not in OPEN or told[1] >= known[1]
    status = told[0] if known[0] in OPEN and is_newer else known[0]
    return status, max(known[1], told[1])
