"""Random streams: positions with rules, prints good and bad, and what else happens meanwhile.

Everything is plain text and numbers, so that engine and reference share no meaning. Numbers are
coarse on purpose: levels meet each other and the prices, and rounding decides.
"""

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

TICKS = ("0.05", "0.05", "0.01", "0.0025", "1", "0.1")
START_SECOND = 1_781_084_997


@dataclass(frozen=True)
class Take:
    """A position comes under watch, or changes its rules."""

    name: str
    is_long: bool
    quantity: int
    entry: str
    rules: dict[str, Any]


@dataclass(frozen=True)
class Print:
    """A packet of the feed: so many ticks, traded at this second, received so much later; one that
    is bare is without the day's range and volume."""

    price: str
    traded: int
    age_seconds: int
    day_high: str
    day_low: str
    is_bare: bool
    volume: int


@dataclass(frozen=True)
class Look:
    """Who takes part in the day's range is looked at, so many seconds after the epoch."""

    second: int


@dataclass(frozen=True)
class Reconnect:
    """The feed came back."""


@dataclass(frozen=True)
class Restart:
    """The process came back, with what was durable."""


Step = Take | Print | Look | Reconnect | Restart


@dataclass(frozen=True)
class Stream:
    """One instrument's day. `lowest` and `highest` are its circuit, None for none; `tells_range`
    says whether packets tell the day's high and low."""

    seed: int
    tick: str
    spike_percent: str
    lowest: str | None
    highest: str | None
    tells_range: bool
    steps: list[Step]


def make_stream(seed: int) -> Stream:
    """Return the stream of this seed."""
    return _Maker(seed).make()


class _Maker:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = random.Random(seed)
        # Apart, so that a seed goes on to mean the prints that it meant before there were ranges.
        self._range_chance = random.Random(f"range {seed}")
        self._bare_chance = random.Random(f"bare {seed}")
        self._is_bare = False
        self._slide_chance = random.Random(f"slide {seed}")
        self._slide: list[int] = []
        self._volume = 0
        self._tick = Decimal(self._chance.choice(TICKS))
        self._at = self._chance.randint(300, 4_000)
        self._second = START_SECOND
        self._high = self._low = self._at
        self._taken: list[Take] = []
        self._steps: list[Step] = []

    def make(self) -> Stream:
        chance = self._chance
        lowest = highest = None
        if chance.random() < 0.3:
            lowest = str(self._tick * (self._at * 8 // 10))
            highest = str(self._tick * (self._at * 12 // 10))
        for number in range(chance.randint(1, 6)):
            self._take(f"p{number}")
        for _ in range(chance.randint(10, 90)):
            self._step()
        spike = chance.choice(("15", "15", "5", "2.5", "60"))
        tells_range = self._range_chance.random() < 0.7
        return Stream(self._seed, str(self._tick), spike, lowest, highest, tells_range, self._steps)

    def _step(self) -> None:
        draw = self._chance.random()
        if self._range_chance.random() < 0.25:
            self._steps.append(Look(self._second))
        if draw < 0.02:
            self._take(f"p{len(self._taken)}")
        elif draw < 0.05:
            self._change(self._chance.choice(self._taken))
        elif draw < 0.06:
            self._steps.append(Reconnect())
        elif draw < 0.07:
            self._steps.append(Restart())
        else:
            self._print()

    def _print(self) -> None:
        chance = self._chance
        self._at = max(20, self._at + chance.choice((-9, -3, -2, -1, -1, 0, 0, 1, 1, 2, 3, 9)))
        at, traded, age = self._at, self._second, chance.choice((0, 0, 0, 1, 3))
        draw = chance.random()
        if draw < 0.02:
            at = max(1, at * chance.choice((50, 80, 90, 97, 103, 110, 120, 150)) // 100)
        elif draw < 0.03:
            self._at = at = max(20, at * chance.choice((94, 97, 103, 106)) // 100)
        elif draw < 0.05:
            traded -= chance.randint(1, 3)
        elif draw < 0.07:
            age = chance.choice((6, 7, 60))
        at = self._slid(at)
        self._widen(at)
        self._second += chance.choice((0, 0, 0, 1, 2))
        high, low = str(self._tick * self._high), str(self._tick * self._low)
        # Packets without the range come in runs, as a mode of the feed does.
        if self._bare_chance.random() < (0.3 if self._is_bare else 0.04):
            self._is_bare = not self._is_bare
        price = str(self._tick * at)
        # Some packets tell the trade before them once more, for the book alone has moved.
        self._volume += self._slide_chance.random() < 0.8
        self._steps.append(Print(price, traded, age, high, low, self._is_bare, self._volume))

    def _slid(self, at: int) -> int:
        """Return a price of a fast move, in which each print is far from the one before it."""
        chance = self._slide_chance
        if not self._slide and chance.random() < 0.02:
            steps = chance.choice(
                ((80, 60), (80, 60, 40, 20, 1), (125, 160, 200), (80, 80), (1, 1))
            )
            self._slide = list(steps)
        if not self._slide:
            return at
        share = self._slide[0]
        if chance.random() < 0.8:
            self._slide.pop(0)
        return max(1, at * share // 100 + chance.choice((0, 0, 0, 1, -1)))

    def _widen(self, at: int) -> None:
        """Let the day's range hold this print, most of the time, and what nobody saw, sometimes."""
        chance, traded = self._range_chance, [self._at]
        if chance.random() < 0.95:
            traded.append(at)
        if chance.random() < 0.08:
            traded.append(max(1, self._at + chance.randint(-30, 30)))
        self._high, self._low = max(self._high, *traded), min(self._low, *traded)

    def _take(self, name: str) -> None:
        chance = self._chance
        entry = self._tick * (self._at + chance.randint(-15, 15))
        if chance.random() < 0.15:
            entry += Decimal(chance.randint(0, 99)) / 10_000
        if chance.random() < 0.03:
            entry = Decimal(0)
        take = Take(
            name, chance.random() < 0.5, chance.choice((1, 25, 75)), str(entry), self._rules()
        )
        self._taken.append(take)
        self._steps.append(take)

    def _change(self, take: Take) -> None:
        self._steps.append(Take(take.name, take.is_long, take.quantity, take.entry, self._rules()))

    def _rules(self) -> dict[str, Any]:
        chance, rules = self._chance, {}
        makers = {
            "stop_loss": self._fixed,
            "target": self._fixed,
            "trailing": self._trailing,
            "break_even": self._break_even,
            "tiers": self._tiers,
            "peak_drawdown": self._peak_drawdown,
        }
        for name, make in makers.items():
            if chance.random() < 0.45:
                rules[name] = make()
        return rules

    def _points(self, low: int = 1, high: int = 40) -> str:
        """Return some ticks in rupees, seldom off the grid."""
        points = self._tick * self._chance.randint(low, high)
        if self._chance.random() < 0.1:
            points += self._tick / 3
            points = points.quantize(Decimal("0.000001"))
        return str(points)

    def _percent(self, *choices: str) -> str:
        return self._chance.choice(choices or ("0.1", "0.25", "0.5", "1", "1.5", "3"))

    def _fixed(self) -> dict[str, str]:
        kind = self._chance.choice(("points", "points", "percent", "rupees"))
        if kind == "points":
            return {"points": self._points()}
        if kind == "percent":
            return {"percent": self._percent()}
        return {"rupees": self._points(1, 900)}

    def _trailing(self) -> dict[str, str]:
        chance = self._chance
        rule = {"points": self._points(1, 25)}
        if chance.random() < 0.4:
            rule = {"percent": self._percent()}
        if chance.random() < 0.3:
            rule["activate_at_profit_points"] = self._points(1, 20)
        if chance.random() < 0.2:
            rule["activate_at_profit_percent"] = self._percent()
        if chance.random() < 0.3:
            rule["step"] = self._points(1, 12)
        return rule

    def _break_even(self) -> dict[str, str]:
        if self._chance.random() < 0.3:
            return {"at_profit_percent": self._percent(), "lock_points": self._points(0, 2)}
        return {"at_profit_points": self._points(3, 15), "lock_points": self._points(0, 2)}

    def _tiers(self) -> list[dict[str, str]]:
        steps = (("0.2", "-0.1"), ("0.5", "0.1"), ("1", "0.4"), ("2", "1.5"))
        chosen = self._chance.sample(steps, self._chance.randint(1, 3))
        return [{"at_profit_percent": at, "stop_at_profit_percent": stop} for at, stop in chosen]

    def _peak_drawdown(self) -> dict[str, str]:
        rule = {"percent": self._percent("10", "33.3", "40", "50", "75", "100")}
        if self._chance.random() < 0.5:
            rule["activate_at_profit_percent"] = self._percent("0.1", "0.3", "1")
        return rule
