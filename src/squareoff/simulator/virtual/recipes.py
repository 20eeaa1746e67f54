"""What brings an exit into each state that faults are to be aimed at, and holds it there.

A recipe is of faults too: each is counted under its own class.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from squareoff.simulator.virtual.coverage import (
    CANCELLING,
    ENGINE_DOWN,
    ENTRY_LIVE,
    MODIFYING,
    RECOVERING,
    UNCONFIRMED,
)

FIRST_BOUT_SECONDS = 5.0
PAUSE_SECONDS = 3.0
LONG_BOUT_SECONDS = 75.0
"""Room for 25 modifications, one each two seconds."""

LONG_REST = "modifications used up"
"""An aim that is no state: an order rests while the market runs away from it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is in force during one bout.

    Args:
        rates: probabilities by fault class.
        unreadable: paths of reads that fail all the time.
        lasting: events that last as long as the bout.
        acts: single things done soon after its begin, by name of `Aiming`'s methods.
        exits: how many exits people ask for at its begin; more follow.
        asks_often: whether they follow fast, where an exit is in the state for moments only.
        seconds: how long it lasts.
        attempts_max: the knob of this name, where it must be small.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()
    exits: int = 2
    asks_often: bool = False
    seconds: float = 12.0
    attempts_max: int = 0


_RESTING = Recipe(lasting=("rest_unfilled",))
_ASKED = Recipe()
_UNEVEN = {"store_slow": 0.3}
"""What holds up every exit alike ends for one before it ends for another."""

RECIPES: Mapping[str, Recipe] = {
    "position PENDING": Recipe(lasting=("rest_unfilled",)),
    "position ACTIVE": _ASKED,
    "position EXITING": _RESTING,
    "intent OPEN": _RESTING,
    "intent NEEDS_HUMAN": Recipe(rates={"reject": 1.0}, attempts_max=2),
    "blocked positions_unreadable": Recipe(
        rates={"reject": 0.8}, unreadable=("/positions",), exits=4, asks_often=True
    ),
    "blocked position_missing": Recipe(
        unreadable=("/trades",), acts=("close_all_by_hand",), asks_often=True, seconds=24.0
    ),
    "blocked broker_unreachable": Recipe(rates={"write_refused_connect": 0.9}),
    "blocked breaker_open": Recipe(
        rates={"write_refused_connect": 0.9, **_UNEVEN}, exits=6, asks_often=True
    ),
    "blocked send_forbidden": Recipe(rates=_UNEVEN, acts=("pause_when_sent",), exits=6),
    "blocked token_dead": Recipe(rates=_UNEVEN, acts=("kill_tokens",), exits=4, asks_often=True),
    "blocked static_ip": Recipe(rates=_UNEVEN, lasting=("ip_refusal",), asks_often=True),
    "blocked market_closed": Recipe(lasting=("market_closed",)),
    "blocked rejected_transient": Recipe(rates={"reject": 1.0}),
    "blocked rejected_permanent": Recipe(acts=("reject_for_good",)),
    "blocked kill_switch": Recipe(
        rates=_UNEVEN, acts=("throw_switches",), exits=4, asks_often=True
    ),
    "blocked withdrawing": Recipe(
        rates={"reject_change": 0.7}, lasting=("rest_unfilled",), acts=("withdraw_some",)
    ),
    "blocked reserved": Recipe(lasting=("rest_unfilled",), acts=("close_part_by_hand",)),
    "exit PLANNED": Recipe(rates={"write_refused_connect": 0.8}, exits=6),
    "exit SENT": Recipe(rates={"write_slow": 0.9}),
    "exit ACCEPTED": Recipe(rates={"stream_drop": 0.9}, unreadable=("/orders",)),
    "exit WORKING": _RESTING,
    "exit PART_FILLED": Recipe(rates={"partial_fill": 0.9}),
    "exit OUTCOME_UNKNOWN": Recipe(rates={"write_lost": 0.7}),
    "exit ABSENT": Recipe(rates={"write_lost": 0.9}, acts=("kill_all_later",)),
    "exit REFUSED": Recipe(lasting=("ip_refusal",)),
    "exit REJECTED": Recipe(rates={"reject": 0.9}),
    "exit CANCELLED": Recipe(lasting=("rest_unfilled",), acts=("cancel_by_others",)),
    ENTRY_LIVE: Recipe(lasting=("rest_unfilled",)),
    MODIFYING: _RESTING,
    CANCELLING: Recipe(lasting=("rest_unfilled",), acts=("exit_entries", "withdraw_some")),
    UNCONFIRMED: Recipe(unreadable=("/trades",)),
    ENGINE_DOWN: Recipe(acts=("kill",)),
    RECOVERING: Recipe(rates={"read_slow": 0.9}, acts=("kill",)),
}
"""By state; states without a recipe are reached by nothing in these runs."""


def seconds_of(aims: Iterable[str]) -> float:
    """Return how much chaos the bouts of these aims need."""
    bouts = [LONG_BOUT_SECONDS if aim == LONG_REST else RECIPES[aim].seconds for aim in aims]
    return FIRST_BOUT_SECONDS + sum(seconds + PAUSE_SECONDS for seconds in bouts)
