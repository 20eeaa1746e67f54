"""Judge prices by docs/rules.md, one position after the other, in exact fractions.

Written from that page alone; nothing of the engine is used. Prices are rupees, times are whole
seconds. What matters here is that each line can be held against a line of the page.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

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


@dataclass(frozen=True)
class Fired:
    """What fired: on which print (counted from 0), for whom, by which rule, level and price."""

    print_number: int
    name: str
    rule: str
    level: Fraction
    price: Fraction


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
    newest_time: int | None = None

    def reconnect(self) -> None:
        """Nothing that was seen before confirms anything."""
        self.unconfirmed = self.newest_time = None

    def restart(self) -> None:
        """The process knows its positions and nothing of the market."""
        self.last_good = self.unconfirmed = self.newest_time = None

    def see(self, number: int, price: Fraction, traded: int, age: Fraction) -> list[Fired]:
        """Take in a print; return what it fires."""
        if not self._is_good(price, traded, age):
            return []
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

    def _is_good(self, price: Fraction, traded: int, age: Fraction) -> bool:
        if self.newest_time is not None and traded < self.newest_time:
            return False
        if self.newest_time is None and age > self.stale_seconds + 1:
            return False
        if self.lowest is not None and price < self.lowest:
            return False
        if self.highest is not None and price > self.highest:
            return False
        self.newest_time = traded
        measure = self.last_good
        if measure is None:
            entries = [holding.entry for holding in self.holdings if holding.entry > 0]
            measure = entries[0] if entries else None
        confirmed = self.unconfirmed is not None and not self._is_far(price, self.unconfirmed)
        if measure is not None and self._is_far(price, measure) and not confirmed:
            self.last_good, self.unconfirmed = measure, price
            return False
        self.last_good, self.unconfirmed = price, None
        return True

    def _is_far(self, price: Fraction, measure: Fraction) -> bool:
        return abs(price - measure) > measure * self.spike_percent / 100

    def _hit(self, holding: Holding, price: Fraction) -> tuple[Fraction, str] | None:
        stop = self.stop(holding)
        target = next(self._fixed(holding, "target"), None)
        falling, rising = (stop, target) if holding.is_long else (target, stop)
        if falling is not None and price <= falling[0]:
            return falling
        if rising is not None and price >= rising[0]:
            return rising
        return None

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
