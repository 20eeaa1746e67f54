"""What each event of `event_classes` does to the run, done now.

When they are done is said by `meddling` (at an instant, or as an exit comes into some state) and by
`aiming`. Those that last end by themselves, and at the latest when the world is healed.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from squareoff.simulator.faults import FaultRule, Until, What, Where
from squareoff.simulator.orders import BrokerOrder
from squareoff.simulator.virtual.fault_classes import (
    FEED_SILENCE,
    STREAM_MUTE,
    STREAM_SILENCE,
    Maker,
)
from squareoff.simulator.virtual.plans import PositionPlan
from squareoff.simulator.virtual.strangers import post_order
from squareoff.simulator.virtual.workload import Workload
from squareoff.simulator.virtual.world import World

LONG_CHAOS_SECONDS = 100.0
"""Runs with more chaos than this have room for what lasts long."""

_REASONS_FOR_GOOD = (
    "Order quantity exceeds the freeze quantity",
    "RMS: margin exceeds, funds insufficient",
    "Security is blocked for trading",
    "Trading in this security is suspended",
)
_DAY_SECONDS = 86_400.0
_PAUSE_SECONDS = (1.0, 20.0)
_LONG_PAUSE_SECONDS = (60.0, 120.0)
_EVENING_SECONDS_MAX = 6.0
"""So long the engine still runs after the close, before the night comes in one step."""

_NIGHT_SECONDS = 0.5
_TAG_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_WRITING_SECONDS = (0.1, 4.0)
_SWITCH_SECONDS = (2.0, 15.0)
_DEFECT_POINTS_MAX = 60


class Machine(Protocol):
    """What events do to the process that runs."""

    def stop_process(self, seconds: float) -> None:
        """Let the process stand still."""
        ...

    def end_process(self) -> None:
        """Tell the process that runs to stop, and let it end in good order."""
        ...

    def kill_process(self, *, next_at_point: int = 0) -> None:
        """Kill the process that runs; the next one dies at its n-th named point, 0 for never."""
        ...

    def doom_process(self, *, points: int = 0, steps: int = 0) -> None:
        """Kill the process that runs so many named points or callbacks from now."""
        ...

    def plant_defect(self, points: int) -> None:
        """Let the process raise an unforeseen exception so many named points from now."""
        ...


class Acts:
    """The events of one run, by name: `fire` does one."""

    def __init__(
        self,
        world: World,
        workload: Workload,
        chance: random.Random,
        machine: Machine,
    ) -> None:
        self._world = world
        self._workload = workload
        self._plans = workload.plans
        self._chance = chance
        self._machine = machine
        self._by_name: Mapping[str, Callable[[], None]] = {
            "close_by_hand": self._close_by_hand,
            "add_by_hand": self._add_by_hand,
            "cancel_by_others": lambda: self._act_on_one("cancel", {}, "cancel_by_others"),
            "expire_by_broker": lambda: self._act_on_one("expire", {}, "expire_by_broker"),
            "reject_at_exchange": self._reject,
            "square_off_by_broker": self._square_off,
            "exit_withdrawn": self._take_back_exit,
            "kill_new": lambda: self._throw_switch("new"),
            "kill_all": lambda: self._throw_switch("all"),
            "market_closed": lambda: self._last("market_closed", 1.0, 10.0),
            "calendar_wrong": lambda: self._last("calendar_wrong", 1.0, 10.0),
            "freeze_lowered": self._lower_freeze,
            "day_rollover": self._end_session,
            "halt": lambda: self._last("halt", 0.5, 6.0),
            "token_death": lambda: self._last("token_death", 0.5, 6.0),
            "token_file_torn": self._replace_token,
            "ip_refusal": lambda: self._last("ip_refusal", 1.0, 10.0),
            "empty_book": lambda: self._last("empty_book", 1.0, 10.0),
            "rest_unfilled": lambda: self._last("rest_unfilled", 1.0, 20.0),
            "store_disk_full": lambda: self._last("store_disk_full", 0.5, 8.0),
            "store_read_only": lambda: self._last("store_read_only", 0.5, 8.0),
            "clock_jump": lambda: self._last("clock_jump", 1.0, 10.0),
            "clock_step": self._step_clock,
            "clock_slew": self._slew_clock,
            "stream_silent": lambda: self._add_rules(STREAM_SILENCE, 2.0, 15.0),
            "stream_mute": lambda: self._add_rules(STREAM_MUTE, 15.0, 60.0),
            "feed_silent": lambda: self._add_rules(FEED_SILENCE, 2.0, 15.0),
            "reject_for_good": lambda: self._add_rules(self._rejecting(), 1.0, 10.0),
            "outlaw_rival": self._let_rival_close,
            "outlaw_bust": self._bust,
            "pause": self._pause,
            "kill": self._kill,
            "clean_stop": self._machine.end_process,
            "defect": self._plant_defect,
        }

    def fire(self, name: str) -> None:
        """Do one event now; after the healing nothing begins any more."""
        if not self._world.is_healed:
            self._by_name[name]()

    def last(self, name: str, seconds: float) -> None:
        """Turn something on for so many seconds; healing ends it too."""
        self._turn(name, begins=True)
        end = lambda: None if self._world.is_healed else self._turn(name, begins=False)  # noqa: E731
        self._world.later(seconds, end)

    def _last(self, name: str, shortest: float, longest: float) -> None:
        seconds = self._chance.uniform(shortest, longest)
        if self._world.knobs.chaos_seconds > LONG_CHAOS_SECONDS:
            seconds *= 4.0
        self.last(name, seconds)

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
            case "market_closed":
                world.change_conduct(market_hours="closed" if begins else "open")
            case "calendar_wrong":
                world.calendar_is_wrong = begins
            case "empty_book":
                world.has_empty_book = begins
            case "clock_jump":
                hours = self._chance.choice((1.0, -1.0, 24.0, -24.0)) if begins else 0.0
                world.jump_clock(hours * _DAY_SECONDS / 24.0)
            case _:
                world.store_faults.lasting = name if begins else ""

    def _add_rules(self, maker: Maker, shortest: float, longest: float) -> None:
        """Put rules in force for some seconds."""
        until = Until(seconds=self._chance.uniform(shortest, longest))
        rules = [msgspec.structs.replace(rule, until=until) for rule in maker(1.0)]
        self._world.broker.faults.add(rules, self._world.broker_ns())

    def _rejecting(self) -> Maker:
        what = What(reject=self._chance.choice(_REASONS_FOR_GOOD))
        where = Where(method="POST", path="/orders*")
        return lambda _: [FaultRule(what=what, id="reject_for_good", where=where)]

    def _throw_switch(self, level: str) -> None:
        at = self._world.loop.time()
        until = min(at + self._chance.uniform(*_SWITCH_SECONDS), self._world.knobs.chaos_seconds)
        self._workload.throw_kill_switch(level, at, max(until, at + 1.0))
        self._world.strike(f"kill_{level}")

    # --- people ---

    def _held(self) -> list[PositionPlan]:
        return [plan for plan in self._plans if self._world.auditor.net(plan.key)]

    def _close_by_hand(self) -> None:
        if not (held := self._held()):
            return
        plan = self._chance.choice(held)
        net = self._world.auditor.net(plan.key)
        lots = abs(net) // plan.instrument.lot_size
        quantity = plan.instrument.lot_size * self._chance.randint(1, max(1, lots))
        self.close(plan, min(quantity, abs(net)), "close_by_hand")

    def close(self, plan: PositionPlan, quantity: int, fault_class: str) -> None:
        """Close so many units of a plan's key in the broker's app."""
        world = self._world
        signed = -quantity if world.auditor.net(plan.key) > 0 else quantity
        world.auditor.hear_outside_close(plan.key, world.broker_ns())
        world.strike(fault_class)
        world.trade_in_app(plan.key, signed, None)

    def _add_by_hand(self) -> None:
        if not (held := self._held()):
            return
        plan = self._chance.choice(held)
        sign = 1 if self._world.auditor.net(plan.key) > 0 else -1
        signed = sign * plan.instrument.lot_size * self._chance.randint(1, 5)
        self._world.auditor.hear_outside_add(plan.key, signed)
        self._world.strike("add_by_hand")
        self._world.trade_in_app(plan.key, signed, None)

    def _take_back_exit(self) -> None:
        claimed = self._world.auditor.claimed_keys()
        if exiting := [plan for plan in self._plans if plan.key in claimed]:
            self._workload.take_back_exit(self._chance.choice(exiting))

    # --- the broker ---

    def _ours(self) -> list[BrokerOrder]:
        return [o for o in self._world.broker.account().open_orders() if o.correlation_id]

    def _act_on_one(self, action: str, body: Mapping[str, Any], fault_class: str) -> None:
        if not (ours := self._ours()):
            return
        order_id = self._chance.choice(ours).order_id
        self._world.strike(fault_class)
        self._act(order_id, action, body)

    def _act(self, order_id: str, action: str, body: Mapping[str, Any]) -> None:
        self._world.act(
            f"broker: {action} {order_id}",
            lambda now_ns: self._world.admin.act_on_order(order_id, action, dict(body), now_ns),
        )

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
                self.close(plan, abs(net), "square_off_by_broker")

    def _replace_token(self) -> None:
        """Another token is made, which kills the old one; a person puts it into the file."""
        world = self._world
        if world.token_file is None:
            return
        world.strike("token_file_torn")
        world.token_file.begin_writing(world.mint_token(), self._chance)
        self._world.later(self._chance.uniform(*_WRITING_SECONDS), world.token_file.finish_writing)

    def _let_rival_close(self) -> None:
        """An engine that knows nothing of ours closes a position under an id of our shape."""
        world, chance = self._world, self._chance
        if not (held := self._held()):
            return
        plan = chance.choice(held)
        net = world.auditor.net(plan.key)
        tag = f"sqx-{''.join(chance.choices(_TAG_LETTERS, k=12))}-001-01"
        quantity = min(abs(net), plan.instrument.lot_size * chance.randint(1, 4))
        world.auditor.hear_outside_close(plan.key, world.broker_ns())
        world.strike("outlaw_rival")
        post_order(world, plan.key, "SELL" if net > 0 else "BUY", quantity, tag)
        world.auditor.rival_orders |= {
            order.order_id for order in world.broker.account().orders_tagged(tag)
        }

    def _bust(self) -> None:
        """The exchange takes back a fill of an exit that is under way."""
        world = self._world
        account = world.broker.account()
        under_way = world.auditor.unconfirmed_orders()
        fills = [
            trade
            for trade in account.trades
            if account.orders[trade.order_id].correlation_id in under_way
            and not (trade.is_carried or trade.trade_id in account.busted)
        ]
        if not fills:
            return
        trade = self._chance.choice(fills)
        tag = account.orders[trade.order_id].correlation_id or ""
        world.strike("outlaw_bust")
        world.auditor.hear_bust(under_way[tag])
        world.act("bust", lambda now_ns: world.broker.desk.bust(account, trade, now_ns))

    def _lower_freeze(self) -> None:
        self._world.strike("freeze_lowered")
        self._world.lower_freeze()

    def _end_session(self) -> None:
        """The exchange closes; the books of the next day are empty when the engine looks again."""
        world, chance = self._world, self._chance
        if world.has_session_ended:
            return
        world.strike("day_rollover")
        world.end_session()
        is_killed, seconds = chance.random() < 0.5, chance.uniform(0.0, _EVENING_SECONDS_MAX)
        world.later(seconds, lambda: self._pass_night(is_killed=is_killed))

    def _pass_night(self, *, is_killed: bool) -> None:
        """The engine is stopped for the night, or the machine sleeps with it."""
        if self._world.is_healed:
            return
        if is_killed:
            self._machine.kill_process()
        else:
            self._machine.stop_process(_NIGHT_SECONDS)
        self._world.begin_next_day()

    # --- the machine ---

    def _step_clock(self) -> None:
        self._world.step_clock(round(self._chance.uniform(-3e9, 3e9)))

    def _slew_clock(self) -> None:
        self._world.slew_clock(self._chance.uniform(-0.05, 0.05))

    def _pause(self) -> None:
        is_long = self._world.knobs.chaos_seconds > LONG_CHAOS_SECONDS
        seconds = self._chance.uniform(*(_LONG_PAUSE_SECONDS if is_long else _PAUSE_SECONDS))
        self._machine.stop_process(seconds)

    def _kill(self) -> None:
        self._machine.kill_process()

    def _plant_defect(self) -> None:
        self._machine.plant_defect(self._chance.randint(1, _DEFECT_POINTS_MAX))
