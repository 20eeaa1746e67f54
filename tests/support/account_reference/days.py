"""Random days of an account: positions on several instruments, prices, closes, gaps.

Everything is plain text and numbers, so that engine and reference share no meaning. Numbers are
coarse on purpose: sums meet the levels exactly.
"""

import random
from dataclasses import dataclass
from decimal import Decimal

TICK = Decimal("0.05")
INSTRUMENTS = ("101", "102", "103")


@dataclass(frozen=True)
class Take:
    """A position comes under watch."""

    name: str
    instrument: str
    is_long: bool
    quantity: int
    entry: str


@dataclass(frozen=True)
class Close:
    """Some units of a position are closed: by our exit order, or by somebody else."""

    name: str
    quantity: int
    price: str
    is_ours: bool


@dataclass(frozen=True)
class Print:
    """A good price."""

    instrument: str
    price: str


@dataclass(frozen=True)
class Lost:
    """The connection of the prices ended."""


@dataclass(frozen=True)
class Stood:
    """A loss of the known part has stood for as long as it must."""


@dataclass(frozen=True)
class Restart:
    """The process came back, with what was durable."""


@dataclass(frozen=True)
class NextDay:
    """Midnight."""


Step = Take | Close | Print | Lost | Stood | Restart | NextDay


@dataclass(frozen=True)
class Day:
    """Rules in rupees, "" where not set, and what happens."""

    max_loss: str
    target: str
    trailing: str
    activation: str
    steps: list[Step]


def make_day(seed: int) -> Day:
    """Return the day of this seed."""
    return _Maker(seed).make()


class _Maker:
    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._at = {name: self._chance.randint(400, 3_000) for name in INSTRUMENTS}
        self._open: dict[str, tuple[str, int]] = {}
        self._share_of_the_last = self._chance.choice((0.1, 10))
        self._count = 0
        self._steps: list[Step] = []

    def make(self) -> Day:
        chance = self._chance
        for _ in range(chance.randint(1, 4)):
            self._take()
        for _ in range(chance.randint(20, 120)):
            self._step()
        return Day(
            max_loss=self._money(0.6, 2, 40),
            target=self._money(0.5, 5, 60),
            trailing=self._money(0.6, 2, 30),
            activation=self._money(0.6, 0, 20),
            steps=self._steps,
        )

    def _money(self, share: float, low: int, high: int) -> str:
        chance = self._chance
        return str(chance.randint(low, high) * 25) if chance.random() < share else ""

    def _step(self) -> None:
        chance, draw = self._chance, self._chance.random()
        if draw < 0.05:
            self._take()
        elif draw < 0.13 and self._open:
            self._close()
        elif draw < 0.15:
            self._steps.append(Lost())
        elif draw < 0.25:
            self._steps.append(Stood())
        elif draw < 0.26:
            self._steps.append(Restart())
        elif draw < 0.265:
            self._steps.append(NextDay())
        else:
            (name,) = chance.choices(INSTRUMENTS, (10, 10, self._share_of_the_last))
            self._at[name] = max(20, self._at[name] + chance.choice((-60, -10, -1, 0, 1, 10, 60)))
            self._steps.append(Print(name, str(TICK * self._at[name])))

    def _take(self) -> None:
        chance = self._chance
        name, instrument = f"p{self._count}", chance.choice(INSTRUMENTS)
        self._count += 1
        entry = TICK * (self._at[instrument] + chance.randint(-10, 10))
        if chance.random() < 0.2:
            entry += Decimal(chance.randint(1, 99_999_999)).scaleb(-8)
        quantity = chance.choice((1, 25, 75))
        self._open[name] = instrument, quantity
        self._steps.append(Take(name, instrument, chance.random() < 0.5, quantity, str(entry)))

    def _close(self) -> None:
        chance = self._chance
        name = chance.choice(sorted(self._open))
        instrument, held = self._open[name]
        quantity = chance.randint(1, held) if chance.random() < 0.5 else held
        price = TICK * (self._at[instrument] + chance.randint(-3, 3))
        if chance.random() < 0.3:
            price += Decimal(chance.randint(1, 9_999)).scaleb(-8)
        self._open[name] = instrument, held - quantity
        if held == quantity:
            del self._open[name]
        self._steps.append(Close(name, quantity, str(price), chance.random() < 0.7))
