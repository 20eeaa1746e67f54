"""Play a stream to the engine's price path and to the reference, and find where they part.

The engine's side is the real one from bytes on: packets are decoded, quiet ones are kept, and what
is published goes to the price watch. Stops are taken as durable at random moments.
"""

import random
import struct
from dataclasses import replace
from decimal import Decimal

from exact_fractions import Fraction
from exit_story.values import INSTRUMENT, held
from rule_reference.reference import Fired, Holding, Market, Trade
from rule_reference.streams import Look, Print, Reconnect, Restart, Stream, Take
from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.core.prices.price_hygiene import HygieneLimits
from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.rules.levels import Level, stop_of
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import PositionSide
from squareoff.domain.rule_parsing import parse_rules
from squareoff.domain.ticks import Tick
from squareoff.domain.time import IST_OFFSET_SECONDS, NANOSECONDS_PER_SECOND, Now
from squareoff.ports import DayRange, FeedEvent

STALE_SECONDS = 5
UNITS = 10_000
_TICKER = struct.Struct("<BHBIfI")
_FULL = struct.Struct("<BHBIfHI4xI28xff100x")


def first_difference(stream: Stream) -> str | None:
    """Return what engine and reference disagree on first, None where they agree to the end."""
    engine, market = _Engine(stream), _market(stream)
    number = 0
    for step in stream.steps:
        match step:
            case Take():
                _take(market, step)
                engine.take(step)
            case Print():
                expected = _expected(
                    market,
                    number,
                    step,
                    tells_range=stream.tells_range,
                    tells_volume=engine.is_full,
                )
                found = engine.see(number, step)
                if sorted(expected, key=str) != sorted(found, key=str):
                    return f"print {number} at {step.price}: {expected} but engine {found}"
                number += 1
            case Look():
                market.look(step.second)
                engine.look(step.second)
            case Reconnect():
                market.reconnect()
                engine.reconnect()
            case Restart():
                market.restart()
                engine.restart()
        for holding in market.holdings:
            if not holding.has_fired:
                stop, other = market.stop(holding), engine.stop(holding.name)
                if stop != other:
                    return f"after print {number - 1}, {holding.name}: {stop} but engine {other}"
    return None


def _expected(
    market: Market, number: int, step: Print, *, tells_range: bool, tells_volume: bool
) -> list[Fired]:
    is_bare = step.is_bare or not tells_volume
    volume = None if is_bare else step.volume
    tick = Trade(Fraction(step.price), step.traded, Fraction(step.age_seconds), volume)
    fired = []
    if not tells_range or step.is_bare:
        market.miss_range()
    else:
        high, low = Fraction(step.day_high), Fraction(step.day_low)
        fired = market.see_range(number, high, low, tick)
    return fired + market.see(number, tick)


def _market(stream: Stream) -> Market:
    return Market(
        tick=Fraction(stream.tick),
        stale_seconds=Fraction(STALE_SECONDS),
        spike_percent=Fraction(stream.spike_percent),
        lowest=None if stream.lowest is None else Fraction(stream.lowest),
        highest=None if stream.highest is None else Fraction(stream.highest),
    )


def _take(market: Market, step: Take) -> None:
    for holding in market.holdings:
        if holding.name == step.name:
            if holding.rules != step.rules:
                holding.put_down, holding.takes_part = None, False
            holding.rules = step.rules
            return
    market.holdings.append(
        Holding(step.name, step.is_long, step.quantity, Fraction(step.entry), step.rules)
    )


class _Engine:
    """The engine's price path of one instrument."""

    def __init__(self, stream: Stream) -> None:
        self._chance = random.Random(stream.seed)
        self._limits = HygieneLimits(STALE_SECONDS, Decimal(stream.spike_percent))
        self._tells_range = stream.tells_range
        self.is_full = self._chance.random() < 0.5 or stream.tells_range
        self._instrument = _instrument(stream)
        self._fired: list[Fired] = []
        self._fired_names: set[str] = set()
        self._moved: list[TrackerId] = []
        self._number = 0
        self._trackers: dict[str, PositionTracker] = {}
        self._start()

    def _start(self) -> None:
        self._decoder = FeedDecoder()
        self._decoder.watch(self._instrument)
        self._watch = PriceWatch(self._limits, self._decoder)
        self._moved.clear()

    def take(self, step: Take) -> None:
        """Take a position in, or its new rules."""
        known = self._trackers.get(step.name)
        rules = parse_rules(step.rules)
        if known is None:
            tracker = held(
                tracker_id=TrackerId(step.name),
                instrument=self._instrument,
                side=PositionSide.LONG if step.is_long else PositionSide.SHORT,
                quantity=step.quantity,
                entry_price=Decimal(step.entry),
            )
            tracker = replace(tracker, rules=rules)
        else:
            tracker = replace(self._current(step.name), rules=rules)
        self._trackers[step.name] = tracker
        self._watch.watch(tracker, is_latched=step.name in self._fired_names)

    def see(self, number: int, step: Print) -> list[Fired]:
        """Decode a packet, and let some moved stops become durable; return what fired."""
        self._number = number
        self._fired.clear()
        now_ns = (step.traded + step.age_seconds - IST_OFFSET_SECONDS) * NANOSECONDS_PER_SECOND
        self._decoder.decode(self._packet(step), Now(now_ns, number), self._hear)
        while self._moved and self._chance.random() < 0.5:
            self._watch.settle(self._moved.pop(self._chance.randrange(len(self._moved))))
        return list(self._fired)

    def look(self, second: int) -> None:
        """Let those take part in the day's range whose instrument has traded since."""
        now_ns = (second - IST_OFFSET_SECONDS) * NANOSECONDS_PER_SECOND
        self._watch.ranges.prove(now_ns, self._watch.told)

    def reconnect(self) -> None:
        """The feed came back."""
        self._decoder.start_connection()
        self._watch.on_connected()

    def restart(self) -> None:
        """Begin anew with the trackers as they are."""
        self._trackers = {name: self._current(name) for name in self._trackers}
        self._start()
        for name, tracker in self._trackers.items():
            self._watch.watch(tracker, is_latched=name in self._fired_names)

    def stop(self, name: str) -> tuple[Fraction, str] | None:
        """Return where a stop stands."""
        level = stop_of(self._current(name))
        return None if level is None else (Fraction(level.price, UNITS), level.rule.value)

    def _current(self, name: str) -> PositionTracker:
        return self._watch.current(TrackerId(name)) or self._trackers[name]

    def _hear(self, event: FeedEvent) -> None:
        if isinstance(event, DayRange):
            self._hear_range(event)
        if not isinstance(event, Tick):
            return
        seen = self._watch.on_tick(event)
        assert seen is not None, "positions hold the instrument"
        self._moved.extend(seen.moved)
        for tracker_id, level in seen.fired:
            self._fired_names.add(tracker_id)
            assert seen.good is not None, "only a good print fires"
            self._fired.append(self._as_fired(tracker_id, level, seen.good.last_traded_price))

    def _hear_range(self, event: DayRange) -> None:
        reached = self._watch.on_day_range(event.day_high, event.day_low, event.tick)
        if reached is None:
            return
        self._moved.extend(reached.moved)
        for price, found in ((event.day_low, reached.fallen), (event.day_high, reached.risen)):
            for tracker_id, level in found:
                self._fired_names.add(tracker_id)
                self._fired.append(self._as_fired(tracker_id, level, price))

    def _as_fired(self, tracker_id: TrackerId, level: Level, price: int) -> Fired:
        at, seen = Fraction(level.price, UNITS), Fraction(price, UNITS)
        return Fired(self._number, tracker_id, level.rule.value, at, seen)

    def _packet(self, step: Print) -> bytes:
        security_id = int(self._instrument.instrument_id.security_id)
        price = float(step.price)
        if self.is_full and not step.is_bare:
            high, low = 9_999.0, 1.0
            if self._tells_range:
                high, low = float(step.day_high), float(step.day_low)
            head = 8, 162, 2, security_id, price, 1, step.traded, step.volume
            return _FULL.pack(*head, high, low)
        return _TICKER.pack(2, 16, 2, security_id, price, step.traded)


def _instrument(stream: Stream) -> Instrument:
    return replace(
        INSTRUMENT,
        tick_size=Decimal(stream.tick),
        lower_circuit=None if stream.lowest is None else Decimal(stream.lowest),
        upper_circuit=None if stream.highest is None else Decimal(stream.highest),
    )
