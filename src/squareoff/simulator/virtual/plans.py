"""The positions of one run and the prices that hit them, drawn from the seed before the start."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal

from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument, InstrumentId, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import round_to_tick_down
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule

FOREIGN_SECURITY = "1333"
"""The instrument that only the other program trades."""

NAME_MINUTES = 1_000
"""A holding limit far beyond the run: `NAME_MINUTES + number` tells which plan a tracker is."""

ENTRY_LOTS_MAX = 20
"""An entry is one order, so it stays below the freeze quantity; exits are sliced."""

_STYLES = ("stop", "stop", "target", "trailing", "time", "manual", "manual", "none")
_DOWN, _UP = Decimal("0.94"), Decimal("1.06")
_LEVEL_PERCENTS = (Decimal(4), Decimal("0.6"))
"""How far stops and targets lie from the entry, by turns: one far off, one that every price is near
to, so that exits are also sized on positions that were read ahead."""


@dataclass(slots=True)
class PositionPlan:
    """One position of the run. Seconds count from the start."""

    number: int
    instrument: Instrument
    product_type: ProductType
    side: PositionSide
    quantity: int
    entry_price: Decimal
    style: str
    rules: RuleSet
    by_entry: bool
    opens_at: float
    fires_at: float
    callers: int
    is_held: bool = False
    is_abandoned: bool = False
    is_exit_asked: bool = False
    tracker_id: TrackerId | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Exchange segment, security id and product in plain text."""
        identity = self.instrument.instrument_id
        return identity.exchange_segment.value, identity.security_id, self.product_type.value


@dataclass(slots=True)
class PricePath:
    """The market of one instrument: small steps around `base` times the newest jump's factor.

    From `drifts_from` to `drifts_until` it also moves by `drift` of its base a second, and stays
    where that has brought it.
    """

    base: Decimal
    jumps: list[tuple[float, Decimal]] = field(default_factory=list)
    drift: Decimal = Decimal(0)
    drifts_from: float = 0.0
    drifts_until: float = 0.0

    def factor(self, now: float) -> Decimal:
        """Return the price at `now` as a multiple of the base, before the small steps."""
        jumped = next((factor for at, factor in reversed(self.jumps) if at <= now), Decimal(1))
        seconds = min(now, self.drifts_until) - self.drifts_from
        return jumped + self.drift * Decimal(max(0.0, seconds)) if self.drift else jumped


PlanMaker = Callable[
    [random.Random, Sequence[Instrument], dict[InstrumentId, PricePath], int, float],
    list[PositionPlan],
]
"""Chance, instruments, paths, number of positions, seconds -> the positions, jumps added."""


def draw_plans(
    chance: random.Random,
    instruments: Sequence[Instrument],
    paths: dict[InstrumentId, PricePath],
    count: int,
    chaos_seconds: float,
) -> list[PositionPlan]:
    """Return the positions; their jumps are added to `paths`."""
    plans: list[PositionPlan] = []
    free = [one for one in instruments if one.instrument_id.security_id != FOREIGN_SECURITY]
    for number in range(count):
        shares_key = plans and chance.random() < 0.5
        instrument = plans[-1].instrument if shares_key else chance.choice(free)
        twin = next((p for p in plans if p.instrument is instrument), None)
        side = twin.side if twin else chance.choice(list(PositionSide))
        path = paths[instrument.instrument_id]
        plan = _draw_plan(chance, number, instrument, side, path.base, chaos_seconds)
        _add_jumps(path, plan)
        plans.append(plan)
    return plans


def spread_entries(plans: Sequence[PositionPlan], seconds: float) -> None:
    """Let every second entry be asked for at a time of its own: entries go where exits wait."""
    entries = [plan for plan in plans if plan.by_entry][1::2]
    for number, plan in enumerate(entries, start=1):
        plan.opens_at = seconds * number / (len(entries) + 1)


def _draw_plan(
    chance: random.Random,
    number: int,
    instrument: Instrument,
    side: PositionSide,
    base: Decimal,
    chaos_seconds: float,
) -> PositionPlan:
    is_cash = instrument.instrument_id.exchange_segment.is_cash
    style = chance.choice(_STYLES)
    fires_at = chance.uniform(6.0, max(7.0, chaos_seconds))
    lots = chance.choice((1, 2, 3, 10, 30, 55))
    by_entry = chance.random() < 0.25
    return PositionPlan(
        number=number,
        instrument=instrument,
        product_type=ProductType.INTRADAY if is_cash else ProductType.MARGIN,
        side=side,
        quantity=instrument.lot_size * (min(lots, ENTRY_LOTS_MAX) if by_entry else lots),
        entry_price=base,
        style=style,
        rules=_draw_rules(chance, style, side, base, instrument, number, fires_at),
        by_entry=by_entry,
        opens_at=chance.uniform(0.2, 4.0),
        fires_at=fires_at,
        callers=chance.choice((1, 1, 2, 5)),
    )


def _draw_rules(
    chance: random.Random,
    style: str,
    side: PositionSide,
    base: Decimal,
    instrument: Instrument,
    number: int,
    fires_at: float,
) -> RuleSet:
    sign, tick = side.sign, instrument.tick_size
    percent = _LEVEL_PERCENTS[number % len(_LEVEL_PERCENTS)]
    stop = round_to_tick_down(base * (1 - sign * percent / 100), tick)
    target = round_to_tick_down(base * (1 + sign * percent / 100), tick)
    by_price = chance.random() < 0.7
    name = NAME_MINUTES + number
    match style:
        case "stop":
            rule = PriceRule(price=stop) if by_price else PriceRule(percent=percent)
            return RuleSet(stop_loss=rule, max_holding_minutes=name)
        case "target":
            rule = PriceRule(price=target) if by_price else PriceRule(percent=percent)
            return RuleSet(target=rule, max_holding_minutes=name)
        case "trailing":
            rule_percent = TrailingRule(percent=Decimal(3))
            return RuleSet(trailing=rule_percent, max_holding_minutes=name)
        case "time":
            # Virtual time begins at 10:45:00 IST.
            due = time(10, 45 + int(fires_at) // 60, int(fires_at) % 60)
            return RuleSet(square_off_at=due, max_holding_minutes=name)
        case _:
            return RuleSet(max_holding_minutes=name)


def _add_jumps(path: PricePath, plan: PositionPlan) -> None:
    is_long = plan.side is PositionSide.LONG
    loss, gain = (_DOWN, _UP) if is_long else (_UP, _DOWN)
    match plan.style:
        case "stop":
            path.jumps.append((plan.fires_at, loss))
        case "target":
            path.jumps.append((plan.fires_at, gain))
        case "trailing":
            path.jumps.append((plan.fires_at - 2.0, gain))
            path.jumps.append((plan.fires_at, Decimal(1)))
        case _:
            return
    path.jumps.sort()
