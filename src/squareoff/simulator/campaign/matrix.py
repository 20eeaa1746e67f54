"""Which cells of state and fault class a campaign must hit, and which cannot be, with the reason.

Invariant: every cell of `STATES` by `all_classes()` is either asked for or has a reason here.
"""

from collections import Counter

from squareoff.simulator.virtual.aims import KILL_CLASSES
from squareoff.simulator.virtual.answer_faults import ANSWER_CLASSES
from squareoff.simulator.virtual.coverage import ENGINE_DOWN, RECOVERING, STATES
from squareoff.simulator.virtual.event_classes import (
    EVENT_CLASSES,
    NETWORK_CLASSES,
    OUTLAW_EVENTS,
    STORE_CLASSES,
)
from squareoff.simulator.virtual.fault_classes import FAULT_CLASSES, OUTLAW_CLASSES

HITS_WANTED = 100
"""What a full campaign asks of every cell that can be."""

_NO_ENGINE = "needs a living engine: it strikes a call, a frame or a callback of a process"
_WRITES_ONLY_AFTER_RECOVERY = "no order leaves before the recovery is complete"
_DIES_BY_ANOTHER_NAME = "a death in the recovery is counted as kill_in_recovery"
_ANSWERED_LATER = "what a person asks for is done when the recovery is complete"

_OF_PROCESSES = frozenset(
    {
        "stream_silent", "stream_mute", "feed_silent", "pause", "kill", "clean_stop", "defect",
        "reject_for_good", "exit_withdrawn",
    }
)  # fmt: skip
_OF_TWO_ENGINES = frozenset({"takeover", "owner_busy", "owner_slow", "owner_commit_unknown"})
"""A standby lives where the account's engine does not."""

_OF_THE_WORLD = (
    frozenset(EVENT_CLASSES) - _OF_PROCESSES | _OF_TWO_ENGINES | frozenset(OUTLAW_EVENTS)
)
"""What comes whatever becomes of the process."""

_OF_WRITES = frozenset(OUTLAW_CLASSES) | {
    "reject", "partial_fill", "reject_for_good", "reject_change"
}  # fmt: skip
_KILLS_BUT_IN_RECOVERY = frozenset({"kill", "kill_at_point", "kill_at_callback"})


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
        *OUTLAW_EVENTS,
    )


_ALL = frozenset(all_classes())


def why_impossible(state: str, fault_class: str) -> str:
    """Return why a cell cannot be, or an empty text where it can."""
    if state == ENGINE_DOWN:
        return "" if fault_class in _OF_THE_WORLD else _NO_ENGINE
    return _why_not_while_recovering(fault_class) if state == RECOVERING else ""


def _why_not_while_recovering(fault_class: str) -> str:
    if fault_class in _OF_WRITES or fault_class.startswith("write_"):
        return _WRITES_ONLY_AFTER_RECOVERY
    if fault_class in _KILLS_BUT_IN_RECOVERY:
        return _DIES_BY_ANOTHER_NAME
    return _ANSWERED_LATER if fault_class == "exit_withdrawn" else ""


def impossible_hits(cells: Counter[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Return the cells that were hit though a reason says that they cannot be."""
    return sorted(
        (state, fault_class, count)
        for (state, fault_class), count in cells.items()
        if count and fault_class in _ALL and why_impossible(state, fault_class)
    )


def missing_cells(cells: Counter[tuple[str, str]], wanted: int) -> list[tuple[str, str, int]]:
    """Return the cells below `wanted` that can be, with their counts, fewest first."""
    found = [
        (state, fault_class, cells[state, fault_class])
        for state in STATES
        for fault_class in all_classes()
        if cells[state, fault_class] < wanted and not why_impossible(state, fault_class)
    ]
    return sorted(found, key=lambda cell: (cell[2], cell[0], cell[1]))
