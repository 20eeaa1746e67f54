"""What traders, other programs and the exchange do in one run.

A person whose call failed, or whose engine died under it, looks again and asks again; so do the
wishes here. The script is drawn from the seed before the start.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from squareoff.domain.errors import DomainError, StoreError
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import OrderType, PositionSide
from squareoff.domain.prices import round_to_tick_down
from squareoff.domain.results import ExitCode
from squareoff.services.desk import Desk, EntryRequest, InvalidRequest, PositionRequest
from squareoff.services.exit_results import Wait
from squareoff.services.views import TrackerView
from squareoff.simulator.faults import Until
from squareoff.simulator.virtual.fault_classes import FEED_SILENCE, STREAM_SILENCE, Maker
from squareoff.simulator.virtual.plans import (
    FOREIGN_SECURITY,
    NAME_MINUTES,
    PositionPlan,
    PricePath,
    draw_plans,
)
from squareoff.simulator.virtual.world import ACCOUNT, TOKEN, World
from squareoff.simulator.wire import WireRequest

PRINT_SECONDS = (0.4, 1.2)
_LATCHED = (ExitCode.BLOCKED, ExitCode.BEING_SETTLED, ExitCode.NEEDS_HUMAN)

Attempt = Callable[[Desk], Awaitable[bool]]


@dataclass(slots=True)
class Wish:
    """Something a person wants of the engine; asked again until `attempt` says that it is done."""

    name: str
    at_seconds: float
    attempt: Attempt
    is_done: bool = False


class Workload:
    """The script of one run. `run_wish` hands a wish to whatever engine is alive."""

    def __init__(self, world: World, run_wish: Callable[[Wish], None]) -> None:
        self._world = world
        self._chance = world.chance("workload")
        self._run_wish = run_wish
        self.wishes: list[Wish] = []
        self._paths = {
            one.instrument_id: PricePath(
                world.broker.days[one.instrument_id].listing.previous_close
            )
            for one in world.instruments()
        }
        knobs = world.knobs
        self.plans = draw_plans(
            self._chance, world.instruments(), self._paths, knobs.position_count,
            knobs.chaos_seconds,
        )  # fmt: skip

    def start(self) -> None:
        """Put everything on the world's clock."""
        for instrument in self._world.instruments():
            self._world.print_price(instrument, self._paths[instrument.instrument_id].base)
        for instrument in dict.fromkeys(plan.instrument for plan in self.plans):
            self._walk(instrument)
        for plan in self.plans:
            self._start_position(plan)
        self._start_meddling()
        for wish in self.wishes:
            self._at(wish.at_seconds, self._runner(wish))

    def _runner(self, wish: Wish) -> Callable[[], None]:
        return lambda: self._run_wish(wish)

    def _at(self, seconds: float, action: Callable[[], None]) -> None:
        self._world.later(seconds - self._world.loop.time(), action)

    def _walk(self, instrument: Instrument) -> None:
        """Print one price and plan the next; the walk goes on to the end of the run."""
        world, path = self._world, self._paths[instrument.instrument_id]
        now = world.loop.time()
        factor = next((f for at, f in reversed(path.jumps) if at <= now), Decimal(1))
        wiggle = instrument.tick_size * world.market_chance.randint(-2, 2)
        price = round_to_tick_down(path.base * factor, instrument.tick_size) + wiggle
        if not (world.is_healed and world.market_chance.random() < 0.5):
            world.print_price(instrument, price)
        pause = world.market_chance.uniform(*PRINT_SECONDS)
        next_jump = next((at for at, _ in path.jumps if at > now), now + pause)
        self._world.later(min(pause, next_jump - now + 0.001), lambda: self._walk(instrument))

    def _start_position(self, plan: PositionPlan) -> None:
        if not plan.by_entry:
            self._at(plan.opens_at, lambda: self._buy_in_app(plan))
        self._wish(f"open {plan.number}", plan.opens_at + 0.05, self._opener(plan))
        asks = plan.style == "manual" or (plan.style != "none" and self._chance.random() < 0.3)
        for caller in range(plan.callers if asks else 0):
            wait = self._chance.choice((Wait.CLAIMED, Wait.ACCEPTED, Wait.FILLED))
            self._wish(f"exit {plan.number}.{caller}", plan.fires_at, self._exiter(plan, wait))

    def _wish(self, name: str, at_seconds: float, attempt: Attempt) -> None:
        self.wishes.append(Wish(name, at_seconds, attempt))

    def _buy_in_app(self, plan: PositionPlan) -> None:
        self._trade_in_app(plan, plan.side.sign * plan.quantity, str(plan.entry_price))
        plan.is_held = True

    def _trade_in_app(self, plan: PositionPlan, signed: int, price: str | None) -> None:
        segment, security_id, product = plan.key
        body = {
            "exchange_segment": segment,
            "security_id": security_id,
            "product_type": product,
            "net_quantity": signed,
        }
        if price is not None:
            body["price"] = price
        self._world.act(
            f"app trade {security_id} {signed}",
            lambda now_ns: self._world.admin.trade_in_app(body, now_ns),
        )

    def _opener(self, plan: PositionPlan) -> Attempt:
        async def attempt(desk: Desk) -> bool:
            if find(desk, plan) is not None or plan.is_abandoned:
                return True
            try:
                await (desk.enter(_entry_of(plan)) if plan.by_entry else desk.track(_held(plan)))
            except InvalidRequest:
                # The price has passed the stop meanwhile: a person is told, and lets it be.
                plan.is_abandoned = True
            except (StoreError, DomainError):
                return False
            return True

        return attempt

    def _exiter(self, plan: PositionPlan, wait: Wait) -> Attempt:
        async def attempt(desk: Desk) -> bool:
            view = find(desk, plan)
            if view is None:
                return plan.is_abandoned
            result = await desk.exit(TrackerId(view.id), "asked by a person", wait, 4.0)
            self._world.note("exit answered", f"{plan.number} {result.code.value}")
            latched = result.success or result.code in _LATCHED
            plan.is_exit_asked = plan.is_exit_asked or latched
            return latched

        return attempt

    def _start_meddling(self) -> None:
        knobs, chance = self._world.knobs, self._chance
        end = knobs.chaos_seconds
        for _ in range(knobs.closes_by_hand):
            self._at(chance.uniform(5.0, end), self._close_by_hand)
        for _ in range(knobs.cancels_by_broker * 3):
            self._at(chance.uniform(5.0, end), self._cancel_ours)
        for _ in range(knobs.halts):
            self._hold_for(chance.uniform(3.0, end), "halt")
        for _ in range(knobs.token_deaths):
            self._hold_for(chance.uniform(3.0, end), "token")
        for _ in range(knobs.clock_steps):
            self._at(chance.uniform(3.0, end), self._step_clock)
        for maker, count in (
            (STREAM_SILENCE, knobs.stream_silences),
            (FEED_SILENCE, knobs.feed_silences),
        ):
            for _ in range(count):
                self._silence(maker, chance.uniform(1.0, end))
        for _ in range(3):
            self._at(chance.uniform(1.0, end), self._trade_foreign)
        if knobs.kill_switch:
            self._plan_kill_switch(chance.uniform(3.0, end), knobs.kill_switch)

    def _close_by_hand(self) -> None:
        held = [plan for plan in self.plans if self._world.auditor.net(plan.key)]
        if not held or self._world.is_healed:
            return
        plan = self._chance.choice(held)
        net = self._world.auditor.net(plan.key)
        lots = abs(net) // plan.instrument.lot_size
        quantity = plan.instrument.lot_size * self._chance.randint(1, max(1, lots))
        signed = -min(quantity, abs(net)) if net > 0 else min(quantity, abs(net))
        self._world.auditor.hear_outside_close(plan.key, self._world.broker_ns())
        self._trade_in_app(plan, signed, None)

    def _cancel_ours(self) -> None:
        ours = [o for o in self._world.broker.account().open_orders() if o.correlation_id]
        if ours and not self._world.is_healed:
            order_id = self._chance.choice(ours).order_id
            self._world.act(
                f"broker cancels {order_id}",
                lambda now_ns: self._world.admin.act_on_order(order_id, "cancel", {}, now_ns),
            )

    def _hold_for(self, at: float, what: str) -> None:
        """Halt trading or let the token die for some seconds; healing ends it too."""
        until = at + self._chance.uniform(0.5, 6.0)
        self._at(at, lambda: self._hold(what, begins=True))
        self._at(until, lambda: self._hold(what, begins=False))

    def _hold(self, what: str, *, begins: bool) -> None:
        if self._world.is_healed:
            return
        self._world.note(what, "begins" if begins else "ends")
        if what == "token":
            self._world.change_conduct(token_is_alive=not begins)
            return
        for instrument in self._world.instruments():
            self._world.broker.engine.set_halted(instrument.instrument_id, is_halted=begins)

    def _silence(self, maker: Maker, at: float) -> None:
        """Say nothing on a socket for some seconds, while its pings are answered."""
        until = Until(seconds=self._chance.uniform(2.0, 15.0))
        rules = [msgspec.structs.replace(rule, until=until) for rule in maker(1.0)]
        faults = self._world.broker.faults

        def begin() -> None:
            if not self._world.is_healed:
                faults.add(rules, self._world.broker_ns())

        self._at(at, begin)

    def _step_clock(self) -> None:
        self._world.wall_step_ns += round(self._chance.uniform(-3e9, 3e9))
        error_ns = abs(self._world.wall_step_ns)
        auditor = self._world.auditor
        auditor.clock_error_ns = max(auditor.clock_error_ns, error_ns)
        self._world.note("clock stepped", f"{self._world.wall_step_ns}")

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

    def _plan_kill_switch(self, at: float, level: str) -> None:
        until = min(at + self._chance.uniform(2.0, 15.0), self._world.knobs.chaos_seconds)
        self._wish("kill", at, _switcher(active=True, level=level))
        kill, resume = self.wishes[-1], _switcher(active=False, level=level)

        async def resume_after_kill(desk: Desk) -> bool:
            return kill.is_done and await resume(desk)

        self._wish("resume", max(until, at + 1.0), resume_after_kill)


def _switcher(*, active: bool, level: str) -> Attempt:
    async def attempt(desk: Desk) -> bool:
        try:
            await desk.set_kill_switch(active=active, level=level, reason="rehearsal")
        except StoreError:
            return False
        return True

    return attempt


def find(desk: Desk, plan: PositionPlan) -> TrackerView | None:
    """Return the plan's tracker as the running engine shows it."""
    wanted = NAME_MINUTES + plan.number
    return next((v for v in desk.trackers() if v.rules.max_holding_minutes == wanted), None)


def _held(plan: PositionPlan) -> PositionRequest:
    identity = plan.instrument.instrument_id
    return PositionRequest(
        exchange_segment=identity.exchange_segment,
        security_id=identity.security_id,
        product_type=plan.product_type,
        side=plan.side,
        quantity=plan.quantity,
        entry_price=plan.entry_price,
        rules=plan.rules,
    )


def _entry_of(plan: PositionPlan) -> EntryRequest:
    """A limit a little through the market, so that it fills unless something happens to it."""
    identity, tick = plan.instrument.instrument_id, plan.instrument.tick_size
    through = tick * 20 * (1 if plan.side is PositionSide.LONG else -1)
    return EntryRequest(
        exchange_segment=identity.exchange_segment,
        security_id=identity.security_id,
        product_type=plan.product_type,
        side=plan.side,
        quantity=plan.quantity,
        order_type=OrderType.LIMIT,
        limit_price=plan.entry_price + through,
        rules=plan.rules,
    )
