"""Which cells of state and fault class a campaign must hit, and which cannot be, with the reason.

Invariant: every cell of `STATES` by `all_classes()` is either asked for or has a reason here.
"""

from collections import Counter
from collections.abc import Mapping

from squareoff.simulator.virtual.answer_faults import ANSWER_CLASSES
from squareoff.simulator.virtual.coverage import ENGINE_DOWN, RECOVERING, STATES
from squareoff.simulator.virtual.event_classes import (
    EVENT_CLASSES,
    NETWORK_CLASSES,
    STORE_CLASSES,
    WRITE_REFUSALS,
)
from squareoff.simulator.virtual.fault_classes import FAULT_CLASSES, OUTLAW_CLASSES

KILL_CLASSES = ("kill_at_point", "kill_at_callback", "kill_in_recovery", "takeover")
"""Deaths of the process, and a standby that takes the account over."""

HITS_WANTED = 100
"""What a full campaign asks of every cell that can be."""

STATES_NEVER_REACHED: Mapping[str, str] = {
    "blocked market_closed": "the simulated exchange is open all day; tests/core and the "
    "process tests close it",
    "blocked withdrawing": "nobody in the simulation takes an exit back; tests/core does",
}
"""States of the protocol that these runs do not enter, with where they are tried instead."""

_NO_ENGINE = "needs a living engine: it strikes a call or a frame of a process, and there is none"
_WRITES_ONLY_AFTER_RECOVERY = "no order leaves before the recovery is complete"

_OF_THE_WORLD = frozenset(
    {
        "close_by_hand", "add_by_hand", "cancel_by_others", "ip_refusal", "halt", "empty_book",
        "rest_unfilled", "token_death", "expire_by_broker", "reject_at_exchange",
        "square_off_by_broker", "clock_step", "clock_jump", "clock_slew", "store_disk_full",
        "store_read_only",
    }
)  # fmt: skip
"""Events that come whatever becomes of the process."""

_SENT_BEFORE = ("write_", "reject", "partial_fill")


def all_classes() -> tuple[str, ...]:
    """Return every fault class, in the order of the report."""
    return (
        *FAULT_CLASSES,
        *ANSWER_CLASSES,
        *NETWORK_CLASSES,
        *STORE_CLASSES,
        *EVENT_CLASSES,
        *KILL_CLASSES,
        *OUTLAW_CLASSES,
    )


def why_impossible(state: str, fault_class: str) -> str:
    """Return why a cell cannot be, or an empty text where it can."""
    if state in STATES_NEVER_REACHED:
        return STATES_NEVER_REACHED[state]
    if state == ENGINE_DOWN and not _strikes_the_world(fault_class):
        return _NO_ENGINE
    if state == RECOVERING and fault_class.startswith(_SENT_BEFORE):
        return _WRITES_ONLY_AFTER_RECOVERY
    return ""


def _strikes_the_world(fault_class: str) -> bool:
    return fault_class in _OF_THE_WORLD and fault_class not in WRITE_REFUSALS


def missing_cells(cells: Counter[tuple[str, str]], wanted: int) -> list[tuple[str, str, int]]:
    """Return the cells below `wanted` that can be, with their counts, fewest first."""
    found = [
        (state, fault_class, cells[state, fault_class])
        for state in STATES
        for fault_class in all_classes()
        if cells[state, fault_class] < wanted and not why_impossible(state, fault_class)
    ]
    return sorted(found, key=lambda cell: (cell[2], cell[0], cell[1]))
