"""One instrument under watch: its newest prices, its circuit limits, and who waits for what."""

from enum import Enum

from squareoff.core.prices.late_prices import LevelsBeforeQuotes
from squareoff.core.prices.price_hygiene import (
    NO_CIRCUIT,
    Circuit,
    HygieneLimits,
    PriceMemory,
    circuit_of,
    credible_time_ns,
    is_inside,
)
from squareoff.core.prices.quiet_prices import QuietPrices
from squareoff.core.prices.silence import waits_for_prices
from squareoff.core.rules.side_book import NEVER
from squareoff.core.rules.trigger_book import InstrumentLevels
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.prices import PRICE_UNITS_PER_RUPEE
from squareoff.domain.ticks import Tick, is_later
from squareoff.domain.time import DAY_NS, ist_midnight_ns, seconds_to_ns

NEAR_DIVISOR = 100
"""A price within its hundredth part of a level is near it."""

REFUSED_COUNTS_SECONDS = 10.0
"""One absurd price of an instrument that hardly trades casts no doubt on its quotes for longer."""

NO_LEVEL = 0, NEVER
_NO_END_NS = 1 << 63


class Nearness(Enum):
    """How the newest good price of an instrument stands to its armed levels."""

    NO_LEVEL = "NO_LEVEL"
    """None is armed, and no rule may arm one."""
    FAR = "FAR"
    """Far from all, or none is armed yet."""
    NEAR = "NEAR"
    """Near one, or there is no price yet that could be far."""


class LimitsWanted(Enum):
    """Why the circuit limits of an instrument should be asked for."""

    UNKNOWN = "UNKNOWN"
    """None are known of this day, or nothing shows yet that they are of it."""
    DOUBTED = "DOUBTED"
    """A price outside them was told: the exchange may have moved them."""


class WatchedInstrument:
    """One instrument with positions."""

    __slots__ = (
        "before_quotes",
        "calm",
        "circuit",
        "circuit_ends_ns",
        "circuit_is_doubted",
        "circuit_is_proved",
        "heard",
        "instrument",
        "known_ends_ns",
        "latest_ns",
        "levels",
        "memory",
        "quiet",
        "quoted",
        "quoted_ends_ns",
        "refused",
        "spike",
        "told",
        "trackers",
    )

    def __init__(self, tracker: PositionTracker, levels: InstrumentLevels) -> None:
        self.levels = levels
        self.memory: PriceMemory | None = None
        self.quoted_ends_ns = 0
        self.know(tracker)
        self.latest_ns = 0
        self.quiet: QuietPrices | None = None
        self.heard: Tick | None = None
        self.told: Tick | None = None
        self.quoted: Tick | None = None
        self.before_quotes: LevelsBeforeQuotes | None = None
        self.spike: Tick | None = None
        self.refused: Tick | None = None
        self.trackers: dict[TrackerId, PositionTracker] = {}

    def know(self, tracker: PositionTracker) -> None:
        """Take the instrument as this position has it; its circuit limits are of the day on which
        the position came under watch, and end with it. Those that a quote told of that day or a
        later one are newer."""
        self.instrument = tracker.instrument
        self.known_ends_ns = end_of_day(tracker)
        if self.known_ends_ns > self.quoted_ends_ns:
            circuit = circuit_of(tracker.instrument)
            self._limit(circuit, self.known_ends_ns, is_proved=circuit != NO_CIRCUIT)

    def take_limits(self, circuit: Circuit, wall_ns: int, *, is_proved: bool) -> None:
        """Take the limits that a quote told on this day (UTC ns), instead of what was known."""
        self.quoted_ends_ns = ist_midnight_ns(wall_ns) + DAY_NS
        self._limit(circuit, self.quoted_ends_ns, is_proved=is_proved)

    def note_trade(self, tick: Tick, limits: HygieneLimits) -> None:
        """A trade is told; a time of the future ends no limits of this day."""
        if tick.exchange_time_ns >= self.circuit_ends_ns:
            self.pass_to(credible_time_ns(tick, limits))

    def pass_to(self, traded_ns: int) -> None:
        """A trade of this instant: limits of a day before it say nothing."""
        if traded_ns >= self.circuit_ends_ns:
            self._limit(NO_CIRCUIT, _NO_END_NS, is_proved=False)

    def limits_wanted(self, wall_ns: int) -> LimitsWanted | None:
        """Say why limits of this instant's day should be asked for, None where all is well."""
        if self.circuit_is_doubted:
            return LimitsWanted.DOUBTED
        is_known = self.circuit_is_proved and wall_ns < self.circuit_ends_ns
        return None if is_known else LimitsWanted.UNKNOWN

    def _limit(self, circuit: Circuit, ends_ns: int, *, is_proved: bool) -> None:
        self.circuit, self.circuit_ends_ns, self.circuit_is_proved = circuit, ends_ns, is_proved
        self.circuit_is_doubted = False
        self.calm = 0, 0
        if self.memory is not None and not is_inside(circuit, self.memory.unconfirmed):
            self.memory = self.memory._replace(unconfirmed=0)  # none, or it was no price

    def first_memory(self) -> PriceMemory:
        """Measure the first print by an entry price: a print far from it needs a second one."""
        for tracker in self.trackers.values():
            if tracker.entry_price > 0:
                return PriceMemory(last_good=int(tracker.entry_price * PRICE_UNITS_PER_RUPEE))
        return PriceMemory()

    def recall(self, limits: HygieneLimits) -> tuple[PriceMemory, Tick | None]:
        """Return what is remembered, with the newest quiet tick as if it had come here, and it."""
        memory = self.memory or self.first_memory()
        kept = self.catch_up(memory, limits)
        return self.memory or memory, kept

    def catch_up(self, memory: PriceMemory, limits: HygieneLimits) -> Tick | None:
        """Remember the newest quiet tick, as if it had come here; return it."""
        kept = None if self.quiet is None else self.quiet.newest()
        if kept is not None:
            newest_ns = max(memory.last_exchange_time_ns, credible_time_ns(kept, limits))
            self.memory = PriceMemory(kept.last_traded_price, newest_ns)
        return kept

    def heard_and_told(self) -> tuple[Tick | None, Tick | None]:
        """Return the newest valid price and the newest trade; see `PriceWatch.heard_and_told`."""
        kept = None if self.quiet is None else self.quiet.newest()
        heard, told = self.heard if kept is None else kept, self.told
        if told is None or (heard is not None and is_later(heard, told)):
            return heard, heard
        return heard, told

    def is_outdated(self, quote: Tick) -> bool:
        """Say whether a trade later than a quote's was told just now, and refused."""
        if self.refused is None:
            return False
        age_ns = quote.received_monotonic_ns - self.refused.received_monotonic_ns
        is_newer = self.refused.exchange_time_ns > quote.exchange_time_ns
        return is_newer and age_ns <= seconds_to_ns(REFUSED_COUNTS_SECONDS)

    def is_near_a_level(self) -> bool:
        """Say whether the newest good price is near an armed level."""
        falling, rising = self.levels.nearest()
        if (falling, rising) == NO_LEVEL:
            return False
        kept = None if self.quiet is None else self.quiet.newest()
        price = 0 if self.memory is None else self.memory.last_good
        if kept is not None:
            price = kept.last_traded_price
        margin = price // NEAR_DIVISOR
        return price > 0 and (price - falling <= margin or rising - price <= margin)

    def nearness(self) -> Nearness:
        """Return how the newest good price stands to the armed levels."""
        if self.levels.nearest() == NO_LEVEL:
            waits = any(waits_for_prices(tracker) for tracker in self.trackers.values())
            return Nearness.FAR if waits else Nearness.NO_LEVEL
        is_priced = self.memory is not None and self.memory.last_good > 0
        return Nearness.FAR if is_priced and not self.is_near_a_level() else Nearness.NEAR


def end_of_day(tracker: PositionTracker) -> int:
    """Return when the day of India ends on which a position came under watch (UTC ns)."""
    return ist_midnight_ns(tracker.created_at_ns) + DAY_NS
