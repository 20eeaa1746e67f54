"""Which states a seed aims at, and which classes strike while an exit is in one.

Neighbouring aimed seeds take one state after the other; each sweep over the states takes the next
window of classes from every group, so that a long campaign comes by every pair again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from squareoff.simulator.virtual.answer_faults import ANSWER_CLASSES
from squareoff.simulator.virtual.event_classes import (
    EVENT_CLASSES,
    NETWORK_CLASSES,
    STORE_CLASSES,
)
from squareoff.simulator.virtual.fault_classes import FAULT_CLASSES, SPIKE_COMPANY
from squareoff.simulator.virtual.recipes import LONG_REST, RECIPES

KILL_CLASSES = ("kill_at_point", "kill_at_callback", "kill_in_recovery", "takeover")
"""Deaths of the process, and a standby that takes the account over."""

SPIKE = "feed_spike"
_SPIKE_EVERY = 6
"""In one sweep of so many the only fault of the feed is a spike."""

_LONG_REST_EVERY = 60


def _named(*prefixes: str) -> tuple[str, ...]:
    return tuple(n for n in FAULT_CLASSES if n.startswith(prefixes) and n != SPIKE)


_GROUPS: tuple[tuple[tuple[str, ...], int], ...] = (
    (_named("write_", "reject", "partial_"), 7),
    (_named("read_", "lag_"), 5),
    (_named("stream_"), 4),
    (tuple(ANSWER_CLASSES), 2),
    ((*NETWORK_CLASSES, *STORE_CLASSES), 3),
    (tuple(EVENT_CLASSES), 5),
    (KILL_CLASSES, 1),
)
"""The classes, and how many of each group strike in one run."""

_FEED_WINDOW = 5
_SHORT_STATES = (
    "blocked send_forbidden", "blocked token_dead", "blocked position_missing",
    "blocked positions_unreadable", "blocked kill_switch", "blocked breaker_open",
)  # fmt: skip
"""States that hold for moments, or in which little leaves, are aimed at three times as often, and
with twice as many faults of order writes."""

_STATES = (*RECIPES, *_SHORT_STATES, *_SHORT_STATES)


@dataclass(frozen=True, slots=True)
class Aims:
    """What a seed aims at."""

    states: tuple[str, ...]
    strikes: tuple[str, ...]


def aims_of(number: int) -> Aims:
    """Return the aims of the `number`-th aimed seed."""
    sweep = number // len(_STATES)
    first = _STATES[number % len(_STATES)]
    second = _STATES[(number + 1 + sweep) % len(_STATES)]
    if number % _LONG_REST_EVERY == _LONG_REST_EVERY - 1:
        return Aims((LONG_REST,), ())
    is_short = first in _SHORT_STATES or second in _SHORT_STATES
    strikes = [name for names, size in _GROUPS for name in _window(names, sweep, size)]
    writes, size = _GROUPS[0]
    strikes += _window(writes, sweep + 2, size) if is_short else ()
    if sweep % _SPIKE_EVERY == 1:
        strikes = [name for name in strikes if not name.startswith(SPIKE_COMPANY)]
        return Aims((first, second), (*dict.fromkeys(strikes), SPIKE))
    feeds = _window(_named("feed_"), sweep, _FEED_WINDOW)
    return Aims((first, second), (*dict.fromkeys(strikes), *feeds))


def _window(names: Sequence[str], sweep: int, size: int) -> tuple[str, ...]:
    start = sweep * size
    return tuple(names[(start + step) % len(names)] for step in range(size))
