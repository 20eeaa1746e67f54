"""Commands are carried out once, sized on what the broker really shows, and none ends silently."""

import asyncio
from dataclasses import replace
from decimal import Decimal as D
from typing import NoReturn

import pytest

from exit_story.values import INSTRUMENT, TRACKER, new_position
from service_world.virtual import run_virtual, settle
from service_world.world import World, running_world
from squareoff.core.state.facts import ExitSized, OrderModifySent, OrderSent
from squareoff.core.state.policy import PLAN_AGE_SECONDS_MAX, ExitPolicy
from squareoff.domain.errors import (
    BrokerOutcomeUnknown,
    BrokerRateLimited,
    BrokerRejected,
    BrokerUnreachable,
    StoreUnavailable,
)
from squareoff.domain.ids import TrackerId
from squareoff.domain.instruments import Instrument, ProductType
from squareoff.domain.orders import OrderType, PositionSide, Side
from squareoff.domain.results import ExitCode
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason, IntentStatus, PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.circuit_breaker import BreakerState
from squareoff.services.orders.rate_budget import RateLimits, WriteKind

OTHER = TrackerId("trk-2")


async def leave(
    world: World, tracker_id: TrackerId = TRACKER, wait: Wait = Wait.FILLED
) -> ExitCode:
    """Exit a position."""
    result = await world.engine.exit_engine.execute_exit(tracker_id, "x", wait=wait)
    return result.code


def block_reason(world: World) -> BlockReason | None:
    """Return why the exit is blocked now."""
    intent = world.tracker(TRACKER).intent
    assert intent is not None
    return intent.block_reason if intent.status is IntentStatus.BLOCKED else None


def committed_sends(world: World) -> int:
    """Return how many sends were ever committed."""
    return sum(isinstance(f, OrderSent) for c in world.store.commits for f in c.facts)


@pytest.mark.parametrize("seed", range(10))
def test_two_trackers_on_one_key_never_exceed_the_brokers_net(seed: int) -> None:
    """Both trackers say 100 and the broker holds 100: together their exits close no more."""

    async def body() -> None:
        async with running_world() as world:
            first = await world.hold()
            await world.hold(tracker_id=OTHER)
            world.gateway.hold(first.key, 100)
            world.gateway.fills = False

            await asyncio.gather(leave(world), leave(world, OTHER), return_exceptions=True)
            assert sum(r.order_quantity for r in world.gateway.requests) == 100
            for order_id in list(world.gateway.orders):
                world.gateway.fill(order_id)
            await asyncio.sleep(30.0)

            assert world.gateway.net(first.key) == 0
            assert sum(r.order_quantity for r in world.gateway.requests) == 100

    run_virtual(body(), seed)


@pytest.mark.parametrize("seed", range(4))
def test_a_sizing_overtaken_by_our_own_fill_reads_again(seed: int) -> None:
    """A reading from before another exit's fill on the key sizes nothing."""

    async def body() -> None:
        async with running_world() as world:
            first = await world.hold()
            await world.hold(tracker_id=OTHER)
            world.gateway.hold(first.key, 100)
            world.gateway.fills = False
            assert await leave(world, wait=Wait.ACCEPTED) is ExitCode.ACCEPTED
            gate = world.gateway.gates["positions"] = asyncio.Event()
            leaving = asyncio.get_running_loop().create_task(leave(world, OTHER))
            await settle()
            world.gateway.fill(next(iter(world.gateway.orders)))
            await world.until_status(TRACKER, PositionStatus.EXITED)
            before = world.gateway.calls.count("positions")
            gate.set()
            await leaving

            assert world.gateway.calls.count("positions") > before
            assert len(world.gateway.requests) == 1
            assert world.gateway.net(first.key) == 0

    run_virtual(body(), seed)


def test_a_reading_that_grew_old_in_its_turn_sizes_nothing() -> None:
    """While another sizing on the key held things up, a person closed the position by hand."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            async with world.engine.exit_engine.book.key_lock(tracker.key):
                await leave(world, wait=Wait.CLAIMED)
                await asyncio.sleep(PLAN_AGE_SECONDS_MAX + 1.0)
                world.gateway.trade_by_hand(tracker.key, Side.SELL, tracker.quantity)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert world.gateway.requests == []
            assert world.tracker(TRACKER).exit_reason == "closed_externally"

    run_virtual(body())


@pytest.mark.parametrize("unreadable", ["order_book", "trade_book", "positions"])
def test_a_look_up_that_finds_nothing_proves_nothing_alone(unreadable: str) -> None:
    """A lost order is sent again only after rounds in which every book could be read."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            await leave(world, wait=Wait.CLAIMED)
            await world.until(lambda: len(world.gateway.requests) == 1)
            world.gateway.failures[unreadable] = BrokerUnreachable("down")
            await asyncio.sleep(60.0)
            assert world.gateway.calls.count("orders_by_client_order_id") > 3
            assert len(world.gateway.requests) == 1
            world.gateway.failures.clear()
            await world.until_status(TRACKER, PositionStatus.EXITED)

            first, second = world.gateway.requests
            assert first.client_order_id == second.client_order_id

    run_virtual(body())


def test_a_reading_from_before_an_outage_sizes_nothing_after_it() -> None:
    """Forty were sold by hand while the database was away: the rest alone is closed."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            gate = world.gateway.gates["positions"] = asyncio.Event()
            await leave(world, wait=Wait.CLAIMED)
            world.store.down = StoreUnavailable("away")
            gate.set()
            await asyncio.sleep(2.0)
            world.gateway.trade_by_hand(tracker.key, Side.SELL, 40)
            await asyncio.sleep(10.0)
            world.store.down = None
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert [request.order_quantity for request in world.gateway.requests] == [60]
            assert world.gateway.net(tracker.key) == 0

    run_virtual(body())


def test_an_order_that_the_order_book_shows_is_not_looked_up() -> None:
    """One reading of the book serves all whose answers were lost; a look-up serves one."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.publish = lambda report: None
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            await leave(world, wait=Wait.CLAIMED)
            await world.until(lambda: len(world.gateway.requests) == 1)
            arrived = world.gateway.accept(world.gateway.requests[0])
            world.gateway.fill(arrived.broker_order_id)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert world.gateway.calls.count("orders_by_client_order_id") == 0
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_a_reading_that_lags_behind_our_fill_sells_nothing_twice() -> None:
    """Forty were sold by hand and sixty by us: positions that still show sixty are our own past."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.fills = False
            world.gateway.trade_by_hand(tracker.key, Side.SELL, 40)
            leaving = asyncio.get_running_loop().create_task(leave(world))
            await world.until(lambda: len(world.gateway.orders) == 1)
            world.gateway.fill(next(iter(world.gateway.orders)))
            world.gateway.hold(tracker.key, 60)  # the broker's positions lag behind its fills
            await asyncio.sleep(4.0)
            world.gateway.hold(tracker.key, 0)
            await leaving
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert [request.order_quantity for request in world.gateway.requests] == [60]

    run_virtual(body())


def test_a_short_exit_buys_and_slices_by_the_freeze_quantity() -> None:
    """Side and slices follow from the position and the instrument; every slice has its own id."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold(side=PositionSide.SHORT, quantity=4000)
            assert await leave(world) is ExitCode.EXITED

            sizes = [request.order_quantity for request in world.gateway.requests]
            assert sum(sizes) == 4000
            assert max(sizes) <= (INSTRUMENT.freeze_quantity or 0)
            assert {request.side for request in world.gateway.requests} == {Side.BUY}
            assert len({request.client_order_id for request in world.gateway.requests}) == 3
            assert world.gateway.net(tracker.key) == 0

    run_virtual(body())


def test_unreadable_positions_rely_on_a_recent_reconciliation_only() -> None:
    """Right after a comparison the exit goes on without a reading; later it waits for one."""

    async def body() -> None:
        async with running_world(policy=ExitPolicy(reconciled_age_seconds_max=60.0)) as world:
            await world.hold()
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            await world.engine.reconciler.reconcile("asked")
            world.gateway.failures["positions"] = BrokerUnreachable("down")
            assert await leave(world, OTHER) is ExitCode.EXITED
            await asyncio.sleep(100.0)

            assert await leave(world) is ExitCode.BLOCKED
            assert block_reason(world) is BlockReason.POSITIONS_UNREADABLE
            del world.gateway.failures["positions"]
            await world.until_status(TRACKER, PositionStatus.EXITED)
            assert len(world.gateway.requests) == 2

    run_virtual(body())


def test_a_kill_switch_at_all_holds_exits_and_lets_them_go_on() -> None:
    """At level `all` an exit is latched and blocked; released, it goes on by itself."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.desk.set_kill_switch(active=True, level="all", reason="storm")

            assert await leave(world) is ExitCode.BLOCKED
            assert block_reason(world) is BlockReason.KILL_SWITCH
            assert (world.gateway.requests, committed_sends(world)) == ([], 0)
            await world.engine.desk.set_kill_switch(active=False, level="new", reason="calm")
            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_switch_thrown_while_an_exit_waits_for_its_turn_holds_it() -> None:
    """The switch is asked again after the wait for budget and price."""

    async def body() -> None:
        async with running_world(limits=RateLimits(per_minute=1)) as world:
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            await leave(world, OTHER)
            await world.hold()
            leaving = asyncio.get_running_loop().create_task(leave(world))
            await asyncio.sleep(1.0)
            await world.engine.desk.set_kill_switch(active=True, level="all", reason="storm")
            await asyncio.sleep(90.0)

            await leaving
            assert (len(world.gateway.requests), committed_sends(world)) == (1, 1)
            assert block_reason(world) is BlockReason.KILL_SWITCH

    run_virtual(body())


@pytest.mark.parametrize("level", ["new", "all"])
def test_an_entry_that_waits_is_not_sent_after_the_kill_switch(level: str) -> None:
    """After a kill switch only exits are sent: a waiting entry ends unsent (I9)."""

    async def body() -> None:
        async with running_world(limits=RateLimits(per_minute=2)) as world:
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            await leave(world, OTHER)
            await world.engine.exit_engine.open(new_position(entry_order_type=OrderType.LIMIT))
            await asyncio.sleep(1.0)
            assert world.tracker(TRACKER).status is PositionStatus.PENDING
            await world.engine.desk.set_kill_switch(active=True, level=level, reason="storm")
            tracker = await world.until_status(TRACKER, PositionStatus.CANCELLED)

            assert len(world.gateway.requests) == 1
            assert tracker.quantity == 0

    run_virtual(body())


def test_an_entry_that_waited_long_is_not_sent_any_more() -> None:
    """An hour later nobody wants it, or he has entered anew: it ends unsent and says why."""

    async def body() -> None:
        async with running_world(limits=RateLimits(per_hour=2)) as world:
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            await leave(world, OTHER)
            await world.engine.exit_engine.open(new_position(entry_order_type=OrderType.LIMIT))
            await asyncio.sleep(60.0)
            assert world.tracker(TRACKER).status is PositionStatus.PENDING
            await asyncio.sleep(3_700.0)

            tracker = world.tracker(TRACKER)
            assert tracker.status is PositionStatus.CANCELLED
            assert "waited" in (tracker.exit_reason or "")
            assert len(world.gateway.requests) == 1
            assert world.engine.supervisor._router.queue.waiting() == 0

    run_virtual(body())


def test_an_entry_is_sent_and_activates_its_position() -> None:
    """An entry of ours goes out once and its fill makes the position active."""

    async def body() -> None:
        async with running_world() as world:
            await world.engine.exit_engine.open(new_position(entry_order_type=OrderType.LIMIT))
            tracker = await world.until_status(TRACKER, PositionStatus.ACTIVE)

            assert world.gateway.calls.count("place_market") == 1
            assert (tracker.quantity, world.gateway.requests[0].side) == (100, Side.BUY)

    run_virtual(body())


def test_a_defect_while_pricing_gives_the_permit_back() -> None:
    """A defect of one position between permit and send leaves the half-open breaker working."""

    async def broken(instrument: Instrument) -> NoReturn:
        raise TypeError(f"a plug-in's defect at {instrument.trading_symbol}")

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.hold(tracker_id=OTHER, product_type=ProductType.MARGIN)
            queue = world.engine.supervisor._router.queue
            while queue.breaker_state() is BreakerState.CLOSED:
                await queue.permit(Urgency.STOP)
                queue.end_failed(queue.begin(WriteKind.PLACE))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.engine.supervisor._placer._prices, "resolve", broken)
                assert await leave(world) is ExitCode.HALTED

            assert await leave(world, OTHER) is ExitCode.EXITED
            assert "position_halted" in world.alarms.codes

    run_virtual(body())


def modifies(world: World) -> list[OrderModifySent]:
    """Return every modify that was committed."""
    return [f for c in world.store.commits for f in c.facts if isinstance(f, OrderModifySent)]


def test_a_modify_waits_for_its_place_in_the_budget() -> None:
    """The broker counts it as it does an order: of two writes in a minute one stays an exit's."""

    async def body() -> None:
        async with running_world(limits=RateLimits(per_minute=2)) as world:
            world.gateway.fills = False
            await world.hold()
            await leave(world, wait=Wait.ACCEPTED)
            world.gateway.quote_price = (world.gateway.quote_price or 0) - 5
            await asyncio.sleep(50.0)
            assert world.gateway.modifications == []
            await asyncio.sleep(20.0)

            assert len(world.gateway.modifications) == 1

    run_virtual(body())


def test_a_resting_exit_is_chased() -> None:
    """An exit that rests is moved toward the market at every interval, each commit one call."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await leave(world, wait=Wait.ACCEPTED)
            for _ in range(3):
                world.gateway.quote_price = (world.gateway.quote_price or 0) - 5
                await asyncio.sleep(2.1)

            assert len(world.gateway.modifications) == len(modifies(world)) >= 2
            prices = [m.limit_price for m in world.gateway.modifications]
            assert prices == sorted(prices, reverse=True)

    run_virtual(body())


def test_no_modify_is_decided_while_one_is_under_way() -> None:
    """A modify that hangs is waited for: none is journalled unsent and no permit is lost."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await leave(world, wait=Wait.ACCEPTED)
            gate = world.gateway.gates["modify_order"] = asyncio.Event()
            for _ in range(10):
                world.gateway.quote_price = (world.gateway.quote_price or 0) - 3
                await asyncio.sleep(1.0)

            assert len(world.gateway.modifications) == len(modifies(world)) == 1
            del world.gateway.gates["modify_order"]
            gate.set()
            world.gateway.quote_price = (world.gateway.quote_price or 0) - 30
            await asyncio.sleep(5.0)
            assert len(world.gateway.modifications) == len(modifies(world)) > 1

    run_virtual(body())


def test_a_modify_that_was_not_taken_is_learned_from_the_book() -> None:
    """After a modify that failed, the order's own record is read and tells its end."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await leave(world, wait=Wait.ACCEPTED)
            world.gateway.publish = lambda report: None
            world.gateway.failures["modify_order"] = BrokerRateLimited("429")
            world.gateway.quote_price = (world.gateway.quote_price or 0) - 5
            world.gateway.fill(next(iter(world.gateway.orders)))

            await world.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_modify_refused_for_its_price_tells_the_next_one() -> None:
    """What the broker says of a price outside its range reaches the one that prices the next."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await leave(world, wait=Wait.ACCEPTED)
            text = "price out of execution range"
            world.gateway.failures["modify_order"] = BrokerRejected(text, text=text)
            world.gateway.quote_price = (world.gateway.quote_price or D(0)) * D("0.9")
            await world.until(lambda: len(world.gateway.modifications) == 1)
            world.gateway.failures.pop("modify_order", None)
            world.gateway.quote_price *= D("0.9")
            await world.until(lambda: len(world.gateway.modifications) == 2)

            wide, near = (modify.limit_price or D(0) for modify in world.gateway.modifications)
            assert wide / world.gateway.quote_price < D("1.06")  # five percent off the first price
            assert D("0.97") < near / world.gateway.quote_price < D("0.98")

    run_virtual(body())


def test_a_resting_exit_is_chased_as_soon_as_the_switch_is_lifted() -> None:
    """At level `all` it is not moved; its next step does not wait out half a minute afterwards."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            await world.hold()
            await leave(world, wait=Wait.ACCEPTED)
            switch = world.engine.desk.set_kill_switch
            await switch(active=True, level="all", reason="storm")
            world.gateway.quote_price = (world.gateway.quote_price or 0) - 5
            await asyncio.sleep(5.0)
            assert world.gateway.modifications == []
            await switch(active=False, level="new", reason="over")
            await asyncio.sleep(1.5)

            assert len(world.gateway.modifications) == 1

    run_virtual(body())


def test_a_closed_market_neither_spins_nor_modifies() -> None:
    """While the exchange is closed a resting exit costs no writes and hardly any work."""

    async def body() -> None:
        async with running_world() as world:
            world.gateway.fills = False
            # Of known circuit limits, which nobody asks the quotes for.
            bounded = replace(INSTRUMENT, lower_circuit=D("0.05"), upper_circuit=D(1_000))
            await world.hold(instrument=bounded)
            await leave(world, wait=Wait.ACCEPTED)
            world.calendar.opens_in_seconds = 3_600.0
            world.gateway.calls.clear()
            await asyncio.sleep(300.0)

            assert world.gateway.modifications == []
            assert world.gateway.calls.count("quotes") < 5

    run_virtual(body())


def test_an_absent_order_is_sent_again_under_its_id() -> None:
    """A lost order that the books lack long enough is sent once more, never sooner."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            started = asyncio.get_running_loop().time()
            await leave(world)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            ids = [request.client_order_id for request in world.gateway.requests]
            assert len(ids) == 2
            assert len(set(ids)) == 1
            assert asyncio.get_running_loop().time() - started >= 10.0

    run_virtual(body())


def test_sizing_sees_the_reading_and_the_reserve() -> None:
    """The journal says what was read and what other exits had already reserved."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await leave(world)
            sized = [f for c in world.store.commits for f in c.facts if isinstance(f, ExitSized)]

            assert len(sized) == 1

    run_virtual(body())


def test_a_fresh_price_and_a_free_permit_cost_one_commit_less() -> None:
    """Claim, then plan and send together: two commits stand between the wish and the order."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.tick("152.00")
            before = len(world.store.commits)
            world.gateway.on_write = lambda operation: written.append(len(world.store.commits))
            written: list[int] = []
            await leave(world)

            assert written == [before + 2]

    run_virtual(body())


def test_permits_that_were_taken_ahead_and_not_used_are_given_back() -> None:
    """A position that somebody else closed plans nothing, and leaves the budget as it was."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.tick("152.00")
            world.gateway.hold(tracker.key, 0)
            await leave(world, wait=Wait.CLAIMED)
            await settle()

            assert world.gateway.requests == []
            assert world.engine.status.view().budget_used["second"] == 0

    run_virtual(body())
