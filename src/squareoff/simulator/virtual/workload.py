"""What traders want of the engine in one run, and the market they do it in.

A person whose call failed, or whose engine died under it, looks again and asks again; so do the
wishes here. The script is drawn from the seed before the start.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from squareoff.domain.errors import DomainError, StoreError
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument
from squareoff.domain.orders import OrderType, PositionSide
from squareoff.domain.prices import round_to_tick_down
from squareoff.domain.results import ExitCode
from squareoff.domain.states import PositionStatus
from squareoff.services.desk.desk import Desk
from squareoff.services.desk.desk_requests import (
    EntryRequest,
    InvalidRequest,
    PositionRequest,
    UnknownTracker,
)
from squareoff.services.exits.exit_results import Wait
from squareoff.simulator.virtual.plans import (
    NAME_MINUTES,
    PlanMaker,
    PositionPlan,
    PricePath,
    draw_plans,
    spread_entries,
)
from squareoff.simulator.virtual.world import World

PRINT_SECONDS = (0.4, 1.2)
_LATCHED = (ExitCode.BLOCKED, ExitCode.BEING_SETTLED, ExitCode.NEEDS_HUMAN)

_EXITING = PositionStatus.EXITING.value
_ENDED = tuple(status.value for status in PositionStatus if status.is_final)

Attempt = Callable[[Desk], Awaitable[bool]]


@dataclass(slots=True)
class Wish:
    """Something a person wants of the engine; asked again until `attempt` says that it is done."""

    name: str
    at_seconds: float
    attempt: Attempt
    is_done: bool = False


async def compare(desk: Desk) -> bool:
    """Ask the engine to compare its books with the broker's; whatever it finds, that is done."""
    return not await desk.reconcile() or True


class Workload:
    """The script of one run. `run_wish` hands a wish to whatever engine is alive."""

    def __init__(
        self, world: World, run_wish: Callable[[Wish], None], draw: PlanMaker = draw_plans
    ) -> None:
        self._world = world
        self._chance = world.chance("workload")
        self._run_wish = run_wish
        self.wishes: list[Wish] = []
        self._has_started = False
        self._still = 0.0, 0.0
        self._paths = {
            one.instrument_id: PricePath(
                world.broker.days[one.instrument_id].listing.previous_close
            )
            for one in world.instruments()
        }
        knobs = world.knobs
        self.plans = draw(
            self._chance, world.instruments(), self._paths, knobs.position_count,
            knobs.chaos_seconds,
        )  # fmt: skip
        if knobs.aims:
            spread_entries(self.plans, knobs.chaos_seconds)

    def start(self) -> None:
        """Put the market and the positions on the world's clock."""
        for instrument in self._world.instruments():
            self._world.print_price(instrument, self._paths[instrument.instrument_id].base)
        for instrument in dict.fromkeys(plan.instrument for plan in self.plans):
            self._walk(instrument)
        for plan in self.plans:
            self._start_position(plan)

    def hold_still(self, begin: float, end: float) -> None:
        """Let no price be printed between two instants of the run, seconds."""
        self._still = begin, end

    def start_wishes(self) -> None:
        """Put what people want of the engine on the world's clock, once all of it is known."""
        self._has_started = True
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
        wiggle = instrument.tick_size * world.market_chance.randint(-2, 2)
        price = round_to_tick_down(path.base * path.factor(now), instrument.tick_size) + wiggle
        is_still = self._still[0] <= now < self._still[1]
        if not is_still and not (world.is_healed and world.market_chance.random() < 0.5):
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
        wish = Wish(name, at_seconds, attempt)
        self.wishes.append(wish)
        if self._has_started:
            self._at(at_seconds, self._runner(wish))

    def _buy_in_app(self, plan: PositionPlan) -> None:
        signed = plan.side.sign * plan.quantity
        self._world.trade_in_app(plan.key, signed, str(plan.entry_price))
        plan.is_held = True

    def _opener(self, plan: PositionPlan) -> Attempt:
        was_asked = False

        async def attempt(desk: Desk) -> bool:
            nonlocal was_asked
            if plan.is_abandoned or (was_asked and find(desk, plan) is not None):
                return True
            was_asked = True
            try:
                opening = desk.enter(_entry_of(plan)) if plan.by_entry else desk.track(_held(plan))
                plan.tracker_id = TrackerId((await opening).id)
            except InvalidRequest:
                # The price has passed the stop meanwhile: a person is told, and lets it be.
                plan.is_abandoned = True
            except StoreError:
                return False
            except DomainError as error:
                # What a rule of the account stopped is given up; a person's switch is waited for.
                is_stopped = error.code == "halted" and self._world.knobs.account_max_loss > 0
                plan.is_abandoned = plan.is_abandoned or is_stopped
                return is_stopped
            return True

        return attempt

    def _exiter(self, plan: PositionPlan, wait: Wait) -> Attempt:
        async def attempt(desk: Desk) -> bool:
            tracker_id = find(desk, plan)
            if tracker_id is None:
                return plan.is_abandoned
            self._world.auditor.hear_exit_wish(tracker_id)
            result = await desk.exit(tracker_id, "asked by a person", wait, 4.0)
            self._world.note("exit answered", f"{plan.number} {result.code.value}")
            is_over = desk.tracker(tracker_id).status in _ENDED
            latched = result.success or result.code in _LATCHED or is_over
            plan.is_exit_asked = plan.is_exit_asked or latched
            return latched

        return attempt

    def let_drift(self, instrument: Instrument, drift: float, seconds: float) -> None:
        """Let the market of one instrument move by so much of its base a second from now on."""
        path, now = self._paths[instrument.instrument_id], self._world.loop.time()
        path.drift = Decimal(str(drift))
        path.drifts_from, path.drifts_until = now, now + seconds

    def ask_exit(self, plan: PositionPlan) -> None:
        """Let a person ask for the exit of one position now."""
        name = f"exit {plan.number}.now"
        self._wish(name, self._world.loop.time(), self._exiter(plan, Wait.ACCEPTED))

    def take_back_exit(self, plan: PositionPlan) -> None:
        """Let a person take one exit back now, if there is one."""
        world = self._world

        async def attempt(desk: Desk) -> bool:
            tracker_id = find(desk, plan)
            if tracker_id is None or desk.tracker(tracker_id).status != _EXITING:
                return True
            if not world.coverage.engine_state():
                world.strike("exit_withdrawn")
            world.auditor.hear_withdrawal(tracker_id)
            try:
                await desk.withdraw(tracker_id, "thought better of it", "person", 2.0)
            except StoreError:
                return False
            except DomainError:
                return True  # it has ended meanwhile
            return True

        self._wish(f"withdraw {plan.number}", world.loop.time(), attempt)

    def throw_kill_switch(self, level: str, at: float, until: float) -> None:
        """Throw the kill switch, and take it back once it was thrown."""
        self._wish(f"kill_{level}", at, _switcher(active=True, level=level))
        kill, resume = self.wishes[-1], _switcher(active=False, level=level)

        async def resume_after_kill(desk: Desk) -> bool:
            return kill.is_done and await resume(desk)

        self._wish("resume", until, resume_after_kill)


def _switcher(*, active: bool, level: str) -> Attempt:
    async def attempt(desk: Desk) -> bool:
        try:
            await desk.set_kill_switch(active=active, level=level, reason="rehearsal")
        except StoreError:
            return False
        return True

    return attempt


def find(desk: Desk, plan: PositionPlan) -> TrackerId | None:
    """Return the id of the plan's tracker once the running engine shows it."""
    if plan.tracker_id is None:
        wanted = NAME_MINUTES + plan.number
        views = desk.trackers()
        found = next((v.id for v in views if v.rules.max_holding_minutes == wanted), None)
        plan.tracker_id = None if found is None else TrackerId(found)
    elif not _knows(desk, plan.tracker_id):
        return None
    return plan.tracker_id


def _knows(desk: Desk, tracker_id: TrackerId) -> bool:
    try:
        desk.tracker(tracker_id)
    except UnknownTracker:
        return False
    return True


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
