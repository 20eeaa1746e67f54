"""What `bench ticks` plays on: positions with rules, a decoder, and packets as the feed sends them.

Decoder and watch are the engine's own, wired as in the engine; what stands behind them, the claim
and its commit, is not part of the figure. Moved stops are taken as durable at a fixed rate.
"""

import random
import struct
from collections import deque
from dataclasses import replace
from decimal import Decimal

from squareoff.adapters.broker.dhan.feed_codec import FeedDecoder
from squareoff.adapters.broker.dhan.feed_packets import SEGMENT_NUMBERS
from squareoff.core.account.account_pnl import share_of
from squareoff.core.account.account_watch import AccountWatch
from squareoff.core.entries.opening import NewPosition, open_position
from squareoff.core.prices.price_hygiene import HygieneLimits, TickVerdict
from squareoff.core.prices.price_watch import PriceWatch
from squareoff.core.prices.quiet_prices import LOUD_FEED
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.account_rules import NO_ACCOUNT_RULES, AccountRules
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.instruments import ExchangeSegment, Instrument, InstrumentId, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.domain.ticks import Tick
from squareoff.domain.time import IST_OFFSET_SECONDS, NANOSECONDS_PER_SECOND, Now
from squareoff.ports import FeedEvent

ENTRY = 1_000.0
TICK = 0.05
FIRST_SECURITY_ID = 40_001
SEGMENT = ExchangeSegment.NSE_FNO
RAW_TIME = 1_781_084_997
NOW = Now((RAW_TIME + 1 - IST_OFFSET_SECONDS) * NANOSECONDS_PER_SECOND, NANOSECONDS_PER_SECOND)

DURABLE_PER_SECOND = 2_000
"""How many moved stops are taken as committed each second, so that later moves are told anew: about
what a disk does that is asked for nothing else."""

# A full packet up to the trade time, and the day's high and low; the rest is not looked at.
_FULL = struct.Struct("<BHBIfHI36xff100x")
_WALK_TICKS = 100
"""Prices walk this many ticks up and down from the entry, and reach no level."""


class TickStage:
    """Positions under watch, and what became of the ticks played so far."""

    def __init__(
        self, trackers: list[PositionTracker], account_rules: AccountRules = NO_ACCOUNT_RULES
    ) -> None:
        self.decoder = FeedDecoder()
        self._account = _account(account_rules, trackers) if account_rules.judges_prices else None
        quiet_feed = self.decoder if self._account is None else LOUD_FEED
        self.watch = PriceWatch(HygieneLimits(), quiet_feed)
        self.fired_count = 0
        self.published_count = 0
        self._moved: deque[TrackerId] = deque()
        for tracker in trackers:
            self.decoder.watch(tracker.instrument)
            self.watch.watch(tracker)

    def play(self, frames: list[bytes]) -> None:
        """Decode each frame and decide on what it holds."""
        decode, emit = self.decoder.decode, self.take
        for frame in frames:
            decode(frame, NOW, emit)

    def take(self, event: FeedEvent) -> None:
        """Decide on one event of the decoder."""
        if isinstance(event, Tick):
            self.published_count += 1
            seen = self.watch.on_tick(event)
            if seen is not None:
                self.fired_count += len(seen.fired)
                if self._account is not None and seen.verdict is TickVerdict.GOOD:
                    price = event.last_traded_price
                    self.fired_count += len(self._account.on_price(event.instrument_id, price))
                self._moved.extend(seen.moved)

    def make_durable(self, count: int) -> None:
        """Take the stops that moved first as committed, so many of them at most."""
        for _ in range(min(count, len(self._moved))):
            self.watch.settle(self._moved.popleft())


def _account(rules: AccountRules, trackers: list[PositionTracker]) -> AccountWatch:
    account = AccountWatch(rules)
    for tracker in trackers:
        account.pnl.put(tracker.tracker_id, tracker.instrument.instrument_id, share_of(tracker))
    account.is_judging = True
    return account


def instrument(number: int) -> Instrument:
    """Return the instrument with this number."""
    security_id = str(FIRST_SECURITY_ID + number)
    return Instrument(InstrumentId(SEGMENT, security_id), f"BENCH-{number}", 1, Decimal(str(TICK)))


def positions(
    count: int, instruments: int, target_points: Decimal = Decimal(100)
) -> list[PositionTracker]:
    """Return positions with stop, target and trailing stop, spread evenly over instruments.

    All are long, bought at the same price; levels differ from position to position.
    """
    wanted = new_positions(count, instruments, target_points)
    return [open_position(position, NOW.wall_ns)[0] for position in wanted]


def new_positions(count: int, instruments: int, target_points: Decimal) -> list[NewPosition]:
    """Return the same positions before they are opened."""
    listed = [instrument(number) for number in range(instruments)]
    return [
        _position(number, listed[number % instruments], target_points) for number in range(count)
    ]


def _position(number: int, listed: Instrument, target_points: Decimal) -> NewPosition:
    away = Decimal(number % 1_000) / 20
    rules = RuleSet(
        stop_loss=PriceRule(points=Decimal(100) + away),
        target=PriceRule(points=target_points + away),
        trailing=TrailingRule(points=Decimal(50) + away),
    )
    return NewPosition(
        tracker_id=TrackerId(f"trk-{number}"),
        account_id=AccountId("1100000001"),
        instrument=listed,
        product_type=ProductType.INTRADAY,
        side=PositionSide.LONG,
        quantity=75,
        entry_price=Decimal(str(ENTRY)),
        rules=rules,
    )


def with_near_stop(tracker: PositionTracker) -> PositionTracker:
    """Return the position with its stop one tick below the entry."""
    near = PriceRule(points=Decimal(str(TICK)))
    return replace(tracker, rules=replace(tracker.rules, stop_loss=near))


def packet(number: int, ticks: int, raw_time: int = RAW_TIME) -> bytes:
    """Return the full packet of an instrument priced so many ticks above the entry."""
    price = ENTRY + ticks * TICK
    segment = SEGMENT_NUMBERS[SEGMENT]
    high, low = ENTRY + _WALK_TICKS * TICK, ENTRY - _WALK_TICKS * TICK
    security_id = FIRST_SECURITY_ID + number
    return _FULL.pack(8, _FULL.size, segment, security_id, price, 75, raw_time, high, low)


def opening(instruments: int) -> list[bytes]:
    """Return what was printed before the figure begins: the walk's top, then the entry."""
    return [packet(number, ticks) for ticks in (_WALK_TICKS, 0) for number in range(instruments)]


def walk(count: int, instruments: int, second: int) -> list[bytes]:
    """Return the packets of one second: instruments in random order, each a step from its last."""
    chance, at = random.Random(second), [0] * instruments
    packets = []
    for _ in range(count):
        number = chance.randrange(instruments)
        step = at[number] + chance.choice((-1, 0, 1))
        at[number] = max(-_WALK_TICKS, min(_WALK_TICKS, step))
        packets.append(packet(number, at[number], RAW_TIME + second))
    return packets


def rally(count: int) -> list[bytes]:
    """Return packets of one instrument, each a tick above the last."""
    return [
        packet(0, _WALK_TICKS + 1 + index, RAW_TIME + index * 60 // count) for index in range(count)
    ]
