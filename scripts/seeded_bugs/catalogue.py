"""All seeded bugs, by the part of the order path that they are in."""

from seeded_bugs import (
    account,
    durability,
    interplay,
    orders,
    outcomes,
    pacing,
    positions,
    sending,
    triggers,
)
from seeded_bugs.bug import Bug

AREAS: dict[str, tuple[Bug, ...]] = {
    "What fires an exit": triggers.BUGS,
    "What closes a whole account": account.BUGS,
    "How much is closed, by whom, and when that is sure": positions.BUGS,
    "What leaves, when and how often": sending.BUGS,
    "Who may write when": pacing.BUGS,
    "What an answer or a silence proves": outcomes.BUGS,
    "What reports add up to; price, size and pace": orders.BUGS,
    "What must outlive the process": durability.BUGS,
    "What only the whole engine under faults shows": interplay.BUGS,
}

BUGS: tuple[Bug, ...] = tuple(bug for bugs in AREAS.values() for bug in bugs)
