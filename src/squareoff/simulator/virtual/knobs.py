"""What one seed draws: which faults, how often, how many crashes, how long. Everything is logged.

Swarm testing: every fault class is on or off per seed and its rate is drawn per seed, so that runs
differ in kind and not only in detail.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from squareoff.simulator.virtual.aims import SPIKE, aims_of
from squareoff.simulator.virtual.answer_faults import ANSWER_CLASSES
from squareoff.simulator.virtual.event_classes import (
    EVENT_CLASSES,
    NETWORK_CLASSES,
    OUTLAW_EVENTS,
    OWNER_PREFIX,
    STORE_CLASSES,
)
from squareoff.simulator.virtual.fault_classes import (
    ACTING_BEHIND_AN_ERROR,
    FAULT_CLASSES,
    OUTLAW_CLASSES,
    SPIKE_COMPANY,
    TRULY_REFUSING,
)
from squareoff.simulator.virtual.recipes import LONG_REST, RECIPES, seconds_of

_RATES = (0.02, 0.08, 0.2, 0.5, 0.9)
_SPIKE_RATE_MAX = 0.08
"""Two spikes of one instrument in a row are no spike: the second confirms the first."""

_GENTLE_RATES = (0.01, 0.03, 0.1)
"""A database that fails in every second commit lets nothing happen at all."""

_CHAOS_SECONDS = (10.0, 30.0)
_LONG_CHAOS_SECONDS = (130.0, 160.0)
_LONG_EVENTS = frozenset({"pause", "rest_unfilled"})
"""Room for a pause of two minutes, and for an order that rests through all its modifications."""

_AIMED_EVERY = 3
_AIMED_OUTLAW_SHARE = 0.7
_AIMS = 100_000
"""More than a campaign can aim at: an outlaw seed takes any of them."""

_MANY_POSITIONS = (8, 12, 16)
"""An exit more in a run costs less than a run more."""

_CROWDS = (24, 40, 60)
_CROWD_SHARE = 0.5
"""Exits that stand in each other's way: more than the broker takes in a second, many on one key."""

_LATE_SECONDS = (8.0, 20.0, 40.0)
_LATE_SHARE = 0.05

_TAKES_BACK_SHARE = 0.3

_CONDUCT_CHOICES = {
    "alert_timing": ("after_answer", "before_answer"),
    "alert_keys": ("camel", "pascal", "mixed"),
    "alert_words": ("title", "upper"),
    "alert_traded_quantity": ("cumulative", "cumulative", "last"),
    "alert_correlation_id": (True, False),
    "duplicate_lookup": ("first", "newest", "array"),
    "average_lags_fill": (False, False, True),
    "numbers_as_strings": (False, True),
    "modify_in_transit": ("accept", "refuse"),
    "cancel_in_transit": ("accept", "refuse"),
    "delete_answer": ("200_cancelled", "200_transit", "202_cancelled", "202_empty"),
    "external_shape": ("object", "array"),
    "market_orders": ("protect", "plain"),
    "feed_concatenate": (False, True),
    "dead_token_answer": ("401", "400"),
    "static_ip_code": ("DH-905", "DH-911"),
}


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """When one incarnation dies: at the n-th named point it reaches, or at its n-th callback.

    0 means never. `restart_seconds` is how long the account is without an engine.
    """

    at_point: int = 0
    at_step: int = 0
    restart_seconds: float = 1.0


NO_CRASH = CrashPlan()


@dataclass(frozen=True, slots=True)
class Knobs:
    """One run's settings. `crashes` holds one plan per incarnation, then no more crashes.

    `rates` holds probabilities per occasion, `events` how often in the run, by fault class. While
    some exit is in a state of `aims`, the classes of `strikes` befall the run as well.
    `account_max_loss` is rupees, 0 for no rule of the account, and no seed draws it by itself; the
    feed tells prices late by up to `feed_late_seconds`, in their order. `takes_back`: what is
    closed too much is taken back, as `over_exit_action = "flatten"` has it.
    """

    chaos_seconds: float = 20.0
    position_count: int = 2
    rates: dict[str, float] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    crashes: tuple[CrashPlan, ...] = ()
    outlaws: dict[str, float] = field(default_factory=dict)
    conduct: dict[str, Any] = field(default_factory=dict)
    thin_market: bool = False
    order_type: str = "limit"
    attempts_max: int = 10
    has_standby: bool = False
    has_token_file: bool = False
    aims: tuple[str, ...] = ()
    strikes: tuple[str, ...] = ()
    account_max_loss: int = 0
    feed_late_seconds: float = 0.0
    takes_back: bool = False

    def describe(self) -> str:
        """Return everything that is not at rest, as JSON on one line; `parse_knobs` reads it."""
        rest = Knobs()
        moved = {
            name: getattr(self, name)
            for name in self.__slots__
            if getattr(self, name) != getattr(rest, name)
        }
        return msgspec.json.encode(moved).decode()


def parse_knobs(text: str | bytes) -> Knobs:
    """Return the knobs that `describe` wrote."""
    return msgspec.json.decode(text, type=Knobs)


def draw_knobs(seed: int, *, outlaw: bool = False) -> Knobs:
    """Return the knobs of a seed; one seed in three aims, and one in fifteen is calm."""
    takes_back = random.Random(f"take back {seed}").random() < _TAKES_BACK_SHARE
    return replace(_draw(seed, outlaw=outlaw), takes_back=takes_back)


def _draw(seed: int, *, outlaw: bool) -> Knobs:
    chance = random.Random(f"knobs {seed}")
    if outlaw and chance.random() < _AIMED_OUTLAW_SHARE:
        return _draw_aimed(chance, chance.randrange(_AIMS), outlaw=True)
    if not outlaw and seed % _AIMED_EVERY == 1:
        return _draw_aimed(chance, seed // _AIMED_EVERY, outlaw=False)
    chaos = chance.uniform(*_CHAOS_SECONDS)
    positions = chance.choice((1, 2, 4, 6, 8, 12))
    own = random.Random(f"crowd {seed}")
    if not outlaw and own.random() < _CROWD_SHARE:
        positions = own.choice(_CROWDS)
    if chance.random() < 0.1 and not outlaw:
        return Knobs(chaos_seconds=chaos, position_count=positions)
    breadth = chance.choice((0.03, 0.1, 0.2))
    rates = _draw_rates(chance, breadth)
    events = _draw_events(chance, rates)
    if outlaw:
        events |= {name: chance.choice((0, 1, 2)) for name in OUTLAW_EVENTS}
    if events.keys() & _LONG_EVENTS and chance.random() < 0.1:
        chaos = chance.uniform(*_LONG_CHAOS_SECONDS)
    return Knobs(
        chaos_seconds=chaos,
        position_count=positions,
        rates=rates,
        events=events,
        crashes=_draw_crashes(chance),
        outlaws={n: chance.uniform(0.1, 0.4) for n in OUTLAW_CLASSES} if outlaw else {},
        conduct=_draw_conduct(chance, 0.3),
        thin_market=chance.random() < 0.3,
        order_type=chance.choice(("limit", "limit", "limit", "market")),
        attempts_max=chance.choice((10, 10, 10, 2)),
        has_standby=chance.random() < 0.2 or _needs_two(rates),
        has_token_file=chance.random() < 0.2,
        feed_late_seconds=own.choice(_LATE_SECONDS) if own.random() < _LATE_SHARE else 0.0,
    )


def _draw_aimed(chance: random.Random, number: int, *, outlaw: bool) -> Knobs:
    """Return knobs with little of their own beside what strikes in the states aimed at."""
    aims = aims_of(number)
    is_long = LONG_REST in aims.states
    spared = chance.choice((TRULY_REFUSING, ACTING_BEHIND_AN_ERROR))
    strikes = tuple(n for n in aims.strikes if n not in spared)
    strikes += (*OUTLAW_CLASSES, *OUTLAW_EVENTS) if outlaw else ()
    rates = {n: r for n, r in _draw_rates(chance, 0.02).items() if n not in spared}
    events = _draw_events(chance, rates)
    if SPIKE in (*rates, *strikes):
        rates = {n: r for n, r in rates.items() if not n.startswith(SPIKE_COMPANY)}
        events = {n: count for n, count in events.items() if not n.startswith(SPIKE_COMPANY)}
    few = max((RECIPES[state].attempts_max for state in aims.states if not is_long), default=0)
    return Knobs(
        chaos_seconds=seconds_of(aims.states),
        position_count=4 if is_long else chance.choice(_MANY_POSITIONS),
        rates={} if is_long else rates,
        events={} if is_long else events,
        crashes=() if is_long else _draw_crashes(chance),
        outlaws=dict.fromkeys(OUTLAW_CLASSES, 0.05) if outlaw else {},
        conduct=_draw_conduct(chance, 0.1),
        order_type=chance.choice(("limit", "limit", "limit", "market")),
        attempts_max=few or 10,
        has_standby=_needs_two((*rates, *strikes)) or chance.random() < 0.1,
        has_token_file=chance.random() < 0.3,
        aims=aims.states,
        strikes=strikes,
    )


def _needs_two(classes: Iterable[str]) -> bool:
    """Say whether one of the classes only strikes where two engines share the account."""
    return any(name == "takeover" or name.startswith(OWNER_PREFIX) for name in classes)


def _draw_conduct(chance: random.Random, share: float) -> dict[str, Any]:
    return {
        name: chance.choice(choices)
        for name, choices in _CONDUCT_CHOICES.items()
        if chance.random() < share
    }


def _draw_rates(chance: random.Random, breadth: float) -> dict[str, float]:
    hard = (*FAULT_CLASSES, *ANSWER_CLASSES)
    rates = {n: chance.choice(_RATES) for n in hard if chance.random() < breadth}
    gentle = (*STORE_CLASSES, *NETWORK_CLASSES)
    rates |= {n: chance.choice(_GENTLE_RATES) for n in gentle if chance.random() < breadth}
    if TRULY_REFUSING & rates.keys():
        rates = {n: rate for n, rate in rates.items() if n not in ACTING_BEHIND_AN_ERROR}
    company = [name for name in rates if name.startswith(SPIKE_COMPANY)]
    if "feed_spike" in rates:
        rates["feed_spike"] = min(rates["feed_spike"], _SPIKE_RATE_MAX)
        if len(company) > 1:
            del rates["feed_spike"]
    return rates


def _draw_events(chance: random.Random, rates: dict[str, float]) -> dict[str, int]:
    breadth = chance.choice((0.05, 0.1, 0.2))
    events = {n: chance.choice((1, 1, 2)) for n in EVENT_CLASSES if chance.random() < breadth}
    if "feed_spike" in rates:
        events = {n: count for n, count in events.items() if not n.startswith(SPIKE_COMPANY)}
    return events


def _draw_crashes(chance: random.Random) -> tuple[CrashPlan, ...]:
    plans = []
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        pause = chance.uniform(0.1, 4.0)
        if chance.random() < 0.5:
            plans.append(CrashPlan(at_point=chance.randint(1, 300), restart_seconds=pause))
        else:
            plans.append(CrashPlan(at_step=chance.randint(1, 5_000), restart_seconds=pause))
    return tuple(plans)
