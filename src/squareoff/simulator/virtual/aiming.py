"""Strike chosen classes of faults while an exit is in a chosen state.

Rare states are short, so a seed aims: in a bout of some seconds a recipe brings an exit into the
state, and the classes of the knobs strike as long as one is in it. Every strike is a true fault of
its class, so what the engine has promised under it holds here as everywhere.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from squareoff.simulator.faults import FaultRule, HowOften, What, Where
from squareoff.simulator.virtual.acts import Acts, Machine
from squareoff.simulator.virtual.answer_faults import ANSWER_CLASSES
from squareoff.simulator.virtual.coverage import CANCELLING, ENTRY_LIVE
from squareoff.simulator.virtual.event_classes import (
    EVENT_CLASSES,
    NETWORK_CLASSES,
    OUTLAW_EVENTS,
    OWNER_PREFIX,
    STORE_CLASSES,
)
from squareoff.simulator.virtual.fault_classes import FAULT_CLASSES, OUTLAW_CLASSES
from squareoff.simulator.virtual.plans import PositionPlan
from squareoff.simulator.virtual.recipes import (
    FIRST_BOUT_SECONDS,
    LONG_BOUT_SECONDS,
    LONG_REST,
    PAUSE_SECONDS,
    RECIPES,
    Recipe,
)
from squareoff.simulator.virtual.strangers import trade_foreign
from squareoff.simulator.virtual.workload import Workload
from squareoff.simulator.virtual.world import World

_ASKS_SHARE = 0.3
_PULSES = (0.0, 4.5, 9.0)
_PULSE_SECONDS = 2.5
"""What holds every exit up comes and goes some times in a bout: most faults meet its edges."""

_FROM_THE_START = ("position PENDING", ENTRY_LIVE, CANCELLING)
"""Entries are sent soon after the start, so what holds one must be there by then."""

_TEND_SECONDS = 0.5
_RATES = (0.25, 0.5)
_GENTLE_RATE = 0.15
_STRIKES_PER_BOUT_MAX = 2
_SPIKE = "feed_spike"
_SPIKE_PAUSE_SECONDS = 6.0
"""Two spikes of one instrument in a row would be a move of the market."""

_DRIFT_PER_SECOND = 0.0012
"""So the market leaves a price that is 5 % through it behind within some modifications."""

_RESETS = {"stream_": "stream_reset", "feed_": "feed_reset"}
_NEEDS_A_CONNECT = frozenset(
    {"stream_login_ends", "stream_connect_refused", "feed_connect_refused", "feed_mute"}
)
_COMPANIONS: Mapping[str, str] = {
    "lag_lookup": "write_reply_lost",
    **{name: _RESETS[name[: name.index("_") + 1]] for name in sorted(_NEEDS_A_CONNECT)},
}
"""A look-up follows a lost answer, a connect follows a reset."""

_COMPANION_RATE = 0.2
_NEEDS_RESTING = frozenset(
    {"cancel_by_others", "expire_by_broker", "reject_at_exchange", "reject_change"}
)


class Aiming:
    """The bouts of one run."""

    def __init__(self, world: World, workload: Workload, acts: Acts, machine: Machine) -> None:
        self._world = world
        self._workload = workload
        self._acts = acts
        self._machine = machine
        self._chance = world.chance("aiming")
        self._state = ""
        self._ends_at = 0.0
        self._is_held = False
        self._rules: list[str] = []
        self._struck_before: dict[str, int] = {}
        self._spiked_at = 0.0
        self._acts_by_name: Mapping[str, Callable[[], None]] = {
            "close_all_by_hand": self._close_all_by_hand,
            "kill_tokens": lambda: self._pulse(lambda: acts.last("token_death", _PULSE_SECONDS)),
            "throw_switches": lambda: self._pulse(self._throw_switch),
            "close_part_by_hand": lambda: self._later(1.5, self._close_part_by_hand),
            "kill_all_later": lambda: self._later(8.5, lambda: acts.fire("kill_all")),
            "pause_when_sent": self._pause_when_sent,
            "cancel_by_others": lambda: self._later(1.5, lambda: acts.fire("cancel_by_others")),
            "withdraw_some": self._withdraw_some,
            "exit_entries": lambda: self._later(4.0, self._exit_entries),
        }

    def start(self) -> None:
        """Put the bouts on the world's clock."""
        aims, at = self._world.knobs.aims, FIRST_BOUT_SECONDS
        for number, aim in enumerate(aims):
            is_early = number == 0 and aim in _FROM_THE_START
            if aim != LONG_REST and aim not in aims[:number]:
                self._world.coverage.watch(aim, self._watcher(aim))
            self._later(0.2 if is_early else at, self._beginner(aim))
            at += PAUSE_SECONDS + (0.0 if aim == LONG_REST else RECIPES[aim].seconds)

    def _beginner(self, aim: str) -> Callable[[], None]:
        return self._begin_long_rest if aim == LONG_REST else lambda: self._begin(aim)

    def _watcher(self, state: str) -> Callable[[], None]:
        return lambda: self._later(0.0, self._hold) if self._state == state else None

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        world = self._world
        world.later(seconds, lambda: None if world.is_healed else action())

    # --- a bout ---

    def _begin(self, state: str) -> None:
        self._state = state
        self._ends_at = self._world.loop.time() + RECIPES[state].seconds
        self._struck_before = dict(self._world.coverage.struck)
        self._world.note("aims at", state)
        self._follow(RECIPES[state])
        self._tend()

    def _follow(self, recipe: Recipe) -> None:
        for name, rate in recipe.rates.items():
            if name in STORE_CLASSES:
                self._world.store_faults.rates[name] = rate
            else:
                self._add(FAULT_CLASSES[name](rate), f"{name}/recipe")
        failing = What(status=503)
        is_unconfirmed = "outlaw_bust" in self._world.knobs.strikes and self._chance.random() < 0.5
        for path in (*recipe.unreadable, *(("/trades",) if is_unconfirmed else ())):
            self._add([FaultRule(what=failing, where=Where(method="GET", path=path))],
                      "read_5xx/recipe")  # fmt: skip
        is_resting = bool(_NEEDS_RESTING & set(self._world.knobs.strikes))
        resting = ("rest_unfilled",) if is_resting else ()
        for name in dict.fromkeys((*recipe.lasting, *resting)):
            self._acts.last(name, recipe.seconds)
        for name in recipe.acts:
            self._acts_by_name.get(name, lambda name=name: self._acts.fire(name))()
        for _ in range(recipe.exits):
            self._ask_exit()

    def _tend(self) -> None:
        """Look after the bout until it is over: hold on, let go, keep calls and frames coming."""
        world = self._world
        if world.loop.time() >= self._ends_at:
            self._let_go()
            self._lift("recipe")
            self._calm(RECIPES[self._state].rates)
            self._state = ""
            return
        if not world.coverage.is_in(self._state, world.broker_ns()):
            self._let_go()
        else:
            self._hold()
            self._fire_events()
            if self._chance.random() < 0.5:
                trade_foreign(world)
        if RECIPES[self._state].asks_often or self._chance.random() < _ASKS_SHARE:
            self._ask_exit()
        self._later(_TEND_SECONDS, self._tend)

    def _hold(self) -> None:
        """An exit is in the state: let the classes strike."""
        if self._is_held or not self._state:
            return
        self._is_held = True
        strikes = self._world.knobs.strikes
        for name in strikes:
            self._turn_on(name)
        for companion in sorted({_COMPANIONS[name] for name in strikes if name in _COMPANIONS}):
            self._add(FAULT_CLASSES[companion](_COMPANION_RATE), f"{companion}/aim")
        self._fire_events()

    def _turn_on(self, name: str) -> None:
        world, rate = self._world, self._chance.choice(_RATES)
        maker = FAULT_CLASSES.get(name) or OUTLAW_CLASSES.get(name)
        if name == _SPIKE:
            self._spike()
        elif maker is not None:
            self._add(maker(rate), f"{name}/aim")
        elif name in ANSWER_CLASSES:
            world.network_faults.rates[name] = rate
        elif name in STORE_CLASSES:
            is_owner = name.startswith(OWNER_PREFIX)
            world.store_faults.rates[name] = rate if is_owner else _GENTLE_RATE
        elif name in NETWORK_CLASSES and name != "dark_socket":
            world.network_faults.rates[name] = rate

    def _spike(self) -> None:
        """One spike, and no other for long enough."""
        now = self._world.loop.time()
        if now < self._spiked_at + _SPIKE_PAUSE_SECONDS:
            return
        self._spiked_at = now
        rules = FAULT_CLASSES[_SPIKE](1.0)
        once = [msgspec.structs.replace(rule, how_often=HowOften(times=1)) for rule in rules]
        self._add(once, f"{_SPIKE}/aim")

    def _let_go(self) -> None:
        """No exit is in the state any more, or the bout is over."""
        if not self._is_held:
            return
        self._is_held = False
        self._lift("aim")
        held = RECIPES[self._state].rates
        self._calm(name for name in self._world.knobs.strikes if name not in held)

    def _calm(self, names: Iterable[str]) -> None:
        """Set the rates of calls back to what they are outside of the bout."""
        world, base = self._world, self._world.knobs.rates
        for name in names:
            for faults in (world.network_faults, world.store_faults):
                if name in faults.rates and name not in base:
                    del faults.rates[name]
                elif name in faults.rates:
                    faults.rates[name] = base[name]

    def _add(self, rules: list[FaultRule], rule_id: str) -> None:
        named = [msgspec.structs.replace(rule, id=rule_id) for rule in rules]
        self._world.broker.faults.add(named, self._world.broker_ns())
        self._rules.append(rule_id)

    def _lift(self, kind: str) -> None:
        for rule_id in self._rules:
            if rule_id.endswith(f"/{kind}"):
                self._world.broker.faults.clear(rule_id)
        self._rules = [rule_id for rule_id in self._rules if not rule_id.endswith(f"/{kind}")]

    # --- single events while it is held ---

    def _fire_events(self) -> None:
        """Fire what has not struck often enough in this bout; some need what is not there yet."""
        for name in self._world.knobs.strikes:
            act = self._act_of(name)
            count = self._world.coverage.struck[name] - self._struck_before.get(name, 0)
            if act is not None and count < _STRIKES_PER_BOUT_MAX and self._chance.random() < 0.4:
                self._later(self._chance.choice((0.0, 0.05, 0.3)), act)

    def _act_of(self, name: str) -> Callable[[], None] | None:
        chance, machine = self._chance, self._machine
        match name:
            case "dark_socket":
                return self._darken
            case "kill_at_point":
                return lambda: machine.doom_process(points=chance.randint(1, 15))
            case "kill_at_callback":
                return lambda: machine.doom_process(steps=chance.randint(1, 60))
            case "kill_in_recovery":
                return lambda: machine.kill_process(next_at_point=chance.randint(1, 25))
            case "takeover":
                return lambda: machine.kill_process()
            case _ if name in EVENT_CLASSES or name in OUTLAW_EVENTS:
                return lambda: self._acts.fire(name)
            case _:
                return None

    def _darken(self) -> None:
        if connections := self._world.connections():
            self._world.strike("dark_socket")
            self._chance.choice(connections).go_dark()

    # --- what people do ---

    def _ask_exit(self) -> None:
        waiting = [plan for plan in self._workload.plans if not plan.is_exit_asked]
        if waiting:
            self._workload.ask_exit(self._chance.choice(waiting))

    def _held_plans(self) -> list[PositionPlan]:
        world = self._world
        return [plan for plan in self._workload.plans if world.auditor.net(plan.key)]

    def _close_all_by_hand(self) -> None:
        """A person closes all of a key; the engine is asked to close it too."""
        if not (held := self._held_plans()):
            return
        plan = self._chance.choice(held)
        self._acts.close(plan, abs(self._world.auditor.net(plan.key)), "close_by_hand")
        self._later(0.3, lambda: self._workload.ask_exit(plan))

    def _close_part_by_hand(self) -> None:
        """A person closes as much as one plan holds of a key that several share."""
        held = self._held_plans()
        shared = [p for p in held if sum(other.key == p.key for other in held) > 1]
        if not shared:
            return
        plan = self._chance.choice(shared)
        quantity = min(plan.quantity, abs(self._world.auditor.net(plan.key)))
        self._acts.close(plan, quantity, "close_by_hand")
        for other in shared:
            if other.key == plan.key:
                self._workload.ask_exit(other)

    def _exit_entries(self) -> None:
        for plan in self._workload.plans:
            if plan.by_entry:
                self._workload.ask_exit(plan)

    def _pulse(self, begin: Callable[[], None]) -> None:
        for at in _PULSES:
            self._later(at, begin)

    def _throw_switch(self) -> None:
        now = self._world.loop.time()
        self._world.strike("kill_all")
        self._workload.throw_kill_switch("all", now, now + _PULSE_SECONDS)

    def _withdraw_some(self) -> None:
        """People take exits back, one after the other, and ask for others."""
        for step in range(1, 5):
            self._later(2.0 * step, lambda: self._acts.fire("exit_withdrawn"))
            self._later(2.0 * step + 0.5, self._ask_exit)

    def _pause_when_sent(self) -> None:
        """Stop the process between the commit of a send and its first byte, some times."""
        state, bout_ends_at = "exit SENT", self._ends_at

        def stop() -> None:
            if self._world.loop.time() < bout_ends_at:
                self._machine.stop_process(self._chance.uniform(4.2, 6.0))
                self._later(0.0, lambda: self._world.coverage.when(state, stop))

        self._world.coverage.when(state, stop)

    def _begin_long_rest(self) -> None:
        """An order rests for a minute, and the market runs away from it."""
        self._acts.last("rest_unfilled", LONG_BOUT_SECONDS)
        for plan in self._workload.plans:
            if not plan.by_entry and plan.number % 2 == 0:
                drift = -_DRIFT_PER_SECOND * plan.side.sign
                self._workload.let_drift(plan.instrument, drift, LONG_BOUT_SECONDS)
                self._workload.ask_exit(plan)
