"""Judge prices by docs/rules.md, one position after the other, in exact fractions.

Written from that page alone; nothing of the engine is used. Prices are rupees, times are whole
seconds. What matters here is that each line can be held against a line of the page.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from exact_fractions import Fraction

Rules = dict[str, Any]
"""As in the API: `{"stop_loss": {"price": "140.00"}, ...}`."""

MOVING_RULES = ("trailing", "break_even", "tiers", "peak_drawdown")


@dataclass
class Holding:
    """A position as its owner sees it."""

    name: str
    is_long: bool
    quantity: int
    entry: Fraction
    rules: Rules
    best: Fraction | None = None
    reached: tuple[Fraction, str] | None = None
    has_fired: bool = False
    put_down: int | None = None
    takes_part: bool = False


@dataclass(frozen=True)
class Fired:
    """What fired: on which print (counted from 0), for whom, by which rule, level and price."""

    print_number: int
    name: str
    rule: str
    level: Fraction
    price: Fraction


@dataclass(frozen=True)
class Trade:
    """A print: its price, when it was traded, how old it came, and the day's volume with it."""

    price: Fraction
    traded: int
    age: Fraction
    volume: int | None


@dataclass
class Market:
    """One instrument."""

    tick: Fraction
    stale_seconds: Fraction
    spike_percent: Fraction
    lowest: Fraction | None = None
    highest: Fraction | None = None
    holdings: list[Holding] = field(default_factory=list)
    last_good: Fraction | None = None
    unconfirmed: Fraction | None = None
    unconfirmed_trade: tuple[int, int | None] = 0, None
    newest_time: int | None = None
    heard_traded: int = 0
    stale_traded: int = 0
    high: Fraction | None = None
    low: Fraction | None = None

    def reconnect(self) -> None:
        """Nothing that was seen before confirms anything."""
        self.unconfirmed = self.newest_time = None

    def restart(self) -> None:
        """The process knows its positions and nothing of the market."""
        self.last_good = self.unconfirmed = self.newest_time = self.high = self.low = None
        self.heard_traded = self.stale_traded = 0
        for holding in self.holdings:
            holding.put_down, holding.takes_part = None, False

    def look(self, second: int) -> None:
        """Put down who is new, and let those take part whose instrument has traded since."""
        for holding in self.holdings:
            if holding.put_down is None:
                holding.put_down = second
            elif self.high is not None:
                newest = max(self.heard_traded, self.stale_traded)
                holding.takes_part |= newest >= holding.put_down + 2

    def miss_range(self) -> None:
        """A print came in a packet without the day's range: the next range is a first one."""
        self.high = self.low = None

    def see_range(self, number: int, high: Fraction, low: Fraction, tick: Trade) -> list[Fired]:
        """Take in the day's range, told with a trade; return what it fires."""
        if self.high is None or self.low is None:
            self.high, self.low = high, low
            for holding in self.holdings:
                if holding.takes_part:
                    holding.put_down, holding.takes_part = None, False
            return []
        known_high, known_low = self.high, self.low
        self.high, self.low = max(high, known_high), min(low, known_low)
        shown_low = low if low < known_low and self._shows(low, tick) else None
        shown_high = high if high > known_high and self._shows(high, tick) else None
        fired = []
        for holding in self.holdings:
            if holding.has_fired or not holding.takes_part:
                continue
            falling, rising = self._levels(holding)
            if shown_low is not None and falling is not None and shown_low <= falling[0]:
                hit, price = falling, shown_low
            elif shown_high is not None and rising is not None and shown_high >= rising[0]:
                hit, price = rising, shown_high
            else:
                continue
            holding.has_fired = True
            fired.append(Fired(number, holding.name, hit[1], hit[0], price))
        for holding in self.holdings:
            best = shown_high if holding.is_long else shown_low
            if best is not None and holding.takes_part:
                self._learn(holding, best)
        return fired

    def _shows(self, price: Fraction, tick: Trade) -> bool:
        measure = self._measure()
        if measure is None or self._is_far(price, measure):
            return False
        if self.lowest is not None and price < self.lowest:
            return False
        if self.highest is not None and price > self.highest:
            return False
        if price != tick.price:
            return True
        before = self.last_good, self.unconfirmed, self.newest_time, self.unconfirmed_trade
        told = self._counts_for(tick)
        self.last_good, self.unconfirmed, self.newest_time, self.unconfirmed_trade = before
        return told is None

    def see(self, number: int, trade: Trade) -> list[Fired]:
        """Take in a print; return what it fires."""
        if self._is_inside(trade.price) or self._is_stale(trade):
            self.stale_traded = max(trade.traded, self.stale_traded)
        price = self._counts_for(trade)
        if price is None:
            return []
        self.heard_traded = trade.traded
        fired = []
        for holding in self.holdings:
            hit = None if holding.has_fired else self._hit(holding, price)
            if hit is not None:
                level, rule = hit
                holding.has_fired = True
                fired.append(Fired(number, holding.name, rule, level, price))
        for holding in self.holdings:
            self._learn(holding, price)
        return fired

    def stop(self, holding: Holding) -> tuple[Fraction, str] | None:
        """Return where the stop stands, and by which rule."""
        found = list(self._fixed(holding, "stop_loss"))
        if holding.best is not None:
            found.extend(self._moving(holding, holding.best))
        if holding.reached is not None:
            found.append(holding.reached)
        return _tightest(holding, found)

    def _counts_for(self, trade: Trade) -> Fraction | None:
        """Return the price that is good by this print, None for none."""
        if self._is_stale(trade) or self._tells_again(trade) or not self._is_inside(trade.price):
            return None
        self.newest_time = min(trade.traded, int(trade.traded + trade.age + 5))
        price, measure, first = trade.price, self._measure(), self.unconfirmed
        if measure is None or not self._is_far(price, measure):
            good: Fraction | None = price
        elif first is None:
            good = None
        elif not self._is_far(price, first):
            good = price
        elif (price - measure) * (first - measure) > 0:
            good = min(price, first, key=lambda each: abs(each - measure))
        else:
            good = None
        self.last_good = measure if good is None else good
        if good == price:
            self.unconfirmed = None
        else:
            self.unconfirmed, self.unconfirmed_trade = price, (trade.traded, trade.volume)
        return good

    def _is_inside(self, price: Fraction) -> bool:
        if self.lowest is not None and price < self.lowest:
            return False
        return self.highest is None or price <= self.highest

    def _tells_again(self, trade: Trade) -> bool:
        """Say whether this is the trade that stands unconfirmed, for all that is known."""
        traded, volume = self.unconfirmed_trade
        if trade.price != self.unconfirmed or trade.traded != traded:
            return False
        return None in (volume, trade.volume) or volume == trade.volume

    def _is_stale(self, trade: Trade) -> bool:
        if self.newest_time is None:
            return trade.age > self.stale_seconds + 1
        return trade.traded < self.newest_time

    def _measure(self) -> Fraction | None:
        if self.last_good is not None:
            return self.last_good
        entries = [holding.entry for holding in self.holdings if holding.entry > 0]
        return entries[0] if entries else None

    def _is_far(self, price: Fraction, measure: Fraction) -> bool:
        distance = abs(price - measure)
        return distance > self.tick and distance > measure * self.spike_percent / 100

    def _hit(self, holding: Holding, price: Fraction) -> tuple[Fraction, str] | None:
        falling, rising = self._levels(holding)
        if falling is not None and price <= falling[0]:
            return falling
        if rising is not None and price >= rising[0]:
            return rising
        return None

    def _levels(
        self, holding: Holding
    ) -> tuple[tuple[Fraction, str] | None, tuple[Fraction, str] | None]:
        """Return where a position fires on falling and on rising prices."""
        stop = self.stop(holding)
        target = next(self._fixed(holding, "target"), None)
        return (stop, target) if holding.is_long else (target, stop)

    def _learn(self, holding: Holding, price: Fraction) -> None:
        """A better price than any before may move the stop, and never loosens it."""
        if not any(holding.rules.get(name) for name in MOVING_RULES):
            return
        if holding.best is not None and not _is_better(holding, price, holding.best):
            return
        holding.best = price
        moved = _tightest(holding, list(self._moving(holding, price)))
        if moved is None:
            return
        if holding.reached is None or not _is_better(holding, holding.reached[0], moved[0]):
            holding.reached = moved

    def _fixed(self, holding: Holding, name: str) -> Iterator[tuple[Fraction, str]]:
        rule = holding.rules.get(name)
        if rule is None or (holding.entry <= 0 and "price" not in rule):
            return
        wins = name == "target"
        up = _up(holding) if wins else -_up(holding)
        if "price" in rule:
            price = Fraction(rule["price"])
        elif "points" in rule:
            price = holding.entry + up * Fraction(rule["points"])
        elif "percent" in rule:
            price = holding.entry + up * holding.entry * Fraction(rule["percent"]) / 100
        else:
            price = holding.entry + up * Fraction(rule["rupees"]) / holding.quantity
        yield self._to_grid(price, upward=holding.is_long == wins), name

    def _moving(self, holding: Holding, best: Fraction) -> Iterator[tuple[Fraction, str]]:
        if holding.entry <= 0:
            return
        for name in MOVING_RULES:
            rule = holding.rules.get(name)
            price = None if not rule else MEANINGS[name](holding, rule, best)
            if price is not None:
                yield self._to_grid(price, upward=not holding.is_long), name

    def _to_grid(self, price: Fraction, *, upward: bool) -> Fraction:
        whole = price / self.tick
        return (-(-whole // 1) if upward else whole // 1) * self.tick


def _trailing(holding: Holding, rule: Rules, best: Fraction) -> Fraction | None:
    gained = _profit(holding, best)
    if "activate_at_profit_points" in rule and gained < Fraction(rule["activate_at_profit_points"]):
        return None
    if "activate_at_profit_percent" in rule and gained < _share(
        holding, rule["activate_at_profit_percent"]
    ):
        return None
    if "points" in rule:
        distance = Fraction(rule["points"])
    else:
        distance = best * Fraction(rule["percent"]) / 100
    price = best - _up(holding) * distance
    if "step" in rule:
        step = Fraction(rule["step"])
        price = holding.entry + _up(holding) * (_profit(holding, price) // step) * step
    return price


def _break_even(holding: Holding, rule: Rules, best: Fraction) -> Fraction | None:
    gained = _profit(holding, best)
    if "at_profit_points" in rule:
        needed = Fraction(rule["at_profit_points"])
    else:
        needed = _share(holding, rule["at_profit_percent"])
    if gained < needed:
        return None
    return holding.entry + _up(holding) * Fraction(rule.get("lock_points", "0"))


def _tiers(holding: Holding, tiers: list[Rules], best: Fraction) -> Fraction | None:
    gained = _profit(holding, best)
    locked = [
        Fraction(tier["stop_at_profit_percent"])
        for tier in tiers
        if gained >= _share(holding, tier["at_profit_percent"])
    ]
    return holding.entry + _up(holding) * holding.entry * max(locked) / 100 if locked else None


def _peak_drawdown(holding: Holding, rule: Rules, best: Fraction) -> Fraction | None:
    gained = _profit(holding, best)
    if gained <= 0 or gained < _share(holding, rule.get("activate_at_profit_percent", "0")):
        return None
    kept = gained - gained * Fraction(rule["percent"]) / 100
    return holding.entry + _up(holding) * kept


MEANINGS: dict[str, Any] = {
    "trailing": _trailing,
    "break_even": _break_even,
    "tiers": _tiers,
    "peak_drawdown": _peak_drawdown,
}


def _up(holding: Holding) -> int:
    """Which way is profit."""
    return 1 if holding.is_long else -1


def _profit(holding: Holding, price: Fraction) -> Fraction:
    return (price - holding.entry) * _up(holding)


def _share(holding: Holding, percent: str) -> Fraction:
    return holding.entry * Fraction(percent) / 100


def _is_better(holding: Holding, price: Fraction, than: Fraction) -> bool:
    return price > than if holding.is_long else price < than


def _tightest(holding: Holding, found: list[tuple[Fraction, str]]) -> tuple[Fraction, str] | None:
    best: tuple[Fraction, str] | None = None
    for level in found:
        if best is None or _is_better(holding, level[0], best[0]):
            best = level
    return best
