"""The rules of an account as docs/rules.md tells them, by walking over everything each time.

Written from that page alone, in exact fractions of rupees; nothing of the engine is used. Each line
can be held against a line of the page.
"""

from dataclasses import dataclass, field

from exact_fractions import Fraction


@dataclass
class Holding:
    """A position: what was closed of it before today and since, as (units, price)."""

    name: str
    instrument: str
    is_long: bool
    quantity: int
    entry: Fraction
    closed_before: list[tuple[int, Fraction]] = field(default_factory=list)
    closed_today: list[tuple[int, Fraction]] = field(default_factory=list)

    @property
    def held(self) -> int:
        """The units that are held."""
        return self.quantity - sum(n for n, _ in self.closed_before + self.closed_today)

    def gain(self, units: int, price: Fraction) -> Fraction:
        """Return what units closed at a price bring."""
        return units * (price - self.entry if self.is_long else self.entry - price)


@dataclass(frozen=True)
class Rules:
    """Rupees; None where a rule is not set. `trailing` is the distance and the activation."""

    max_loss: Fraction | None
    target: Fraction | None
    trailing: tuple[Fraction, Fraction] | None


@dataclass(frozen=True)
class Fired:
    """The rule that is named, its level, and the P&L seen; `also` are those spent with it."""

    rule: str
    level: Fraction
    pnl: Fraction
    also: frozenset[str]


@dataclass
class Account:
    """One account, and everything that is known of its day."""

    rules: Rules
    holdings: list[Holding] = field(default_factory=list)
    good: dict[str, Fraction] = field(default_factory=dict)
    old: dict[str, Fraction] = field(default_factory=dict)
    peak: Fraction | None = None
    spent: set[str] = field(default_factory=set)

    def see(self, instrument: str, price: Fraction) -> Fired | None:
        """A good price of an instrument that is held, or was."""
        self.good[instrument] = price
        return self.judge()

    def lose_connection(self) -> None:
        """The connection ended; last prices are remembered."""
        self.old |= self.good
        self.good.clear()

    def begin_day(self) -> None:
        """A new day begins afresh."""
        self.good.clear()
        self.old.clear()
        self.peak = None
        self.spent.clear()
        for holding in self.holdings:
            holding.closed_before += holding.closed_today
            holding.closed_today.clear()

    def net(self, instrument: str) -> int:
        """Return the signed units of an instrument."""
        return sum(
            holding.held if holding.is_long else -holding.held
            for holding in self.holdings
            if holding.instrument == instrument
        )

    def open_gain(self, instrument: str, price: Fraction) -> Fraction:
        """Return the open P&L of an instrument at a price."""
        return sum(
            (h.gain(h.held, price) for h in self.holdings if h.instrument == instrument),
            Fraction(0),
        )

    def forget_unheld(self) -> None:
        """Prices of what is not held are not heard."""
        for instrument in list(self.good):
            if self.net(instrument) == 0:
                self.old[instrument] = self.good.pop(instrument)

    def is_missing(self, instrument: str) -> bool:
        """Say whether the price of an instrument is needed and not there."""
        return instrument not in self.good and self.net(instrument) != 0

    @property
    def instruments(self) -> set[str]:
        """All instruments of positions."""
        return {holding.instrument for holding in self.holdings}

    @property
    def known_part(self) -> Fraction:
        """What is realised today, and open where the price is known or does not matter."""
        realised = sum(
            (h.gain(n, price) for h in self.holdings for n, price in h.closed_today), Fraction(0)
        )
        return realised + sum(
            (
                self.open_gain(name, self.good.get(name, Fraction(0)))
                for name in self.instruments
                if not self.is_missing(name)
            ),
            Fraction(0),
        )

    @property
    def pnl(self) -> Fraction | None:
        """The day's P&L, None where it is not known."""
        missing = any(self.is_missing(name) for name in self.instruments)
        return None if missing else self.known_part

    @property
    def at_its_best(self) -> Fraction:
        """The known part, with the rest at its last price where that was a gain, else nothing."""
        gains = (
            self.open_gain(name, self.old[name])
            for name in self.instruments
            if self.is_missing(name) and name in self.old
        )
        return self.known_part + sum((gain for gain in gains if gain > 0), Fraction(0))

    @property
    def trailing_stop(self) -> Fraction | None:
        """Where the trailing fires, None before its activation."""
        if self.rules.trailing is None or self.peak is None:
            return None
        return self.peak - self.rules.trailing[0]

    def judge(self) -> Fired | None:
        """Judge the P&L as it is now."""
        pnl, rules = self.pnl, self.rules
        if pnl is None:
            return None
        is_followed = rules.trailing is not None and "trailing" not in self.spent
        if is_followed and rules.trailing is not None and pnl >= rules.trailing[1]:
            self.peak = pnl if self.peak is None else max(self.peak, pnl)
        reached: list[tuple[str, Fraction]] = []
        if rules.max_loss is not None and pnl <= -rules.max_loss:
            reached.append(("max_loss", -rules.max_loss))
        stop = self.trailing_stop
        if stop is not None and pnl <= stop:
            reached.append(("trailing", stop))
        if rules.target is not None and pnl >= rules.target:
            reached.append(("target", rules.target))
        return self._fire(reached, pnl)

    def judge_the_rest(self) -> Fired | None:
        """Judge the maximum loss where prices are missing, and it has stood."""
        loss, pnl = self.rules.max_loss, self.at_its_best
        if self.pnl is not None or loss is None or pnl > -loss:
            return None
        if not any(name in self.good and self.net(name) for name in self.instruments):
            return None
        return self._fire([("max_loss", -loss)], pnl)

    def _fire(self, reached: list[tuple[str, Fraction]], pnl: Fraction) -> Fired | None:
        news = [(rule, level) for rule, level in reached if rule not in self.spent]
        if not news:
            return None
        self.spent |= {rule for rule, _ in news}
        rule, level = news[0]
        return Fired(rule, level, pnl, frozenset(name for name, _ in news[1:]))
