"""The simulated market: what is known of each instrument today, and the clock of a replay."""

from collections import deque
from dataclasses import dataclass, field, replace
from decimal import Decimal

from squareoff.domain.instruments import InstrumentId
from squareoff.exchange.book import Depth
from squareoff.exchange.ledger import ZERO
from squareoff.simulator.catalogue import Listing
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.packets import EMPTY_DEPTH, FeedImage
from squareoff.simulator.wire import ist_clock_as_epoch

PRINTS_MAX = 256
"""Prints kept per instrument for reads of the past: some seconds of a busy one."""


@dataclass(frozen=True, slots=True)
class MarketUpdate:
    """One step of the market. None or empty: unchanged. Rupees, units, UTC nanoseconds.

    `traded_quantity` is the size of this print; `volume` the day's, where the record has it.
    `recorded_ns` is when it happened in the recording, None for pushed prices.
    """

    instrument_id: InstrumentId
    last_price: Decimal | None = None
    traded_quantity: int | None = None
    volume: int | None = None
    open_interest: int | None = None
    depth: Depth | None = None
    recorded_ns: int | None = None
    average_price: Decimal | None = None
    total_buy_quantity: int | None = None
    total_sell_quantity: int | None = None
    day_open: Decimal | None = None
    day_high: Decimal | None = None
    day_low: Decimal | None = None
    available_quantity: int | None = None
    """What this print offers to our orders; None: as the matching rules say."""


@dataclass(slots=True)
class InstrumentDay:
    """What the broker knows of one instrument today."""

    listing: Listing
    last_price: Decimal | None = None
    last_trade_ns: int | None = None
    last_recorded_ns: int | None = None
    last_quantity: int = 0
    volume: int = 0
    turnover: Decimal = ZERO
    counted_quantity: int = 0
    recorded_average: Decimal | None = None
    open_interest: int = 0
    open_interest_high: int = 0
    open_interest_low: int = 0
    previous_open_interest: int = 0
    total_buy_quantity: int = 0
    total_sell_quantity: int = 0
    day_open: Decimal = ZERO
    day_high: Decimal = ZERO
    day_low: Decimal = ZERO
    depth: Depth = field(default=EMPTY_DEPTH)
    prints: deque[tuple[int, Decimal]] = field(default_factory=lambda: deque(maxlen=PRINTS_MAX))
    """When and at what price was traded, newest last."""

    def apply(self, update: MarketUpdate, now_ns: int) -> None:
        """Take one step of the market."""
        if update.last_price is not None:
            self._take_print(update.last_price, update, now_ns)
        if update.depth is not None:
            self.depth = update.depth
            self.total_buy_quantity = sum(level.quantity for level in update.depth.bids)
            self.total_sell_quantity = sum(level.quantity for level in update.depth.asks)
        if update.open_interest is not None:
            self._take_interest(update.open_interest)
        if update.total_buy_quantity is not None:
            self.total_buy_quantity = update.total_buy_quantity
        if update.total_sell_quantity is not None:
            self.total_sell_quantity = update.total_sell_quantity

    def print_at(self, at_ns: int) -> tuple[int, Decimal] | None:
        """Return the newest print at an instant: time and rupees; None where none is known."""
        return next((one for one in reversed(self.prints) if one[0] <= at_ns), None)

    def begin_next_day(self) -> None:
        """Let the night pass: what the day ended with is the previous day's."""
        if self.last_price is not None:
            self.listing = replace(self.listing, previous_close=self.last_price)
        self.volume, self.turnover, self.counted_quantity = 0, ZERO, 0
        self.recorded_average = None
        self.previous_open_interest = self.open_interest
        self.open_interest_high = self.open_interest_low = 0
        self.day_open = self.day_high = self.day_low = ZERO

    def average_price(self) -> Decimal:
        """Average traded price of the day, rupees; the last price where nothing was counted."""
        if self.recorded_average is not None:
            return self.recorded_average
        if self.counted_quantity:
            return round(self.turnover / self.counted_quantity, 2)
        return self.last_price or ZERO

    def _take_print(self, price: Decimal, update: MarketUpdate, now_ns: int) -> None:
        quantity = update.traded_quantity or 0
        self.last_price, self.last_trade_ns = price, now_ns
        self.prints.append((now_ns, price))
        self.last_recorded_ns = update.recorded_ns
        self.last_quantity = quantity or self.last_quantity
        self.volume = self.volume + quantity if update.volume is None else update.volume
        self.counted_quantity += quantity
        self.turnover += price * quantity
        self.recorded_average = update.average_price
        self.day_open = update.day_open or self.day_open or price
        self.day_high = update.day_high or max(self.day_high, price)
        self.day_low = update.day_low or (min(self.day_low, price) if self.day_low else price)

    def _take_interest(self, interest: int) -> None:
        self.open_interest = interest
        self.open_interest_high = max(self.open_interest_high, interest)
        lowest = self.open_interest_low
        self.open_interest_low = min(lowest, interest) if lowest else interest

    def feed_image(self, conduct: BrokerConduct, now_ns: int) -> FeedImage:
        """Return what the feed's packets say now."""
        traded_ns = now_ns if self.last_trade_ns is None else self.last_trade_ns
        if conduct.feed_last_trade_time == "recorded" and self.last_recorded_ns is not None:
            traded_ns = self.last_recorded_ns
        previous = self.listing.previous_close if conduct.feed_close_field == "previous" else ZERO
        return FeedImage(
            exchange_segment=self.listing.instrument_id.exchange_segment,
            security_id=self.listing.instrument_id.security_id,
            last_price=float(self.last_price or 0),
            last_trade_time=ist_clock_as_epoch(traded_ns),
            last_quantity=self.last_quantity,
            average_price=self.average_price(),
            volume=self.volume,
            total_sell_quantity=self.total_sell_quantity,
            total_buy_quantity=self.total_buy_quantity,
            open_interest=self.open_interest,
            open_interest_high=self.open_interest_high,
            open_interest_low=self.open_interest_low,
            day_open=self.day_open,
            close=previous,
            day_high=self.day_high,
            day_low=self.day_low,
            depth=self.depth,
        )


class MarketClock:
    """Market time of a replay: runs `speed` times as fast as real time, can be held and moved.

    Market time is nanoseconds since the replay's start.
    """

    def __init__(self, now_ns: int, speed: float = 1.0) -> None:
        self.speed = speed
        self.is_paused = False
        self._real_ns = now_ns
        self._market_ns = 0

    def market_ns(self, now_ns: int) -> int:
        """Return the market time at real time `now_ns`."""
        if self.is_paused:
            return self._market_ns
        return self._market_ns + round((now_ns - self._real_ns) * self.speed)

    def real_due_ns(self, market_ns: int) -> int | None:
        """Return when market time reaches `market_ns`, None while it does not run."""
        if market_ns <= self._market_ns:
            return self._real_ns
        if self.is_paused or self.speed <= 0:
            return None
        return self._real_ns + -int(-(market_ns - self._market_ns) // self.speed)

    def move_to(self, market_ns: int, now_ns: int) -> None:
        """Set the market time."""
        self._market_ns, self._real_ns = market_ns, now_ns

    def set_speed(self, speed: float, now_ns: int) -> None:
        """Go on from here at another speed."""
        self.move_to(self.market_ns(now_ns), now_ns)
        self.speed = speed

    def set_paused(self, is_paused: bool, now_ns: int) -> None:
        """Hold the market time, or let it run on from where it was held."""
        self.move_to(self.market_ns(now_ns), now_ns)
        self.is_paused = is_paused
