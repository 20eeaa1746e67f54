"""Positions that others close are noticed, explained by their trades, and booked."""

import asyncio
from collections import Counter
from dataclasses import replace
from decimal import Decimal

from exit_story.values import TRACKER
from service_world.virtual import run_virtual
from service_world.world import World, running_world
from squareoff.core.state.change import Change
from squareoff.core.state.facts import JournalEntry
from squareoff.domain.ids import BrokerOrderId, TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import Side
from squareoff.domain.results import ExitCode
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait

OTHER = TrackerId("trk-2")

BOTH = TRACKER, OTHER


async def leave(world: World, tracker_id: TrackerId) -> ExitCode:
    """Exit a tracker and wait for its end."""
    result = await world.engine.exit_engine.execute_exit(
        tracker_id, "a test", wait=Wait.FILLED, wait_seconds=30.0
    )
    return result.code


def assert_tells_how_to_let_it_go(world: World) -> None:
    """Nothing but a person's word ends what is gone without a trade: the newest alarm says so."""
    _, _, message = world.alarms.heard[-1]
    assert "NIFTY-Sep2026-25000-CE expired" in message
    assert "squareoff untrack trk-1 --reason" in message
    assert "still open" not in message


def test_a_position_closed_by_hand_ends_by_itself() -> None:
    """Closed in the app while ACTIVE: within the timer and some readings it is EXITED."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.trade_by_hand(tracker.key, Side.SELL, 100)

            ended = await world.until_status(TRACKER, PositionStatus.EXITED)
            assert ended.exit_reason == "closed_externally"
            assert ended.exit_price == Decimal("151.5")
            assert world.gateway.requests == []
            assert "closed_externally" in world.alarms.codes

    run_virtual(body())


def test_a_part_closed_by_hand_comes_off_once() -> None:
    """The rest stays watched, the books agree again, and later readings book nothing more."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.trade_by_hand(tracker.key, Side.SELL, 25)
            await world.until(lambda: world.tracker(TRACKER).open_quantity == 75)
            await asyncio.sleep(120.0)

            assert world.tracker(TRACKER).open_quantity == 75
            assert await world.engine.desk.reconcile() == ()
            assert await leave(world, TRACKER) is ExitCode.EXITED
            assert world.gateway.net(tracker.key) == 0

    run_virtual(body())


def test_one_reading_books_nothing() -> None:
    """A replica may be odd for a moment: readings a second apart must agree before it is booked."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.trade_by_hand(tracker.key, Side.SELL, 100)
            began = asyncio.get_running_loop().time()
            for _ in range(5):
                await world.engine.desk.reconcile()
            assert world.tracker(TRACKER).open_quantity == 100
            await world.until(lambda: world.tracker(TRACKER).open_quantity == 0)

            assert asyncio.get_running_loop().time() - began > 1.5

    run_virtual(body())


def test_what_no_trade_explains_is_not_booked() -> None:
    """A net that shrank without a trade is alarmed, and the tracker keeps what it holds."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.hold(tracker.key, 60)
            await asyncio.sleep(120.0)

            assert world.tracker(TRACKER).open_quantity == 100
            assert world.alarms.codes == ["position_mismatch"]
            assert_tells_how_to_let_it_go(world)
            told = world.alarms.heard[-1][2]
            assert "The 60 that the broker still shows are under no watch and have no stop" in told
            quick = world.gateway.calls.count("positions")
            await asyncio.sleep(60.0)
            assert world.gateway.calls.count("positions") - quick <= 3

    run_virtual(body())


def test_only_what_is_still_under_watch_is_named_to_be_let_go() -> None:
    """One of two exited before the contract expired."""

    async def body() -> None:
        async with running_world() as world:
            other = TrackerId("trk-0")
            await world.hold(tracker_id=other)
            tracker = await world.hold()
            assert await leave(world, other) is ExitCode.EXITED
            world.gateway.hold(tracker.key, 0)
            await world.until(lambda: "position_mismatch" in world.alarms.codes)

            assert_tells_how_to_let_it_go(world)
            assert "trk-0" not in world.alarms.heard[-1][2]

    run_virtual(body())


def test_an_expired_contract_is_told_with_the_way_out() -> None:
    """It is in no reading and no trade tells of its end: the mismatch and the exit that waits both
    say how it is let go, which then ends it."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            world.gateway.hold(tracker.key, 0)
            await world.until(lambda: "position_mismatch" in world.alarms.codes)
            assert_tells_how_to_let_it_go(world)
            assert "still shows" not in world.alarms.heard[-1][2]

            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.CLAIMED)
            await world.until(lambda: "exit_blocked_position_missing" in world.alarms.codes)
            assert_tells_how_to_let_it_go(world)

            await world.engine.desk.untrack(TRACKER, "expired", "me")
            assert world.tracker(TRACKER).status is PositionStatus.UNTRACKED
            assert await world.engine.desk.reconcile() == ()

    run_virtual(body())


def test_an_exit_takes_nothing_of_another_tracker_on_its_key() -> None:
    """The first's units were sold by hand: its exit finds that out, and leaves the second's."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            await world.hold(tracker_id=OTHER)
            world.gateway.trade_by_hand(tracker.key, Side.SELL, 100)

            assert await leave(world, TRACKER) is ExitCode.CLOSED_EXTERNALLY
            assert world.gateway.requests == []
            assert world.gateway.net(tracker.key) == 100
            assert await leave(world, OTHER) is ExitCode.EXITED
            assert world.gateway.net(tracker.key) == 0

    run_virtual(body())


def test_an_exit_does_not_wait_for_ever_for_an_explanation() -> None:
    """Nobody knows whose units are missing: what is there is closed, by whoever leaves first."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            await world.hold(tracker_id=OTHER)
            world.gateway.hold(tracker.key, 100)

            assert await leave(world, TRACKER) is ExitCode.EXITED
            assert world.gateway.net(tracker.key) == 0

    run_virtual(body())


async def begin_resting_exit(world: World) -> BrokerOrderId:
    """Begin an exit whose order rests at the exchange."""
    world.gateway.fills = False
    world.tick("150.00")
    await world.engine.exit_engine.execute_exit(TRACKER, "a test", wait=Wait.ACCEPTED)
    return next(iter(world.gateway.orders))


async def follow_the_market_down(world: World, seconds: int) -> None:
    """Print a lower price every second, as would have an exit chased."""
    for second in range(seconds):
        world.tick(str(Decimal(149) - second))
        await asyncio.sleep(1.0)


def test_a_resting_exit_of_a_position_closed_by_hand_is_cancelled() -> None:
    """Its fill would open a position on the other side: it is not chased, but taken back."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            order_id = await begin_resting_exit(world)
            await asyncio.sleep(1.0)  # it is moved a second from now
            world.gateway.trade_by_hand(world.tracker(TRACKER).key, Side.SELL, 100)
            world.engine.reconciler.request("a test")
            await asyncio.sleep(0.1)
            moved = len(world.gateway.modifications)
            await follow_the_market_down(world, 15)

            assert len(world.gateway.modifications) == moved
            assert world.gateway.cancels == [order_id]
            ended = await world.until_status(TRACKER, PositionStatus.EXITED)
            assert ended.exit_reason == "closed_externally"
            assert world.gateway.net(ended.key) == 0
            assert len(world.gateway.requests) == 1

    run_virtual(body())


def test_a_resting_exit_gives_up_what_was_closed_by_hand() -> None:
    """60 of 100 were sold in the app: the order of 100 ends, and only 40 are sold."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await begin_resting_exit(world)
            key = world.tracker(TRACKER).key
            world.gateway.trade_by_hand(key, Side.SELL, 60)
            await world.until(lambda: len(world.gateway.requests) == 2)
            world.gateway.fill(list(world.gateway.orders)[1])

            ended = await world.until_status(TRACKER, PositionStatus.EXITED)
            assert [each.order_quantity for each in world.gateway.requests] == [100, 40]
            assert world.gateway.net(key) == 0
            assert ended.externally_closed_quantity == 60

    run_virtual(body())


def test_after_a_restart_an_exit_is_not_chased_before_its_units_are_seen() -> None:
    """Closed by hand while the engine was down: the order left over is taken back, not moved."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            order_id = await begin_resting_exit(world)
        world.gateway.trade_by_hand(world.tracker(TRACKER).key, Side.SELL, 100)
        async with running_world(store=world.store, gateway=world.gateway) as restarted:
            moved = len(world.gateway.modifications)
            await follow_the_market_down(restarted, 15)

            assert len(world.gateway.modifications) == moved
            assert world.gateway.cancels == [order_id]
            await restarted.until_status(TRACKER, PositionStatus.EXITED)

    run_virtual(body())


def test_a_resting_exit_is_sized_anew_where_nothing_tells_who_closed_a_part() -> None:
    """Half of the position was converted: no trade explains it. Filled in full, the exit would
    open a position on the other side; it ends no larger than what the broker shows."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            order_id = await begin_resting_exit(world)
            world.gateway.hold(tracker.key, 50)
            await follow_the_market_down(world, 20)

            assert world.gateway.cancels == [order_id]
            assert [request.order_quantity for request in world.gateway.requests] == [100, 50]
            resized = list(world.gateway.orders)[-1]
            await follow_the_market_down(world, 20)
            assert world.gateway.cancels == [order_id]
            assert resized in {each.broker_order_id for each in world.gateway.modifications}
            world.gateway.fill(resized)
            await asyncio.sleep(30.0)

            assert world.gateway.net(tracker.key) == 0
            assert world.tracker(TRACKER).status is PositionStatus.EXITING
            assert world.tracker(TRACKER).open_quantity == 50
            assert "exit_blocked_position_missing" in world.alarms.codes

    run_virtual(body())


def test_an_exit_that_was_taken_back_goes_on_when_the_position_is_shown_again() -> None:
    """The broker's positions may be wrong for long; the exit waits for what they show, visibly."""

    async def body() -> None:
        async with running_world() as world:
            tracker = await world.hold()
            order_id = await begin_resting_exit(world)
            world.gateway.hold(tracker.key, 0)
            await follow_the_market_down(world, 40)
            assert world.gateway.cancels == [order_id]
            assert len(world.gateway.requests) == 1
            assert "exit_blocked_position_missing" in world.alarms.codes

            world.gateway.fills = True
            world.gateway.hold(tracker.key, 100)
            ended = await world.until_status(TRACKER, PositionStatus.EXITED)
            assert ended.exited_quantity == 100
            assert world.gateway.net(tracker.key) == 0

    run_virtual(body())


def test_one_trade_explains_the_end_of_one_position_only() -> None:
    """The owner sells 50 and converts 50 while the stops of both fire: a commit takes its time, and
    what the one has booked by then is no explanation for the other."""

    async def body() -> None:
        async with running_world() as world:
            commit = world.store.commit

            async def slow_commit(change: Change, at_ns: int) -> tuple[JournalEntry, ...]:
                await asyncio.sleep(0.002)
                return await commit(change, at_ns)

            world.store.commit = slow_commit  # type: ignore[method-assign]
            tracker = await world.hold(quantity=50)
            await world.hold(tracker_id=OTHER, quantity=50)
            await world.engine.desk.reconcile()
            world.gateway.trade_by_hand(tracker.key, Side.SELL, 50)
            world.gateway.hold(tracker.key, 0)
            world.gateway.hold(replace(tracker.key, product_type=ProductType.MARGIN), 50)
            execute = world.engine.exit_engine.execute_exit
            await asyncio.gather(*(execute(one, "stop", wait=Wait.CLAIMED) for one in BOTH))
            await asyncio.sleep(60.0)

            found = Counter(world.tracker(one).status for one in BOTH)
            assert found == {PositionStatus.EXITED: 1, PositionStatus.EXITING: 1}
            assert "exit_blocked_position_missing" in world.alarms.codes

    run_virtual(body())
