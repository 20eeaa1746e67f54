"""What a position's rules do with a list of prices, worked out step by step from scratch.

Everything is exact: prices are fractions, and at every price every rule is worked out anew from
the position and the best price seen so far. Nothing is remembered but that best price, the tightest
stop so far, and what the judgement of prices needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

SPIKE_PERCENT = 15
BROKER_TAKES_OVER = {"NSE_FNO": "15:20", "NSE_EQ": "15:20"}
SESSION = ("09:15:00", "15:30:00")


@dataclass(frozen=True)
class Print:
    """One price: when it was received, and what it was."""

    received: datetime
    price: Fraction

    @property
    def traded(self) -> datetime:
        """The exchange tells whole seconds."""
        return self.received.replace(microsecond=0)


@dataclass(frozen=True)
class Fired:
    """What fired, at which level and price and when; for rules about time, when it was due."""

    rule: str
    level: Fraction | None = None
    print: Print | None = None
    due: datetime | None = None


class PlainPosition:
    """One position as the caller of the API wrote it."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.rules: Mapping[str, Any] = written["rules"]
        self.entry = Fraction(written["entry_price"])
        self.tick = Fraction(written["tick_size"])
        self.quantity: int = written["quantity"]
        self.is_long = written["side"] == "LONG"
        self.is_intraday = written["product_type"] == "INTRADAY"
        self.segment: str = written["exchange_segment"]
        self.best: Fraction | None = None
        self.tightest: tuple[Fraction, str] | None = None

    def profit_at(self, price: Fraction) -> Fraction:
        """Return the profit of one unit."""
        return price - self.entry if self.is_long else self.entry - price

    def at_profit(self, points: Fraction) -> Fraction:
        """Return the price at which one unit has this profit (a loss below zero)."""
        return self.entry + points if self.is_long else self.entry - points

    def stops(self) -> list[tuple[Fraction, str]]:
        """Return every stop there is now, on the grid, each with its rule."""
        found = []
        if "stop_loss" in self.rules:
            rule = self.rules["stop_loss"]
            exact = Fraction(rule["price"]) if "price" in rule else self.at_profit(-self.off(rule))
            found.append((self.on_grid(exact, stop=True), "stop_loss"))
        if self.tightest is not None:
            found.append(self.tightest)
        return found

    def target(self) -> Fraction | None:
        """Return the target on the grid."""
        if "target" not in self.rules:
            return None
        rule = self.rules["target"]
        exact = Fraction(rule["price"]) if "price" in rule else self.at_profit(self.off(rule))
        return self.on_grid(exact, stop=False)

    def off(self, rule: Mapping[str, str]) -> Fraction:
        """Return how far from the entry a stop or target is."""
        if "points" in rule:
            return Fraction(rule["points"])
        if "percent" in rule:
            return self.entry * Fraction(rule["percent"]) / 100
        return Fraction(rule["rupees"]) / self.quantity

    def on_grid(self, exact: Fraction, *, stop: bool) -> Fraction:
        """Round to a tick: down where falling prices fire, up where rising ones do."""
        ticks = exact / self.tick
        falling = self.is_long == stop
        return (ticks.__floor__() if falling else ticks.__ceil__()) * self.tick

    def see(self, price: Fraction) -> None:
        """Take a price in: a new best one may move the stop, which never loosens."""
        if self.best is not None and self.profit_at(price) <= self.profit_at(self.best):
            return
        self.best = price
        for exact, rule in self.moving(price):
            stop = self.on_grid(exact, stop=True)
            if self.tightest is None or self.is_tighter(stop, self.tightest[0]):
                self.tightest = (stop, rule)

    def is_tighter(self, stop: Fraction, other: Fraction) -> bool:
        """Say whether a stop gives back less."""
        return stop > other if self.is_long else stop < other

    def moving(self, best: Fraction) -> list[tuple[Fraction, str]]:
        """Return where each moving rule puts its stop at this best price."""
        profit, found = self.profit_at(best), []
        rule = self.rules.get("trailing")
        if rule is not None and self.activated(rule, profit, "activate_at_profit"):
            far = rule.get("points")
            distance = Fraction(far) if far else best * Fraction(rule["percent"]) / 100
            locked = profit - distance
            if "step" in rule:
                step = Fraction(rule["step"])
                locked = (locked / step).__floor__() * step
            found.append((self.at_profit(locked), "trailing"))
        rule = self.rules.get("break_even")
        if rule is not None and self.activated(rule, profit, "at_profit"):
            found.append((self.at_profit(Fraction(rule.get("lock_points", "0"))), "break_even"))
        for tier in self.rules.get("tiers", ()):
            if self.activated(tier, profit, "at_profit"):
                kept = self.entry * Fraction(tier["stop_at_profit_percent"]) / 100
                found.append((self.at_profit(kept), "tiers"))
        rule = self.rules.get("peak_drawdown")
        if rule is not None and profit > 0 and self.activated(rule, profit, "activate_at_profit"):
            kept = profit * (100 - Fraction(rule["percent"])) / 100
            found.append((self.at_profit(kept), "peak_drawdown"))
        return found

    def activated(self, rule: Mapping[str, str], profit: Fraction, name: str) -> bool:
        """Say whether the profit has reached what the rule waits for."""
        needed = Fraction(rule.get(f"{name}_points", "0"))
        percent = Fraction(rule.get(f"{name}_percent", "0"))
        waits_for_points, waits_for_percent = f"{name}_points" in rule, f"{name}_percent" in rule
        return (not waits_for_points or profit >= needed) and (
            not waits_for_percent or profit >= self.entry * percent / 100
        )

    def fired_at(self, price: Fraction) -> tuple[str, Fraction] | None:
        """Return the rule and level that this price reaches."""
        stops = self.stops()
        if stops:
            tightest = stops[0]
            for stop in stops[1:]:
                tightest = stop if self.is_tighter(stop[0], tightest[0]) else tightest
            level, rule = tightest
            if (price <= level) if self.is_long else (price >= level):
                return rule, level
        target = self.target()
        if target is not None and ((price >= target) if self.is_long else (price <= target)):
            return "target", target
        return None

    def due(self, opened: datetime) -> tuple[datetime, str] | None:
        """Return the first instant at which a rule about time is due, on an ordinary day."""
        found = []
        if "square_off_at" in self.rules:
            latest = _clock(opened, "15:30") - timedelta(minutes=2)
            if self.is_intraday:
                latest = _clock(opened, BROKER_TAKES_OVER[self.segment]) - timedelta(minutes=2)
            begins = min(_clock(opened, self.rules["square_off_at"]), latest)
            found.append((begins, "square_off_at"))
        if "max_holding_minutes" in self.rules:
            minutes = timedelta(minutes=self.rules["max_holding_minutes"])
            found.append((opened + minutes, "max_holding_minutes"))
        return min(found, default=None)


def first_to_fire(
    written: Mapping[str, Any], opened: datetime, prints: Sequence[Print]
) -> Fired | None:
    """Return what fires first for a position that is held from `opened` on, None for nothing."""
    position = PlainPosition(written)
    due = position.due(opened)
    last_good, doubted = position.entry, None
    for each in prints:
        if each.received <= opened:
            continue
        if due is not None and each.received >= due[0] + timedelta(seconds=1):
            break
        if not _clock(each.traded, SESSION[0]) <= each.traded < _clock(each.traded, SESSION[1]):
            continue
        if _is_far(each.price, last_good) and (doubted is None or _is_far(each.price, doubted)):
            doubted = each.price
            continue
        last_good, doubted = each.price, None
        reached = position.fired_at(each.price)
        if reached is not None:
            if due is not None and each.received >= due[0]:
                raise ValueError(f"{each} and the time are due within the same second")
            return Fired(reached[0], reached[1], each)
        position.see(each.price)
    return None if due is None else Fired(due[1], due=due[0])


def _is_far(price: Fraction, other: Fraction) -> bool:
    return abs(price - other) * 100 > other * SPIKE_PERCENT


def _clock(day: datetime, text: str) -> datetime:
    parts = [int(part) for part in text.split(":")]
    return day.replace(
        hour=parts[0], minute=parts[1], second=parts[2] if len(parts) > 2 else 0, microsecond=0
    )
