"""What one seed draws: which faults, how often, how many crashes, how long. Everything is logged.

Swarm testing: every fault class is on or off per seed and its rate is drawn per seed, so that runs
differ in kind and not only in detail.
"""

import random
from dataclasses import dataclass, field

from squareoff.simulator.virtual.fault_classes import (
    ACTING_BEHIND_AN_ERROR,
    FAULT_CLASSES,
    OUTLAW_CLASSES,
    SPIKE_COMPANY,
    TRULY_REFUSING,
)

_RATES = (0.02, 0.08, 0.2, 0.5)
_CHAOS_SECONDS = (10.0, 30.0)
_CONDUCT_CHOICES = {
    "alert_timing": ("after_answer", "before_answer"),
    "alert_keys": ("camel", "pascal", "mixed"),
    "alert_traded_quantity": ("cumulative", "cumulative", "last"),
    "duplicate_lookup": ("first", "newest", "array"),
    "average_lags_fill": (False, False, True),
    "numbers_as_strings": (False, True),
    "modify_in_transit": ("accept", "refuse"),
    "cancel_in_transit": ("accept", "refuse"),
    "delete_answer": ("200_cancelled", "200_transit", "202_cancelled", "202_empty"),
    "external_shape": ("object", "array"),
    "market_orders": ("protect", "plain"),
    "feed_concatenate": (False, True),
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
    """One run's settings. `crashes` holds one plan per incarnation, then no more crashes."""

    chaos_seconds: float = 20.0
    position_count: int = 2
    rates: dict[str, float] = field(default_factory=dict)
    crashes: tuple[CrashPlan, ...] = ()
    outlaws: dict[str, float] = field(default_factory=dict)
    conduct: dict[str, object] = field(default_factory=dict)
    store_unavailable: float = 0.0
    store_commit_unknown: float = 0.0
    early_reset: float = 0.0
    dark_socket: float = 0.0
    stream_silences: int = 0
    feed_silences: int = 0
    thin_market: bool = False
    closes_by_hand: int = 0
    cancels_by_broker: int = 0
    kill_switch: str = ""
    token_deaths: int = 0
    halts: int = 0
    clock_steps: int = 0
    order_type: str = "limit"

    def describe(self) -> str:
        """Return everything that is not at rest, on one line."""
        rest = Knobs()
        parts = []
        for name in self.__slots__:
            value = getattr(self, name)
            if value != getattr(rest, name):
                parts.append(f"{name}={value}")
        return " ".join(parts)


def draw_knobs(seed: int, *, outlaw: bool = False) -> Knobs:
    """Return the knobs of a seed; one seed in ten is calm, so that the plain path is run too."""
    chance = random.Random(f"knobs {seed}")
    chaos = chance.uniform(*_CHAOS_SECONDS)
    positions = chance.choice((1, 1, 2, 2, 3))
    if chance.random() < 0.1 and not outlaw:
        return Knobs(chaos_seconds=chaos, position_count=positions)
    breadth = chance.choice((0.05, 0.15, 0.3))
    rates = _draw_rates(chance, breadth)
    return Knobs(
        chaos_seconds=chaos,
        position_count=positions,
        rates=rates,
        crashes=_draw_crashes(chance),
        outlaws={n: chance.uniform(0.1, 0.4) for n in OUTLAW_CLASSES} if outlaw else {},
        conduct={
            name: chance.choice(choices)
            for name, choices in _CONDUCT_CHOICES.items()
            if chance.random() < 0.3
        },
        store_unavailable=_sometimes(chance, 0.1),
        store_commit_unknown=_sometimes(chance, 0.1),
        early_reset=_sometimes(chance, 0.15),
        dark_socket=_sometimes(chance, 0.5),
        stream_silences=_few(chance),
        feed_silences=0 if "feed_spike" in rates else _few(chance),
        thin_market=chance.random() < 0.3,
        closes_by_hand=_few(chance),
        cancels_by_broker=_few(chance),
        kill_switch=chance.choice(("", "", "", "", "", "new", "all")),
        token_deaths=_few(chance),
        halts=_few(chance),
        clock_steps=_few(chance),
        order_type=chance.choice(("limit", "limit", "limit", "market")),
    )


def _draw_rates(chance: random.Random, breadth: float) -> dict[str, float]:
    rates = {n: chance.choice(_RATES) for n in FAULT_CLASSES if chance.random() < breadth}
    if TRULY_REFUSING & rates.keys():
        rates = {n: rate for n, rate in rates.items() if n not in ACTING_BEHIND_AN_ERROR}
    company = [name for name in rates if name.startswith(SPIKE_COMPANY)]
    if "feed_spike" in rates and len(company) > 1:
        del rates["feed_spike"]
    return rates


def _sometimes(chance: random.Random, rate_max: float) -> float:
    return chance.uniform(0.01, rate_max) if chance.random() < 0.2 else 0.0


def _few(chance: random.Random) -> int:
    return chance.choice((0, 0, 0, 0, 1, 2))


def _draw_crashes(chance: random.Random) -> tuple[CrashPlan, ...]:
    plans = []
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        pause = chance.uniform(0.1, 4.0)
        if chance.random() < 0.5:
            plans.append(CrashPlan(at_point=chance.randint(1, 120), restart_seconds=pause))
        else:
            plans.append(CrashPlan(at_step=chance.randint(1, 3_000), restart_seconds=pause))
    return tuple(plans)
