"""Hand-written runs in virtual time: which positions, which faults once, who meddles when.

A story fixes everything but the crash: the same positions, prices, faults and people, so that what
a crash changes can be told from what it must not change.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from typing import Any

import msgspec

from squareoff.domain.instruments import Instrument, InstrumentId, ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.prices import round_to_tick_down
from squareoff.domain.rules import PriceRule, RuleSet, TrailingRule
from squareoff.simulator.faults import FaultRule, HowOften
from squareoff.simulator.virtual.fault_classes import FAULT_CLASSES
from squareoff.simulator.virtual.plans import NAME_MINUTES, PositionPlan, PricePath
from squareoff.simulator.virtual.workload import Workload
from squareoff.simulator.virtual.world import World

OPENS_AT, FAULTS_AT, FIRES_AT = 0.2, 3.6, 4.0
"""Virtual seconds: the position comes under watch, faults are armed, the rule is hit. The pause
lets an engine that died in between twice be back before anything happens to the position."""

CHAOS_SECONDS = 8.4
_PEAK_SECONDS = 2.5
"""How long the best price stands before a trailing stop is hit: no restart misses it."""

_SHARE = Decimal("0.04")
_LOSS, _GAIN = Decimal("0.94"), Decimal("1.06")


@dataclass(frozen=True, slots=True)
class Held:
    """One position: `style` is stop, target, trailing, time or manual; `callers` ask at once."""

    style: str = "stop"
    side: PositionSide = PositionSide.LONG
    lots: int = 2
    security_id: str = "49081"
    by_entry: bool = False
    callers: int = 1


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does at a virtual second; `amount` is lots or seconds."""

    at_seconds: float
    name: str
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class CrashStory:
    """One story. `faults` are fault classes that strike so many times each."""

    name: str
    positions: tuple[Held, ...] = (Held(),)
    faults: Mapping[str, int] = field(default_factory=dict)
    acts: tuple[Act, ...] = ()
    conduct: Mapping[str, Any] = field(default_factory=dict)
    thin_market: bool = False
    order_type: str = "limit"
    chaos_seconds: float = CHAOS_SECONDS


class StoryScript:
    """A story as the script of one run; keeps the run's world for whoever looks at its end."""

    def __init__(self, story: CrashStory) -> None:
        self._story = story
        self.world: World | None = None
        self.plans: list[PositionPlan] = []

    def draw(
        self,
        _chance: random.Random,
        instruments: Sequence[Instrument],
        paths: dict[InstrumentId, PricePath],
        _count: int,
        _chaos_seconds: float,
    ) -> list[PositionPlan]:
        """Return the positions; stands in for `plans.draw_plans`."""
        known = {one.instrument_id.security_id: one for one in instruments}
        self.plans = []
        for number, held in enumerate(self._story.positions):
            instrument = known[held.security_id]
            path = paths[instrument.instrument_id]
            _add_jumps(path, held)
            self.plans.append(_plan(number, held, instrument, path.base))
        return self.plans

    def begin(self, world: World, workload: Workload) -> None:
        """Put faults and people on the world's clock."""
        self.world = world
        rules = [
            msgspec.structs.replace(rule, how_often=HowOften(times=times))
            for name, times in self._story.faults.items()
            for rule in FAULT_CLASSES[name](1.0)
        ]
        world.later(FAULTS_AT, lambda: _arm(world, rules))
        for act in self._story.acts:
            if act.name.startswith("kill_"):
                level = act.name.removeprefix("kill_")
                workload.throw_kill_switch(level, act.at_seconds, act.at_seconds + act.amount)
            else:
                world.later(act.at_seconds, self._doer(act))

    def _doer(self, act: Act) -> Callable[[], None]:
        def do() -> None:
            assert self.world is not None, "begun before"
            self.world.note("act", f"{act.name} {act.amount:g}")
            _ACTS[act.name](self.world, self.plans[0], act.amount)

        return do


def _arm(world: World, rules: list[FaultRule]) -> None:
    world.broker.faults.add(rules, world.broker_ns())


def _plan(number: int, held: Held, instrument: Instrument, base: Decimal) -> PositionPlan:
    is_cash = instrument.instrument_id.exchange_segment.is_cash
    return PositionPlan(
        number=number,
        instrument=instrument,
        product_type=ProductType.INTRADAY if is_cash else ProductType.MARGIN,
        side=held.side,
        quantity=instrument.lot_size * held.lots,
        entry_price=base,
        style=held.style,
        rules=_rules(held, base, instrument, NAME_MINUTES + number),
        by_entry=held.by_entry,
        opens_at=OPENS_AT,
        fires_at=FIRES_AT,
        callers=held.callers,
    )


def _rules(held: Held, base: Decimal, instrument: Instrument, name: int) -> RuleSet:
    sign, tick = held.side.sign, instrument.tick_size
    match held.style:
        case "stop":
            price = round_to_tick_down(base * (1 - sign * _SHARE), tick)
            return RuleSet(stop_loss=PriceRule(price=price), max_holding_minutes=name)
        case "target":
            price = round_to_tick_down(base * (1 + sign * _SHARE), tick)
            return RuleSet(target=PriceRule(price=price), max_holding_minutes=name)
        case "trailing":
            return RuleSet(trailing=TrailingRule(percent=Decimal(3)), max_holding_minutes=name)
        case "time":
            return RuleSet(square_off_at=time(10, 45, 4), max_holding_minutes=name)
        case "manual":
            return RuleSet(max_holding_minutes=name)
    raise ValueError(f"no such style: {held.style}")


def _add_jumps(path: PricePath, held: Held) -> None:
    is_long = held.side is PositionSide.LONG
    loss, gain = (_LOSS, _GAIN) if is_long else (_GAIN, _LOSS)
    match held.style:
        case "stop":
            path.jumps.append((FIRES_AT, loss))
        case "target":
            path.jumps.append((FIRES_AT, gain))
        case "trailing":
            path.jumps += [(FIRES_AT - _PEAK_SECONDS, gain), (FIRES_AT, Decimal(1))]
        case _:
            return
    path.jumps.sort()


# --- what people, other programs and the broker do ---


def _trade_by_hand(world: World, plan: PositionPlan, lots: float) -> None:
    """Close up to so many lots (negative: add) in the broker's app."""
    net = world.auditor.net(plan.key)
    if not net:
        return
    sign = 1 if net > 0 else -1
    if lots < 0:
        signed = sign * round(-lots) * plan.instrument.lot_size
        world.auditor.hear_outside_add(plan.key, signed)
    else:
        signed = -sign * min(round(lots) * plan.instrument.lot_size, abs(net))
        world.auditor.hear_outside_close(plan.key, world.broker_ns())
    world.trade_in_app(plan.key, signed, None)


def _to_our_orders(action: str, body: dict[str, Any]) -> Callable[..., None]:
    def act(world: World, _plan: PositionPlan, _amount: float) -> None:
        for order in [o for o in world.broker.account().open_orders() if o.correlation_id]:
            name = order.order_id
            world.act(
                f"broker {action} {name}",
                lambda now_ns, name=name: world.admin.act_on_order(  # type: ignore[misc]
                    name, action, body, now_ns
                ),
            )

    return act


def _conduct(**changes: Any) -> Callable[..., None]:
    return lambda world, _plan, _amount: world.change_conduct(**changes)


def _halt(*, is_halted: bool) -> Callable[..., None]:
    def act(world: World, _plan: PositionPlan, _amount: float) -> None:
        for instrument in world.instruments():
            world.broker.engine.set_halted(instrument.instrument_id, is_halted=is_halted)

    return act


def _square_off(world: World, plan: PositionPlan, _amount: float) -> None:
    _to_our_orders("cancel", {})(world, plan, 0.0)
    _trade_by_hand(world, plan, 1_000)


_ACTS: Mapping[str, Callable[[World, PositionPlan, float], None]] = {
    "close by hand": _trade_by_hand,
    "add by hand": lambda world, plan, lots: _trade_by_hand(world, plan, -lots),
    "cancel ours": _to_our_orders("cancel", {}),
    "expire ours": _to_our_orders("expire", {}),
    "reject ours": _to_our_orders("reject", {"text": "Rejected by the exchange"}),
    "nothing fills": _conduct(fills="never"),
    "all fills": _conduct(fills="market"),
    "token dies": _conduct(token_is_alive=False),
    "token lives": _conduct(token_is_alive=True),
    "address refused": _conduct(static_ip_allowed=False),
    "address allowed": _conduct(static_ip_allowed=True),
    "halt": _halt(is_halted=True),
    "trade": _halt(is_halted=False),
    "square off": _square_off,
    "step clock": lambda world, _plan, seconds: world.step_clock(round(seconds * 1e9)),
}
