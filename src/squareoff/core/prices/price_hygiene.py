"""Which ticks may fire a price rule.

A stale, absurd or unconfirmed price never fires; a price outside the circuit limits is no price.
The decoder already refused NaN, zero, negative and infinite values and rounded to the tick.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from squareoff.domain.instruments import Instrument
from squareoff.domain.prices import PriceUnits, decimal_from_units, units_from_decimal
from squareoff.domain.ticks import Tick
from squareoff.domain.time import NANOSECONDS_PER_SECOND, seconds_to_ns

EXCHANGE_TIME_GRAIN_SECONDS = 1
"""The feed tells trade times in whole seconds."""

AHEAD_SECONDS = 5
"""Far more than a disciplined clock differs, far less than what would mute an instrument."""


class TickVerdict(str, Enum):
    """What a tick may do."""

    GOOD = "good"
    STALE = "stale"
    """Traded too long ago for the first print after a connect, or older than what was seen."""
    OUT_OF_CIRCUIT = "out_of_circuit"
    SPIKE = "spike"
    """Too far from the last good price; a second print there, or farther, confirms it."""


class PriceMemory(NamedTuple):
    """What is remembered of one instrument between ticks; prices in price units, 0 for none."""

    last_good: int = 0
    last_exchange_time_ns: int = 0
    unconfirmed: int = 0


@dataclass(frozen=True, slots=True)
class HygieneLimits:
    """`stale_after_seconds` for the first print, `spike_percent` between two prints; trade times
    are believed up to `ahead_ns_max` after our clock."""

    stale_after_seconds: float = 5.0
    spike_percent: Decimal = Decimal(15)
    ahead_ns_max: int = AHEAD_SECONDS * NANOSECONDS_PER_SECOND

    @property
    def told_in_time_ns(self) -> int:
        """How long after its trade a price may be told at the most, and is no late one."""
        return seconds_to_ns(self.stale_after_seconds + EXCHANGE_TIME_GRAIN_SECONDS)


class Circuit(NamedTuple):
    """The lowest and the highest price that can be, price units."""

    lowest: int
    highest: int

    def in_rupees(self) -> tuple[Decimal | None, Decimal | None]:
        """Return both limits in rupees, None for one that limits nothing."""
        lower = decimal_from_units(PriceUnits(self.lowest)) if self.lowest > 0 else None
        upper = decimal_from_units(PriceUnits(self.highest)) if self.highest < _NO_HIGHEST else None
        return lower, upper


_NO_HIGHEST = 1 << 62
NO_CIRCUIT = Circuit(0, _NO_HIGHEST)


def circuit_of(instrument: Instrument) -> Circuit:
    """Return an instrument's circuit; a limit that is not told, or is 0, limits nothing."""
    limits = (instrument.lower_circuit, instrument.upper_circuit)
    return circuit_between(
        *(None if each is None or each <= 0 else units_from_decimal(each) for each in limits)
    )


def circuit_between(lower: int | None, upper: int | None) -> Circuit:
    """Return the circuit of two limits in price units; None limits nothing."""
    return Circuit(0 if lower is None else lower, _NO_HIGHEST if upper is None else upper)


def is_inside(circuit: Circuit, price: int) -> bool:
    """Say whether a price can be."""
    return circuit.lowest <= price <= circuit.highest


def judge_tick(
    tick: Tick, circuit: Circuit, memory: PriceMemory, limits: HygieneLimits, tick_units: int
) -> tuple[TickVerdict, PriceMemory]:
    """Judge one tick; return the verdict and what to remember.

    After a good one `last_good` is the price that it counts for: its own, or that of the print
    which it confirmed where its own is farther away, and stands unconfirmed itself.
    """
    if tick.exchange_time_ns < memory.last_exchange_time_ns:
        return TickVerdict.STALE, memory
    if memory.last_exchange_time_ns == 0 and _trade_age_ns(tick) > limits.told_in_time_ns:
        return TickVerdict.STALE, memory
    price = tick.last_traded_price
    if not circuit.lowest <= price <= circuit.highest:
        return TickVerdict.OUT_OF_CIRCUIT, memory
    is_spike = memory.last_good != 0 and _is_far(price, memory.last_good, limits, tick_units)
    confirmed = _confirmed(price, memory, limits, tick_units) if is_spike else price
    if confirmed is None:
        return TickVerdict.SPIKE, _remember(memory, tick, limits, memory.last_good, price)
    unconfirmed = 0 if confirmed == price else price
    return TickVerdict.GOOD, _remember(memory, tick, limits, confirmed, unconfirmed)


def is_credible(
    price: int, circuit: Circuit, last_good: int, limits: HygieneLimits, tick_units: int
) -> bool:
    """Say whether a price can be, and is no spike after the last good one."""
    return is_inside(circuit, price) and not _is_far(price, last_good, limits, tick_units)


def credible_time_ns(tick: Tick, limits: HygieneLimits) -> int:
    """Return when a tick was traded, and at most a little after it came: a trade time of the future
    must not make every later trade one of before it."""
    return min(tick.exchange_time_ns, tick.received_time_ns + limits.ahead_ns_max)


class CalmRange:
    """How far around a good price none is a spike, whichever of them came before it."""

    def __init__(self, limits: HygieneLimits) -> None:
        spike, unit = limits.spike_percent.as_integer_ratio()
        # Ends a and b with b - a = spike% of a: any two prices between them are that near.
        self._whole = 200 * unit + spike
        self._low = 200 * unit
        self._high = 200 * unit + 2 * spike

    def around(self, price: int, circuit: Circuit) -> tuple[int, int]:
        """Return the prices strictly between which all are good after this good one."""
        lowest = max(-(-price * self._low // self._whole), circuit.lowest)
        highest = min(price * self._high // self._whole, circuit.highest)
        return lowest - 1, highest + 1


def _trade_age_ns(tick: Tick) -> int:
    return tick.received_time_ns - tick.exchange_time_ns


def _confirmed(
    price: int, memory: PriceMemory, limits: HygieneLimits, tick_units: int
) -> int | None:
    """Return which price a spike and the unconfirmed one prove together, None for none.

    In a fast move each print is far from the one before it; two on one side of the last good price
    prove that it was left as far as the nearer of them.
    """
    good, other = memory.last_good, memory.unconfirmed
    if other == 0:
        return None
    if not _is_far(price, other, limits, tick_units):
        return price
    if price < good and other < good:
        return max(price, other)
    return min(price, other) if price > good and other > good else None


def _is_far(price: int, reference: int, limits: HygieneLimits, tick_units: int) -> bool:
    distance = abs(price - reference)
    return distance > tick_units and distance * 100 > reference * limits.spike_percent


def _remember(
    memory: PriceMemory, tick: Tick, limits: HygieneLimits, last_good: int, unconfirmed: int
) -> PriceMemory:
    newest_ns = max(memory.last_exchange_time_ns, credible_time_ns(tick, limits))
    return PriceMemory(last_good, newest_ns, unconfirmed)
