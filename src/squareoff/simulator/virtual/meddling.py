"""What other people, the exchange and the machine do to one run, drawn from the seed beforehand.

Every event is a class of `event_classes.EVENT_CLASSES`. Those that last end by themselves, and at
the latest when the world is healed; nothing new begins after that.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from squareoff.simulator.faults import FaultRule, Until, What, Where
from squareoff.simulator.orders import BrokerOrder
from squareoff.simulator.virtual.coverage import TRACKER_STATES
from squareoff.simulator.virtual.fault_classes import (
    FEED_SILENCE,
    STREAM_MUTE,
    STREAM_SILENCE,
    Maker,
)
from squareoff.simulator.virtual.plans import FOREIGN_SECURITY, PositionPlan
from squareoff.simulator.virtual.world import ACCOUNT, TOKEN, World
from squareoff.simulator.wire import WireRequest

FOREIGN_ORDERS = 3
_REASONS_FOR_GOOD = (
    "Order quantity exceeds the freeze quantity",
    "RMS: margin exceeds, funds insufficient",
    "Security is blocked for trading",
    "Trading in this security is suspended",
)
_AIMED_SHARE = 0.6
"""So many events wait for a state rather than for an instant: rare states are short."""

_DAY_SECONDS = 86_400.0
_PAUSE_SECONDS = (1.0, 20.0)
_LONG_PAUSE_SECONDS = (60.0, 120.0)
_LONG_CHAOS_SECONDS = 100.0
_DEFECT_POINTS_MAX = 60


class Machine(Protocol):
    """What events do to the process that runs."""

    def stop_process(self, seconds: float) -> None:
        """Let the process stand still."""
        ...

    def kill_process(self) -> None:
        """Kill the process that runs."""
        ...

    def plant_defect(self, points: int) -> None:
        """Let the process raise an unforeseen exception so many named points from now."""
        ...

    def throw_kill_switch(self, level: str, at: float, until: float) -> None:
        """Throw the kill switch and take it back."""
        ...


class Meddling:
    """The events of one run."""

    def __init__(
        self,
        world: World,
        plans: Sequence[PositionPlan],
        chance: random.Random,
        machine: Machine,
    ) -> None:
        self._world = world
        self._plans = plans
        self._chance = chance
        self._machine = machine
        self._end = world.knobs.chaos_seconds
        self._starters: Mapping[str, Callable[[], None]] = {
            "close_by_hand": self._once(5.0, self._close_by_hand),
            "cancel_by_others": self._thrice(self._cancel),
            "halt": self._lasting("halt", 0.5, 6.0),
            "token_death": self._lasting("token_death", 0.5, 6.0),
            "clock_step": self._once(3.0, self._step_clock),
            "stream_silent": lambda: self._add_rules(STREAM_SILENCE, 2.0, 15.0),
            "feed_silent": lambda: self._add_rules(FEED_SILENCE, 2.0, 15.0),
            "kill_new": lambda: self._throw_switch("new"),
            "kill_all": lambda: self._throw_switch("all"),
            "add_by_hand": self._once(3.0, self._add_by_hand),
            "ip_refusal": self._lasting("ip_refusal", 1.0, 10.0),
            "empty_book": self._lasting("empty_book", 1.0, 10.0),
            "rest_unfilled": self._lasting("rest_unfilled", 1.0, 20.0),
            "expire_by_broker": self._thrice(self._expire),
            "reject_at_exchange": self._thrice(self._reject),
            "reject_for_good": lambda: self._add_rules(self._rejecting(), 1.0, 10.0),
            "square_off_by_broker": self._once(6.0, self._square_off),
            "stream_mute": lambda: self._add_rules(STREAM_MUTE, 15.0, 60.0),
            "store_disk_full": self._lasting("store_disk_full", 0.5, 8.0),
            "store_read_only": self._lasting("store_read_only", 0.5, 8.0),
            "clock_jump": self._lasting("clock_jump", 1.0, 10.0),
            "clock_slew": self._once(1.0, self._slew_clock),
            "pause": self._pause,
            "kill": self._once(3.0, self._kill),
            "defect": self._once(3.0, self._plant_defect),
        }

    def start(self) -> None:
        """Put every event of the knobs on the world's clock."""
        for name, starter in self._starters.items():
            for _ in range(self._world.knobs.events.get(name, 0)):
                starter()
        for _ in range(FOREIGN_ORDERS):
            self._at(self._chance.uniform(1.0, self._end), self._trade_foreign)

    def _at(self, seconds: float, action: Callable[[], None]) -> None:
        self._world.later(seconds - self._world.loop.time(), action)

    def _in_chaos(self, action: Callable[[], None]) -> Callable[[], None]:
        return lambda: None if self._world.is_healed else action()

    def _sometime(self, earliest: float, action: Callable[[], None]) -> None:
        """Do something at an instant of the chaos, or as soon as an exit comes into some state."""
        at = self._chance.uniform(earliest, self._end)
        state = self._chance.choice(TRACKER_STATES)
        if self._chance.random() < _AIMED_SHARE:
            delay = self._chance.choice((0.0, 0.0, self._chance.uniform(0.0, 0.1)))
            later = self._in_chaos(action)
            self._world.coverage.when(state, lambda: self._world.later(delay, later))
        else:
            self._at(at, self._in_chaos(action))

    def _once(self, earliest: float, action: Callable[[], None]) -> Callable[[], None]:
        return lambda: self._sometime(earliest, action)

    def _thrice(self, action: Callable[[], None]) -> Callable[[], None]:
        def start() -> None:
            for _ in range(3):
                self._sometime(5.0, action)

        return start

    def _lasting(self, name: str, shortest: float, longest: float) -> Callable[[], None]:
        """Turn something on for some seconds; healing ends it too."""

        def start() -> None:
            seconds = self._chance.uniform(shortest, longest)
            if self._end > _LONG_CHAOS_SECONDS:
                seconds *= 4.0
            self._sometime(3.0, lambda: begin(seconds))

        def begin(seconds: float) -> None:
            self._turn(name, begins=True)
            end = self._in_chaos(lambda: self._turn(name, begins=False))
            self._world.later(seconds, end)

        return start

    def _turn(self, name: str, *, begins: bool) -> None:
        world = self._world
        world.note(name, "begins" if begins else "ends")
        if begins:
            world.strike(name)
        match name:
            case "token_death":
                world.change_conduct(token_is_alive=not begins)
            case "ip_refusal":
                world.change_conduct(static_ip_allowed=not begins)
            case "rest_unfilled":
                world.change_conduct(fills="never" if begins else "market")
            case "halt":
                for instrument in world.instruments():
                    world.broker.engine.set_halted(instrument.instrument_id, is_halted=begins)
            case "empty_book":
                world.has_empty_book = begins
            case "clock_jump":
                hours = self._chance.choice((1.0, -1.0, 24.0, -24.0)) if begins else 0.0
                world.jump_clock(hours * _DAY_SECONDS / 24.0)
            case _:
                world.store_faults.lasting = name if begins else ""

    def _add_rules(self, maker: Maker, shortest: float, longest: float) -> None:
        """Put rules in force for some seconds."""
        at = self._chance.uniform(1.0, self._end)
        until = Until(seconds=self._chance.uniform(shortest, longest))
        rules = [msgspec.structs.replace(rule, until=until) for rule in maker(1.0)]
        faults = self._world.broker.faults
        self._at(at, self._in_chaos(lambda: _ignore(faults.add(rules, self._world.broker_ns()))))

    def _rejecting(self) -> Maker:
        what = What(reject=self._chance.choice(_REASONS_FOR_GOOD))
        where = Where(method="POST", path="/orders*")
        return lambda _: [FaultRule(what=what, id="reject_for_good", where=where)]

    def _throw_switch(self, level: str) -> None:
        at = self._chance.uniform(3.0, self._end)
        until = min(at + self._chance.uniform(2.0, 15.0), self._end)
        self._machine.throw_kill_switch(level, at, max(until, at + 1.0))
        self._at(at, self._in_chaos(lambda: self._world.strike(f"kill_{level}")))

    # --- people ---

    def _close_by_hand(self) -> None:
        held = [plan for plan in self._plans if self._world.auditor.net(plan.key)]
        if not held:
            return
        plan = self._chance.choice(held)
        net = self._world.auditor.net(plan.key)
        lots = abs(net) // plan.instrument.lot_size
        quantity = plan.instrument.lot_size * self._chance.randint(1, max(1, lots))
        self._close(plan, min(quantity, abs(net)), "close_by_hand")

    def _close(self, plan: PositionPlan, quantity: int, fault_class: str) -> None:
        world = self._world
        signed = -quantity if world.auditor.net(plan.key) > 0 else quantity
        world.auditor.hear_outside_close(plan.key, world.broker_ns())
        world.strike(fault_class)
        world.trade_in_app(plan.key, signed, None)

    def _add_by_hand(self) -> None:
        held = [plan for plan in self._plans if self._world.auditor.net(plan.key)]
        if not held:
            return
        plan = self._chance.choice(held)
        sign = 1 if self._world.auditor.net(plan.key) > 0 else -1
        signed = sign * plan.instrument.lot_size * self._chance.randint(1, 5)
        self._world.auditor.hear_outside_add(plan.key, signed)
        self._world.strike("add_by_hand")
        self._world.trade_in_app(plan.key, signed, None)

    def _trade_foreign(self) -> None:
        """Another program places an order of its own on a key of its own."""
        body = {
            "dhanClientId": ACCOUNT,
            "correlationId": self._chance.choice(("other-program-1", "sqx-not-ours", "x")),
            "transactionType": self._chance.choice(("BUY", "SELL")),
            "exchangeSegment": "NSE_EQ",
            "productType": "INTRADAY",
            "orderType": "MARKET",
            "validity": "DAY",
            "securityId": FOREIGN_SECURITY,
            "quantity": self._chance.randint(1, 50),
        }
        headers = {"access-token": TOKEN, "client-id": ACCOUNT}
        request = WireRequest("POST", "/orders", {}, headers, json.dumps(body).encode())
        self._world.act("foreign order", lambda now_ns: self._world.broker.handle(request, now_ns))

    # --- the broker ---

    def _ours(self) -> list[BrokerOrder]:
        return [o for o in self._world.broker.account().open_orders() if o.correlation_id]

    def _act_on_one(self, action: str, body: Mapping[str, Any], fault_class: str) -> None:
        ours = self._ours()
        if not ours:
            return
        order_id = self._chance.choice(ours).order_id
        self._world.strike(fault_class)
        self._act(order_id, action, body)

    def _act(self, order_id: str, action: str, body: Mapping[str, Any]) -> None:
        self._world.act(
            f"broker: {action} {order_id}",
            lambda now_ns: self._world.admin.act_on_order(order_id, action, dict(body), now_ns),
        )

    def _cancel(self) -> None:
        self._act_on_one("cancel", {}, "cancel_by_others")

    def _expire(self) -> None:
        self._act_on_one("expire", {}, "expire_by_broker")

    def _reject(self) -> None:
        self._act_on_one("reject", {"text": "Rejected by the exchange"}, "reject_at_exchange")

    def _square_off(self) -> None:
        """The broker's own end of an intraday position: orders cancelled, the net closed."""
        keys = {plan.key: plan for plan in self._plans if plan.key[2] == "INTRADAY"}
        for key, plan in keys.items():
            for order in self._ours():
                if order.listing.instrument_id.security_id == key[1]:
                    self._act(order.order_id, "cancel", {})
            if net := self._world.auditor.net(key):
                self._close(plan, abs(net), "square_off_by_broker")

    # --- the machine ---

    def _step_clock(self) -> None:
        self._world.step_clock(round(self._chance.uniform(-3e9, 3e9)))

    def _slew_clock(self) -> None:
        self._world.slew_clock(self._chance.uniform(-0.05, 0.05))

    def _pause(self) -> None:
        is_long = self._end > _LONG_CHAOS_SECONDS
        seconds = self._chance.uniform(*(_LONG_PAUSE_SECONDS if is_long else _PAUSE_SECONDS))
        self._sometime(2.0, lambda: self._machine.stop_process(seconds))

    def _kill(self) -> None:
        self._machine.kill_process()

    def _plant_defect(self) -> None:
        self._machine.plant_defect(self._chance.randint(1, _DEFECT_POINTS_MAX))


def _ignore(_: object) -> None:
    return
